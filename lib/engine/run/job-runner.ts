/*
 * Run. In: claims, from claim/claim-loop.ts. Out: one outcome in the row of each claim, then one event.
 *
 *   claim → buffer → slot → handler → outcome → row → event
 *
 * Read job-runner.ts first (the way of a claim), then attempt.ts (its state), executor.ts (handler → outcome), completer.ts
 * (outcome → row), heartbeat.ts (renews the leases) and progress-writer.ts. start-marker.ts and transactional-completion.ts come last.
 * The jobs of batch handlers go another way, through batch-runner.ts (jobs → call) and batch-call.ts (call → outcomes).
 */
import type { Claim, ClaimToken, Outcome } from '../../core/job.js';
import { needsStartMark } from '../../core/job.js';
import { EventLoopBudget } from '../../store/runtime/event-loop-budget.js';
import { Prefetch } from './prefetch.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { CountedClaim } from './hand-overs.js';
import type { CompletionResult } from './attempt.js';
import { Attempt, toEndEvent } from './attempt.js';
import { BatchRunner } from './batch-runner.js';
import { ClaimBuffer } from './claim-buffer.js';
import type { Completer } from './completer.js';
import type { ExecutorParts } from './executor.js';
import { Executor } from './executor.js';
import type { Heartbeat } from './heartbeat.js';
import type { LogWriter } from '../logs/log-writer.js';
import type { StepWriter } from './job-steps.js';
import type { ProgressWriter } from './progress-writer.js';
import { RunningSet } from './running-set.js';
import { StartMarker } from './start-marker.js';

type JobRunnerParts = Pick<
  EngineParts,
  'store' | 'clock' | 'logger' | 'registry' | 'wakeSignal' | 'emit' | 'concurrency' | 'pollIntervalMs' | 'leaseMs'
> &
  Omit<ExecutorParts, 'onHandlerReturned' | 'onAttemptEnded'> & {
    readonly completer: Completer;
    readonly heartbeat: Heartbeat;
    readonly progressWriter: ProgressWriter;
    readonly stepWriter: StepWriter;
    readonly logWriter: LogWriter;
  };

/** How long handlers are started in one turn of the event loop. A thousand empty handlers take less. */
const START_BUDGET_MS = 20;

/** The longest postponement, as a multiple of the shortest. No process can run a postponed job. */
const POSTPONE_FACTOR_MAX = 5;

const SHUTTING_DOWN = 'the application is shutting down';

/** How many jobs of a topic this process has. */
interface TopicWork {
  /** With a slot. */
  running: number;
  /** Claimed, waiting for a slot. */
  buffered: number;
  /** Ended, without an outcome in the row yet. */
  unrecorded: number;
}

/** Runs claimed jobs as slots become free, and writes their outcomes. */
export class JobRunner {
  /** How many jobs are worth claiming ahead of free slots. */
  readonly prefetch: Prefetch;
  /** Runs the jobs of batch handlers. */
  readonly batches: BatchRunner;
  private readonly buffer: ClaimBuffer;
  /** A slot is taken until the handler returns, even when the attempt has ended before. */
  private readonly slots = new RunningSet();
  /** Attempts that are marked as started and wait for a turn of the event loop. */
  private readonly markedAttempts: Attempt[] = [];
  /** Without a limit, handlers that return at once would start the next ones in the same turn of the event loop for ever. */
  private readonly startBudget: EventLoopBudget;
  private readonly startMarker: StartMarker;
  private readonly executor: Executor;
  private readonly countByTopic = new Map<string, number>();
  private readonly postponeMs: number;
  /** How many more jobs may take a slot to start, and what to do when those that have one have started. */
  private starts = { left: Infinity, onReached: (): void => undefined };
  private waiters: { readonly isDone: () => boolean; readonly resolve: () => void }[] = [];
  private listener: (topic: string, isRecorded: boolean) => void = () => undefined;

  constructor(private readonly parts: JobRunnerParts) {
    const { clock, concurrency, pollIntervalMs, leaseMs } = parts;
    this.postponeMs = Math.min(pollIntervalMs, leaseMs);
    this.prefetch = new Prefetch(concurrency);
    const areHandlersQuick = (): boolean => this.prefetch.target > 0;
    const onStale = (stale: readonly Attempt[]): void => {
      this.prefetch.recordStale();
      stale.forEach((attempt) => this.releaseAttempt(attempt));
    };
    this.buffer = new ClaimBuffer(clock, areHandlersQuick, onStale);
    this.startMarker = new StartMarker(parts);
    this.executor = new Executor({
      ...parts,
      onHandlerReturned: (attempt) => this.onHandlerReturned(attempt),
      onAttemptEnded: (attempt, outcome) => this.settle(attempt, outcome),
    });
    this.startBudget = new EventLoopBudget(clock, START_BUDGET_MS, () => this.startNext());
    const { startMarker, executor, postponeMs, prefetch } = this;
    this.batches = new BatchRunner({
      ...{ clock, concurrency, prefetch, executor, startMarker, postponeMs, onStale },
      onReady: () => this.startNext(),
      releaseIfBlocked: (attempt, nowMs) => this.releaseIfBlocked(attempt, nowMs),
      leaveSlot: (attempt, delayMs) => this.leaveSlot(attempt, delayMs),
      takeSlot: (attempt, nowMs) => this.takeSlot(attempt, nowMs),
      onStart: (attempt, nowMs) => this.markStarted(attempt, nowMs),
      onReturned: (attempts, nowMs) => this.onBatchReturned(attempts, nowMs),
    });
  }

