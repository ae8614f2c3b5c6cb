import { AsyncResource } from 'node:async_hooks';
import type { Clock, ScheduledWake } from '../../core/clock.js';
import { InvalidPayloadError, UnrecoverableError } from '../../core/errors.js';
import type { Outcome } from '../../core/job.js';
import type { AnySchema } from '../../core/job-topic.js';
import { validatePayload } from '../../core/job-topic.js';
import type { JobsLogger } from '../../core/logger.js';
import type { Attempt } from './attempt.js';
import type { RegisteredHandler } from '../handler-registry.js';

/** What a handler came to. */
export type Result = { readonly value: unknown } | { readonly error: unknown };

/** Who is told how attempts go: callbacks instead of promises, since every job passes here. */
export interface Execution {
  /** The handler has returned, which may be long after the end when it ignores its signal. */
  returned(attempt: Attempt): void;
  /** What is to be recorded; `null`: the lease was lost and there is nothing to. */
  ended(attempt: Attempt, outcome: Outcome | null): void;
}

/** What all runs share. */
export interface Judgement {
  readonly clock: Clock;
  readonly logger: JobsLogger;
  readonly outcomeOf: (attempt: Attempt, handler: RegisteredHandler, result: Result) => Outcome | null;
}

/** How long a handler that was told to end may take before the attempt is settled without it. */
const ABORT_GRACE_MS = 100;

/**
 * One handler at work. It ends when the handler returns, a moment after the attempt was dismissed, or when an interceptor
 * stops waiting.
 */
export class Run {
  private hasReturned = false;
  private hasEnded = false;
  private timer: ScheduledWake | undefined;
  private grace: ScheduledWake | undefined;

  constructor(
    private readonly attempt: Attempt,
    private readonly handler: RegisteredHandler,
    private readonly execution: Execution,
    private readonly judgement: Judgement,
  ) {}

  begin(timeoutMs: number): void {
    const { attempt } = this;
    attempt.whenDismissed(this);
    this.timer = this.judgement.clock.schedule(timeoutMs, () => {
      attempt.dismiss('timeout', `the attempt took longer than its timeout of ${timeoutMs} ms`);
    });
    try {
      // In a context of its own: what it enters for its `AsyncLocalStorage` would reach all handlers that begin after it.
      const scope = new AsyncResource('JobHandler');
      scope.runInAsyncScope(perform, undefined, attempt, this.handler).then(
        (value) => this.return({ value }),
        (error: unknown) => this.return({ error }),
      );
    } catch (error) {
      // By a promise: a test may have faked `queueMicrotask`.
      void Promise.resolve().then(() => this.return({ error }));
    }
  }

  /** The attempt is to be settled, whether the handler returns or not. */
  dismissed(): void {
    if (!this.hasEnded) {
      this.grace ??= this.judgement.clock.schedule(ABORT_GRACE_MS, () => this.giveUp());
    }
  }

  private return(result: Result): void {
    if (this.hasReturned) {
      // A promise with a `then` of its own may call back as often as it likes.
      return;
    }
    this.hasReturned = true;
    const { attempt, execution, hasEnded } = this;
    const { work } = attempt;
    if (!work) {
      execution.returned(attempt);
    }
    if (!hasEnded) {
      this.end(result);
    }
    if (work) {
      const warning = hasEnded ? undefined : this.outlived();
      const over = (): void => {
        warning?.cancel();
        execution.returned(attempt);
      };
      work.then(over, over);
    }
  }

  /** An interceptor has stopped waiting for the handler. */
  private outlived(): ScheduledWake {
    this.attempt.abort('timeout', 'the attempt has ended, by an interceptor that did not wait for its handler');
    return this.judgement.clock.schedule(ABORT_GRACE_MS, () => this.warn());
  }

  private giveUp(): void {
    this.warn();
    this.end({ error: this.attempt.reason });
  }

  private warn(): void {
    const { topic, id, claim, abortedFor } = this.attempt;
    const consequence = abortedFor === 'shutdown' ? '' : ', its slot stays taken until the handler returns';
    this.judgement.logger.warn(
      `handler of '${topic}' ignores its signal (${abortedFor}): job ${id} attempt ${claim.attempt} is settled${consequence}`,
    );
  }

  private end(result: Result): void {
    this.hasEnded = true;
    this.timer?.cancel();
    this.grace?.cancel();
    this.execution.ended(this.attempt, this.judgement.outcomeOf(this.attempt, this.handler, result));
  }
}

/** Runs the handler, which may fail before it has given a promise. */
function perform(attempt: Attempt, handler: RegisteredHandler): Promise<unknown> {
  return handler.schema || handler.settings.transactional
    ? performWithCare(attempt, handler)
    : Promise.resolve(handler.run(attempt.context));
}

/** Its payload is judged first, and its work done inside its transaction, where it has these. */
async function performWithCare(attempt: Attempt, handler: RegisteredHandler): Promise<unknown> {
  if (handler.schema) {
    attempt.accept(await judged(handler.schema, attempt.claim.payload));
    attempt.throwIfEnding();
  }
  return handler.settings.transactional
    ? await attempt.runInTransaction(async () => handler.run(attempt.context))
    : await handler.run(attempt.context);
}

/** What the schema makes of the payload. A refusal is final: the payload will not change. */
async function judged(schema: AnySchema, payload: unknown): Promise<unknown> {
  try {
    return await validatePayload(schema, payload);
  } catch (error) {
    throw error instanceof InvalidPayloadError ? new UnrecoverableError(error.message, { cause: error }) : error;
  }
}
