import type { EngineParts } from '../runtime/engine-parts.js';
import type { WakeListener } from '../runtime/wake-signal.js';
import type { JobRunner } from '../run/job-runner.js';
import { HandOvers } from '../run/hand-overs.js';
import type { DefinitionDeclarer } from '../topics/definition-declarer.js';
import type { OneWorkerHint } from '../../store/runtime/store-hints.js';
import type { LaneScan } from '../../store/jobs/job-records.js';
import type { TopicCapacity } from './claim-capacity.js';
import { ClaimCapacity } from './claim-capacity.js';
import type { ClaimArrival } from './claim-loop.js';
import { ClaimLoop } from './claim-loop.js';
import { LaneIndex } from './lane-index.js';
import { LaneScanner } from './lane-scanner.js';
import { LaneSource } from './lane-source.js';
import { OverflowNotifier } from './overflow-notifier.js';
import { TopicSource, TopicSources } from './topic-source.js';

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

/** How long a job that was announced to another process may wait before this process looks for it. */
const CHECK_MS = 100;

/** Tells the claim loop what happens outside of it: wake-ups, notifications, pauses, the ends of jobs. */
export class Dispatcher implements WakeListener {
  /** Whether it has ever been started. */
  hasStarted = false;

  private readonly loop: ClaimLoop;
  private readonly index = new LaneIndex();
  private readonly capacity: ClaimCapacity;
  private readonly topics: TopicSources;
  private readonly scanner: LaneScanner;
  private readonly lanes: LaneSource;
  private readonly overflow: OverflowNotifier;
  private readonly handOvers: HandOvers;
  private idleWaiters: (() => void)[] = [];

  constructor(private readonly options: DispatcherParts) {
    const { index, options: parts } = this;
    const batchWaitMs = (topic: string): number => parts.registry.get(topic)?.settings.batch?.waitMs ?? 0;
    const handOvers = (this.handOvers = new HandOvers({ ...parts, batchWaitMs }));
    const topics = (this.topics = new TopicSources(
      (topic) => new TopicSource(topic, { ...parts, capacity: this.capacity, lanes: index, handOvers }),
    ));
    const capacity = (this.capacity = new ClaimCapacity({ ...parts, limited: topics.byTopic }));
    const scanner = (this.scanner = new LaneScanner({
      ...parts,
      lanes: index,
      capacity,
      onFound: (scan, version, scanned) => this.onFound(scan, version, scanned),
      onScanned: () => this.loop.onScanned(),
      onLateJobs: () => this.loop.wake(),
    }));
    this.lanes = new LaneSource({ ...parts, lanes: index, capacity, scanner });
    this.overflow = new OverflowNotifier({ ...parts, overflows: (topic) => this.isOverflowing(topic) });
    this.loop = new ClaimLoop({
      ...parts,
      capacity,
      scanner,
      lanes: this.lanes,
      topics: topics.byTopic,
      deliver: (arrival) => this.deliver(arrival),
      onDeclared: () => index.invalidate(),
      isWatched: () => this.idleWaiters.length > 0,
      onPass: () => this.overflow.notify(),
      onBlocked: (isDrained) => this.onBlocked(isDrained),
    });
    parts.wakeSignal.listen(this);
    parts.runner.onChange((topic, isRecorded) => this.loop.onFreed(topic, isRecorded));
  }

  start(): void {
    this.hasStarted = true;
    if (!this.loop.isStarted) {
      this.options.declarer.start();
      this.scanner.start();
      this.loop.start();
      // Notifications from before the start were not received.
      this.wake();
    }
  }

  /** Sends no more claims, and releases buffered jobs. Resolves when the claims in flight have ended; their jobs are released. */
  async stop(): Promise<void> {
    if (this.loop.isStarted) {
      this.logRunningHandlers();
    }
    const stopped = this.loop.stop();
    this.options.runner.releaseUnstarted();
    await stopped;
    await this.scanner.idle();
    // `start` may have been called since.
    if (!this.loop.isStarted) {
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
    this.index.markDue(topic, priority, dueAt);
    this.topics.announce(topic, priority, this.options.clock.now(), this.index.version);
    this.loop.wake();
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
    return this.loop.isStarted && this.capacity.hasSlotsFor(topics) && !topics.some((topic) => this.isDue(topic));
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
      this.index.expect(topic, priority, dueAt);
      this.loop.wake();
    }
  }

