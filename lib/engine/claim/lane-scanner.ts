import type { Clock } from '../../core/clock.js';
import { toErrorMessage } from '../../core/error-text.js';
import type { JobsLogger } from '../../core/logger.js';
import type { JobStore } from '../../store/job-store.js';
import type { ClaimCapacity } from './claim-capacity.js';
import type { Reach } from './lane-state.js';
import type { LaneIndex, TopicCapacity } from './lane-index.js';
import { ScanCost } from './scan-cost.js';

export interface ScannerOptions {
  readonly store: JobStore;
  readonly clock: Clock;
  readonly logger: JobsLogger;
  readonly random: () => number;
  readonly pollIntervalMs: number;
  readonly book: LaneIndex;
  readonly room: ClaimCapacity;
  /** A scan is over. */
  readonly onAnswered: () => void;
  /** A job waits below the bounds of claims. */
  readonly onLate: () => void;
}

/** What a scan has said of the time to come: it holds until something is announced or claimed. */
interface Outlook {
  /** The round in which the scan was asked. */
  readonly askedIn: number;
  /** Nothing need be looked for before. */
  readonly untilMs: number;
}

/** After a hint that names no lane, a busy process looks beside its backlog this soon. */
const HINTED_SCAN_MS = 50;
/** Without one it does so this often at least: what a scan costs says whether claims need lower bounds. */
const SCAN_REST_MAX_MS = 1_000;

/**
 * Looks for lanes that are not known and for what is due next. One scan is under way at a time; claims go on beside it.
 */
export class LaneScanner {
  /** Whether the last scan has found lanes that were not known. */
  hasFoundLanes = false;
  /** Whether the last scan was not refused. */
  isWell = true;

  private hasLooked = false;
  private scannedAtMs = -Infinity;
  private isHinted = false;
  private scanning: Promise<void> | undefined;
  /** Of a scan, not told yet. */
  private failure: { readonly error: unknown } | undefined;
  private outlook: Outlook | undefined;
  private lookBelow: Promise<void> | undefined;
  private readonly cost: ScanCost;

  constructor(private readonly options: ScannerOptions) {
    this.cost = new ScanCost(options.clock, options.pollIntervalMs);
  }

  /** A clean index costs nothing to begin at its start; otherwise claims and scans begin where the last ones ended. */
  get reach(): Reach {
    return this.cost.isHigh ? 'bounded' : 'full';
  }

  /** Whether no scan has been answered, or refused, since the start, though there is something to look for. */
  get hasYetToLook(): boolean {
    return !this.hasLooked && this.options.room.topics().length > 0;
  }

  /** Whether a scan is under way. */
  get isBusy(): boolean {
    return this.scanning !== undefined;
  }

  /** Whether it is time to look beside a backlog: what is more urgent than all of it may stand in a lane nobody here knows. */
  get isOverdue(): boolean {
    const { clock, pollIntervalMs } = this.options;
    const restMs = Math.min(pollIntervalMs, this.isHinted ? HINTED_SCAN_MS : SCAN_REST_MAX_MS);
    return clock.now() - this.scannedAtMs >= restMs;
  }

  /** For how long nothing need be looked for, by what the last scan has said. 0: not any more. */
  knownForMs(): number {
    const { book, room, clock } = this.options;
    if (!this.outlook || book.hasNewsSince(this.outlook.askedIn)) {
      return 0;
    }
    return Math.max(0, Math.min(this.outlook.untilMs, book.nextDueAtMs(room.rooms())) - clock.now());
  }

  /** When the next job is due that is not yet; Infinity when none is known. */
  nextDueInMs(): number {
    const { book, room, clock } = this.options;
    return book.nextDueAtMs(room.rooms(), clock.now()) - clock.now();
  }

  /** Jobs are looked for again: what failed before is of no interest any more. */
  start(): void {
    this.hasLooked = false;
    this.failure = undefined;
  }

  /** Something may be due in a lane that nobody here knows. */
  noteHint(): void {
    this.isHinted = true;
  }

  /** The next scans are to look from the start of the index. */
  lookEverywhere(): void {
    this.cost.forget();
  }

  /** Resolves when nothing is under way that is now, or that follows from it. */
  async answered(): Promise<void> {
    await this.scanning;
    await this.lookBelow;
  }

  /** Sends a scan, unless one is under way, and resolves when it is over. What it failed for is thrown by `throwFailure`. */
  scan(): Promise<void> {
    return (this.scanning ??= this.look().finally(() => {
      this.scanning = undefined;
      this.options.onAnswered();
    }));
  }

  /** @throws what a scan failed for since the last call. */
  throwFailure(): void {
    const { failure } = this;
    this.failure = undefined;
    if (failure) {
      throw failure.error;
    }
  }

  /** Never fails: nobody may be waiting. */
  private async look(): Promise<void> {
    const { store, clock, book, room } = this.options;
    const topics = room.topics();
    const { reach } = this;
    this.outlook = undefined;
    this.isHinted = false;
    this.scannedAtMs = clock.now();
    if (reach === 'full') {
      this.cost.noteAsked();
    }
    const askedIn = book.ask();
    try {
      const scan = await store.scan(book.gaps(topics), book.starts(topics, reach));
      this.isWell = true;
      if (reach === 'full') {
        this.cost.noteFull(scan.tookMs);
      } else {
        this.lookBelowWhenDue(topics);
      }
      this.hasFoundLanes = book.learn(topics, scan, clock.now(), { reach, askedIn });
      // What was announced meanwhile, a retry for example, it may not have seen: then it says nothing of the time to come.
      this.outlook = { askedIn, untilMs: clock.now() + this.pollInMs() };
    } catch (error) {
      this.isWell = false;
      this.failure ??= { error };
    }
    this.hasLooked = true;
  }

  private pollInMs(): number {
    const { pollIntervalMs, random } = this.options;
    // Not all processes at once, and none later than it says.
    const pollInMs = pollIntervalMs * (0.9 + random() / 10);
    return this.reach === 'full' ? pollInMs : Math.min(pollInMs, Math.max(1, this.cost.restMs));
  }

  /**
   * While claims are bounded: looks from the start of the index for what committed late below the bounds. Claims and scans go on
   * meanwhile, since it may take long.
   */
  private lookBelowWhenDue(topics: readonly TopicCapacity[]): void {
    if (!this.lookBelow && this.cost.restMs <= 0) {
      this.lookBelow = this.lookBelowBounds(topics).finally(() => (this.lookBelow = undefined));
    }
  }

  private async lookBelowBounds(topics: readonly TopicCapacity[]): Promise<void> {
    const { store, logger, book, onLate } = this.options;
    const bounded = book.starts(topics, 'bounded');
    const askedIn = book.currentRound;
    this.cost.noteAsked();
    try {
      const scan = await store.scan([], book.starts(topics, 'full'));
      this.cost.noteFull(scan.tookMs);
      if (book.lookedBelow(bounded, scan, askedIn)) {
        onLate();
      }
    } catch (error) {
      // The claims themselves say that the database does not answer.
      logger.debug(`no look below the bounds of claims: ${toErrorMessage(error)}`);
    }
  }
}
