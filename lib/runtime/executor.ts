import type { Backoff } from '../core/backoff.js';
import { backoffDelayMs } from '../core/backoff.js';
import type { Clock } from '../core/clock.js';
import { parseDuration } from '../core/duration.js';
import type { AbortReason } from '../core/errors.js';
import { describeValue, InvalidPayloadError, SnoozeError, UnrecoverableError } from '../core/errors.js';
import { failureOf } from '../core/failure.js';
import type { Outcome } from '../core/job.js';
import type { AnySchema } from '../core/job-topic.js';
import { validPayload } from '../core/job-topic.js';
import type { JobsLogger } from '../core/logger.js';
import { recordedJson } from '../core/recorded-json.js';
import type { Attempt } from './attempt.js';
import type { RegisteredHandler } from './handler-registry.js';

export interface ExecutorOptions {
  readonly clock: Clock;
  readonly logger: JobsLogger;
  readonly random: () => number;
  /** Where neither the job nor its handler says otherwise. */
  readonly timeoutMs: number;
  readonly backoff: Backoff;
}

type Result = { readonly value: unknown } | { readonly error: unknown };

/** How long a handler that was told to end may take before the attempt is settled without it. */
const ABORT_GRACE_MS = 100;

/** How an attempt ends that was told to, when its handler obeys and throws. */
const endings: Record<Exclude<AbortReason, 'timeout'> | 'lease_lost', Outcome | null> = {
  lease_lost: null,
  cancelled: { kind: 'cancelled' },
  shutdown: { kind: 'release', delayMs: 0 },
};

/** Turns one attempt into one outcome. Never rejects. */
export class Executor {
  constructor(private readonly options: ExecutorOptions) {}

  /**
   * Runs the handler within its time limit; `null`: the lease was lost and there is nothing to record.
   *
   * @param onReturned called when the handler has returned, which may be long after the answer when it ignores its signal.
   */
  async execute(attempt: Attempt, handler: RegisteredHandler, onReturned: () => void): Promise<Outcome | null> {
    const { abortedFor } = attempt;
    if (abortedFor !== undefined && abortedFor !== 'timeout') {
      // Cancelled, or its lease lost, while it waited for a slot.
      queueMicrotask(onReturned);
      return endings[abortedFor];
    }
    const timeoutMs = attempt.claim.timeoutMs ?? handler.settings.timeoutMs ?? this.options.timeoutMs;
    const timer = this.options.clock.schedule(timeoutMs, () => {
      attempt.dismiss('timeout', `the attempt took longer than its timeout of ${timeoutMs} ms`);
    });
    const result = await this.resultOf(attempt, handler, onReturned);
    timer.cancel();
    if (result === 'gave up') {
      this.options.logger.warn(
        `handler of '${attempt.topic}' ignores its signal (${attempt.abortedFor}): job ${attempt.id} attempt ` +
          `${attempt.claim.attempt} is settled, its slot stays taken until the handler returns`,
      );
    }
    return this.outcomeOf(attempt, handler, result === 'gave up' ? { error: attempt.reason } : result);
  }

  /** What the handler came to, or that it has not a moment after the attempt was dismissed. */
  private resultOf(attempt: Attempt, handler: RegisteredHandler, onReturned: () => void): Promise<Result | 'gave up'> {
    return new Promise((resolve) => {
      const end = (result: Result): void => {
        resolve(result);
        onReturned();
      };
      perform(attempt, handler).then(
        (value) => end({ value }),
        (error: unknown) => end({ error }),
      );
      attempt.whenDismissed(() => this.options.clock.schedule(ABORT_GRACE_MS, () => resolve('gave up')));
    });
  }

  private outcomeOf(attempt: Attempt, handler: RegisteredHandler, result: Result): Outcome | null {
    try {
      return this.judge(attempt, handler, result);
    } catch (error) {
      // The handler threw something that cannot even be looked at, such as a revoked proxy.
      const delayMs = backoffDelayMs(this.options.backoff, attempt.claim.retries + 1, this.options.random());
      return { kind: 'retry', delayMs, failure: failureOf(error) };
    }
  }

  private judge(attempt: Attempt, handler: RegisteredHandler, result: Result): Outcome | null {
    if (attempt.abortedFor === 'timeout' && !attempt.mayBeCompleted) {
      return this.retry(attempt, handler, attempt.reason);
    }
    if ('value' in result) {
      if (attempt.hasCalledCompleteTx) {
        // The table knows whether that transaction committed, and nobody else: PostgreSQL turns the COMMIT of a failed one
        // into a rollback without a word. If it did, the fence keeps this from changing anything.
        return this.retry(attempt, handler, new Error('the transaction of completeTx did not commit'));
      }
      return { kind: 'completed', result: recordedJson(result.value) };
    }
    const { error } = result;
    if (attempt.abortedFor !== undefined && attempt.abortedFor !== 'timeout') {
      return endings[attempt.abortedFor];
    }
    if (error instanceof SnoozeError) {
      const delayMs = parseDuration(error.delay);
      const refused = new UnrecoverableError(
        `SnoozeError expected a duration such as '5m', got ${describeValue(error.delay)}`,
      );
      return delayMs === undefined ? this.retry(attempt, handler, refused) : { kind: 'snooze', delayMs };
    }
    return error instanceof UnrecoverableError
      ? { kind: 'failed', failure: failureOf(error) }
      : this.retry(attempt, handler, error);
  }

  private retry(attempt: Attempt, handler: RegisteredHandler, error: unknown): Outcome {
    return { kind: 'retry', delayMs: this.delayMs(attempt, handler, error), failure: failureOf(error) };
  }

  private delayMs(attempt: Attempt, handler: RegisteredHandler, error: unknown): number {
    const { backoff: fallback, random, logger } = this.options;
    const retry = attempt.claim.retries + 1;
    const backoff = attempt.claim.backoff ?? handler.settings.backoff ?? fallback;
    if (typeof backoff !== 'function') {
      return backoffDelayMs(backoff, retry, random());
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
        `backoff function of '${handler.topic}' failed, the module's backoff is used: ${failureOf(thrown).message}`,
      );
    }
    return backoffDelayMs(fallback, retry, random());
  }
}

/** What the schema makes of the payload. A refusal is final: the payload will not change. */
async function judged(schema: AnySchema, payload: unknown): Promise<unknown> {
  try {
    return await validPayload(schema, payload);
  } catch (error) {
    throw error instanceof InvalidPayloadError ? new UnrecoverableError(error.message, { cause: error }) : error;
  }
}

/** Runs the handler, inside its transaction when it has one. Whatever it does, the answer is a promise. */
async function perform(attempt: Attempt, handler: RegisteredHandler): Promise<unknown> {
  if (handler.schema) {
    attempt.accept(await judged(handler.schema, attempt.claim.payload));
  }
  return handler.settings.transactional
    ? await attempt.runInTransaction(async () => handler.run(attempt.context))
    : await handler.run(attempt.context);
}
