import type { Backoff, BackoffFunction } from '../../core/backoff.js';
import { retryDelayMs } from '../../core/backoff.js';
import type { Clock } from '../../core/clock.js';
import { parseDuration } from '../../core/duration.js';
import type { AbortReason } from '../../core/errors.js';
import { describeValue, toFailure } from '../../core/error-text.js';
import { InvalidOptionsError, isUnrecoverable, SnoozeError } from '../../core/errors.js';
import type { Failure } from '../../core/error-text.js';
import type { Outcome } from '../../core/job.js';
import { isLastAttempt } from '../../core/job.js';
import type { JobsLogger } from '../../core/logger.js';
import { toRecordedJson } from '../../core/payload.js';
import type { Attempt } from './attempt.js';
import type { RegisteredHandler } from '../handler-registry.js';
import type { Execution, Judgement, Result } from './run.js';
import { Run } from './run.js';

export interface ExecutorOptions {
  readonly clock: Clock;
  readonly logger: JobsLogger;
  readonly random: () => number;
  /** Where neither the job nor its handler says otherwise. */
  readonly timeoutMs: number;
  readonly backoff: Backoff;
}

/** How an attempt ends that was told to, when its handler obeys and throws. */
const endings: Record<Exclude<AbortReason, 'timeout'> | 'lease_lost', Outcome | null> = {
  lease_lost: null,
  cancelled: { kind: 'cancelled' },
  shutdown: { kind: 'release', delayMs: 0 },
};

const NOT_COMMITTED: Failure = { message: 'the transaction of completeTx did not commit', stack: null };

/** Turns each attempt into one outcome. Never fails. */
export class Executor {
  private readonly judgement: Judgement;

  constructor(private readonly options: ExecutorOptions) {
    this.judgement = { ...options, outcomeOf: (attempt, handler, result) => this.outcomeOf(attempt, handler, result) };
  }

  /** Runs the handler within its time limit. */
  execute(attempt: Attempt, handler: RegisteredHandler, execution: Execution): void {
    const told = toldOutcomeOf(attempt);
    if (told === undefined) {
      const timeoutMs = attempt.claim.timeoutMs ?? handler.settings.timeoutMs ?? this.options.timeoutMs;
      new Run(attempt, handler, execution, this.judgement).begin(timeoutMs);
      return;
    }
    // Cancelled, or its lease lost, while it waited for a slot.
    // By a promise: a test may have faked `queueMicrotask`.
    void Promise.resolve().then(() => {
      execution.returned(attempt);
      execution.ended(attempt, told);
    });
  }

  private outcomeOf(attempt: Attempt, handler: RegisteredHandler, result: Result): Outcome | null {
    try {
      return this.judge(attempt, handler, result);
    } catch (error) {
      // The handler threw something that cannot even be looked at, such as a revoked proxy.
      const delayMs = retryDelayMs(this.options.backoff, attempt.claim.retries + 1, this.options.random());
      return { kind: 'retry', delayMs, failure: toFailure(error) };
    }
  }

  private judge(attempt: Attempt, handler: RegisteredHandler, result: Result): Outcome | null {
    if (attempt.abortedFor === 'timeout' && !attempt.mayBeCompleted) {
      return this.outcomeOfTimeout(attempt, handler, result);
    }
    if ('value' in result) {
      return this.outcomeOfValue(attempt, handler, result.value);
    }
    const { error } = result;
    if (attempt.isCompleted && error !== attempt.reason) {
      const { message } = toFailure(error);
      this.options.logger.warn(
        `handler of '${attempt.topic}' failed after its completeTx had committed, job ${attempt.id} stays completed: ${message}`,
      );
    }
    const told = toldOutcomeOf(attempt);
    if (told !== undefined) {
      return told;
    }
    if (error instanceof SnoozeError) {
      const delayMs = parseDuration(error.delay);
      const refused = new InvalidOptionsError(
        'delay',
        `SnoozeError expected a duration such as '5m', got ${describeValue(error.delay)}`,
      );
      return delayMs === undefined ? this.retry(attempt, handler, refused) : { kind: 'snooze', delayMs };
    }
    return isUnrecoverable(error) ? unrecoverable(error) : this.retry(attempt, handler, error);
  }

