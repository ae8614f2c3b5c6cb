import type { Clock, ScheduledWake } from '../../core/clock.js';
import { needsStartMark } from '../../core/job.js';
import type { BatchSettings } from '../../core/job-options.js';
import type { Prefetch } from './prefetch.js';
import { COUNTED_BATCH_WAIT_MAX_MS } from './hand-overs.js';
import type { RegisteredHandler } from '../runtime/handler-registry.js';
import type { Attempt } from './attempt.js';
import { BatchCall } from './batch-call.js';
import { ClaimBuffer } from './claim-buffer.js';
import type { Executor } from './executor.js';
import type { StartMarker } from './start-marker.js';

/** How many jobs of a batch handler may be claimed ahead of free slots. */
const JOBS_AHEAD_MAX = 1_500;

interface BatchRunnerParts {
  readonly clock: Clock;
  /** Slots of the process. */
  readonly concurrency: number;
  readonly prefetch: Prefetch;
  readonly executor: Executor;
  readonly startMarker: StartMarker;
  /** How long a job waits that could not be marked as started. */
  readonly postponeMs: number;
  /** A call may start. */
  readonly onReady: () => void;
  /** Releases the attempt and returns `true` if it may not start here and now. */
  readonly releaseIfBlocked: (attempt: Attempt, nowMs: number) => boolean;
  /** Releases an attempt that has a slot and has not started. */
  readonly leaveSlot: (attempt: Attempt, delayMs: number | null) => void;
  readonly takeSlot: (attempt: Attempt, nowMs: number) => void;
  /** The handler is called now, unless the attempt was aborted. */
  readonly onStart: (attempt: Attempt, nowMs: number) => void;
  /** The handler has returned, and the attempts have left their slot. */
  readonly onReturned: (attempts: readonly Attempt[], nowMs: number) => void;
  readonly onStale: (stale: readonly Attempt[]) => void;
}

/**
 * Collects the claimed jobs of batch handlers, and calls those. A call takes one slot, whatever its size. A job whose earlier attempt
 * failed runs alone, so that it cannot fail its neighbours twice.
 */
export class BatchRunner {
  private readonly queues = new Map<string, BatchQueue>();
  /** Calls that run. */
  private callCount = 0;
  /** The attempts of these calls. */
  private memberCount = 0;
  private isReadySoon = false;

  constructor(private readonly parts: BatchRunnerParts) {}

  /** How many more attempts than slots the running calls have. */
  get sharedSlots(): number {
    return this.memberCount - this.callCount;
  }

  /** Jobs that wait for a call or run in one. */
  get jobCount(): number {
    return this.memberCount + this.waiting.length;
  }

  /** Whether any batch handler has had a job here. */
  get isUsed(): boolean {
    return this.queues.size > 0;
  }

  get hasWaiting(): boolean {
    // Most processes have no batch handler.
    return this.queues.size > 0 && [...this.queues.values()].some(({ length }) => length > 0);
  }

  get waiting(): Attempt[] {
    return [...this.queues.values()].flatMap((queue) => queue.all);
  }

  /** Adds a claimed job. Its call starts in a later microtask at the earliest, after the other jobs of the claim were added. */
  push(attempt: Attempt, handler: RegisteredHandler): void {
    const queue = this.findQueue(handler);
    queue.push(attempt);
    if (!this.isReadySoon) {
      this.isReadySoon = true;
      void Promise.resolve().then(() => {
        this.isReadySoon = false;
        this.parts.onReady();
        this.queues.forEach((each) => each.watch());
      });
    }
  }

  /**
   * How many more jobs of the topic may be claimed; it may be below 0.
   *
   * @param freeSlots slots that its calls may take.
   * @param callsAhead calls that are worth claiming ahead of free slots.
   */
  countClaimable(handler: RegisteredHandler, freeSlots: number, callsAhead: number): number {
    return this.findQueue(handler).countClaimable(freeSlots, callsAhead);
  }

  /** Starts the call whose first job was claimed first, unless `other` was claimed before it. Returns whether a call has started. */
  startNext(nowMs: number, other: Attempt | undefined): boolean {
    const ready = [...this.queues.values()].filter(
      (queue) => queue.readySinceMs(nowMs) <= (other?.claimedAtMs ?? Infinity),
    );
    const [next] = ready.sort((a, b) => a.readySinceMs(nowMs) - b.readySinceMs(nowMs));
    if (next && next.readySinceMs(nowMs) < Infinity) {
      const attempts = next.takeCall(nowMs);
      next.watch();
      this.start(next, attempts, nowMs);
      return true;
    }
    return false;
  }

  /** Removes all waiting jobs. */
  takeAll(): Attempt[] {
    return [...this.queues.values()].flatMap((queue) => queue.takeAll());
  }

  private findQueue(handler: RegisteredHandler): BatchQueue {
    const { clock, concurrency, prefetch, onReady, onStale } = this.parts;
    let queue = this.queues.get(handler.topic);
    if (!queue) {
      const callsMax = Math.min(concurrency, handler.settings.concurrency ?? concurrency);
      queue = new BatchQueue(handler, handler.settings.batch!, callsMax, { clock, prefetch, onReady, onStale });
      this.queues.set(handler.topic, queue);
    }
    return queue;
  }

  private start(queue: BatchQueue, taken: readonly Attempt[], nowMs: number): void {
    const attempts = taken.filter((attempt) => !this.parts.releaseIfBlocked(attempt, nowMs));
    if (attempts.length === 0) {
      return;
    }
    queue.calls += 1;
    this.callCount += 1;
    for (const attempt of attempts) {
      this.parts.takeSlot(attempt, nowMs);
      this.memberCount += 1;
    }
    if (attempts.some(needsMark)) {
      void this.markThenCall(queue, attempts);
    } else {
      this.call(queue, attempts, nowMs);
    }
  }

