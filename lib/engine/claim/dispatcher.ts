/*
 * Claim. In: wake-ups, from notifications, local enqueues and polls. Out: claimed jobs, passed to the job runner.
 * Read the dispatcher (the loop) first, then claimer (one claim), claim-capacity and prefetch (how many jobs), lane-index (which
 * lanes may have due jobs), lane-scanner and scan-cost (finding unknown lanes and late jobs), live-workers and overflow-notifier (which
 * process wakes).
 */
import type { BackoffBounds } from '../../core/backoff.js';
import { backoffMs } from '../../core/backoff.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import { PollLoop } from '../runtime/poll-loop.js';
import type { JobRunner } from '../run/job-runner.js';
import type { DefinitionDeclarer } from '../topics/definition-declarer.js';
import type { OneWorkerHint } from '../../store/runtime/store-hints.js';
import type { WakeListener } from '../runtime/wake-signal.js';
import type { LaneScan } from '../../store/jobs/job-records.js';
import { LimitedDispatcher } from './limited-dispatcher.js';
import type { TopicCapacity } from './claim-capacity.js';
import { ClaimCapacity } from './claim-capacity.js';
import { Claimer } from './claimer.js';
import { LaneIndex } from './lane-index.js';
import { LaneScanner } from './lane-scanner.js';
import { OverflowNotifier } from './overflow-notifier.js';

type DispatcherParts = Pick<
  EngineParts,
  | 'store'
  | 'clock'
  | 'logger'
  | 'failureLog'
  | 'random'
  | 'worker'
  | 'registry'
  | 'wakeSignal'
  | 'concurrency'
  | 'pollIntervalMs'
  | 'leaseMs'
  | 'shutdownTimeoutMs'
  | 'decoder'
  | 'liveWorkers'
> & { readonly runner: JobRunner; readonly declarer: DefinitionDeclarer };

/** Pauses between claims that return nothing because other transactions lock the due rows. */
const LOCKED_PAUSES: BackoffBounds = { minMs: 20, maxMs: 200 };

/** How long a job that was announced to another process may wait before this process looks for it. */
const CHECK_MS = 100;

/** Claims due jobs while there is capacity, scans for unknown lanes, and sleeps until the next job is due or announced. */
export class Dispatcher implements WakeListener {
  /** Whether it has ever been started. */
  hasStarted = false;

  private readonly loop: PollLoop;
  private readonly lanes = new LaneIndex();
  private readonly capacity: ClaimCapacity;
  private readonly limited: LimitedDispatcher;
  private readonly scanner: LaneScanner;
  private readonly claimer: Claimer;
  private readonly overflow: OverflowNotifier;
  private idleWaiters: (() => void)[] = [];
  /** Whether something was announced, or capacity became free, since the last claim was sent. */
  private hasNews = false;
  /** How many claims in a row returned nothing although jobs are due: other transactions lock them. */
  private emptyClaims = 0;
  /** Resolves the promise on which `scanBeforeSleep` waits. */
  private endWait: () => void = () => undefined;

  constructor(private readonly options: DispatcherParts) {
    this.loop = new PollLoop({
      ...options,
      name: 'claiming jobs',
      intervalMs: options.pollIntervalMs,
      work: () => this.claimUntilIdle(),
    });
    const { lanes } = this;
    this.capacity = new ClaimCapacity({
      ...options,
      isLimited: (topic) => this.limited.topics.has(topic),
      hasLimitedDemand: () => this.limited.hasDemand,
      hasOrdinaryDemand: () => this.hasOrdinaryDemand(),
    });
    const { capacity } = this;
    this.limited = new LimitedDispatcher({ ...options, lanes, capacity, onPassEnded: () => this.wakeLoop() });
    this.scanner = new LaneScanner({
      ...options,
      lanes,
      capacity,
      onFound: (scan, version, topics) => this.onFound(scan, version, topics),
      onScanned: () => this.endWait(),
      onLateJobs: () => this.wakeLoop(),
    });
    this.claimer = new Claimer({ ...options, lanes, capacity, startMode: () => this.scanner.mode });
    this.overflow = new OverflowNotifier({ ...options, overflows: (topic) => this.isOverflowing(topic) });
    options.wakeSignal.listen(this);
    options.runner.onChange((topic, isRecorded) => {
      this.limited.onRunnerChange(topic, isRecorded);
      this.claimer.pipelineClaims();
      if (this.capacity.lacksCapacity || this.idleWaiters.length > 0) {
        this.wakeLoop();
      }
    });
  }

  start(): void {
    this.hasStarted = true;
    if (!this.isStarted) {
      this.options.declarer.start();
      this.claimer.start();
      this.scanner.start();
      this.limited.start();
      // Notifications from before the start were not received.
      this.wake();
    }
    this.loop.start();
  }

