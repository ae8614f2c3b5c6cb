import type { Claim, ClaimToken, Outcome } from '../../core/job.js';
import { isLastAttempt } from '../../core/job.js';
import type { ProgressEntry } from '../../store/store-records.js';
import { EventLoopBudget } from '../../store/event-loop-budget.js';
import type { AttemptParts } from './attempt.js';
import { Attempt } from './attempt.js';
import { toEvent } from './attempt-event.js';
import { Batcher } from '../batcher.js';
import { StartMarker } from './start-marker.js';
import { ClaimBuffer } from './claim-buffer.js';
import type { Executor } from './executor.js';
import type { EngineParts } from '../engine-parts.js';
import type { Heartbeat } from './heartbeat.js';
import { Prefetch } from '../claim/prefetch.js';
import type { Execution } from './run.js';
import type { Completer } from './completer.js';
import { RunningSet } from './running-set.js';
import type { SettleAnswer } from './verdict.js';

type JobRunnerParts = Pick<
  EngineParts,
  | 'store'
  | 'clock'
  | 'logger'
  | 'random'
  | 'registry'
  | 'wakeSignal'
  | 'emit'
  | 'concurrency'
  | 'pollIntervalMs'
  | 'leaseMs'
> & {
  readonly executor: Executor;
  readonly completer: Completer;
  readonly heartbeat: Heartbeat;
};

/** For so long handlers begin in one turn of the event loop. A thousand empty ones take less. */
const TURN_MAX_MS = 20;

/** So many times the shortest wait a job waits at the most that must not run here yet: other processes do not see it meanwhile. */
const POSTPONE_MAX = 5;

/** How many jobs of a topic are where: with a slot, claimed without one, ended with an outcome that is not in the table. */
export type TopicWork = Record<'running' | 'buffered' | 'unrecorded', number>;

/**
 * The attempts of this process. Each goes from claim to table the same way: held by the heartbeat, buffered until a slot
 * is free, executed, settled, let go, and told to whoever listens.
 */
export class JobRunner {
  /** How many jobs are worth claiming ahead of free slots. */
  readonly prefetch: Prefetch;
  /** Claimed and held, but without a slot yet. */
  private readonly buffer: ClaimBuffer;
  /** Handlers that wait for nothing end in the turn in which they began, and their end begins the next one. */
  private readonly turn: EventLoopBudget;
  /** What has a slot: for as long as the handler runs, settled or not, and from before it is called at a last chance. */
  private readonly slots = new RunningSet();
  private readonly parts: AttemptParts;
  private readonly beginnings: StartMarker;
  private readonly countByTopic = new Map<string, number>();
  /** Outcomes that wait until what their handlers said before is in the table. */
  private readonly afterProgress = new Map<Attempt, Outcome>();
  private whenSettled: (() => void)[] = [];
  private whenReturned: (() => void)[] = [];
  /** What the executor says of an attempt. */
  private readonly execution: Execution = {
    returned: (attempt) => {
      this.slots.takeBack(attempt);
      this.countIn(attempt.topic, -1);
      const nowMs = this.options.clock.now();
      attempt.slotUntilMs = nowMs;
      this.prefetch.recordHandler(nowMs - attempt.slotSinceMs);
      this.startNext();
      this.onChange();
      if (this.count === 0) {
        this.whenReturned.splice(0).forEach((resolve) => resolve());
      }
    },
    ended: (attempt, outcome) => this.settleAfterProgress(attempt, outcome),
  };
  /** How long a job waits at the least while an older attempt of it still runs here. */
  private readonly postponeMs: number;
  private onChange: () => void = () => undefined;

  constructor(private readonly options: JobRunnerParts) {
    this.postponeMs = Math.min(options.pollIntervalMs, options.leaseMs);
    this.prefetch = new Prefetch(options.concurrency);
    const areQuick = (): boolean => this.prefetch.target > 0;
    // The handlers before them are slower than they were.
    this.buffer = new ClaimBuffer(options.clock, areQuick, (stale) => {
      this.prefetch.recordStale();
      stale.forEach((attempt) => this.releaseAttempt(attempt));
    });
    const progressBatcher = new Batcher<ProgressEntry, boolean>({
      run: (entries) => options.store.recordProgress(entries),
      lengthOf: ({ progress }) => progress?.length ?? 0,
    });
    this.parts = { store: options.store, clock: options.clock, logger: options.logger, progressBatcher };
    this.beginnings = new StartMarker({
      ...options,
      onDecided: () => this.startNext(),
      onRefused: (attempt) => {
        this.leave(attempt, this.postponeMs);
        this.startNext();
      },
    });
    this.turn = new EventLoopBudget(options.clock, TURN_MAX_MS, () => this.startNext());
  }

