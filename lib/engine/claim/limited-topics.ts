import type { BackoffBounds } from '../../core/backoff.js';
import { backoffMs } from '../../core/backoff.js';
import type { ClaimResult, LaneScan } from '../../store/jobs/job-records.js';

/** A lane of a limited topic: when its first job is due, and the version in which that became known. */
interface LimitedLane {
  dueAtMs: number;
  version: number;
}

/** What this process knows of a limited topic. */
interface LimitedTopic {
  readonly topic: string;
  readonly lanes: Map<number, LimitedLane>;
  hasKeyed: boolean;
  isPaused: boolean;
  /** No claim before this time. */
  blockedUntilMs: number;
  /** When the last claim returned. */
  claimedAtMs: number;
  /** The next claim asks for jobs of this priority and less urgent ones: more urgent ones may not start now. */
  fromPriority: number;
  /** Whether a claim of more urgent jobs has found full keys. */
  hasFullKeys: boolean;
  /** Whether the end of one of its jobs here ends the block: a limit holds its jobs back. */
  isFull: boolean;
  /** What has happened since the last claim was sent. Its result does not know of that, so it must not block the topic for long. */
  news: { hasJobEnded: boolean; isHinted: boolean; hasNewJobs: boolean };
  /** Counts claims, to serve the topic first that waited longest. */
  served: number;
  /** Claims in a row that returned nothing, although jobs were due and no limit held them back. */
  emptyClaims: number;
  /** Claims in a row that returned nothing and did not look at every key. */
  cuts: number;
}

/** A topic to claim from. */
export interface DueTopic {
  readonly topic: string;
  /** Most urgent first. */
  readonly priorities: readonly number[];
  /** Whether jobs of less urgent priorities are due too. */
  readonly hasMorePriorities: boolean;
  readonly hasKeyed: boolean;
}

interface LimitedTopicsOptions {
  readonly pollIntervalMs: number;
  readonly random: () => number;
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

/**
 * The topics that this process knows to have limits or keyed jobs, and which of them may have due jobs that may start.
 *
 * Versions are those of the lane index: a result says nothing about what was announced after its request was sent.
 */
export class LimitedTopics {
  private readonly topics = new Map<string, LimitedTopic>();
  private claims = 0;

  constructor(private readonly options: LimitedTopicsOptions) {}

  get isEmpty(): boolean {
    return this.topics.size === 0;
  }

  has(topic: string): boolean {
    return this.topics.has(topic);
  }

  /**
   * A job is or will be due at `dueAtMs`. Without a priority the limits of the topic may have changed too. Without a topic, jobs of any
   * limited topic may be due.
   */
  announce(topic: string | undefined, priority: number | undefined, dueAtMs: number, version: number): void {
    const known = topic === undefined ? [...this.topics.values()] : [this.topics.get(topic) ?? []].flat();
    for (const each of known) {
      for (const one of priority === undefined ? each.lanes.keys() : [priority]) {
        const lane = each.lanes.get(one);
        each.lanes.set(one, { dueAtMs: Math.min(dueAtMs, lane?.dueAtMs ?? Infinity), version });
      }
      each.fromPriority = Math.min(each.fromPriority, priority ?? -Infinity);
      each.news.hasNewJobs = true;
      each.news.isHinted ||= priority === undefined;
      if (priority === undefined || each.hasFullKeys) {
        each.blockedUntilMs = Math.min(each.blockedUntilMs, each.claimedAtMs + NEWS_PAUSE_MS);
      }
    }
  }

  /** A job of the topic has ended here: it made room for another. */
  onJobEnded(topic: string): void {
    const known = this.topics.get(topic);
    if (known) {
      known.news.hasJobEnded = true;
      known.blockedUntilMs = known.isFull ? -Infinity : known.blockedUntilMs;
    }
  }

