import type { BackoffBounds } from '../../core/backoff.js';
import { backoffMs } from '../../core/backoff.js';
import { toErrorMessage } from '../../core/error-text.js';
import type { ClaimResult, LaneScan, TopicClaimRequest, WaitingLane } from '../../store/jobs/job-records.js';
import type { HandOvers } from '../run/hand-overs.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { ClaimCapacity, SlotRequest, SlotShare } from './claim-capacity.js';
import type { ClaimSource, SentClaim } from './claim-loop.js';
import type { LaneIndex } from './lane-index.js';

export interface TopicSourceParts extends Pick<
  EngineParts,
  'store' | 'logger' | 'random' | 'leaseMs' | 'worker' | 'pollIntervalMs'
> {
  readonly capacity: ClaimCapacity;
  readonly lanes: LaneIndex;
  readonly handOvers: HandOvers;
}

/** A lane of the topic: when its first job is due, and the version in which that became known. */
interface TopicLane {
  dueAtMs: number;
  version: number;
}

/** A claim of the topic that was sent. */
interface SentTopicClaim extends SentClaim {
  readonly request: SlotRequest & TopicClaimRequest;
  readonly version: number;
  /** Whether jobs of less urgent priorities are due too. */
  readonly hasMorePriorities: boolean;
}

/** Another process claims from the topic: it needs less than this. */
const LOCKED_MIN_MS = 5;
const LOCKED_MAX_MS = 20;
/** Other transactions lock the due rows. */
const EMPTY_PAUSES: BackoffBounds = { minMs: 20, maxMs: 200 };
/** The walk of a claim ends early when it finds many full keys. After this many such claims the next one waits for the poll. */
const CUTS_MAX = 64;
/** Priorities in one claim. Each costs the database a walk over its keys. */
const PRIORITIES_MAX = 16;
/** A claim that new jobs cause starts this long after the last one that found full keys: each walks over these keys again. */
const NEWS_PAUSE_MS = 20;
/** How often old starts, which a rate does not need any more, are deleted. */
const PRUNE_INTERVAL_MS = 60_000;

/**
 * A topic with limits or keyed jobs, as a source of claims: which of its jobs may be due, and what holds them back.
 *
 * Versions are those of the lane index: a result says nothing about what was announced after its request was sent.
 */
export class TopicSource implements ClaimSource {
  readonly name: string;
  served = 0;
  inFlight = 0;
  failures = 0;
  pausedUntilMs = -Infinity;
  private readonly lanes = new Map<number, TopicLane>();
  private hasKeyed = false;
  private isPaused = false;
  /** No claim before this time, because of what the last one has found. */
  private heldUntilMs = -Infinity;
  /** When the last claim returned. */
  private claimedAtMs = -Infinity;
  /** The next claim asks for jobs of this priority and less urgent ones: more urgent ones may not start now. */
  private fromPriority = -Infinity;
  /** Whether a claim of more urgent jobs has found full keys. */
  private hasFullKeys = false;
  /** Whether the end of one of its jobs here ends the hold: a limit holds its jobs back. */
  private isFull = false;
  /** What has happened since the last claim was sent. Its result does not know of that, so it must not hold the topic for long. */
  private news = noNews();
  /** Claims in a row that returned nothing, although jobs were due and no limit held them back. */
  private emptyClaims = 0;
  /** Claims in a row that returned nothing and did not look at every key. */
  private cuts = 0;
  private prunedAtMs = -Infinity;

  constructor(
    private readonly topic: string,
    private readonly parts: TopicSourceParts,
  ) {
    this.name = `claiming jobs of '${topic}'`;
  }

  /** No claim before this time. */
  get blockedUntilMs(): number {
    return Math.max(this.heldUntilMs, this.pausedUntilMs);
  }

  /** When its first job is due, as far as this process knows. */
  get dueAtMs(): number {
    let dueAtMs = Infinity;
    if (!this.isPaused) {
      this.lanes.forEach((lane) => (dueAtMs = Math.min(dueAtMs, lane.dueAtMs)));
    }
    return dueAtMs;
  }

  /** Whether this process could run another of its jobs if a slot were free. */
  get hasRoom(): boolean {
    return this.parts.capacity.hasRoomFor(this.topic);
  }

  wants(nowMs: number): boolean {
    return this.inFlight === 0 && this.blockedUntilMs <= nowMs && this.dueAtMs <= nowMs && this.hasRoom;
  }

