import type { Claim } from '../../core/job.js';
import type {
  Lane,
  LaneClaimRequest,
  LaneGap,
  LaneStart,
  LaneScan,
  WaitingLane,
} from '../../store/jobs/job-records.js';
import { findGaps, toLaneKey } from '../../store/jobs/job-records.js';
import type { SharedCapacity, TopicCapacity } from './claim-capacity.js';
import { limitShared } from './claim-capacity.js';
import { COMMIT_MARGIN_MS } from './scan-cost.js';

interface PlannedLane extends Lane {
  readonly shared: SharedCapacity | undefined;
  readonly batchSize: number | undefined;
}

export type PlannedClaim = LaneClaimRequest & { readonly slots: number; readonly lanes: readonly PlannedLane[] };

/** Where scans and claims start in a lane: at its lower bound, or at the start of the index. */
export type ScanMode = 'bounded' | 'full';

/** What this process knows about the pause of a topic. A limited topic counts as paused here: it has a claim of its own. */
interface PauseState {
  readonly isPaused: boolean;
  /** The version in which this became known, here or by a scan. */
  readonly version: number;
  /** Whether this process paused or resumed the topic itself. */
  readonly isOwn: boolean;
}

/** Lanes in one claim. Each costs the database one index lookup. */
const LANES_MAX = 256;

/**
 * What this process knows of waiting jobs: which lanes exist, and which of them may have due jobs. A lane is one topic and one
 * priority. Claims ask for known lanes only; scans find the others in the gaps between them.
 *
 * Each claim and each scan carries the version in which it was sent. Its result says nothing about later announcements.
 */
export class LaneIndex {
  /** Counts announcements, claims and pauses. */
  version = 1;
  private readonly lanes = new Map<string, Map<number, LaneState>>();
  private readonly pauses = new Map<string, PauseState>();
  /** The version in which the last claim or scan was sent. */
  private sentVersion = 1;
  /** For fairness: counts claims, and says when each topic was last the first of its priority to receive jobs. */
  private servedCount = 0;
  private readonly lastServed = new Map<string, number>();

  /** Makes the result of the last scan invalid: the next due job is not known. */
  invalidate(): void {
    this.version += 1;
  }

  /** Whether a job was announced or claimed since this version. */
  hasChangedSince(version: number): boolean {
    return this.version !== version;
  }

  /** Call right before a claim or scan is sent. Returns its version. */
  recordSend(): number {
    return (this.sentVersion = this.version);
  }

  /** Jobs may be due: in one lane, since `dueAt` if that is known, in all lanes of a topic, or in any lane. */
  markDue(topic?: string, priority?: number, dueAt?: Date): void {
    this.version += 1;
    if (topic !== undefined && priority !== undefined) {
      const lane = this.lane(topic, priority);
      lane.markDue(this.version);
      if (dueAt) {
        lane.announce(dueAt.getTime(), this.version, this.sentVersion);
      }
    } else {
      this.knownLanes(topic).forEach((lane) => lane.markDue(this.version));
    }
  }

  /** A job is due at `dueAt`. A scan finds it then; a job below the lower bound of its lane is marked as due now. */
  expect(topic: string, priority: number, dueAt: Date): void {
    this.version += 1;
    this.lane(topic, priority).announce(dueAt.getTime(), this.version, this.sentVersion);
  }

  /** This process paused or resumed the topic. While it is paused no lane of it is claimed, until a scan sees it resumed. */
  recordPause(topic: string, isPaused: boolean): void {
    this.version += 1;
    this.pauses.set(topic, { isPaused, version: this.version, isOwn: true });
  }

