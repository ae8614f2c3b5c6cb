import { AsyncResource } from 'node:async_hooks';
import type { ScheduledWake } from '../../core/clock.js';
import { toFailure } from '../../core/error-text.js';
import type { BatchHandlerFunction } from '../../core/job-handler.js';
import type { StoreTransaction } from '../../store/transactions/application-transactions.js';
import { endsWithTick } from '../../store/transactions/adapted-transactions.js';
import type { RegisteredHandler } from '../runtime/handler-registry.js';
import type { Attempt } from './attempt.js';
import type { Executor, Result } from './executor.js';
import { ABORT_GRACE_MS, describeLazyValue, toAbortedOutcome, validate } from './executor.js';
import type { Mark } from './handler-context.js';
import { BatchedContext, HandlerBatch } from './handler-context.js';

/** Terminations within this time share one timer and one warning. */
const TERMINATION_GROUP_MS = 10;

/**
 * One call of a batch handler. Each member ends alone: when it is marked, when its schema rejects it, a moment after it was terminated,
 * or with the call.
 */
export class BatchCall {
  /** The handler's promise while an interceptor is around it. */
  private handlerPromise: Promise<unknown> | undefined;
  private readonly members: readonly BatchMember[];
  private readonly wakes: ScheduledWake[] = [];
  private readonly handler: RegisteredHandler;
  private controller: AbortController | undefined;
  private hasReturned = false;
  private terminated: { readonly atMs: number; readonly members: BatchMember[] } | undefined;

  /** @param onReturned called once, when the handler has returned: possibly after all members have ended. */
  constructor(
    attempts: readonly Attempt[],
    handler: RegisteredHandler,
    private readonly executor: Executor,
    private readonly onReturned: () => void,
  ) {
    this.handler = handler;
    this.members = attempts.map((attempt) => new BatchMember(attempt, this));
  }

  start(): void {
    this.endAborted();
    this.scheduleTimeouts();
    this.open.forEach((member) => member.attempt.listenTermination(member));
    try {
      // Runs in its own async context, so that `AsyncLocalStorage.enterWith` does not leak to the next handler.
      const scope = new AsyncResource('JobHandler');
      scope
        .runInAsyncScope(() => this.callHandler())
        .then(
          (value) => this.onReturn({ value }),
          (error: unknown) => this.onReturn({ error }),
        );
    } catch (error) {
      // Deferred by a promise: tests may replace `queueMicrotask`.
      void Promise.resolve().then(() => this.onReturn({ error }));
    }
  }

  private callHandler(): Promise<unknown> {
    const { aroundHandler } = this.executor.parts.hook;
    return aroundHandler
      ? aroundHandler(
          this.open.map(({ attempt }) => attempt.claim),
          async () => callHandler(this, this.handler),
        )
      : callHandler(this, this.handler);
  }

  // What the handler and interceptors use.

  get signal(): AbortSignal {
    this.controller ??= new AbortController();
    this.updateSignal();
    return this.controller.signal;
  }

  /**
   * Joins the transaction for all members at once, and sends their statements one after the other. A transaction that ends within the tick
   * gets them all in that tick.
   */
  async completeTx(tx: StoreTransaction): Promise<void> {
    const isSynchronous = endsWithTick(tx);
    let turn: Promise<unknown> | undefined;
    const calls = this.open
      .filter(({ attempt }) => !attempt.isCompleted)
      .map(({ attempt }) => {
        const call = attempt.completeWithBatch(tx, turn);
        turn = isSynchronous ? undefined : call.catch(() => undefined);
        return call;
      });
    const failed = (await Promise.allSettled(calls)).find(({ status }) => status === 'rejected');
    if (failed) {
      throw (failed as PromiseRejectedResult).reason;
    }
  }

  /** Returns the reason when no member is left to run. When a member is late, no one may run: the handler has their array already. */
  checkCall(): Error | undefined {
    const errors = this.open.map(({ attempt }) => attempt.checkCall());
    const late = this.open.find(({ attempt }) => attempt.abortedFor === 'late');
    if (late) {
      this.open.forEach(({ attempt }) => attempt.abort('late', late.attempt.abortError!.message));
    }
    const isAnyRunning = !late && errors.includes(undefined);
    return isAnyRunning ? undefined : this.members.find(({ attempt }) => attempt.abortError)?.attempt.abortError;
  }