  /** Slots that are taken. */
  get count(): number {
    return this.slots.count;
  }

  /** Claimed jobs that wait for a slot. */
  get bufferedCount(): number {
    return this.buffer.length;
  }

  /** Claimed jobs whose outcome is not in the table yet. */
  get openCount(): number {
    return this.options.heartbeat.attempts.length;
  }

  /** What is at work, by topic. */
  unfinished(): Map<string, TopicWork> {
    const works = new Map<string, TopicWork>();
    const buffered = new Set(this.buffer.all);
    for (const attempt of new Set([...this.slots.attempts, ...this.options.heartbeat.attempts])) {
      const work = works.get(attempt.topic) ?? { running: 0, buffered: 0, unrecorded: 0 };
      work[attempt.hasSlot ? 'running' : buffered.has(attempt) ? 'buffered' : 'unrecorded'] += 1;
      works.set(attempt.topic, work);
    }
    return works;
  }

  /** Resolves when every claimed job has its outcome in the table. */
  allSettled(): Promise<void> {
    return this.openCount === 0 ? Promise.resolve() : new Promise((resolve) => this.whenSettled.push(resolve));
  }

  /** Resolves when no handler runs, those included whose attempts ended without them. To be asked when all are settled. */
  allReturned(): Promise<void> {
    return this.count === 0 ? Promise.resolve() : new Promise((resolve) => this.whenReturned.push(resolve));
  }

  /** Jobs of a topic that run or wait for a slot. */
  countOf(topic: string): number {
    return this.countByTopic.get(topic) ?? 0;
  }

  /** Calls back whenever a slot has become free or an outcome is in the table. */
  whenChanged(callback: () => void): void {
    this.onChange = callback;
  }

  /**
   * Runs a job as soon as a slot is free.
   *
   * @param claimedAtMs when the claim was answered, by the process's clock.
   * @param leaseEndsMs when its lease ends at the latest, by the same clock: counted from before the claim was sent.
   */
  accept(claim: Claim, claimedAtMs: number, leaseEndsMs: number): void {
    const older = this.slots.holderOf(claim.id);
    if (!this.options.registry.get(claim.topic) || older) {
      // An older attempt, timed out or without its lease, still runs here: the job waits, or goes to another process.
      return this.release(claim, claimedAtMs, leaseEndsMs, this.postponementFor(older));
    }
    const attempt = this.hold(claim, claimedAtMs, leaseEndsMs);
    this.countIn(attempt.topic, +1);
    this.buffer.push(attempt);
    this.startNext();
    this.buffer.watch();
  }

  /** The process begins to end: what waits for a slot is given back, and no outcome waits long for the database any more. */
  drain(): void {
    this.options.completer.flush();
    // First, or they would begin in the slots of those that have not.
    this.buffer.takeAll().forEach((attempt) => this.releaseAttempt(attempt));
    this.beginnings.windUp();
  }

  /** The process ends, whether the database has answered or not. */
  abandon(): void {
    const { heartbeat, completer, logger } = this.options;
    [...this.afterProgress.keys()].forEach((attempt) => this.settleAtLast(attempt));
    const open = heartbeat.attempts.filter(({ isSettling }) => isSettling).length;
    if (open > 0) {
      logger.warn(
        `outcomes without an answer at the end: ${open}; jobs that still stand as processing are taken over when their leases end`,
      );
    }
    completer.abandon();
  }

  /** Back to pending without a retry charged; by default for jobs claimed while the process stops. */
  release(claim: Claim, claimedAtMs: number, leaseEndsMs: number, delayMs: number | null = null): void {
    this.settle(this.hold(claim, claimedAtMs, leaseEndsMs), { kind: 'release', delayMs });
  }

  /** Tells every handler to end because the process does. */
  abortAll(): void {
    for (const attempt of this.slots.attempts) {
      attempt.dismiss('shutdown', 'the application is shutting down');
    }
  }

  /** Tells the handler of one attempt to end, when it runs here: the answer to a request may come when the next one does. */
  abortCancelled(token: ClaimToken): void {
    const isMeant = ({ claim }: Attempt): boolean => claim.id === token.id && claim.attempt === token.attempt;
    [...this.slots.attempts, ...this.buffer.all].find(isMeant)?.cancel();
  }

  private startNext(): void {
    while (this.beginnings.length > 0 && this.turn.hasTime()) {
      this.beginOrGiveBack(this.beginnings.shift()!);
    }
    while (this.buffer.length > 0 && this.slots.count < this.options.concurrency) {
      const nowMs = this.options.clock.now();
      if (!this.turn.hasTime(nowMs)) {
        return;
      }
      this.start(this.buffer.shift()!, nowMs);
    }
  }