  /** A job is or will be due at `dueAtMs`. Without a priority the limits of the topic may have changed too. */
  announce(priority: number | undefined, dueAtMs: number, version: number): void {
    for (const one of priority === undefined ? this.lanes.keys() : [priority]) {
      this.lanes.set(one, { dueAtMs: Math.min(dueAtMs, this.lanes.get(one)?.dueAtMs ?? Infinity), version });
    }
    this.fromPriority = Math.min(this.fromPriority, priority ?? -Infinity);
    this.news.hasNewJobs = true;
    this.news.isHinted ||= priority === undefined;
    if (priority === undefined || this.hasFullKeys) {
      this.heldUntilMs = Math.min(this.heldUntilMs, this.claimedAtMs + NEWS_PAUSE_MS);
    }
  }

  /** A job of the topic has its outcome in the row: it made room for another. */
  recordEnd(): void {
    this.news.hasJobEnded = true;
    this.heldUntilMs = this.isFull ? -Infinity : this.heldUntilMs;
  }

  /** A scan has found these lanes of the topic, and no others. */
  recordScan(found: readonly WaitingLane[] = [], hasKeyed: boolean, nowMs: number, version: number): void {
    for (const [priority, lane] of this.lanes) {
      if (lane.version <= version) {
        this.lanes.delete(priority);
      }
    }
    for (const { priority, dueInMs } of found) {
      const known = this.lanes.get(priority);
      const dueAtMs = Math.min(nowMs + dueInMs, known?.dueAtMs ?? Infinity);
      this.lanes.set(priority, { dueAtMs, version: Math.max(version, known?.version ?? 0) });
    }
    this.isPaused = found.some((lane) => lane.isPaused);
    this.hasKeyed ||= hasKeyed;
  }

  request(share: SlotShare, nowMs: number): SentTopicClaim | undefined {
    const { capacity, handOvers, leaseMs, worker, lanes } = this.parts;
    const { topic, hasKeyed } = this;
    const size = capacity.capacityWithin(topic, share.slots);
    if (size.limit <= 0) {
      return undefined;
    }
    const due = [...this.lanes].filter(([, { dueAtMs }]) => dueAtMs <= nowMs).map(([priority]) => priority);
    const rest = due.filter((priority) => priority >= this.fromPriority);
    const all = (rest.length > 0 ? rest : due).sort((a, b) => a - b);
    const priorities = all.slice(0, PRIORITIES_MAX);
    const handOverMs = handOvers.next(topic);
    this.news = noNews();
    return {
      request: { from: 'topic', topic, priorities, hasKeyed, ...size, leaseMs, worker, handOverMs },
      sentMs: nowMs,
      version: lanes.version,
      hasMorePriorities: all.length > PRIORITIES_MAX,
    };
  }

  record(sent: SentTopicClaim, result: ClaimResult, nowMs: number): void {
    const { capacity, lanes } = this.parts;
    const { request, version } = sent;
    capacity.recordResult(request, undefined);
    const hasClaims = result.claims.length > 0;
    this.claimedAtMs = nowMs;
    this.isFull = false;
    this.emptyClaims = hasClaims ? 0 : this.emptyClaims;
    this.cuts = hasClaims || result.rest !== 'cut' ? 0 : this.cuts + 1;
    const isContinued = this.continueWithLessUrgent(sent, result);
    this.heldUntilMs = isContinued ? -Infinity : nowMs + this.pauseAfter(result);
    if (result.rest === 'none') {
      this.markEmpty(request.priorities, version);
    }
    if (result.rest === 'unlimited' || (result.rest === 'none' && !isContinued && !this.hasFullKeys)) {
      // A scan should find the next due job.
      lanes.invalidate();
    }
    if (result.rateInMs !== undefined && nowMs - this.prunedAtMs >= PRUNE_INTERVAL_MS) {
      this.prunedAtMs = nowMs;
      void this.pruneStarts();
    }
  }

  /** The lanes had no due job when the claim was sent. Later news is kept. */
  private markEmpty(priorities: readonly number[], version: number): void {
    for (const priority of priorities) {
      const lane = this.lanes.get(priority);
      if (lane && lane.version <= version) {
        lane.dueAtMs = Infinity;
      }
    }
  }

  recordFailure({ request }: SentTopicClaim): void {
    this.parts.capacity.recordResult(request, undefined);
  }

  /** Deletes old starts. If there may be others, the next claim deletes them. */
  private async pruneStarts(): Promise<void> {
    const { store, logger } = this.parts;
    try {
      if (await store.limits.pruneStarts(this.topic)) {
        this.prunedAtMs = -Infinity;
      }
    } catch (error) {
      logger.debug(`old starts of '${this.topic}' were not deleted: ${toErrorMessage(error)}`);
    }
  }