  /**
   * Returns the lanes to claim from, most urgent first. Within a priority, the topic that was served longest ago comes first. A
   * topic with less capacity than `limit` takes part with one lane, so that its own limit is exact. A batch handler's topic is the only
   * one of its claim, and `limit` does not apply to it.
   */
  plan(topics: readonly TopicCapacity[], limit: number, nowMs: number, mode: ScanMode = 'full'): PlannedLane[] {
    const served = ({ topic }: TopicCapacity): number => this.lastServed.get(topic) ?? 0;
    const longestWaitFirst = topics.filter(({ available }) => available > 0).sort((a, b) => served(a) - served(b));
    const lanes = longestWaitFirst.flatMap(({ topic, available, defaultPriority, shared, batchSize }) => {
      this.lane(topic, defaultPriority);
      const due = this.claimableLanes(topic)
        .filter((lane) => lane.isDue(nowMs))
        .sort((a, b) => a.priority - b.priority);
      const chosen = available < limit && !batchSize ? due.slice(0, 1) : due;
      const laneLimit = batchSize ? available : Math.min(available, limit);
      return chosen.map((lane) => ({ ...lane.start(mode), limit: laneLimit, shared, batchSize }));
    });
    const mostUrgent = lanes.sort((a, b) => a.priority - b.priority);
    const [first] = mostUrgent;
    const together = mostUrgent.filter(({ topic, batchSize }) =>
      first!.batchSize ? topic === first!.topic : !batchSize,
    );
    return limitShared(together.slice(0, LANES_MAX));
  }

  /** @param claims in the order of `runAt`. */
  recordClaim(
    { lanes, limit }: Pick<PlannedClaim, 'lanes' | 'limit'>,
    claims: readonly Claim[],
    version: number,
  ): void {
    this.version += 1;
    this.recordServed(lanes, claims);
    for (const { topic, priority, runAt } of claims) {
      this.lane(topic, priority).advance(runAt.getTime(), version);
    }
    if (claims.length < limit) {
      this.markEmptyLanes(lanes, claims, version);
    }
  }

  /** The known lanes of these topics. Together with the gaps between them they cover every priority. */
  starts(topics: readonly TopicCapacity[], mode: ScanMode): LaneStart[] {
    return topics.flatMap(({ topic, defaultPriority }) => {
      this.lane(topic, defaultPriority);
      return this.knownLanes(topic).map((lane) => lane.start(mode));
    });
  }

  /** The priorities between the known lanes of these topics. */
  gaps(topics: readonly TopicCapacity[]): LaneGap[] {
    return topics.flatMap(({ topic, defaultPriority }) => {
      this.lane(topic, defaultPriority);
      return findGaps(
        topic,
        this.knownLanes(topic).map(({ priority }) => priority),
      );
    });
  }

  /**
   * Records a scan of all lanes and gaps of these topics. A full scan forgets empty lanes, except the default ones. A bounded
   * scan forgets none: without their bounds, later scans would walk over the dead entries of these lanes.
   *
   * @returns whether the scan found unknown lanes.
   */
  recordScan(
    topics: readonly TopicCapacity[],
    { waiting, at }: LaneScan,
    nowMs: number,
    mode: ScanMode = 'full',
    version = this.version,
  ): boolean {
    const found = waiting.filter(({ topic, priority }) => !this.lanes.get(topic)?.has(priority));
    found.forEach(({ topic, priority }) => this.lane(topic, priority));
    const pauseByTopic = new Map(waiting.map((lane) => [lane.topic, lane.isPaused || lane.isLimited]));
    const firstByLane = new Map(waiting.map((lane) => [toLaneKey(lane), lane]));
    for (const { topic, defaultPriority } of topics) {
      this.recordScannedPause(topic, pauseByTopic.get(topic), version);
      for (const lane of this.knownLanes(topic)) {
        const first = firstByLane.get(toLaneKey(lane));
        lane.setFirst(first, nowMs);
        if (mode === 'bounded') {
          continue;
        }
        // A new job is due at the time of the scan at the earliest, even when the first known job is due later.
        lane.raiseBound(at.getTime() + Math.min(0, first?.dueInMs ?? 0) - COMMIT_MARGIN_MS, version);
        if (!first && !lane.isMarked && lane.priority !== defaultPriority) {
          this.lanes.get(topic)!.delete(lane.priority);
        }
      }
    }
    return found.length > 0;
  }

  /**
   * Records a full scan that ran beside bounded claims. A job below the bound of its lane committed late, was locked, or belongs
   * to a paused topic.
   *
   * @param starts the bounds of the lanes when the scan was sent.
   * @returns whether there are jobs below the bounds that may be claimed.
   */
  recordBackgroundScan(starts: readonly LaneStart[], { waiting, at }: LaneScan, version = this.version): boolean {
    const firstByLane = new Map(waiting.map((lane) => [toLaneKey(lane), lane]));
    let isAnyLate = false;
    for (const { topic, priority, lowerBound } of starts) {
      const { dueInMs = Infinity, isPaused, isLimited } = firstByLane.get(toLaneKey({ topic, priority })) ?? {};
      const dueAtMs = at.getTime() + Math.floor(Math.min(0, dueInMs));
      if (lowerBound === null) {
        this.lane(topic, priority).setFirstBound(dueAtMs, version);
      } else if (isPaused || isLimited) {
        this.lane(topic, priority).lowerBoundTo(dueAtMs);
      } else if (dueInMs <= 0 && dueAtMs < Date.parse(lowerBound)) {
        this.markDue(topic, priority, new Date(dueAtMs));
        isAnyLate = true;
      }
    }
    return isAnyLate;
  }