  private start(attempt: Attempt, nowMs: number): void {
    const { claim } = attempt;
    const older = this.slots.holderOf(claim.id);
    if (older) {
      return this.releaseAttempt(attempt, this.postponementFor(older));
    }
    if (attempt.leaseEndsMs <= nowMs) {
      // This process stood still since it asked: another one may run the job by now.
      return this.releaseAttempt(attempt);
    }
    attempt.slotSinceMs = nowMs;
    this.slots.give(attempt);
    if (isLastAttempt(claim) && attempt.abortedFor === undefined) {
      this.beginnings.note(attempt);
    } else {
      this.begin(attempt, nowMs);
    }
  }

  /** The table has taken note that it begins, which took a while. Whoever lost the lease meanwhile may own the job still. */
  private beginOrGiveBack(attempt: Attempt): void {
    const nowMs = this.options.clock.now();
    const isOver = attempt.abortedFor === 'shutdown' || attempt.abortedFor === 'lease_lost';
    if (isOver || attempt.leaseEndsMs <= nowMs) {
      this.leave(attempt);
    } else {
      this.begin(attempt, nowMs);
    }
  }

  private begin(attempt: Attempt, nowMs: number): void {
    const { registry, emit, executor } = this.options;
    const { id, topic, claim } = attempt;
    if (attempt.abortedFor === undefined) {
      const waitedMs = claim.waitedMs + nowMs - attempt.sinceMs;
      attempt.begin(nowMs);
      emit({ type: 'started', id, topic, attempt: claim.attempt, waitedMs });
    }
    executor.execute(attempt, registry.get(topic)!, this.execution);
  }

  /** How long a job waits that must not run here yet. The longer its older attempt has run, the longer that may still take. */
  private postponementFor(older: Attempt | undefined): number {
    const { postponeMs } = this;
    const durationMs = older ? this.options.clock.now() - older.slotSinceMs : 0;
    return Math.max(postponeMs, Math.min(durationMs / 10, POSTPONE_MAX * postponeMs));
  }

  /** Gives back what has a slot and has not begun. */
  private leave(attempt: Attempt, delayMs: number | null = null): void {
    this.slots.takeBack(attempt);
    this.releaseAttempt(attempt, delayMs);
  }

  /** Back to pending, of an attempt that has not begun. */
  private releaseAttempt(attempt: Attempt, delayMs: number | null = null): void {
    this.countIn(attempt.topic, -1);
    this.settle(attempt, { kind: 'release', delayMs });
  }

  private hold(claim: Claim, claimedAtMs: number, leaseEndsMs: number): Attempt {
    const attempt = new Attempt(claim, this.parts, claimedAtMs, leaseEndsMs);
    this.options.heartbeat.track(attempt);
    return attempt;
  }

  private countIn(topic: string, change: 1 | -1): void {
    this.countByTopic.set(topic, this.countOf(topic) + change);
  }

  /** Its handler may not have waited for progress, which the table refuses once it has the outcome. */
  private settleAfterProgress(attempt: Attempt, outcome: Outcome | null): void {
    if (outcome && attempt.recording) {
      this.afterProgress.set(attempt, outcome);
      void attempt.recording.then(() => this.settleAtLast(attempt));
    } else {
      this.settle(attempt, outcome);
    }
  }

  private settleAtLast(attempt: Attempt): void {
    const outcome = this.afterProgress.get(attempt);
    if (outcome && this.afterProgress.delete(attempt)) {
      this.settle(attempt, outcome);
    }
  }

  private settle(attempt: Attempt, outcome: Outcome | null): void {
    const { completer, clock } = this.options;
    // Until it returned: the next one in its slot has begun since. To the microsecond: what a clock says beyond that is noise.
    const durationMs = attempt.hasBegun
      ? Math.round(((attempt.slotUntilMs ?? clock.now()) - attempt.sinceMs) * 1_000) / 1_000
      : null;
    attempt.settle();
    const end = (answer: SettleAnswer): void => this.letGo(attempt, outcome, answer, durationMs);
    if (outcome) {
      completer.settle(attempt, outcome, durationMs, end);
    } else {
      end('lease lost');
    }
  }

  private letGo(attempt: Attempt, outcome: Outcome | null, answer: SettleAnswer, durationMs: number | null): void {
    this.options.heartbeat.untrack(attempt);
    this.options.emit(toEvent(attempt, outcome, answer, durationMs));
    if (answer !== 'lease lost' && answer.runAt) {
      this.options.wakeSignal.expect(attempt.topic, attempt.claim.priority, answer.runAt);
    }
    if (outcome?.kind === 'release' && !outcome.delayMs) {
      this.options.wakeSignal.announce([attempt.topic]);
    }
    this.onChange();
    if (this.openCount === 0) {
      this.whenSettled.splice(0).forEach((resolve) => resolve());
    }
  }
}