  /** Sends no more claims, and releases buffered jobs. Resolves when the claims in flight have ended; their jobs are released. */
  async stop(): Promise<void> {
    if (this.isStarted) {
      this.claimer.stop();
      this.logRunningHandlers();
    }
    const stopped = this.limited.stop();
    this.options.runner.releaseUnstarted();
    await this.loop.stop();
    await stopped;
    await this.claimer.idle();
    await this.scanner.idle();
    // `start` may have been called since.
    if (!this.isStarted) {
      this.resolveIdle();
    }
  }

  /**
   * Jobs may be due. With topic and priority: in that lane, and `dueAt` is the time of the first, if known. With a topic: in all
   * its lanes. Without: anywhere.
   */
  wake(topic?: string, priority?: number, dueAt?: Date): void {
    if (topic !== undefined && !this.hasHandler(topic)) {
      return;
    }
    if (priority === undefined) {
      this.scanner.recordHint();
    }
    if (topic !== undefined) {
      this.overflow.add(topic);
    }
    this.lanes.markDue(topic, priority, dueAt);
    this.limited.announce(topic, priority, this.options.clock.now());
    this.wakeLoop();
  }

  /** Other processes have announced jobs: to one process, or without `hint` to all. */
  onHint(topic: string | undefined, hint: OneWorkerHint | undefined): void {
    if (topic === undefined || !hint) {
      this.wake(topic);
      if (topic !== undefined) {
        this.overflow.recordNotified(topic);
      }
      return;
    }
    const rank = this.hasHandler(topic) ? this.options.liveWorkers.rank(topic, hint) : undefined;
    if (rank === 0) {
      this.wake(topic);
    } else if (rank === 1 && this.scanner.checkWithin(CHECK_MS)) {
      this.loop.wake();
    }
  }

  canClaim(topics: readonly string[]): boolean {
    return this.isStarted && this.capacity.hasSlotsFor(topics) && !topics.some((topic) => this.isDue(topic));
  }

  /** The list of live processes has changed, and with it the time of the next poll. */
  onWorkersChanged(): void {
    this.loop.wake();
  }

  /** A topic has a handler now. Its jobs are claimed after its limits are written. */
  addTopic(topic: string): void {
    this.options.declarer.add(topic);
    this.wake(topic);
  }

  /** A job may be due at `dueAt`: a scan finds out. */
  scanAt(topic: string, priority: number, dueAt: Date, isUncertain = false): void {
    if (this.hasHandler(topic)) {
      if (isUncertain) {
        this.scanner.recordUncertainInsert();
      }
      this.lanes.expect(topic, priority, dueAt);
      this.wakeLoop();
    }
  }

  /** Records that this process paused or resumed the topic. A claim from a paused topic would mark its lanes as empty. */
  recordPause(topic: string, isPaused: boolean): void {
    if (this.hasHandler(topic)) {
      this.lanes.recordPause(topic, isPaused);
    }
  }

  /** Resolves when no job is due for this process and none runs in it. */
  idle(): Promise<void> {
    if (!this.isStarted) {
      return Promise.resolve();
    }
    this.scanner.forceFullScans();
    this.wake();
    return new Promise((resolve) => this.idleWaiters.push(resolve));
  }

  isStuck(limitMs: number): boolean {
    return this.loop.isStuck(limitMs);
  }

  /** The topics of this process with due jobs that it could claim. */
  async dueTopics(): Promise<string[]> {
    const topics = this.isStarted ? this.capacity.topics(this.options.concurrency) : [];
    if (topics.length === 0) {
      return [];
    }
    const { waiting, keyed } = await this.options.store.scan(
      this.lanes.gaps(topics),
      this.lanes.starts(topics, 'full'),
    );
    const due = [...waiting, ...keyed].filter(({ dueInMs, isPaused }) => dueInMs <= 0 && !isPaused);
    return [...new Set(due.map(({ topic }) => topic))];
  }

  /** One pass of the loop. Returns how long to sleep; `undefined` for the poll interval. */
  private async claimUntilIdle(): Promise<number | void> {
    const { claimer, scanner } = this;
    const { declarer, pollIntervalMs } = this.options;
    while (this.isStarted) {
      if (declarer.isPending) {
        await declarer.write();
        // A scan from before has left out the topics that were not written.
        this.lanes.invalidate();
      }
      if (scanner.mustScanFirst) {
        await scanner.scan();
        continue;
      }
      scanner.throwFailure();
      this.hasNews = false;
      const result = await claimer.claim();
      if (scanner.isHealthy) {
        // Under constant load the pass does not end, so its end cannot report the recovery.
        this.loop.markHealthy();
      }
      const notifyInMs = this.overflow.notify();
      if (result === 'no capacity') {
        this.scanWithoutCapacity();
        this.checkIdle();
        return Math.min(pollIntervalMs, notifyInMs, Math.max(1, scanner.nextTurnInMs));
      }
      if (result !== 'no jobs') {
        this.emptyClaims = 0;
      }
      if (result === 'continue' || claimer.isBusy) {
        if (scanner.isOverdue) {
          void scanner.scan();
        }
        continue;
      }
      const sleepMs = await this.scanBeforeSleep(result === 'no jobs');
      if (sleepMs > 0) {
        this.overflow.clear((topic) => this.isDue(topic));
        return Math.min(sleepMs, notifyInMs);
      }
    }
  }