  /** Whether a lane of these topics has, or may have, a due job. */
  isAnyDue(topics: readonly { readonly topic: string }[], nowMs: number): boolean {
    return topics.some(({ topic }) => this.claimableLanes(topic).some((lane) => lane.isDue(nowMs)));
  }

  /** When the first job of these topics is due that is due after `afterMs`. Infinity when none is known. */
  nextDueAtMs(topics: readonly TopicCapacity[], afterMs = -Infinity): number {
    const dueAtMs = topics.flatMap(({ topic }) => this.claimableLanes(topic).map((lane) => lane.dueAtMs));
    return Math.min(Infinity, ...dueAtMs.filter((atMs) => atMs > afterMs));
  }

  /** A lane that returned fewer jobs than it could has no due job left. */
  private markEmptyLanes(lanes: readonly Lane[], claims: readonly Claim[], version: number): void {
    const counts = new Map<string, number>();
    for (const claim of claims) {
      counts.set(toLaneKey(claim), (counts.get(toLaneKey(claim)) ?? 0) + 1);
    }
    // The time of the claim by the database's clock. That clock may have been set back.
    const claimedAtMs = claims[0] && claims[0].runAt.getTime() + claims[0].waitedMs;
    for (const { topic, priority, limit } of lanes) {
      const lane = this.lane(topic, priority);
      if ((counts.get(toLaneKey(lane)) ?? 0) < limit) {
        lane.markEmpty(claimedAtMs, version);
      }
    }
  }

  /** In each priority, the first topic that received jobs counts as served; topics that share capacity count apart. */
  private recordServed(lanes: readonly PlannedLane[], claims: readonly Claim[]): void {
    const topics = new Set(claims.map(({ topic }) => topic));
    const groups = new Set<number>();
    for (const { topic, priority, shared } of lanes) {
      const group = 2 * priority + (shared ? 1 : 0);
      // A topic that received no job stays in front: the topics before it may have taken all slots.
      if (topics.has(topic) && !groups.has(group)) {
        groups.add(group);
        this.servedCount += 1;
        this.lastServed.set(topic, this.servedCount);
      }
    }
  }

  /** @param isPaused by the scan; `undefined` when no job of the topic waits, so that the scan cannot know. */
  private recordScannedPause(topic: string, isPaused: boolean | undefined, version: number): void {
    const known = this.pauses.get(topic) ?? { isPaused: false, version: 0, isOwn: false };
    if (known.version <= version && !(known.isOwn && isPaused === undefined)) {
      this.pauses.set(topic, { isPaused: isPaused ?? false, version, isOwn: known.isOwn && isPaused === true });
    }
  }

  private claimableLanes(topic: string): LaneState[] {
    return this.pauses.get(topic)?.isPaused ? [] : this.knownLanes(topic);
  }

  private knownLanes(topic?: string): LaneState[] {
    const maps = topic === undefined ? [...this.lanes.values()] : [this.lanes.get(topic)];
    return maps.flatMap((lanes) => [...(lanes?.values() ?? [])]);
  }

  private lane(topic: string, priority: number): LaneState {
    const lanes = this.lanes.get(topic) ?? new Map<number, LaneState>();
    this.lanes.set(topic, lanes);
    const lane = lanes.get(priority) ?? new LaneState(topic, priority);
    lanes.set(priority, lane);
    return lane;
  }
}

/** The jobs announced between two requests: when the first of them is due, and the version of the last. */
interface Announcement {
  /** Of the request before it. */
  readonly sentVersion: number;
  firstMs: number;
  lastVersion: number;
}

/** Announcements between this many requests are kept apart. */
const ANNOUNCEMENTS_MAX = 8;

