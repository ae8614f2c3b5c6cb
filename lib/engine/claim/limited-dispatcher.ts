/*
 * Flow. In: topics with limits or with keyed jobs, found by the scans of claim/. Out: claimed jobs, passed to the job runner.
 * Read this file (the loop) first, then limited-topics.ts (what may be due, and what a limit holds back).
 */
import { toErrorMessage } from '../../core/error-text.js';
import type { ClaimResult, LaneScan } from '../../store/jobs/job-records.js';
import type { ClaimCapacity } from './claim-capacity.js';
import { deliverClaims } from './claimer.js';
import type { LaneIndex } from './lane-index.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import { PollLoop } from '../runtime/poll-loop.js';
import type { JobRunner } from '../run/job-runner.js';
import { HandOvers } from '../run/hand-overs.js';
import type { DueTopic } from './limited-topics.js';
import { LimitedTopics } from './limited-topics.js';

type LimitedDispatcherParts = Pick<
  EngineParts,
  'store' | 'clock' | 'logger' | 'failureLog' | 'random' | 'worker' | 'pollIntervalMs' | 'leaseMs' | 'registry'
> & {
  readonly runner: JobRunner;
  readonly lanes: LaneIndex;
  readonly capacity: ClaimCapacity;
  /** Nothing can be claimed at the moment: slots may be left, or a scan should find the next due job. */
  readonly onPassEnded: () => void;
};

/** How often old starts, which a rate does not need any more, are deleted. */
const PRUNE_INTERVAL_MS = 60_000;

/** Claims jobs of topics that have limits or keyed jobs. Its loop runs only while this process knows such a topic. */
export class LimitedDispatcher {
  readonly topics: LimitedTopics;
  private readonly handOvers: HandOvers;
  private readonly loop: PollLoop;
  private isStarted = false;
  private isClaiming = false;
  private readonly prunedAtMs = new Map<string, number>();

  constructor(private readonly parts: LimitedDispatcherParts) {
    this.topics = new LimitedTopics(parts);
    const batchWaitMs = (topic: string): number => parts.registry.get(topic)?.settings.batch?.waitMs ?? 0;
    this.handOvers = new HandOvers({ ...parts, batchWaitMs });
    this.loop = new PollLoop({
      ...parts,
      name: 'claiming jobs of limited topics',
      intervalMs: parts.pollIntervalMs,
      work: () => this.claimUntilBlocked(),
    });
  }

  start(): void {
    this.isStarted = true;
    this.startLoop();
  }

  /** Sends no more claims. Resolves when the claim in flight has ended; its jobs are released. */
  async stop(): Promise<void> {
    this.isStarted = false;
    await this.loop.stop();
  }

  /** Whether jobs may be claimed now, as far as this process knows. */
  get hasDemand(): boolean {
    const { capacity, clock } = this.parts;
    return !this.topics.isEmpty && this.topics.canClaimAny(clock.now(), (topic) => capacity.hasRoomFor(topic));
  }

  /** Whether no job is due, as far as this process knows, and no claim is in flight. */
  get isIdle(): boolean {
    return !this.isClaiming && !this.topics.isAnyDue(this.parts.clock.now());
  }

  /** Jobs may be due at `dueAtMs`, by the process's clock. */
  announce(topic: string | undefined, priority: number | undefined, dueAtMs: number): void {
    if (!this.topics.isEmpty) {
      this.topics.announce(topic, priority, dueAtMs, this.parts.lanes.version);
      this.loop.wake();
    }
  }

  /**
   * @param version in which the scan was sent.
   * @param topics those it has covered.
   */
  recordScan(scan: LaneScan, version: number, topics: readonly { readonly topic: string }[]): void {
    if (scan.keyed.length > 0 || !this.topics.isEmpty || scan.waiting.some(({ isLimited }) => isLimited)) {
      const scanned = new Set(topics.map(({ topic }) => topic));
      this.topics.recordScan(scan, this.parts.clock.now(), version, scanned);
      this.startLoop();
      this.loop.wake();
    }
  }

  /** A slot has become free, or a job of the topic has its outcome in the row. */
  onRunnerChange(topic: string, isRecorded: boolean): void {
    if (!this.topics.isEmpty) {
      if (isRecorded) {
        this.topics.onJobEnded(topic);
      }
      this.loop.wake();
    }
  }

  private startLoop(): void {
    if (this.isStarted && !this.topics.isEmpty) {
      this.loop.start();
    }
  }

  /** One pass of the loop. Returns how long to sleep. */
  private async claimUntilBlocked(): Promise<number> {
    const { clock, capacity, onPassEnded } = this.parts;
    let claims = 0;
    for (let due = this.nextDue(); due; due = this.nextDue()) {
      await this.claim(due);
      claims += 1;
    }
    if (claims > 0) {
      onPassEnded();
    }
    return this.topics.sleepMs(clock.now(), (topic) => capacity.isBlocked(topic));
  }

  /** The first topic for which this process has capacity. */
  private nextDue(): (DueTopic & { readonly limit: number; readonly slots: number }) | undefined {
    if (!this.isStarted) {
      return undefined;
    }
    for (const due of this.topics.due(this.parts.clock.now())) {
      const capacity = this.parts.capacity.limitedCapacity(due.topic);
      if (capacity.limit > 0) {
        return { ...due, ...capacity };
      }
    }
    return undefined;
  }

  private async claim(due: DueTopic & { readonly limit: number; readonly slots: number }): Promise<void> {
    const { store, clock, lanes, capacity, leaseMs, worker } = this.parts;
    const { topic, priorities, hasKeyed, limit, slots } = due;
    const lane = { topic, priority: priorities[0]!, lowerBound: null, limit };
    const reserved = { from: 'lanes' as const, lanes: [lane], limit, slots, leaseMs, worker };
    const sentMs = clock.now();
    const { version } = lanes;
    capacity.reserve(reserved);
    capacity.recordTurn('limited');
    this.topics.recordSend(topic);
    this.isClaiming = true;
    try {
      const handOverMs = this.handOvers.next(topic);
      const request = { from: 'topic' as const, topic, priorities, hasKeyed, limit, leaseMs, worker, handOverMs };
      const claim = await store.claim(request).finally(() => capacity.release(reserved));
      const counted = claim.start ? this.handOvers.count(topic, claim.start, sentMs, handOverMs) : undefined;
      const times = { claimedAtMs: clock.now(), leaseEndsMs: sentMs + leaseMs, counted };
      deliverClaims(this.parts, [...claim.claims], times, this.isStarted);
      if (this.topics.recordClaim(due, limit, claim, clock.now(), version)) {
        lanes.invalidate();
      }
      this.loop.markHealthy();
      void this.pruneStarts(topic, claim);
    } finally {
      this.isClaiming = false;
    }
  }

  private async pruneStarts(topic: string, { rateInMs }: ClaimResult): Promise<void> {
    const { store, clock, logger } = this.parts;
    if (rateInMs === undefined || clock.now() - (this.prunedAtMs.get(topic) ?? -Infinity) < PRUNE_INTERVAL_MS) {
      return;
    }
    this.prunedAtMs.set(topic, clock.now());
    try {
      if (await store.limits.pruneStarts(topic)) {
        // The next claim deletes others.
        this.prunedAtMs.delete(topic);
      }
    } catch (error) {
      logger.debug(`old starts of '${topic}' were not deleted: ${toErrorMessage(error)}`);
    }
  }
}