  /** @param scanned the topics that the scan has covered. It says nothing about others, whose limits are not written yet. */
  recordScan({ waiting, keyed }: LaneScan, nowMs: number, version: number, scanned: ReadonlySet<string>): void {
    const keyedTopics = new Set(keyed.map(({ topic }) => topic));
    const found = [...waiting.filter(({ topic, isLimited }) => isLimited || keyedTopics.has(topic)), ...keyed];
    const limited = new Set(found.map(({ topic }) => topic).filter((topic) => scanned.has(topic)));
    for (const { topic, isLimited, isPaused } of waiting) {
      if (!isLimited && !isPaused && !limited.has(topic)) {
        this.topics.delete(topic);
      }
    }
    limited.forEach((topic) => this.add(topic));
    for (const known of [...this.topics.values()].filter(({ topic }) => scanned.has(topic))) {
      this.recordLanes(
        known,
        [...waiting, ...keyed].filter(({ topic }) => topic === known.topic),
        nowMs,
        version,
      );
      known.hasKeyed ||= keyedTopics.has(known.topic);
    }
  }

  /** The topics that may be claimed from now, the one that waited longest first. */
  due(nowMs: number): DueTopic[] {
    return [...this.topics.values()]
      .filter((known) => known.blockedUntilMs <= nowMs && isDue(known, nowMs))
      .sort((a, b) => a.served - b.served)
      .map((known) => toDueTopic(known, nowMs));
  }

  /** Whether a topic may be claimed from now that fulfils the condition. */
  canClaimAny(nowMs: number, condition: (topic: string) => boolean): boolean {
    return [...this.topics.values()].some(
      (known) => known.blockedUntilMs <= nowMs && isDue(known, nowMs) && condition(known.topic),
    );
  }

  /** A claim of the topic is sent: other topics come first until they had theirs, even if it fails. */
  recordSend(topic: string): void {
    const known = this.topics.get(topic)!;
    this.claims += 1;
    known.served = this.claims;
    known.news = noNews();
  }

  /** Whether any topic has a due job, whether a limit holds it back or not. */
  isAnyDue(nowMs: number): boolean {
    return [...this.topics.values()].some((known) => isDue(known, nowMs));
  }

  /**
   * Returns how long no topic can be claimed, unless a job is enqueued or ends before.
   *
   * @param isSkipped topics that this process cannot claim now.
   */
  sleepMs(nowMs: number, isSkipped: (topic: string) => boolean = () => false): number {
    const times = [...this.topics.values()]
      .filter(({ topic, isPaused }) => !isPaused && !isSkipped(topic))
      .map(({ lanes, blockedUntilMs }) =>
        Math.max(blockedUntilMs, Math.min(Infinity, ...[...lanes.values()].map(({ dueAtMs }) => dueAtMs))),
      );
    return Math.min(this.options.pollIntervalMs, ...times.map((atMs) => Math.max(1, atMs - nowMs)));
  }

  /** @returns whether no due job is left, so that a scan should find the next one. */
  recordClaim(due: DueTopic, limit: number, claim: ClaimResult, nowMs: number, version: number): boolean {
    const { topic, priorities } = due;
    const known = this.topics.get(topic);
    if (!known) {
      return false;
    }
    known.claimedAtMs = nowMs;
    known.isFull = false;
    known.emptyClaims = claim.claims.length > 0 ? 0 : known.emptyClaims;
    known.cuts = claim.claims.length > 0 || claim.rest !== 'cut' ? 0 : known.cuts + 1;
    if (claim.rest === 'unlimited') {
      this.topics.delete(topic);
      return true;
    }
    const isContinued = continueWithLessUrgent(known, due, limit, claim);
    known.blockedUntilMs = isContinued ? -Infinity : nowMs + this.pauseAfter(known, claim);
    const isDrained = claim.rest === 'none';
    if (isDrained) {
      priorities.forEach((priority) => {
        const lane = known.lanes.get(priority);
        if (lane && lane.version <= version) {
          lane.dueAtMs = Infinity;
        }
      });
    }
    return isDrained && !isContinued && !known.hasFullKeys;
  }