  /** What a handler says when it was told to end counts for nothing, but that another try would be in vain. */
  private outcomeOfTimeout(attempt: Attempt, handler: RegisteredHandler, result: Result): Outcome {
    const isInVain = 'error' in result && isUnrecoverable(result.error);
    return isInVain ? unrecoverable(result.error) : this.retry(attempt, handler, attempt.reason);
  }

  private outcomeOfValue(attempt: Attempt, handler: RegisteredHandler, value: unknown): Outcome {
    if (attempt.isUpToTransaction) {
      // The table knows whether that transaction committed, and nobody else: the answer to its COMMIT may be lost, or a
      // ROLLBACK of the handler's own have come before. If it did, the fence keeps this from changing anything.
      return { kind: 'retry', delayMs: this.unaskedDelayMs(attempt, handler), failure: NOT_COMMITTED };
    }
    const unrun = unrunKindOf(value);
    return unrun === undefined
      ? { kind: 'completed', result: toRecordedJson(value) }
      : this.retry(attempt, handler, new TypeError(`the handler returned ${unrun}, which nobody runs`));
  }

  private retry(attempt: Attempt, handler: RegisteredHandler, error: unknown): Outcome {
    // Most often the transaction of a `completeTx` committed, and nothing failed.
    const isAnyRetry = !attempt.isCompleted && !isLastAttempt(attempt.claim);
    const delayMs = isAnyRetry ? this.delayMs(attempt, handler, error) : this.unaskedDelayMs(attempt, handler);
    return { kind: 'retry', delayMs, failure: toFailure(error) };
  }

  /** Without a question to a backoff function, where no retry is to be expected. */
  private unaskedDelayMs(attempt: Attempt, handler: RegisteredHandler): number {
    const { backoff: fallback, random } = this.options;
    const own = this.backoffOf(attempt, handler);
    return retryDelayMs(typeof own === 'function' ? fallback : own, attempt.claim.retries + 1, random());
  }

  private backoffOf({ claim }: Attempt, { settings }: RegisteredHandler): Backoff | BackoffFunction {
    return claim.backoff ?? settings.backoff ?? this.options.backoff;
  }

  private delayMs(attempt: Attempt, handler: RegisteredHandler, error: unknown): number {
    const { backoff: fallback, random, logger } = this.options;
    const retry = attempt.claim.retries + 1;
    const backoff = this.backoffOf(attempt, handler);
    if (typeof backoff !== 'function') {
      return retryDelayMs(backoff, retry, random());
    }
    try {
      const given: unknown = backoff(retry, error);
      const delayMs = parseDuration(given);
      if (delayMs !== undefined) {
        return delayMs;
      }
      // An async function by mistake: its failure must not end the process.
      Promise.resolve(given).catch(() => undefined);
      logger.warn(`backoff function of '${handler.topic}' gave no duration; the module's backoff is used`);
    } catch (thrown) {
      logger.warn(
        `backoff function of '${handler.topic}' failed, the module's backoff is used: ${toFailure(thrown).message}`,
      );
    }
    return retryDelayMs(fallback, retry, random());
  }
}

/** How an attempt ends that was told to; `undefined`: as its handler says. */
function toldOutcomeOf({ abortedFor, isCompleted }: Attempt): Outcome | null | undefined {
  if (abortedFor === undefined || abortedFor === 'timeout') {
    return undefined;
  }
  // What the handler's own transaction has completed is no longer to be lost: the table has the last word.
  return abortedFor === 'lease_lost' && isCompleted ? undefined : endings[abortedFor];
}

function unrecoverable(error: unknown): Outcome {
  return { kind: 'failed', failure: toFailure(error) };
}

/** What a value is that does its work only when somebody asks it to. */
function unrunKindOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) {
    return undefined;
  }
  if (/^\[object (Async)?Generator\]$/.test(Object.prototype.toString.call(value))) {
    return 'a generator';
  }
  const { pipe, subscribe, on } = value as Record<'pipe' | 'subscribe' | 'on', unknown>;
  if (typeof pipe !== 'function') {
    return undefined;
  }
  return typeof subscribe === 'function' ? 'an Observable' : typeof on === 'function' ? 'a stream' : undefined;
}