  /** Slots that are taken. */
  get slotCount(): number {
    return this.slots.size - this.batches.sharedSlots;
  }

  /** Jobs whose handler runs. Those of a batch share a slot. */
  get runningCount(): number {
    return this.slots.size;
  }

  /** Claimed jobs that wait for a slot. */
  get bufferedCount(): number {
    return this.buffer.length;
  }

  /** Claimed jobs whose outcome is not in the row yet. */
  get unsettledCount(): number {
    return this.parts.heartbeat.attempts.length;
  }

  /** Jobs of ordinary handlers with a slot, and jobs whose outcome is not in the row yet. */
  get unrecordedCount(): number {
    return this.unsettledCount - this.bufferedCount - this.batches.jobCount;
  }

  /** Jobs of a topic that run or wait for a slot. */
  countJobs(topic: string): number {
    return this.countByTopic.get(topic) ?? 0;
  }

  /** Unfinished jobs, by topic. */
  workByTopic(): Map<string, TopicWork> {
    const byTopic = new Map<string, TopicWork>();
    for (const attempt of new Set([...this.slots.attempts, ...this.parts.heartbeat.attempts])) {
      const work = byTopic.get(attempt.topic) ?? { running: 0, buffered: 0, unrecorded: 0 };
      work[attempt.hasSlot ? 'running' : attempt.isSettling ? 'unrecorded' : 'buffered'] += 1;
      byTopic.set(attempt.topic, work);
    }
    return byTopic;
  }

  /** Resolves when every claimed job has its outcome in the row. */
  allSettled(): Promise<void> {
    return this.waitUntil(() => this.unsettledCount === 0);
  }

  /** Resolves when no handler runs. Waits also for handlers that still run although their attempt has ended. */
  allReturned(): Promise<void> {
    return this.waitUntil(() => this.slotCount === 0);
  }

  /** Starts at most this many more jobs, and resolves when they have started. Without a limit it never resolves. */
  limitStarts(limit = Infinity): Promise<void> {
    return new Promise((resolve) => {
      this.starts = { left: limit, onReached: resolve };
      // Jobs that an earlier limit has kept waiting.
      this.startNext();
    });
  }

  /** Calls the listener whenever a job of a topic has left its slot, or has its outcome in the row. */
  onChange(listener: (topic: string, isRecorded: boolean) => void): void {
    this.listener = listener;
  }

  /**
   * Runs a job as soon as a slot is free.
   *
   * @param claimedAtMs when the response to the claim came, by the process's clock.
   * @param leaseEndsMs when the lease ends at the earliest, by the same clock.
   * @param counted set if a rate has counted the start.
   */
  accept(claim: Claim, claimedAtMs: number, leaseEndsMs: number, counted?: CountedClaim): void {
    const older = this.slots.find(claim.id);
    const handler = this.parts.registry.get(claim.topic);
    if (older || !handler) {
      // No handler here, or an older attempt of this job still runs: postpone it, so that another process can take it.
      return this.release(claim, claimedAtMs, leaseEndsMs, counted, this.postponementFor(older));
    }
    const attempt = this.track(claim, claimedAtMs, leaseEndsMs, counted);
    this.addToTopic(attempt.topic, +1);
    if (handler.settings.batch) {
      return this.batches.push(attempt, handler);
    }
    this.buffer.push(attempt);
    this.startNext();
    this.buffer.watch();
  }

  /** Returns a claimed job to the queue without charging a retry. @param delayMs `null`: the job keeps its position in the lane. */
  release(
    claim: Claim,
    claimedAtMs: number,
    leaseEndsMs: number,
    counted?: CountedClaim,
    delayMs: number | null = null,
  ): void {
    this.settle(this.track(claim, claimedAtMs, leaseEndsMs, counted), { kind: 'release', delayMs });
  }