  /** How long the next claim waits. */
  private pauseAfter(known: LimitedTopic, claim: ClaimResult): number {
    const { pollIntervalMs, random } = this.options;
    if (claim.held === 'lock') {
      return LOCKED_MIN_MS + random() * (LOCKED_MAX_MS - LOCKED_MIN_MS);
    }
    if (claim.rest === 'cut' && known.cuts < CUTS_MAX) {
      return 0;
    }
    if (claim.held !== undefined || claim.rest === 'cut' || known.hasFullKeys) {
      known.isFull = true;
      return Math.min(pollIntervalMs, claim.rateInMs ?? Infinity, newsPauseMs(known));
    }
    if (claim.claims.length > 0) {
      return 0;
    }
    known.emptyClaims += 1;
    return known.emptyClaims === 1 ? 0 : Math.min(pollIntervalMs, backoffMs(known.emptyClaims, EMPTY_PAUSES, random()));
  }

  private add(topic: string): void {
    if (!this.topics.has(topic)) {
      this.topics.set(topic, {
        topic,
        lanes: new Map(),
        hasKeyed: false,
        isPaused: false,
        blockedUntilMs: -Infinity,
        claimedAtMs: -Infinity,
        fromPriority: -Infinity,
        hasFullKeys: false,
        isFull: false,
        news: noNews(),
        served: 0,
        emptyClaims: 0,
        cuts: 0,
      });
    }
  }

  private recordLanes(known: LimitedTopic, found: LaneScan['waiting'], nowMs: number, version: number): void {
    for (const [priority, lane] of known.lanes) {
      if (lane.version <= version) {
        known.lanes.delete(priority);
      }
    }
    for (const { priority, dueInMs } of found) {
      const dueAtMs = Math.min(nowMs + dueInMs, known.lanes.get(priority)?.dueAtMs ?? Infinity);
      known.lanes.set(priority, { dueAtMs, version: Math.max(version, known.lanes.get(priority)?.version ?? 0) });
    }
    known.isPaused = found.some(({ isPaused }) => isPaused);
  }
}

function toDueTopic({ topic, lanes, hasKeyed, fromPriority }: LimitedTopic, nowMs: number): DueTopic {
  const due = [...lanes].filter(([, { dueAtMs }]) => dueAtMs <= nowMs).map(([priority]) => priority);
  const rest = due.filter((priority) => priority >= fromPriority);
  const priorities = (rest.length > 0 ? rest : due).sort((a, b) => a - b);
  return {
    topic,
    hasKeyed,
    priorities: priorities.slice(0, PRIORITIES_MAX),
    hasMorePriorities: priorities.length > PRIORITIES_MAX,
  };
}

function noNews(): LimitedTopic['news'] {
  return { hasJobEnded: false, isHinted: false, hasNewJobs: false };
}

/** How long a full topic waits at most, because of what happened while its claim was in flight. */
function newsPauseMs({ news, hasFullKeys }: LimitedTopic): number {
  if (news.hasJobEnded) {
    return 0;
  }
  return news.isHinted || (news.hasNewJobs && hasFullKeys) ? NEWS_PAUSE_MS : Infinity;
}

/** @returns whether the next claim asks for less urgent jobs, since no more urgent ones may start. */
function continueWithLessUrgent(
  known: LimitedTopic,
  { priorities, hasMorePriorities }: DueTopic,
  limit: number,
  { claims, rest, held }: ClaimResult,
): boolean {
  if (held === 'lock' || rest === 'cut') {
    known.hasFullKeys ||= held === 'key';
    return false;
  }
  const isTopicFull = claims.length >= limit || held === 'concurrency' || held === 'rate';
  const isFirst = known.fromPriority === -Infinity;
  known.hasFullKeys = !isTopicFull && ((known.hasFullKeys && !isFirst) || held === 'key');
  const isContinued = !isTopicFull && hasMorePriorities;
  known.fromPriority = isContinued ? priorities.at(-1)! + 1 : -Infinity;
  return isContinued;
}

function isDue({ lanes, isPaused }: LimitedTopic, nowMs: number): boolean {
  return !isPaused && [...lanes.values()].some(({ dueAtMs }) => dueAtMs <= nowMs);
}