  /** Records that this process paused or resumed the topic. A claim from a paused topic would mark its lanes as empty. */
  recordPause(topic: string, isPaused: boolean): void {
    if (this.hasHandler(topic)) {
      this.index.recordPause(topic, isPaused);
    }
  }

  /** Resolves when no job is due for this process and none runs in it. */
  idle(): Promise<void> {
    if (!this.loop.isStarted) {
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
    const topics = this.loop.isStarted ? this.capacity.topics(this.options.concurrency) : [];
    if (topics.length === 0) {
      return [];
    }
    return toDueTopics(await this.options.store.scan(this.index.gaps(topics), this.index.starts(topics, 'full')));
  }

  private onFound(scan: LaneScan, version: number, topics: readonly TopicCapacity[]): void {
    this.topics.recordScan(scan, this.options.clock.now(), version, new Set(topics.map(({ topic }) => topic)));
    if (this.options.liveWorkers.otherCount > 0) {
      const full = toDueTopics(scan).filter((topic) => !this.capacity.hasSlotsFor([topic]));
      // The pass after the scan notifies the others.
      full.forEach((topic) => this.overflow.addFound(topic));
    }
  }

  /** Sorts claims, most urgent first, and passes them to the runner. After a stop it releases them. */
  private deliver({ sent, claims, start, nowMs, isStarted }: ClaimArrival): void {
    const { runner, leaseMs } = this.options;
    const { request, sentMs } = sent;
    const leaseEndsMs = sentMs + leaseMs;
    const counted =
      start && request.from === 'topic'
        ? this.handOvers.count(request.topic, start, sentMs, request.handOverMs)
        : undefined;
    claims.sort((a, b) => a.priority - b.priority || a.runAt.getTime() - b.runAt.getTime() || (a.id < b.id ? -1 : 1));
    for (const claim of claims) {
      this.capacity.recordPayloadLength(claim.payloadLength);
      if (isStarted) {
        runner.accept(claim, nowMs, leaseEndsMs, counted);
      } else {
        runner.release(claim, nowMs, leaseEndsMs, counted);
      }
    }
  }

  /** Whether jobs of the topic are due, as far as this process knows. */
  private isDue(topic: string): boolean {
    const nowMs = this.options.clock.now();
    const source = this.topics.byTopic.get(topic);
    return source ? source.dueAtMs <= nowMs : this.index.isAnyDue([{ topic }], nowMs);
  }

  private isOverflowing(topic: string): boolean {
    return this.isDue(topic) && (this.lanes.isBacklogged || !this.capacity.hasSlotsFor([topic]));
  }

  /** Lanes of topics without a handler here are not kept: the index would grow with every topic that is enqueued. */
  private hasHandler(topic: string): boolean {
    return this.options.registry.get(topic) !== undefined;
  }

  private logRunningHandlers(): void {
    const { runner, logger, shutdownTimeoutMs } = this.options;
    if (runner.slotCount > 0) {
      const running = [...runner.workByTopic()].filter(([, work]) => work.running > 0);
      const topics = running.map(([topic, work]) => `'${topic}' (${work.running})`).join(', ');
      logger.log(`stopping; waiting up to ${shutdownTimeoutMs} ms for running handlers: ${topics}`);
    }
  }

  private onBlocked(isDrained: boolean): void {
    if (isDrained) {
      this.overflow.clear((topic) => this.isDue(topic));
    }
    if (this.idleWaiters.length > 0 && this.isQuiet) {
      this.resolveIdle();
    }
  }

  private get isQuiet(): boolean {
    const { runner, clock } = this.options;
    const nowMs = clock.now();
    return (
      runner.slotCount === 0 &&
      runner.unsettledCount === 0 &&
      this.loop.isQuiet &&
      ![...this.topics.byTopic.values()].some(({ dueAtMs }) => dueAtMs <= nowMs) &&
      !this.lanes.isAnyDue(nowMs)
    );
  }

  private resolveIdle(): void {
    this.idleWaiters.splice(0).forEach((resolve) => resolve());
  }
}

/** Returns the topics in which a scan has found a due job that is not paused. */
function toDueTopics({ waiting, keyed }: LaneScan): string[] {
  const due = [...waiting, ...keyed].filter(({ dueInMs, isPaused }) => dueInMs <= 0 && !isPaused);
  return [...new Set(due.map(({ topic }) => topic))];
}
