import { toErrorMessage } from '../../core/error-text.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { ClaimCapacity, TopicCapacity } from './claim-capacity.js';
import type { LaneIndex, ScanMode } from './lane-index.js';
import type { LaneScan } from '../../store/jobs/job-records.js';
import { ScanCost } from './scan-cost.js';

type LaneScannerParts = Pick<
  EngineParts,
  'store' | 'clock' | 'logger' | 'random' | 'pollIntervalMs' | 'liveWorkers'
> & {
  readonly lanes: LaneIndex;
  readonly capacity: ClaimCapacity;
  /** A scan of these topics has found lanes. `version` is that of its request. */
  readonly onFound: (scan: LaneScan, version: number, topics: readonly TopicCapacity[]) => void;
  /** A scan has ended. */
  readonly onScanned: () => void;
  /** A background scan found jobs below the lower bounds of claims. */
  readonly onLateJobs: () => void;
};

/** How long the result of a scan holds: until the next poll of this process, or until a job is announced or claimed. */
interface ScanValidity {
  readonly version: number;
  readonly scannedAtMs: number;
  readonly pollInMs: number;
  /** Whether the next poll waits for the turn of this process, if processes take turns. */
  readonly takesTurns: boolean;
}

/** How soon a busy process scans after a notification that names no lane. */
const HINTED_SCAN_MS = 50;
/** After an insert without a response this process scans once a second, until the server must have ended the statement. */
const UNCERTAIN_MS = 31_000;
/** How often a busy process scans without one: the cost of a scan decides whether claims need lower bounds. */
const SCAN_INTERVAL_MAX_MS = 1_000;

/** Finds unknown lanes and the next due time. One scan is in flight at a time; claims go on beside it. */
export class LaneScanner {
  /** Whether the last scan found unknown lanes. */
  hasFoundLanes = false;
  /** Whether the last scan succeeded. */
  isHealthy = true;

  private hasScanned = false;
  private scannedAtMs = -Infinity;
  private isHinted = false;
  private scanning: Promise<void> | undefined;
  private backgroundScan: Promise<void> | undefined;
  /** The error of a scan that `takeFailure` has not returned yet. */
  private failure: { readonly error: unknown } | undefined;
  private validity: ScanValidity | undefined;
  /** The next scan looks whether another process has claimed an announced job. */
  private checkAtMs = Infinity;
  private uncertainUntilMs = -Infinity;
  private readonly cost: ScanCost;

  constructor(private readonly options: LaneScannerParts) {
    this.cost = new ScanCost(options.clock, options.pollIntervalMs);
  }

  /** Where claims and scans start. The start of a clean index costs nothing. */
  get mode(): ScanMode {
    return this.cost.isHigh ? 'bounded' : 'full';
  }

  /** Whether no scan has ended since the start. Without one, the first claim would not know the most urgent lanes. */
  get mustScanFirst(): boolean {
    return !this.hasScanned && this.options.capacity.topics().length > 0;
  }

  get isScanning(): boolean {
    return this.scanning !== undefined;
  }

  /** Whether a busy process should scan: a lane it does not know may be more urgent than its backlog. */
  get isOverdue(): boolean {
    const { clock, pollIntervalMs } = this.options;
    const intervalMs = Math.min(pollIntervalMs, this.isHinted ? HINTED_SCAN_MS : SCAN_INTERVAL_MAX_MS);
    return clock.now() - this.scannedAtMs >= intervalMs;
  }

  /** Time until the turn of this process to poll for all; 0 or less when it has come since the last scan. Infinity without turns. */
  get nextTurnInMs(): number {
    const { clock, liveWorkers } = this.options;
    return (liveWorkers.nextPollMs(this.scannedAtMs) ?? Infinity) - clock.now();
  }

  /** For how long no scan is needed, by the result of the last one. */
  scanValidForMs(): number {
    const { lanes, capacity, clock } = this.options;
    if (!this.validity || lanes.hasChangedSince(this.validity.version)) {
      return 0;
    }
    const { scannedAtMs } = this.validity;
    const dueAtMs = lanes.nextDueAtMs(capacity.availableTopics());
    const isOurs = dueAtMs <= scannedAtMs + this.options.liveWorkers.horizonMs;
    const untilMs = Math.min(this.pollAtMs(this.validity), this.checkAtMs, isOurs ? dueAtMs : Infinity);
    return Math.max(0, untilMs - clock.now());
  }

  /** The server may still store jobs of this process. No notification announces them. */
  recordUncertainInsert(): void {
    this.uncertainUntilMs = this.options.clock.now() + UNCERTAIN_MS;
  }

  /** Scans within this time. Returns whether that is earlier than planned. */
  checkWithin(ms: number): boolean {
    const atMs = this.options.clock.now() + ms;
    const isEarlier = atMs < this.checkAtMs;
    this.checkAtMs = Math.min(this.checkAtMs, atMs);
    return isEarlier;
  }