  /** Scans unless the last scan is still valid. Returns how long to sleep; 0 to claim again at once. */
  private async scanBeforeSleep(gotNoJobs: boolean): Promise<number> {
    const { claimer, scanner } = this;
    if (this.idleWaiters.length > 0 || scanner.scanValidForMs() === 0) {
      // Started even when there is news: otherwise a constant stream of notifications would prevent every scan.
      void scanner.scan();
      if (!this.hasNews) {
        await new Promise<void>((resolve) => (this.endWait = resolve));
      }
      if (scanner.isScanning) {
        // News ended the wait.
        return 0;
      }
      if (gotNoJobs && !scanner.hasFoundLanes && claimer.isAnyDue()) {
        // Jobs are due but locked.
        return this.lockedPauseMs();
      }
    }
    this.emptyClaims = 0;
    const scanValidForMs = scanner.scanValidForMs();
    if (scanValidForMs > 0) {
      this.checkIdle();
    }
    return scanValidForMs;
  }

  /**
   * Jobs of limited topics may take every slot, and a lane or topic that this process does not know may be more urgent. In its turn this
   * process polls for the others, which may have free slots.
   */
  private scanWithoutCapacity(): void {
    const { limited, scanner } = this;
    if ((!limited.topics.isEmpty && scanner.isOverdue) || scanner.nextTurnInMs <= 0) {
      void scanner.scan();
    }
  }

  private onFound(scan: LaneScan, version: number, topics: readonly TopicCapacity[]): void {
    this.limited.recordScan(scan, version, topics);
    if (this.options.liveWorkers.otherCount > 0) {
      const due = [...scan.waiting, ...scan.keyed].filter(({ dueInMs, isPaused }) => dueInMs <= 0 && !isPaused);
      const full = [...new Set(due.map(({ topic }) => topic))].filter((topic) => !this.capacity.hasSlotsFor([topic]));
      if (full.filter((topic) => this.overflow.addFound(topic)).length > 0) {
        this.loop.wake();
      }
    }
  }

  private lockedPauseMs(): number {
    const { pollIntervalMs, random } = this.options;
    const pauseMs = backoffMs(this.emptyClaims, LOCKED_PAUSES, random());
    this.emptyClaims += 1;
    // A job that becomes due in another lane does not wait for the end of the pause.
    return Math.min(pauseMs, pollIntervalMs, this.scanner.nextDueInMs());
  }

  /** There may be jobs to claim: ends a wait or a sleep of the loop. */
  private wakeLoop(): void {
    this.hasNews = true;
    this.endWait();
    this.loop.wake();
  }

  /** Whether jobs of the topic are due, as far as this process knows. */
  private isDue(topic: string): boolean {
    const nowMs = this.options.clock.now();
    return this.limited.topics.has(topic)
      ? this.limited.topics.isAnyDue(nowMs)
      : this.lanes.isAnyDue([{ topic }], nowMs);
  }

  private isOverflowing(topic: string): boolean {
    return this.isDue(topic) && (this.claimer.isBacklogged || !this.capacity.hasSlotsFor([topic]));
  }

  private hasOrdinaryDemand(): boolean {
    const topics = this.capacity
      .topics(Infinity)
      .filter(({ topic, available }) => available > 0 && !this.limited.topics.has(topic));
    return this.lanes.isAnyDue(topics, this.options.clock.now());
  }

  /** Lanes of topics without a handler here are not kept: the index would grow with every topic that is enqueued. */
  private hasHandler(topic: string): boolean {
    return this.options.registry.get(topic) !== undefined;
  }

  private get isStarted(): boolean {
    return this.claimer.isStarted;
  }

  private logRunningHandlers(): void {
    const { runner, logger, shutdownTimeoutMs } = this.options;
    if (runner.slotCount > 0) {
      const running = [...runner.workByTopic()].filter(([, work]) => work.running > 0);
      const topics = running.map(([topic, work]) => `'${topic}' (${work.running})`).join(', ');
      logger.log(`stopping; waiting up to ${shutdownTimeoutMs} ms for running handlers: ${topics}`);
    }
  }

  private checkIdle(): void {
    const { runner } = this.options;
    const isQuiet =
      runner.slotCount === 0 && runner.unsettledCount === 0 && !this.claimer.isBusy && this.limited.isIdle;
    if (isQuiet && !this.claimer.isAnyDue()) {
      this.resolveIdle();
    }
  }

  private resolveIdle(): void {
    this.idleWaiters.splice(0).forEach((resolve) => resolve());
  }
}