  /** Marks the attempts that need it as started. Releases those that cannot start. */
  private async markThenCall(queue: BatchQueue, attempts: readonly Attempt[]): Promise<void> {
    const { startMarker, clock, postponeMs } = this.parts;
    const mayStart = await Promise.all(attempts.map(async (each) => !needsMark(each) || startMarker.mark(each)));
    const nowMs = clock.now();
    const isOver = ({ abortedFor, leaseEndsMs }: Attempt): boolean =>
      abortedFor === 'shutdown' || abortedFor === 'lease_lost' || leaseEndsMs <= nowMs;
    const late = new Set(attempts.filter((attempt) => attempt.isLate(nowMs)));
    const startable = attempts.filter((attempt, index) => mayStart[index] && !isOver(attempt) && !late.has(attempt));
    for (const attempt of attempts.filter((each) => !startable.includes(each))) {
      this.memberCount -= 1;
      this.parts.leaveSlot(attempt, isOver(attempt) || late.has(attempt) ? null : postponeMs);
    }
    this.call(queue, startable, nowMs);
  }

  private call(queue: BatchQueue, attempts: readonly Attempt[], nowMs: number): void {
    const onReturned = (): void => {
      queue.calls -= 1;
      this.callCount -= 1;
      this.memberCount -= attempts.length;
      this.parts.onReturned(attempts, this.parts.clock.now());
    };
    if (attempts.length === 0) {
      return onReturned();
    }
    attempts.forEach((attempt) => this.parts.onStart(attempt, nowMs));
    new BatchCall(attempts, queue.handler, this.parts.executor, onReturned).start();
  }
}

function needsMark({ claim, abortedFor }: Attempt): boolean {
  return needsStartMark(claim) && abortedFor === undefined;
}

/** The waiting jobs of one batch handler. */
class BatchQueue {
  /** Calls that run. */
  calls = 0;
  private readonly fresh: ClaimBuffer;
  /** Jobs that run alone. */
  private readonly alone: ClaimBuffer;
  /** The last claimed job runs alone, so the next ones may, too. */
  private isIsolating = false;
  private timer: ScheduledWake | undefined;

  constructor(
    readonly handler: RegisteredHandler,
    private readonly batch: BatchSettings,
    private readonly callsMax: number,
    private readonly parts: Pick<BatchRunnerParts, 'clock' | 'prefetch' | 'onReady' | 'onStale'>,
  ) {
    const { clock, prefetch, onStale } = parts;
    const areHandlersQuick = (): boolean => prefetch.target > 0;
    this.fresh = new ClaimBuffer(clock, areHandlersQuick, onStale, batch.waitMs);
    this.alone = new ClaimBuffer(clock, areHandlersQuick, onStale);
  }

  get length(): number {
    return this.fresh.length + this.alone.length;
  }

  get all(): readonly Attempt[] {
    return [...this.fresh.all, ...this.alone.all];
  }

  push(attempt: Attempt): void {
    this.isIsolating = attempt.claim.retries > 0;
    (this.isIsolating ? this.alone : this.fresh).push(attempt);
  }

  takeAll(): Attempt[] {
    this.timer?.cancel();
    this.timer = undefined;
    return [...this.fresh.takeAll(), ...this.alone.takeAll()];
  }

  /** When the first job of the next call was claimed; Infinity while no call may start. */
  readySinceMs(nowMs: number): number {
    return this.calls < this.callsMax ? Math.min(this.freshSinceMs(nowMs), this.aloneSinceMs) : Infinity;
  }

  /** Removes the members of the next call. Call this when `readySinceMs` is not Infinity. */
  takeCall(nowMs: number): Attempt[] {
    const isFresh = this.freshSinceMs(nowMs) <= this.aloneSinceMs;
    return isFresh ? this.fresh.take(this.batch.size) : this.alone.take(1);
  }

  countClaimable(freeSlots: number, callsAhead: number): number {
    const { size } = this.batch;
    const ahead = Math.min(this.callsMax, callsAhead, Math.floor(JOBS_AHEAD_MAX / size));
    const calls = Math.min(this.callsMax - this.calls, freeSlots) + ahead;
    return this.isIsolating
      ? calls - this.alone.length - Math.ceil(this.fresh.length / size)
      : (calls - this.alone.length) * size - this.fresh.length;
  }

  /** Schedules the start of a call whose batch does not fill up in time. */
  watch(): void {
    this.fresh.watch();
    this.alone.watch();
    const nowMs = this.parts.clock.now();
    const [first] = this.fresh.all;
    if (first && this.freshSinceMs(nowMs) === Infinity) {
      const leftMs = first.claimedAtMs + this.waitMsFor(first) - nowMs;
      this.timer ??= this.parts.clock.schedule(Math.max(1, leftMs), () => {
        this.timer = undefined;
        this.parts.onReady();
        this.watch();
      });
    }
  }

  private freshSinceMs(nowMs: number): number {
    const [first] = this.fresh.all;
    const isReady =
      this.fresh.length >= this.batch.size || (first && nowMs - first.claimedAtMs >= this.waitMsFor(first));
    return first && isReady ? first.claimedAtMs : Infinity;
  }

  private waitMsFor({ counted }: Attempt): number {
    return counted ? Math.min(this.batch.waitMs, COUNTED_BATCH_WAIT_MAX_MS) : this.batch.waitMs;
  }

  private get aloneSinceMs(): number {
    return this.alone.all[0]?.claimedAtMs ?? Infinity;
  }
}