  /** Time until the next job that is not due yet. Infinity when none is known. */
  nextDueInMs(): number {
    const { lanes, capacity, clock } = this.options;
    return lanes.nextDueAtMs(capacity.availableTopics(), clock.now()) - clock.now();
  }

  /** Forgets the scans and errors from before the last stop. */
  start(): void {
    this.hasScanned = false;
    this.failure = undefined;
  }

  /** A notification named no lane: jobs may be due in an unknown one. */
  recordHint(): void {
    this.isHinted = true;
  }

  /** Makes the next scans full ones. */
  forceFullScans(): void {
    this.cost.reset();
  }

  /** Resolves when the background scan that is in flight now has ended. */
  async idle(): Promise<void> {
    await this.backgroundScan;
  }

  /** Scans unless a scan is in flight; resolves when it has ended. `takeFailure` returns its error. */
  scan(): Promise<void> {
    return (this.scanning ??= this.runScan().finally(() => {
      this.scanning = undefined;
      this.options.onScanned();
    }));
  }

  /** Returns the first error of the scans since the last call. */
  takeFailure(): { readonly error: unknown } | undefined {
    const { failure } = this;
    this.failure = undefined;
    return failure;
  }

  /** Never rejects, since the scan may not be awaited. */
  private async runScan(): Promise<void> {
    const { store, clock, lanes, capacity } = this.options;
    const topics = capacity.topics();
    const { mode } = this;
    this.validity = undefined;
    this.isHinted = false;
    this.scannedAtMs = clock.now();
    const isCheck = this.checkAtMs <= this.scannedAtMs;
    this.checkAtMs = Infinity;
    if (mode === 'full') {
      this.cost.recordStart();
    }
    const version = lanes.recordSend();
    try {
      const scan = await store.scan(lanes.gaps(topics), lanes.starts(topics, mode));
      this.isHealthy = true;
      if (mode === 'full') {
        this.cost.recordDuration(scan.tookMs);
      } else {
        this.scanInBackground(topics);
      }
      this.options.onFound(scan, version, topics);
      this.hasFoundLanes = lanes.recordScan(topics, scan, clock.now(), mode, version);
      const pollInMs = this.pollInMs();
      this.validity = { version, scannedAtMs: clock.now(), pollInMs, takesTurns: this.mode === 'full' };
      if (isCheck && scan.waiting.some(({ dueInMs, isPaused, isLimited }) => dueInMs <= 0 && !isPaused && !isLimited)) {
        this.options.liveWorkers.onMissed();
      }
    } catch (error) {
      this.isHealthy = false;
      this.failure ??= { error };
    }
    this.hasScanned = true;
  }

  private pollAtMs({ scannedAtMs, pollInMs, takesTurns }: ScanValidity): number {
    const turnMs = takesTurns ? this.options.liveWorkers.nextPollMs(scannedAtMs) : undefined;
    const limitMs = scannedAtMs < this.uncertainUntilMs ? scannedAtMs + SCAN_INTERVAL_MAX_MS : Infinity;
    return Math.min(limitMs, turnMs ?? scannedAtMs + pollInMs);
  }

  /** Up to 10 % less than the poll interval, so that processes that poll alone do not poll all at once. */
  private pollInMs(): number {
    const { pollIntervalMs, random } = this.options;
    const pollInMs = pollIntervalMs * (0.9 + random() / 10);
    return this.mode === 'full' ? pollInMs : Math.min(pollInMs, Math.max(1, this.cost.fullScanInMs));
  }

  /**
   * While claims are bounded, a full scan now and then finds jobs that committed late, below the bounds. It may take long, so
   * claims and bounded scans go on beside it.
   */
  private scanInBackground(topics: readonly TopicCapacity[]): void {
    if (!this.backgroundScan && this.cost.fullScanInMs <= 0) {
      this.backgroundScan = this.runBackgroundScan(topics).finally(() => (this.backgroundScan = undefined));
    }
  }

  private async runBackgroundScan(topics: readonly TopicCapacity[]): Promise<void> {
    const { store, logger, lanes, onLateJobs } = this.options;
    const bounds = lanes.starts(topics, 'bounded');
    const { version } = lanes;
    this.cost.recordStart();
    try {
      const scan = await store.scan([], lanes.starts(topics, 'full'));
      this.cost.recordDuration(scan.tookMs);
      if (lanes.recordBackgroundScan(bounds, scan, version)) {
        onLateJobs();
      }
    } catch (error) {
      // Debug level: claims fail too while the database is unavailable, and the loop logs their errors.
      logger.debug(`background scan for late jobs failed: ${toErrorMessage(error)}`);
    }
  }
}
