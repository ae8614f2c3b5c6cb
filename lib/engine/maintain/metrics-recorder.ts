import { toErrorMessage } from '../../core/error-text.js';
import type { JobEvent } from '../../core/job-events.js';
import type { EngineParts } from '../engine-parts.js';
import { PollLoop } from '../poll-loop.js';
import { UnhandledTopicsCheck } from './unhandled-topics.js';
import { isTallied, MetricsBuffer } from './metrics-buffer.js';

type MetricsRecorderParts = Pick<EngineParts, 'store' | 'clock' | 'logger' | 'random' | 'worker' | 'registry'>;

const RECORD_INTERVAL_MS = 1_000;
const NOTE_INTERVAL_MS = 20_000;
const LOOK_INTERVAL_MS = 60_000;
const PRUNE_INTERVAL_MS = 600_000;

/**
 * Writes down what finished in this process, for the reports of all: once a second while anything does, one row for each
 * topic and minute. No two processes write the same row. A process that crashes takes its last second with it; a record
 * whose answer was lost as its minute ended may count twice.
 *
 * It also says which topics have a handler here, and looks once a minute for those that have one nowhere.
 */
export class MetricsRecorder {
  private readonly loop: PollLoop;
  /** What finished in the minute that was recorded last, and is recorded. */
  private totals = new MetricsBuffer();
  /** What finished since the last record. */
  private since = new MetricsBuffer();
  private minute: Date | null = null;
  private notedAtMs = -Infinity;
  private lookedAtMs: number;
  private prunedAtMs: number;
  private readonly orphans: UnhandledTopicsCheck;

  constructor(private readonly options: MetricsRecorderParts) {
    // Many processes that start together neither look nor prune together.
    const share = options.random();
    this.lookedAtMs = options.clock.now() - LOOK_INTERVAL_MS * share;
    this.prunedAtMs = options.clock.now() - PRUNE_INTERVAL_MS * share;
    this.orphans = new UnhandledTopicsCheck(options);
    this.loop = new PollLoop({
      ...options,
      name: 'recording of statistics',
      intervalMs: RECORD_INTERVAL_MS,
      work: () => this.round(),
    });
  }

  start(): void {
    this.notedAtMs = -Infinity;
    this.loop.start();
  }

  /** Writes down what is left, and takes this process off the list. A failure costs a second of statistics. */
  async stop(): Promise<void> {
    const { store, worker, logger } = this.options;
    await this.loop.stop();
    try {
      await this.write();
      await store.reports.forgetWorker(worker);
    } catch (error) {
      logger.debug(`the last statistics were not recorded: ${toErrorMessage(error)}`);
    }
  }

  /** Takes note of an event of this process. */
  record(event: JobEvent): void {
    if (isTallied(event)) {
      this.since.add(event);
    }
  }

  /** The topics have changed: others are told with the next round. */
  noteTopics(): void {
    this.notedAtMs = -Infinity;
  }

  private async round(): Promise<void> {
    const { clock, store } = this.options;
    await this.write();
    if (clock.now() - this.notedAtMs >= NOTE_INTERVAL_MS) {
      await this.note();
    }
    if (clock.now() - this.lookedAtMs >= LOOK_INTERVAL_MS) {
      await this.orphans.look();
      this.lookedAtMs = clock.now();
    }
    if (clock.now() - this.prunedAtMs >= PRUNE_INTERVAL_MS) {
      await store.reports.pruneReports();
      this.prunedAtMs = clock.now();
    }
  }

  private async note(): Promise<void> {
    const { clock, store, worker, registry } = this.options;
    // Before it is answered: topics may change meanwhile.
    this.notedAtMs = clock.now();
    try {
      await store.reports.noteWorker(
        worker,
        registry.claimable().map(({ topic }) => topic),
      );
    } catch (error) {
      this.noteTopics();
      throw error;
    }
  }

  private async write(): Promise<void> {
    if (this.since.isEmpty) {
      return;
    }
    const recorded = this.since;
    const totals = joined(this.totals, recorded);
    this.since = new MetricsBuffer();
    try {
      const minute = await this.options.store.reports.recordRollup({
        worker: this.options.worker,
        minute: this.minute,
        totals: totals.entries(),
        since: recorded.entries(),
      });
      this.totals = minute.getTime() === this.minute?.getTime() ? totals : recorded;
      this.minute = minute;
    } catch (error) {
      this.since = joined(recorded, this.since);
      throw error;
    }
  }
}

function joined(first: MetricsBuffer, second: MetricsBuffer): MetricsBuffer {
  const book = new MetricsBuffer();
  book.addAll(first);
  book.addAll(second);
  return book;
}
