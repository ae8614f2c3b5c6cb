import { AsyncResource } from 'node:async_hooks';
import type { Backoff, BackoffFunction } from '../../core/backoff.js';
import { retryDelayMs } from '../../core/backoff.js';
import type { ScheduledWake } from '../../core/clock.js';
import { parseDuration } from '../../core/duration.js';
import type { Failure } from '../../core/error-text.js';
import { describeValue, toFailure } from '../../core/error-text.js';
import type { AbortReason } from '../../core/errors.js';
import {
  InvalidOptionsError,
  InvalidPayloadError,
  isUnrecoverable,
  SnoozeError,
  UnrecoverableError,
} from '../../core/errors.js';
import type { Outcome } from '../../core/job.js';
import { isLastAttempt } from '../../core/job.js';
import type { AnySchema } from '../../core/job-topic.js';
import { validatePayload } from '../../core/job-topic.js';
import type { PayloadDecoder } from '../codec/payload-decoder.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { RegisteredHandler } from '../runtime/handler-registry.js';
import type { Attempt } from './attempt.js';
import { HandlerContext } from './handler-context.js';

/** What a handler returned or threw. */
export type Result = { readonly value: unknown } | { readonly error: unknown };

/** How long an aborted handler may take to return before its attempt ends without it. */
export const ABORT_GRACE_MS = 100;

/** The outcome of an aborted attempt whose handler throws or was not called. `null`: nothing is recorded. */
const ABORTED_OUTCOMES: Record<Exclude<AbortReason, 'timeout'> | 'lease_lost', Outcome | null> = {
  lease_lost: null,
  cancelled: { kind: 'cancelled' },
  shutdown: { kind: 'release', delayMs: 0 },
  late: { kind: 'release', delayMs: null },
};

const NOT_COMMITTED: Failure = { message: 'the transaction of completeTx did not commit', stack: null };

export type ExecutorParts = Pick<
  EngineParts,
  'clock' | 'logger' | 'random' | 'timeoutMs' | 'backoff' | 'hook' | 'decoder'
> & {
  /** Called when the handler returns: possibly long after `onAttemptEnded`. */
  readonly onHandlerReturned: (attempt: Attempt) => void;
  /** The attempt has ended. `null`: the lease is lost, and nothing is recorded. */
  readonly onAttemptEnded: (attempt: Attempt, outcome: Outcome | null) => void;
};

/** Calls handlers, and converts what they return or throw to an outcome. Never throws. */
export class Executor {
  readonly callHandler: typeof callHandler;

  constructor(readonly parts: ExecutorParts) {
    const { decoder, hook } = parts;
    const { aroundHandler } = hook;
    const call: typeof callHandler = (attempt, handler) =>
      decoder?.mustDecode(attempt.claim) ? decodeThenCall(decoder, attempt, handler) : callHandler(attempt, handler);
    this.callHandler = aroundHandler
      ? (attempt, handler) => aroundHandler([attempt.claim], async () => call(attempt, handler))
      : call;
  }

  /** Calls the handler within its time limit, then `onHandlerReturned` and `onAttemptEnded` once each, in either order. */
  execute(attempt: Attempt, handler: RegisteredHandler): void {
    const outcome = toAbortedOutcome(attempt);
    if (outcome === undefined) {
      new HandlerCall(attempt, handler, this).start();
      return;
    }
    // Aborted while it waited for a slot. Deferred by a promise: tests may replace `queueMicrotask`.
    void Promise.resolve().then(() => {
      this.parts.onHandlerReturned(attempt);
      this.parts.onAttemptEnded(attempt, outcome);
    });
  }

  /** Returns `null` when the lease is lost: then there is nothing to record. */
  toOutcome(attempt: Attempt, handler: RegisteredHandler, result: Result): Outcome | null {
    try {
      return this.decide(attempt, handler, result);
    } catch (error) {
      // The handler threw a value that throws when it is read, such as a revoked proxy.
      const delayMs = retryDelayMs(this.parts.backoff, attempt.claim.retries + 1, this.parts.random());
      return { kind: 'retry', delayMs, failure: toFailure(error) };
    }
  }

  private decide(attempt: Attempt, handler: RegisteredHandler, result: Result): Outcome | null {
    if (attempt.abortedFor === 'timeout' && !attempt.mayBeCompleted) {
      // The handler's own result does not count, except that an UnrecoverableError prevents a retry.
      return 'error' in result && isUnrecoverable(result.error)
        ? { kind: 'failed', failure: toFailure(result.error) }
        : this.retry(attempt, handler, attempt.abortError);
    }
    return 'value' in result
      ? this.decideReturned(attempt, handler, result.value)
      : this.decideThrown(attempt, handler, result.error);
  }

