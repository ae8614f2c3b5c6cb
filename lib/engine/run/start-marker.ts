import type { Clock, ScheduledWake } from '../../core/clock.js';
import { toErrorMessage } from '../../core/error-text.js';
import { QueueUnavailableError } from '../../core/errors.js';
import type { BackoffBounds } from '../../core/backoff.js';
import { backoffMs } from '../../core/backoff.js';
import type { JobsLogger } from '../../core/logger.js';
import type { ClaimState } from '../../store/store-records.js';
import type { JobStore } from '../../store/job-store.js';
import type { Attempt } from './attempt.js';
import { Batcher } from '../batcher.js';

export interface BeginningsOptions {
  readonly store: JobStore;
  readonly clock: Clock;
  readonly logger: JobsLogger;
  readonly random: () => number;
  /** Attempts may be taken with `shift`. */
  readonly onDecided: () => void;
  /** The database has refused, and would again. */
  readonly onRefused: (attempt: Attempt) => void;
}

/** A row that somebody has locked is asked for again after the shortest, a database that is away after growing ones. */
const PAUSES: BackoffBounds = { minMs: 100, maxMs: 5_000 };
/** A row that has been locked for so long is worth a line in the log. */
const LONG_WAIT_MS = 10_000;

/**
 * The table takes note of attempts at their last chance, many in one statement, before their handlers are called. When this
 * process dies, what had not begun goes back to its turn; without a note it would fail, and would never have run.
 */
export class StartMarker {
  private readonly batcher: Batcher<Attempt, ClaimState>;
  /** Of which it is not known yet, and what wakes those that pause. */
  private readonly waiting = new Map<Attempt, ScheduledWake | undefined>();
  private readonly decided: Attempt[] = [];
  /** Since when rows have been locked, and `Infinity` once the log tells of it. */
  private readonly lockedSince = new Map<Attempt, number>();
  /** The log says that the database refuses. */
  private isRefusalTold = false;

  constructor(private readonly options: BeginningsOptions) {
    this.batcher = new Batcher({ run: (attempts) => options.store.markStarted(attempts.map(({ claim }) => claim)) });
  }

  /** Asks for a note, until the database has answered or the attempt is to end without having begun. */
  note(attempt: Attempt): void {
    this.ask(attempt, 0);
  }

  /** The next one that is noted, or that was told to end meanwhile. */
  shift(): Attempt | undefined {
    return this.decided.shift();
  }

  /** How many `shift` would give. */
  get length(): number {
    return this.decided.length;
  }

  /** The process begins to end: what has not begun does not any more. */
  windUp(): void {
    for (const attempt of [...this.decided, ...this.waiting.keys()]) {
      attempt.abort('shutdown', 'the application is shutting down');
    }
    for (const [attempt, pause] of this.waiting) {
      if (pause) {
        pause.cancel();
        this.decide(attempt);
      }
    }
  }

  /** @param tries how often the database was away. */
  private ask(attempt: Attempt, tries: number): void {
    this.waiting.set(attempt, undefined);
    this.batcher.push({
      item: attempt,
      resolve: (state) => this.judge(attempt, state),
      reject: (error) => this.mend(attempt, error, tries),
    });
  }

  private judge(attempt: Attempt, { state, cancelRequested, rowRef: place }: ClaimState): void {
    if (cancelRequested) {
      attempt.cancel();
    }
    if (state === 'lost') {
      attempt.loseLease();
    }
    // Whoever has the row locked is not to be waited for again: nobody looks in a place that is not known.
    attempt.setRowRef(place);
    if (state === 'busy') {
      this.tellOfLongWait(attempt);
      this.pause(attempt, 0, PAUSES.minMs);
    } else {
      this.isRefusalTold &&= state !== 'held';
      this.decide(attempt);
    }
  }

  private mend(attempt: Attempt, error: unknown, tries: number): void {
    if (error instanceof QueueUnavailableError) {
      this.lockedSince.delete(attempt);
      return this.pause(attempt, tries + 1, backoffMs(tries, PAUSES, this.options.random()));
    }
    if (!this.isRefusalTold) {
      this.isRefusalTold = true;
      this.options.logger.error(
        `the database refuses to note that jobs begin which have no retry left; they are given back: ${toErrorMessage(error)}`,
      );
    }
    this.forget(attempt);
    this.options.onRefused(attempt);
  }

  /** Once for each: it has a slot all the while. */
  private tellOfLongWait(attempt: Attempt): void {
    const nowMs = this.options.clock.now();
    const sinceMs = this.lockedSince.get(attempt) ?? nowMs;
    const waitedMs = nowMs - sinceMs;
    this.lockedSince.set(attempt, waitedMs < LONG_WAIT_MS ? sinceMs : Infinity);
    if (waitedMs >= LONG_WAIT_MS) {
      this.options.logger.warn(
        `job ${attempt.id} of '${attempt.topic}' has a slot and cannot begin: for ${Math.round(waitedMs)} ms an open ` +
          'transaction has had its row locked, or a trigger has kept it from being changed',
      );
    }
  }

  private pause(attempt: Attempt, tries: number, ms: number): void {
    if (attempt.abortedFor !== undefined) {
      return this.decide(attempt);
    }
    const wake = this.options.clock.schedule(ms, () =>
      attempt.abortedFor === undefined ? this.ask(attempt, tries) : this.decide(attempt),
    );
    this.waiting.set(attempt, wake);
  }

  private decide(attempt: Attempt): void {
    this.forget(attempt);
    this.decided.push(attempt);
    this.options.onDecided();
  }

  private forget(attempt: Attempt): void {
    this.waiting.delete(attempt);
    this.lockedSince.delete(attempt);
  }
}