/** What this process knows of one lane. */
class LaneState {
  /** When its first job is due, by the process's clock. Infinity when none is known. */
  dueAtMs = Infinity;
  /** The version in which the lane was last marked as due; 0 when it is not. */
  private markedVersion = 0;
  /** The lower bound, by the database's clock: as far as this process knows, no job that was due before it waits. */
  private boundMs = -Infinity;
  /** When a job below the bound was due, and the version in which that became known. */
  private lateMs = Infinity;
  private lateVersion = 0;
  private announcements: Announcement[] = [];

  constructor(
    readonly topic: string,
    readonly priority: number,
  ) {}

  get isMarked(): boolean {
    return this.markedVersion > 0;
  }

  isDue(nowMs: number): boolean {
    return this.isMarked || this.dueAtMs <= nowMs;
  }

  markDue(version: number): void {
    this.markedVersion = version;
  }

  /** A scan found this first job, or none. */
  setFirst(first: WaitingLane | undefined, nowMs: number): void {
    this.dueAtMs = first ? nowMs + first.dueInMs : Infinity;
  }

  /** A job is, or will be, due at `dueAtMs`. */
  announce(dueAtMs: number, version: number, sentVersion: number): void {
    const { announcements } = this;
    const last = announcements.at(-1);
    if (last?.sentVersion === sentVersion) {
      last.firstMs = Math.min(last.firstMs, dueAtMs);
      last.lastVersion = version;
    } else if (announcements.push({ sentVersion, firstMs: dueAtMs, lastVersion: version }) > ANNOUNCEMENTS_MAX) {
      // The oldest joins the next one: at worst one scan starts too early.
      const { firstMs } = announcements.shift()!;
      announcements[0]!.firstMs = Math.min(announcements[0]!.firstMs, firstMs);
    }
    if (dueAtMs < this.boundMs) {
      this.recordLate(dueAtMs, version);
    }
  }

  /** A claim took a job that was due at `dueAtMs`, and all before it. */
  advance(dueAtMs: number, version: number): void {
    if (this.lateVersion <= version) {
      this.lateMs = Math.max(this.lateMs, dueAtMs);
    }
    this.raiseBound(Math.max(this.boundMs, dueAtMs - COMMIT_MARGIN_MS), version);
  }

  /** A claim left no due job. @param claimedAtMs `undefined` when the claim returned no job at all. */
  markEmpty(claimedAtMs: number | undefined, version: number): void {
    if (this.markedVersion <= version) {
      this.markedVersion = 0;
      this.dueAtMs = Infinity;
    }
    if (this.lateVersion <= version) {
      this.lateMs = Infinity;
    }
    if (claimedAtMs !== undefined) {
      this.raiseBound(claimedAtMs - COMMIT_MARGIN_MS, version);
    }
  }

  /** Moves the bound by the result of a request. Jobs that were announced after it was sent may be due below the new bound. */
  raiseBound(boundMs: number, version: number): void {
    this.boundMs = boundMs;
    for (const { sentVersion, firstMs, lastVersion } of this.announcements) {
      if (sentVersion >= version && firstMs < boundMs) {
        this.recordLate(firstMs, lastVersion);
      }
    }
  }

  /** A background scan found no job that was due before `dueAtMs`. */
  setFirstBound(dueAtMs: number, version: number): void {
    // A job announced since may be due before, and a claim sent since may have skipped it.
    if ((this.announcements.at(-1)?.lastVersion ?? 0) <= version) {
      this.boundMs = Math.max(this.boundMs, dueAtMs - COMMIT_MARGIN_MS);
    }
  }

  /** A background scan found a job of a paused topic below the bound: bounded scans must see it. */
  lowerBoundTo(dueAtMs: number): void {
    this.boundMs = Math.min(this.boundMs, dueAtMs);
  }

  /** Where a claim or scan starts. */
  start(mode: ScanMode): LaneStart {
    const { topic, priority } = this;
    const fromMs = mode === 'full' ? -Infinity : Math.min(this.boundMs, this.lateMs);
    return { topic, priority, lowerBound: Number.isFinite(fromMs) ? new Date(Math.floor(fromMs)).toISOString() : null };
  }

  /** A job waits below the bound. */
  private recordLate(dueAtMs: number, version: number): void {
    this.lateMs = Math.min(this.lateMs, dueAtMs);
    this.lateVersion = version;
    this.markedVersion = Math.max(this.markedVersion, version);
  }
}