  private decideReturned(attempt: Attempt, handler: RegisteredHandler, value: unknown): Outcome {
    if (attempt.hasTriedCompleteTx) {
      // Whether that transaction committed is known only from the row. If so, the fence drops this retry.
      return { kind: 'retry', delayMs: this.plainDelayMs(attempt, handler), failure: NOT_COMMITTED };
    }
    const lazy = describeLazyValue(value);
    return lazy === undefined
      ? { kind: 'completed', result: attempt.toResultText(value) }
      : this.retry(
          attempt,
          handler,
          new TypeError(
            `the handler returned ${lazy}, which is never run; consume it in the handler and return the result`,
          ),
        );
  }

  private decideThrown(attempt: Attempt, handler: RegisteredHandler, error: unknown): Outcome | null {
    if (attempt.isCompleted && error !== attempt.abortError) {
      this.parts.logger.warn(
        `handler of '${attempt.topic}' threw after its completeTx had committed; job ${attempt.id} stays completed: ${toFailure(error).message}`,
      );
    }
    const aborted = toAbortedOutcome(attempt);
    if (aborted !== undefined) {
      return aborted;
    }
    if (attempt.releaseMs !== undefined) {
      return { kind: 'release', delayMs: attempt.releaseMs };
    }
    if (error instanceof SnoozeError) {
      const delayMs = parseDuration(error.delay);
      return delayMs === undefined
        ? this.retry(attempt, handler, invalidSnooze(error.delay))
        : { kind: 'snooze', delayMs };
    }
    return isUnrecoverable(error) ? { kind: 'failed', failure: toFailure(error) } : this.retry(attempt, handler, error);
  }

  private retry(attempt: Attempt, handler: RegisteredHandler, error: unknown): Outcome {
    const isRetryExpected = !attempt.isCompleted && !isLastAttempt(attempt.claim);
    const delayMs = isRetryExpected ? this.delayMs(attempt, handler, error) : this.plainDelayMs(attempt, handler);
    return { kind: 'retry', delayMs, failure: toFailure(error) };
  }

  private delayMs(attempt: Attempt, handler: RegisteredHandler, error: unknown): number {
    const backoff = this.chooseBackoff(attempt, handler);
    return (
      (typeof backoff === 'function' ? this.callBackoff(backoff, attempt, error) : undefined) ??
      this.plainDelayMs(attempt, handler)
    );
  }

  /** Returns `undefined` when the handler's own backoff function throws or returns no duration. */
  private callBackoff(backoff: BackoffFunction, { claim, topic }: Attempt, error: unknown): number | undefined {
    const { logger } = this.parts;
    try {
      const returned: unknown = backoff(claim.retries + 1, error);
      const delayMs = parseDuration(returned);
      if (delayMs === undefined) {
        // The function may be async by mistake; its rejection must not end the process.
        Promise.resolve(returned).catch(() => undefined);
        logger.warn(
          `backoff function of '${topic}' must return a duration, got ${describeValue(returned)}; using the module's backoff`,
        );
      }
      return delayMs;
    } catch (thrown) {
      logger.warn(`backoff function of '${topic}' threw; using the module's backoff: ${toFailure(thrown).message}`);
      return undefined;
    }
  }

  /** Uses the module's backoff in place of a backoff function. */
  private plainDelayMs(attempt: Attempt, handler: RegisteredHandler): number {
    const backoff = this.chooseBackoff(attempt, handler);
    const plain = typeof backoff === 'function' ? this.parts.backoff : backoff;
    return retryDelayMs(plain, attempt.claim.retries + 1, this.parts.random());
  }

  private chooseBackoff({ claim }: Attempt, { settings }: RegisteredHandler): Backoff | BackoffFunction {
    return claim.backoff ?? settings.backoff ?? this.parts.backoff;
  }
}

/**
 * One call of a handler. The attempt ends when the handler returns, a moment after it was terminated, or when an interceptor
 * stops waiting for the handler.
 */
class HandlerCall {
  private hasReturned = false;
  private hasEnded = false;
  private timeout: ScheduledWake | undefined;
  private grace: ScheduledWake | undefined;

  constructor(
    private readonly attempt: Attempt,
    private readonly handler: RegisteredHandler,
    private readonly executor: Executor,
  ) {}

  start(): void {
    const { attempt, handler } = this;
    const { clock, timeoutMs: defaultMs } = this.executor.parts;
    const timeoutMs = attempt.claim.timeoutMs ?? handler.settings.timeoutMs ?? defaultMs;
    attempt.listenTermination(this);
    this.timeout = clock.schedule(timeoutMs, () =>
      attempt.terminate('timeout', `the attempt took longer than its timeout of ${timeoutMs} ms`),
    );
    try {
      // Runs in its own async context, so that `AsyncLocalStorage.enterWith` does not leak to the next handler.
      const scope = new AsyncResource('JobHandler');
      scope.runInAsyncScope(this.executor.callHandler, undefined, attempt, handler).then(
        (value) => this.onReturn({ value }),
        (error: unknown) => this.onReturn({ error }),
      );
    } catch (error) {
      // Deferred by a promise: tests may replace `queueMicrotask`.
      void Promise.resolve().then(() => this.onReturn({ error }));
    }
  }