  /** How long the next claim waits. */
  private pauseAfter({ claims, rest, held, rateInMs }: ClaimResult): number {
    const { pollIntervalMs, random } = this.parts;
    if (held === 'lock') {
      return LOCKED_MIN_MS + random() * (LOCKED_MAX_MS - LOCKED_MIN_MS);
    }
    if (rest === 'cut' && this.cuts < CUTS_MAX) {
      return 0;
    }
    if (held !== undefined || rest === 'cut' || this.hasFullKeys) {
      this.isFull = true;
      return Math.min(pollIntervalMs, rateInMs ?? Infinity, this.newsPauseMs);
    }
    if (claims.length > 0) {
      return 0;
    }
    this.emptyClaims += 1;
    return this.emptyClaims === 1 ? 0 : Math.min(pollIntervalMs, backoffMs(this.emptyClaims, EMPTY_PAUSES, random()));
  }

  /** How long a full topic waits at most, because of what happened while its claim was in flight. */
  private get newsPauseMs(): number {
    const { hasJobEnded, isHinted, hasNewJobs } = this.news;
    if (hasJobEnded) {
      return 0;
    }
    return isHinted || (hasNewJobs && this.hasFullKeys) ? NEWS_PAUSE_MS : Infinity;
  }

  /** @returns whether the next claim asks for less urgent jobs, since no more urgent ones may start. */
  private continueWithLessUrgent(sent: SentTopicClaim, { claims, rest, held }: ClaimResult): boolean {
    const { priorities, limit } = sent.request;
    if (held === 'lock' || rest === 'cut') {
      this.hasFullKeys ||= held === 'key';
      return false;
    }
    const isTopicFull = claims.length >= limit || held === 'concurrency' || held === 'rate';
    const isFirst = this.fromPriority === -Infinity;
    this.hasFullKeys = !isTopicFull && ((this.hasFullKeys && !isFirst) || held === 'key');
    const isContinued = !isTopicFull && sent.hasMorePriorities;
    this.fromPriority = isContinued ? priorities.at(-1)! + 1 : -Infinity;
    return isContinued;
  }
}

/** The topics that this process knows to have limits or keyed jobs. */
export class TopicSources {
  readonly byTopic = new Map<string, TopicSource>();

  constructor(private readonly create: (topic: string) => TopicSource) {}

  /** Without a topic, jobs of any of them may be due. */
  announce(topic: string | undefined, priority: number | undefined, dueAtMs: number, version: number): void {
    if (topic === undefined) {
      this.byTopic.forEach((source) => source.announce(priority, dueAtMs, version));
    } else {
      this.byTopic.get(topic)?.announce(priority, dueAtMs, version);
    }
  }

  /** @param scanned the topics that the scan has covered. It says nothing about others, whose limits are not written yet. */
  recordScan(
    { waiting, keyed }: Pick<LaneScan, 'waiting' | 'keyed'>,
    nowMs: number,
    version: number,
    scanned: ReadonlySet<string>,
  ): void {
    if (this.byTopic.size === 0 && keyed.length === 0 && !waiting.some(({ isLimited }) => isLimited)) {
      return;
    }
    const keyedTopics = new Set(keyed.map(({ topic }) => topic));
    const limited = new Set(keyedTopics);
    waiting.filter(({ isLimited }) => isLimited).forEach(({ topic }) => limited.add(topic));
    for (const { topic, isPaused } of waiting) {
      if (!isPaused && !limited.has(topic)) {
        this.byTopic.delete(topic);
      }
    }
    for (const topic of limited) {
      if (scanned.has(topic) && !this.byTopic.has(topic)) {
        this.byTopic.set(topic, this.create(topic));
      }
    }
    const lanes = groupByTopic([...waiting, ...keyed]);
    for (const [topic, source] of this.byTopic) {
      if (scanned.has(topic)) {
        source.recordScan(lanes.get(topic), keyedTopics.has(topic), nowMs, version);
      }
    }
  }
}

function groupByTopic(lanes: readonly WaitingLane[]): ReadonlyMap<string, readonly WaitingLane[]> {
  const byTopic = new Map<string, WaitingLane[]>();
  for (const lane of lanes) {
    const found = byTopic.get(lane.topic);
    if (found) {
      found.push(lane);
    } else {
      byTopic.set(lane.topic, [lane]);
    }
  }
  return byTopic;
}

function noNews(): { hasJobEnded: boolean; isHinted: boolean; hasNewJobs: boolean } {
  return { hasJobEnded: false, isHinted: false, hasNewJobs: false };
}