  /** Shutdown: releases jobs that have not started, and sends all outcomes that wait. */
  releaseUnstarted(): void {
    this.parts.completer.flush();
    // The buffer first: a slot that becomes free must not start a buffered job.
    [...this.buffer.takeAll(), ...this.batches.takeAll()].forEach((attempt) => this.releaseAttempt(attempt));
    this.slots.attempts
      .filter(({ hasStarted }) => !hasStarted)
      .forEach((attempt) => attempt.abort('shutdown', SHUTTING_DOWN));
  }

  /** Shutdown: terminates all running attempts. */
  terminateAll(): void {
    this.slots.attempts.forEach((attempt) => attempt.terminate('shutdown', SHUTTING_DOWN));
  }

  /** Shutdown: stops waiting for the database. */
  abandon(): void {
    const { heartbeat, completer, logger } = this.parts;
    const unconfirmed = heartbeat.attempts.filter(({ isSettling }) => isSettling).length;
    if (unconfirmed > 0) {
      logger.warn(
        `${unconfirmed} outcomes were not confirmed before shutdown; those jobs are rescued when their leases expire`,
      );
    }
    completer.abandon();
  }

  /** Aborts the handler of this attempt now if it runs here, without waiting for the next renewal. */
  abortCancelled({ id, attempt: number }: ClaimToken): void {
    [...this.slots.attempts, ...this.buffer.all, ...this.batches.waiting]
      .find(({ claim }) => claim.id === id && claim.attempt === number)
      ?.cancel();
  }

  private onHandlerReturned(attempt: Attempt): void {
    this.slots.remove(attempt);
    this.addToTopic(attempt.topic, -1);
    const nowMs = this.parts.clock.now();
    attempt.slotUntilMs = nowMs;
    this.prefetch.recordHandler(nowMs - attempt.slotSinceMs);
    this.startNext();
    this.notify(attempt.topic, false);
  }

  private onBatchReturned(attempts: readonly Attempt[], nowMs: number): void {
    for (const attempt of attempts) {
      this.slots.remove(attempt);
      this.addToTopic(attempt.topic, -1);
      attempt.slotUntilMs = nowMs;
    }
    if (attempts.length > 0) {
      this.prefetch.recordHandler(nowMs - attempts[0]!.slotSinceMs);
    }
    this.startNext();
    this.notify(attempts[0]?.topic ?? '', false);
  }

  private startNext(): void {
    while (this.markedAttempts.length > 0 && this.startBudget.hasTime()) {
      this.startMarked(this.markedAttempts.shift()!);
    }
    const { buffer, batches } = this;
    while (
      (buffer.length > 0 || batches.hasWaiting) &&
      this.slotCount < this.parts.concurrency &&
      this.starts.left > 0
    ) {
      const nowMs = this.parts.clock.now();
      if (!this.startBudget.hasTime(nowMs)) {
        return;
      }
      if (!(batches.hasWaiting && batches.startNext(nowMs, buffer.all[0]))) {
        if (buffer.length === 0) {
          return;
        }
        this.startOrRelease(buffer.shift()!, nowMs);
      }
    }
  }

  private startOrRelease(attempt: Attempt, nowMs: number): void {
    if (this.releaseIfBlocked(attempt, nowMs)) {
      return;
    }
    this.takeSlot(attempt, nowMs);
    if (needsStartMark(attempt.claim) && attempt.abortedFor === undefined) {
      void this.markThenStart(attempt);
    } else {
      this.start(attempt, nowMs);
    }
  }

  private takeSlot(attempt: Attempt, nowMs: number): void {
    attempt.slotSinceMs = nowMs;
    this.slots.add(attempt);
    this.starts.left -= 1;
  }

  /** The caller may stop this process then: a job that still waits for its start mark would be released. */
  private reportReached(): void {
    const mayStart = ({ hasStarted, abortedFor }: Attempt): boolean => !hasStarted && abortedFor === undefined;
    if (this.starts.left <= 0 && !this.slots.attempts.some(mayStart)) {
      this.starts.onReached();
    }
  }

  /** Releases a job of which an older attempt runs here, whose lease has expired, or that is too late for its rate. Returns whether it was released. */
  private releaseIfBlocked(attempt: Attempt, nowMs: number): boolean {
    const older = this.slots.find(attempt.id);
    // When the lease has expired, the process was suspended after the claim, and another one may run the job.
    const isBlocked = older !== undefined || attempt.leaseEndsMs <= nowMs || attempt.isLate(nowMs);
    if (isBlocked) {
      this.releaseAttempt(attempt, older ? this.postponementFor(older) : null);
    }
    return isBlocked;
  }

  private async markThenStart(attempt: Attempt): Promise<void> {
    if (await this.startMarker.mark(attempt)) {
      this.markedAttempts.push(attempt);
    } else {
      // At shutdown the job keeps its position.
      this.leaveSlot(attempt, attempt.abortedFor === 'shutdown' ? null : this.postponeMs);
    }
    this.startNext();
  }