  onTerminated(): void {
    if (!this.hasEnded) {
      this.grace ??= this.executor.parts.clock.schedule(ABORT_GRACE_MS, () => {
        this.warnIgnoredSignal();
        this.end({ error: this.attempt.abortError });
      });
    }
  }

  private onReturn(result: Result): void {
    if (this.hasReturned) {
      // A promise with its own `then` may call back more than once.
      return;
    }
    this.hasReturned = true;
    const { attempt, hasEnded } = this;
    const { onHandlerReturned } = this.executor.parts;
    const { handlerPromise } = attempt;
    // While an interceptor runs ahead of the handler, the attempt ends first and the slot later.
    if (!handlerPromise) {
      onHandlerReturned(attempt);
    }
    if (!hasEnded) {
      this.end(result);
    }
    if (handlerPromise) {
      const warning = hasEnded ? undefined : this.abortHandlerAfterEnd();
      const onSettled = (): void => {
        warning?.cancel();
        onHandlerReturned(attempt);
      };
      handlerPromise.then(onSettled, onSettled);
    }
  }

  /** Aborts a handler for which an interceptor did not wait. It keeps its slot until it returns. */
  private abortHandlerAfterEnd(): ScheduledWake {
    this.attempt.abort('timeout', 'the attempt has ended: an interceptor did not wait for the handler');
    return this.executor.parts.clock.schedule(ABORT_GRACE_MS, () => this.warnIgnoredSignal());
  }

  private warnIgnoredSignal(): void {
    const { topic, id, claim, abortedFor } = this.attempt;
    const consequence =
      abortedFor === 'shutdown'
        ? 'the job was released without it'
        : 'the attempt ended without it. Its slot stays taken, and this process will not run the job again until the handler returns';
    this.executor.parts.logger.warn(
      `handler of '${topic}' has not returned ${ABORT_GRACE_MS} ms after its ${abortedFor} (job ${id} attempt ${claim.attempt}): ` +
        `${consequence}. Pass job.signal to what the handler awaits`,
    );
  }

  private end(result: Result): void {
    this.hasEnded = true;
    this.timeout?.cancel();
    this.grace?.cancel();
    const { attempt, handler, executor } = this;
    executor.parts.onAttemptEnded(attempt, executor.toOutcome(attempt, handler, result));
  }
}

/**
 * Calls the handler, which may throw before it returns a promise.
 *
 * @param payload the decoded payload.
 */
export function callHandler(
  attempt: Attempt,
  handler: RegisteredHandler,
  payload = attempt.claim.payload,
): Promise<unknown> {
  return handler.schema || handler.settings.transactional
    ? prepareThenCall(attempt, handler, payload)
    : Promise.resolve(run(attempt, handler, payload));
}

/** Handlers of Nest record the call themselves, after guards and pipes: see `announceCall`. */
function run(attempt: Attempt, handler: RegisteredHandler, payload: unknown): unknown {
  const context = new HandlerContext(attempt, payload);
  attempt.recordCall();
  return handler.run(context);
}

async function decodeThenCall(decoder: PayloadDecoder, attempt: Attempt, handler: RegisteredHandler): Promise<unknown> {
  const payload = await decoder.decode(attempt);
  attempt.throwIfAborted();
  return callHandler(attempt, handler, payload);
}

/** Validates the payload first, and opens the transaction of a transactional handler. */
async function prepareThenCall(attempt: Attempt, handler: RegisteredHandler, decoded: unknown): Promise<unknown> {
  const { schema, settings } = handler;
  const payload = schema ? await validate(schema, decoded) : decoded;
  attempt.throwIfAborted();
  return settings.transactional
    ? attempt.runInTransaction(async () => run(attempt, handler, payload))
    : run(attempt, handler, payload);
}

/** @throws UnrecoverableError for an invalid payload: a retry would have the same payload. */
export async function validate(schema: AnySchema, payload: unknown): Promise<unknown> {
  try {
    return await validatePayload(schema, payload);
  } catch (error) {
    throw error instanceof InvalidPayloadError ? new UnrecoverableError(error.message, { cause: error }) : error;
  }
}

/** Returns `undefined` when the handler's own result decides. */
export function toAbortedOutcome({ abortedFor, isCompleted }: Attempt): Outcome | null | undefined {
  if (abortedFor === undefined || abortedFor === 'timeout') {
    return undefined;
  }
  // The handler's own transaction has completed the job: the row decides, not the lease.
  return abortedFor === 'lease_lost' && isCompleted ? undefined : ABORTED_OUTCOMES[abortedFor];
}

function invalidSnooze(delay: unknown): InvalidOptionsError {
  return new InvalidOptionsError('delay', `SnoozeError expected a duration such as '5m', got ${describeValue(delay)}`);
}

/** Describes a value that does its work only when it is consumed; `undefined` for any other. */
export function describeLazyValue(value: unknown): string | undefined {
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