  recordCall(): void {
    const error = this.checkCall();
    if (error) {
      throw error;
    }
    // Others were aborted while they waited, and end with the call.
    this.open.filter(({ attempt }) => !attempt.abortError).forEach(({ attempt }) => attempt.recordCall());
  }

  announceCall(): void {
    this.open.forEach(({ attempt }) => attempt.announceCall());
  }

  trackHandlerPromise(work: Promise<unknown>): void {
    this.handlerPromise = work;
    const onSettled = (): void => void (this.handlerPromise = undefined);
    work.then(onSettled, onSettled);
  }

  // What the members report.

  mark(member: BatchMember, mark: Mark): void {
    if (member.hasEnded) {
      const { id, attempt } = member.attempt.claim;
      this.executor.parts.logger.debug(
        `a mark of job ${id} was ignored: attempt ${attempt} has ended or is marked already`,
      );
      return;
    }
    this.end(member, mark);
    this.updateSignal();
  }

  onTerminated(member: BatchMember): void {
    const nowMs = this.executor.parts.clock.now();
    if (!this.terminated || nowMs - this.terminated.atMs > TERMINATION_GROUP_MS) {
      const members: BatchMember[] = [];
      this.terminated = { atMs: nowMs, members };
      this.wake(ABORT_GRACE_MS, () => this.endTerminated(members));
    }
    this.terminated.members.push(member);
  }

  /** Aborts the signal of the batch when no member is left to work on. */
  updateSignal(): void {
    const { controller } = this;
    if (controller && !controller.signal.aborted) {
      const errors = this.open.map(({ attempt }) => attempt.abortError);
      if (errors.length > 0 && errors.every((error) => error !== undefined)) {
        controller.abort(errors[0]);
      }
    }
  }

  /** Decodes and validates payloads. A member whose payload is rejected ends alone. Returns the members for the handler. */
  async prepare(): Promise<readonly BatchMember[]> {
    await Promise.all(this.open.map((member) => this.prepareMember(member)));
    return this.takeCallable();
  }

  /** Ends members whose handler must not be called any more. Returns the others. */
  takeCallable(): readonly BatchMember[] {
    this.open.forEach(({ attempt }) => attempt.checkCall());
    this.endAborted();
    return this.open;
  }

  /** Members without an outcome. */
  get open(): readonly BatchMember[] {
    return this.members.filter(({ hasEnded }) => !hasEnded);
  }

  /** Whether `prepare` has anything to do. */
  get mustPrepare(): boolean {
    const { decoder } = this.executor.parts;
    return this.handler.schema !== undefined || this.open.some(({ attempt }) => decoder?.mustDecode(attempt.claim));
  }

  private async prepareMember(member: BatchMember): Promise<void> {
    const { schema } = this.handler;
    const { decoder } = this.executor.parts;
    try {
      if (decoder?.mustDecode(member.attempt.claim)) {
        member.payload = await decoder.decode(member.attempt);
      }
      member.payload = schema ? await validate(schema, member.payload) : member.payload;
    } catch (error) {
      this.end(member, { error });
    }
  }

  /** Ends members that were aborted before the handler is called. */
  private endAborted(): void {
    for (const member of this.open) {
      const outcome = toAbortedOutcome(member.attempt);
      if (outcome !== undefined) {
        member.hasEnded = true;
        this.executor.parts.onAttemptEnded(member.attempt, outcome);
      }
    }
  }

  /** Members may have limits of their own, set at enqueue. */
  private scheduleTimeouts(): void {
    const { timeoutMs: defaultMs } = this.executor.parts;
    const byTimeout = new Map<number, BatchMember[]>();
    for (const member of this.open) {
      const timeoutMs = member.attempt.claim.timeoutMs ?? this.handler.settings.timeoutMs ?? defaultMs;
      byTimeout.set(timeoutMs, [...(byTimeout.get(timeoutMs) ?? []), member]);
    }
    for (const [timeoutMs, members] of byTimeout) {
      const message = `the attempt took longer than its timeout of ${timeoutMs} ms`;
      this.wake(timeoutMs, () =>
        members.filter(({ hasEnded }) => !hasEnded).forEach(({ attempt }) => attempt.terminate('timeout', message)),
      );
    }
  }

