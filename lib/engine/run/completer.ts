import type { Clock, ScheduledWake } from '../../core/clock.js';
import { DatabaseRefusedError, QueueUnavailableError } from '../../core/errors.js';
import { toErrorMessage, UNRECORDABLE_FAILURE } from '../../core/error-text.js';
import { backoffMs } from '../../core/backoff.js';
import type { ClaimToken, Outcome } from '../../core/job.js';
import type { FinalStatus } from '../../core/job-state.js';
import type { JobsLogger } from '../../core/logger.js';
import type { Retention } from '../../core/options.js';
import type { JobStore } from '../../store/job-store.js';
import type { Settled, Settlement } from '../../store/store-records.js';
import type { BatchedCall } from '../batcher.js';
import { Batcher } from '../batcher.js';
import type { SentOutcome, SettleAnswer, SettledAttempt } from './verdict.js';
import { isStillOurs, verdictOf } from './verdict.js';

export interface SettlerOptions {
  readonly store: JobStore;
  readonly clock: Clock;
  readonly logger: JobsLogger;
  readonly random: () => number;
  readonly retention: Retention;
}

/** A fixed text that is refused as well is not what is wrong: it is asked again this often, over some seconds. */
const REFUSALS_MAX = 5;
const PAUSE_MIN_MS = 100;
const PAUSE_MAX_MS = 5_000;
/** Of a process that ends, and has no time for a long one: its grace may be shorter than that. */
const LAST_PAUSE_MAX_MS = 250;

/** One outcome on its way into the table. */
class Settling implements SentOutcome, Settlement, BatchedCall<Settling, Settled> {
  readonly token: ClaimToken;
  failures = 0;
  /** Of those, how often the database has refused the fixed text. */
  refusals = 0;
  /** The outcome has been refused, and is a fixed text now. */
  isPlain = false;
  /** One try has failed, or its answer was lost: it may have done its work. */
  isUncertain = false;
  wasLocked = false;

  constructor(
    private readonly settler: Completer,
    readonly attempt: SettledAttempt,
    public outcome: Outcome,
    readonly durationMs: number | null,
    readonly done: (answer: SettleAnswer) => void,
  ) {
    this.token = attempt.claim;
  }

  get item(): this {
    return this;
  }

  resolve(settled: Settled): void {
    this.settler.onSettled(this, settled);
  }

  reject(error: unknown): void {
    this.settler.onError(this, error);
  }
}

/** Writes outcomes, many in one statement, until the database has given an answer. */
export class Completer {
  private readonly batcher: Batcher<Settling, Settled>;
  private readonly discardStatuses: readonly FinalStatus[];
  private readonly pausing = new Map<Settling, ScheduledWake>();
  private pauseMaxMs = PAUSE_MAX_MS;
  private hasGivenUp = false;
  /** The log says that the database is away. */
  private isOutageTold = false;

  constructor(private readonly options: SettlerOptions) {
    const { retention } = options;
    this.discardStatuses = (Object.keys(retention) as FinalStatus[]).filter((status) => retention[status] === 0);
    this.batcher = new Batcher({
      run: (settlings) => this.write(settlings),
      lengthOf: ({ outcome }) => lengthOf(outcome),
      concurrency: () => options.store.capabilities.pipelined,
    });
  }

  /**
   * Records how an attempt ended, and says what came of it; a callback, since every job passes here. Never fails: while the
   * database is away it is asked again and again, which is safe by the fence; what the database refuses to store gives way
   * to a fixed text.
   */
  settle(
    attempt: SettledAttempt,
    outcome: Outcome,
    durationMs: number | null,
    done: (answer: SettleAnswer) => void,
  ): void {
    this.ask(new Settling(this, attempt, outcome, durationMs, done));
  }

  /** Waits for a database that is away, from now on until `giveUp`. */
  start(): void {
    this.hasGivenUp = false;
    this.pauseMaxMs = PAUSE_MAX_MS;
  }