  private startMarked(attempt: Attempt): void {
    const nowMs = this.parts.clock.now();
    const isOver = attempt.abortedFor === 'shutdown' || attempt.abortedFor === 'lease_lost';
    if (isOver || attempt.leaseEndsMs <= nowMs || attempt.isLate(nowMs)) {
      this.leaveSlot(attempt, null);
    } else {
      this.start(attempt, nowMs);
    }
  }

  private start(attempt: Attempt, nowMs: number): void {
    this.markStarted(attempt, nowMs);
    // Reports an aborted attempt without calling the handler.
    this.executor.execute(attempt, this.parts.registry.get(attempt.topic)!);
  }

  /** The handler is called now, unless the attempt was aborted. */
  private markStarted(attempt: Attempt, nowMs: number): void {
    const { id, topic, claim } = attempt;
    if (attempt.abortedFor === undefined) {
      attempt.markStarted(nowMs);
      const waitedMs = claim.waitedMs + nowMs - attempt.claimedAtMs;
      this.parts.emit({ type: 'started', id, topic, attempt: claim.attempt, waitedMs });
    }
    this.reportReached();
  }

  /** Returns a tenth of how long the older attempt has run, within bounds. */
  private postponementFor(older: Attempt | undefined): number {
    const durationMs = older ? this.parts.clock.now() - older.slotSinceMs : 0;
    return Math.max(this.postponeMs, Math.min(durationMs / 10, POSTPONE_FACTOR_MAX * this.postponeMs));
  }

  /** For a job that has not started: another one may start instead. */
  private leaveSlot(attempt: Attempt, delayMs: number | null): void {
    this.slots.remove(attempt);
    this.starts.left += 1;
    this.releaseAttempt(attempt, delayMs);
    this.reportReached();
  }

  /** Returns a job that has not started to the queue. */
  private releaseAttempt(attempt: Attempt, delayMs: number | null = null): void {
    this.addToTopic(attempt.topic, -1);
    this.settle(attempt, { kind: 'release', delayMs });
  }

  private track(claim: Claim, claimedAtMs: number, leaseEndsMs: number, counted?: CountedClaim): Attempt {
    const attempt = new Attempt(claim, this.parts, claimedAtMs, leaseEndsMs, counted);
    this.parts.heartbeat.track(attempt);
    return attempt;
  }

  private addToTopic(topic: string, change: 1 | -1): void {
    this.countByTopic.set(topic, this.countJobs(topic) + change);
  }

  private settle(attempt: Attempt, outcome: Outcome | null): void {
    const { completer, clock, logWriter } = this.parts;
    // Counts until the slot became free, not until the outcome is written. Rounded to microseconds.
    const durationMs = attempt.hasStarted
      ? Math.round(((attempt.slotUntilMs ?? clock.now()) - attempt.startedAtMs) * 1_000) / 1_000
      : null;
    if (durationMs !== null && durationMs >= this.parts.leaseMs / 2) {
      this.parts.heartbeat.checkEventLoop();
    }
    attempt.markSettling();
    const onDone = (result: CompletionResult): void => this.finish(attempt, outcome, result, durationMs);
    if (!outcome) {
      return onDone('lease lost');
    }
    const written = attempt.lines && logWriter.flush(attempt.lines);
    if (written) {
      void written.then(() => completer.settle(attempt, outcome, durationMs, onDone));
    } else {
      completer.settle(attempt, outcome, durationMs, onDone);
    }
  }

  private finish(attempt: Attempt, outcome: Outcome | null, result: CompletionResult, durationMs: number | null): void {
    const { heartbeat, emit, wakeSignal } = this.parts;
    heartbeat.untrack(attempt);
    emit(toEndEvent(attempt, outcome, result, durationMs));
    if (result !== 'lease lost' && result.runAt) {
      wakeSignal.scanAt(attempt.topic, attempt.claim.priority, result.runAt);
    }
    // With `null` or 0 the job is due now, and another process may run it.
    if (outcome?.kind === 'release' && !outcome.delayMs) {
      wakeSignal.announce([attempt.topic]);
    }
    this.notify(attempt.topic, true);
  }

  private waitUntil(isDone: () => boolean): Promise<void> {
    return isDone() ? Promise.resolve() : new Promise((resolve) => this.waiters.push({ isDone, resolve }));
  }

  private notify(topic: string, isRecorded: boolean): void {
    this.listener(topic, isRecorded);
    if (this.waiters.length > 0) {
      const done = this.waiters.filter(({ isDone }) => isDone());
      this.waiters = this.waiters.filter((waiter) => !done.includes(waiter));
      done.forEach(({ resolve }) => resolve());
    }
  }
}