  private endTerminated(members: readonly BatchMember[]): void {
    const late = members.filter(({ hasEnded }) => !hasEnded);
    this.warnIgnoredSignal(late);
    late.forEach((member) => this.end(member, { error: member.attempt.abortError }));
  }

  private onReturn(result: Result): void {
    if (this.hasReturned) {
      // A promise with its own `then` may call back more than once.
      return;
    }
    this.hasReturned = true;
    this.wakes.forEach((wake) => wake.cancel());
    const { handlerPromise, open } = this;
    // While an interceptor runs ahead of the handler, the attempts end first and the slot later.
    if (!handlerPromise) {
      this.onReturned();
    }
    // The value itself is no result. A value that was never consumed is a mistake, and fails the members.
    const isLazy = 'value' in result && describeLazyValue(result.value) !== undefined;
    const forAll = 'error' in result || isLazy ? result : { value: undefined };
    const completed = open.filter(({ attempt }) => attempt.isCompleted);
    if ('error' in result && completed.length > 0) {
      this.warnThrownAfterCommit(completed.length, result.error);
    }
    // The row of a completed member has its outcome already: the fence drops this one.
    open.forEach((member) => this.end(member, completed.includes(member) ? { value: undefined } : forAll));
    if (handlerPromise) {
      open.forEach(({ attempt }) =>
        attempt.abort('timeout', 'the attempt has ended: an interceptor did not wait for the handler'),
      );
      this.controller?.abort(open[0]?.attempt.abortError);
      const warning = this.executor.parts.clock.schedule(ABORT_GRACE_MS, () => this.warnIgnoredSignal(open));
      const onSettled = (): void => {
        warning.cancel();
        this.onReturned();
      };
      handlerPromise.then(onSettled, onSettled);
    }
  }

  private end(member: BatchMember, result: Result): void {
    const { executor, handler } = this;
    if (member.hasEnded) {
      return;
    }
    member.hasEnded = true;
    executor.parts.onAttemptEnded(member.attempt, executor.toOutcome(member.attempt, handler, result));
  }

  private warnThrownAfterCommit(count: number, error: unknown): void {
    this.executor.parts.logger.warn(
      `batch handler of '${this.handler.topic}' threw after completeTx of ${count === 1 ? '1 job had committed; it stays' : `${count} jobs had committed; they stay`} completed: ${
        toFailure(error).message
      }`,
    );
  }

  private warnIgnoredSignal(late: readonly BatchMember[]): void {
    if (late.length > 0) {
      const { topic, id, abortedFor } = late[0]!.attempt;
      this.executor.parts.logger.warn(
        `batch handler of '${topic}' has not returned ${ABORT_GRACE_MS} ms after the ${abortedFor} of ${late.length === 1 ? `job ${id}` : `${late.length} jobs, such as ${id}`}: ` +
          'the attempt of each ended without it. The slot of the call stays taken until the handler returns. Pass jobs.signal, or the ' +
          'signal of each job, to what the handler awaits',
      );
    }
  }

  private wake(ms: number, callback: () => void): void {
    this.wakes.push(this.executor.parts.clock.schedule(ms, callback));
  }
}

/** One attempt of a call. */
class BatchMember {
  hasEnded = false;
  /** The payload of the claim, or the output of the schema. */
  payload: unknown;

  constructor(
    readonly attempt: Attempt,
    private readonly call: BatchCall,
  ) {
    this.payload = attempt.claim.payload;
  }

  toContext(): BatchedContext {
    return new BatchedContext(this.attempt, this.payload, (mark) => this.call.mark(this, mark));
  }

  onTerminated(): void {
    this.call.onTerminated(this);
  }

  onAborted(): void {
    this.call.updateSignal();
  }
}

/** Calls the handler, which may throw before it returns a promise. */
function callHandler(call: BatchCall, handler: RegisteredHandler): Promise<unknown> {
  const run = handler.run as unknown as BatchHandlerFunction;
  const callWith = (members: readonly BatchMember[]): unknown => {
    if (members.length === 0) {
      return undefined;
    }
    const batch = new HandlerBatch(
      call,
      members.map((member) => member.toContext()),
    );
    call.recordCall();
    return run(batch);
  };
  return call.mustPrepare ? call.prepare().then(callWith) : Promise.resolve(callWith(call.takeCallable()));
}