  /** The process ends: what pauses is tried at once, and pauses only briefly from now on. */
  flush(): void {
    this.pauseMaxMs = LAST_PAUSE_MAX_MS;
    for (const [settling, pause] of [...this.pausing]) {
      pause.cancel();
      this.ask(settling);
    }
  }

  /** Ends the waiting for a database that is away; its jobs will be rescued by others. */
  abandon(): void {
    this.hasGivenUp = true;
  }

  /** The database has answered. */
  onSettled(settling: Settling, settled: Settled): void {
    this.noteServed();
    if (settled.applied) {
      settling.done(settled);
    } else if (isStillOurs(settling, settled)) {
      settling.wasLocked = true;
      this.askLater(settling);
    } else {
      // While the lease lives nobody else can have completed the job; after it another attempt may have.
      const isAlone = this.options.clock.now() < settling.attempt.leaseEndsMs;
      settling.done(verdictOf(settling, settled, isAlone && this.discardStatuses.includes('completed')));
    }
  }

  /** It has not, or has refused. */
  onError(settling: Settling, error: unknown): void {
    const { logger } = this.options;
    const { id } = settling.token;
    if (error instanceof QueueUnavailableError) {
      this.noteOutage(error);
      this.askLater(settling);
    } else if (!settling.isPlain) {
      logger.error(`outcome of job ${id} was refused, a fixed text is stored: ${toErrorMessage(error)}`);
      settling.outcome = plainOutcome(settling.outcome);
      settling.isPlain = true;
      this.ask(settling);
    } else if (settling.refusals < REFUSALS_MAX) {
      settling.refusals += 1;
      this.askLater(settling);
    } else {
      logger.error(`outcome of job ${id} was refused for good: ${toErrorMessage(error)}`);
      settling.done('lease lost');
    }
  }

  private async write(settlings: readonly Settling[]): Promise<Settled[]> {
    const { store } = this.options;
    try {
      return await store.settle(settlings, this.discardStatuses);
    } catch (error) {
      // A store may have written a part of them by then.
      settlings.forEach((settling) => (settling.isUncertain = true));
      if (!(error instanceof DatabaseRefusedError) || this.discardStatuses.length === 0) {
        throw error;
      }
      // Perhaps one must not be deleted, since a row of the application's refers to it. It has ended all the same; the pruner
      // tries to delete it again.
      return store.settle(settlings, []);
    }
  }

  private ask(settling: Settling): void {
    this.pausing.delete(settling);
    if (this.hasGivenUp) {
      settling.done('lease lost');
    } else {
      this.batcher.push(settling);
    }
  }

  /** Once for all that wait, and until it is over. */
  private noteOutage({ message }: Error): void {
    if (!this.isOutageTold) {
      this.isOutageTold = true;
      this.options.logger.error(`storing of outcomes: failed, trying again: ${message}`);
    }
  }

  private noteServed(): void {
    if (this.isOutageTold) {
      this.isOutageTold = false;
      this.options.logger.log('storing of outcomes: goes on');
    }
  }

  private askLater(settling: Settling): void {
    const { clock, random } = this.options;
    const ms = backoffMs(settling.failures, { minMs: PAUSE_MIN_MS, maxMs: this.pauseMaxMs }, random());
    settling.failures += 1;
    const pause = clock.schedule(ms, () => this.ask(settling));
    this.pausing.set(settling, pause);
  }
}

/** Of what an outcome brings into the table, beside a few numbers. */
function lengthOf(outcome: Outcome): number {
  if (outcome.kind === 'completed') {
    return outcome.result?.length ?? 0;
  }
  return 'failure' in outcome ? outcome.failure.message.length + (outcome.failure.stack?.length ?? 0) : 0;
}

function plainOutcome(outcome: Outcome): Outcome {
  if (outcome.kind === 'completed') {
    return { kind: 'completed', result: null };
  }
  return 'failure' in outcome ? { ...outcome, failure: UNRECORDABLE_FAILURE } : outcome;
}
