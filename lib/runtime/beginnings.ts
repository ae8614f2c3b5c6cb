import type { Clock } from '../core/clock.js';
import { messageOf, QueueUnavailableError } from '../core/errors.js';
import type { JobsLogger } from '../core/logger.js';
import type { ClaimState, JobStore } from '../store/job-store.js';
import type { Attempt } from './attempt.js';
import { Batcher } from './batcher.js';

export interface BeginningsOptions {
  readonly store: JobStore;
  readonly clock: Clock;
  readonly logger: JobsLogger;
  /** Its handler may be called, unless it was told to end meanwhile. */
  readonly onNoted: (attempt: Attempt) => void;
  /** The database has refused, and would again. */
  readonly onRefused: (attempt: Attempt) => void;
}

/** A row that somebody has locked is asked for again after so long, and so is a database that is away. */
const PAUSE_MS = 100;

/**
 * The table takes note of attempts at their last chance, many in one statement, before their handlers are called. When this
 * process dies, what had not begun goes back to its place; without a note it would fail, and would never have run.
 */
export class Beginnings {
  private readonly batcher: Batcher<Attempt, ClaimState>;
  private readonly waiting = new Set<Attempt>();

  constructor(private readonly options: BeginningsOptions) {
    this.batcher = new Batcher({
      run: (attempts) => options.store.begin(attempts.map(({ claim }) => claim)),
      concurrency: () => options.store.capabilities.pipelined,
    });
  }

  /** Calls back once. */
  note(attempt: Attempt): void {
    this.waiting.add(attempt);
    this.ask(attempt);
  }

  /** The process begins to end: what has not begun does not any more. */
  windUp(): void {
    this.waiting.forEach((attempt) => attempt.abort('shutdown', 'the application is shutting down'));
  }

  private ask(attempt: Attempt): void {
    this.batcher.enter({
      item: attempt,
      resolve: (state) => this.judge(attempt, state),
      reject: (error) => this.mend(attempt, error),
    });
  }

  private judge(attempt: Attempt, { state, cancelRequested, place }: ClaimState): void {
    attempt.foundAt(place);
    if (cancelRequested) {
      attempt.cancel();
    }
    if (state === 'lost') {
      attempt.loseLease();
    }
    if (state === 'busy') {
      this.askLater(attempt);
    } else {
      this.decide(attempt);
    }
  }

  private mend(attempt: Attempt, error: unknown): void {
    if (error instanceof QueueUnavailableError) {
      this.askLater(attempt);
    } else {
      const { logger, onRefused } = this.options;
      logger.error(`beginning of job ${attempt.id} was refused, it is given back: ${messageOf(error)}`);
      this.waiting.delete(attempt);
      onRefused(attempt);
    }
  }

  private askLater(attempt: Attempt): void {
    this.options.clock.schedule(PAUSE_MS, () =>
      attempt.abortedFor === undefined ? this.ask(attempt) : this.decide(attempt),
    );
  }

  private decide(attempt: Attempt): void {
    this.waiting.delete(attempt);
    this.options.onNoted(attempt);
  }
}
