import type { Claim } from '../../../lib/core/job.js';
import type { TopicCapacity } from '../../../lib/engine/claim/claim-capacity.js';
import type { LaneIndex } from '../../../lib/engine/claim/lane-index.js';
import type { Lane, LaneGap, LaneStart, LaneScan, WaitingLane } from '../../../lib/store/jobs/job-records.js';
import { selectEarliest } from '../../../lib/store/jobs/job-records.js';

export interface WaitingJob {
  readonly topic: string;
  readonly priority: number;
  readonly dueAtMs: number;
}

/** How a new job is announced. */
export type Announcement = 'lane' | 'topic' | 'anything' | 'nothing';

export interface Step {
  readonly jobs: readonly WaitingJob[];
  readonly announce: Announcement;
  readonly isDuringClaim: boolean;
  readonly limit: number;
  readonly mailRoom: number;
}

const STEP_MS = 5;
/** After this all jobs are due. */
const END_MS = 100;

/** A table of waiting jobs with a lane index: claims and scans use only the lanes and gaps of the index. */
export class WaitingJobs {
  private jobs: WaitingJob[] = [];
  private nowMs = 0;

  constructor(private readonly laneIndex: LaneIndex) {}

  get count(): number {
    return this.jobs.length;
  }

  /** Adds jobs before or during a claim, and moves the time. */
  play({ jobs, announce, isDuringClaim, limit, mailRoom }: Step): void {
    const arrive = (): void => jobs.forEach((job) => this.add(job, announce));
    if (!isDuringClaim) arrive();
    this.claim({ limit, mailRoom, during: isDuringClaim ? arrive : undefined });
    this.nowMs += STEP_MS;
  }

  add(job: WaitingJob, announce: Announcement): void {
    this.jobs.push(job);
    if (announce === 'lane') this.laneIndex.markDue(job.topic, job.priority);
    if (announce === 'topic') this.laneIndex.markDue(job.topic);
    if (announce === 'anything') this.laneIndex.markDue();
  }

  /** One planned claim. Returns how many jobs it took. */
  claim({ limit, mailRoom, during }: { limit: number; mailRoom: number; during?: () => void }): number {
    const version = this.laneIndex.recordSend();
    const lanes = this.laneIndex.plan(capacities(limit, mailRoom), limit, this.nowMs);
    const claims = this.take(lanes, limit);
    during?.();
    this.laneIndex.recordClaim({ lanes, limit }, claims, version);
    return claims.length;
  }

  /** Claims until no job is due, with a scan whenever a claim returned none. Returns the number of claims. */
  drain(): number {
    const topics = capacities(4, 2);
    this.nowMs = END_MS;
    let claims = 0;
    let isScanned = false;
    while (!isScanned || this.laneIndex.isAnyDue(topics, this.nowMs)) {
      claims += 1;
      isScanned = this.claim({ limit: 4, mailRoom: 2 }) === 0;
      if (isScanned) this.scanAll(topics);
      if (claims > 1_000) break;
    }
    return claims;
  }

  /** One full scan. */
  scanAll(topics: readonly TopicCapacity[]): void {
    this.laneIndex.recordScan(
      topics,
      this.scan(this.laneIndex.gaps(topics), this.laneIndex.starts(topics, 'full')),
      this.nowMs,
    );
  }

  /** Removes due jobs, lane by lane. */
  private take(lanes: readonly Lane[], limit: number): Claim[] {
    const taken: WaitingJob[] = [];
    for (const lane of lanes) {
      const due = this.jobs.filter((job) => isIn(job, lane) && job.dueAtMs <= this.nowMs);
      taken.push(...due.slice(0, Math.min(lane.limit, limit - taken.length)));
    }
    this.jobs = this.jobs.filter((job) => !taken.includes(job));
    return taken.map(toClaim);
  }

  /** The first job of each priority in each gap, and of each lane. */
  private scan(gaps: readonly LaneGap[], lanes: readonly LaneStart[]): LaneScan {
    const alone = lanes.map(({ topic, priority }) => ({ topic, after: priority - 1, before: priority + 1 }));
    const waiting = [...gaps, ...alone].flatMap(({ topic, after, before }) => {
      const within = this.jobs.filter((job) => job.topic === topic && job.priority > after && job.priority < before);
      return selectEarliest(within.map((job) => ({ ...job, runAt: new Date(job.dueAtMs) }))).map(
        ({ priority, dueAtMs }) => ({
          topic,
          priority,
          dueInMs: dueAtMs - this.nowMs,
          isPaused: false,
          isLimited: false,
        }),
      );
    });
    return toLaneScan(...waiting);
  }
}

/** The result of a scan that found these lanes. */
export function toLaneScan(...waiting: WaitingLane[]): LaneScan {
  return { waiting, keyed: [], at: new Date(0), tookMs: 0 };
}

/** A claimed job. The lane index uses only its topic and priority. */
export function toClaim({ topic, priority }: Pick<WaitingJob, 'topic' | 'priority'>): Claim {
  return {
    id: 'id',
    attempt: 1,
    topic,
    payload: null,
    retries: 0,
    maxRetries: 3,
    priority,
    timeoutMs: null,
    backoff: null,
    metadata: null,
    runAt: new Date(0),
    created: new Date(0),
    payloadLength: 4,
    waitedMs: 0,
  };
}

function isIn(job: WaitingJob, lane: Lane): boolean {
  return job.topic === lane.topic && job.priority === lane.priority;
}

function capacities(limit: number, mailRoom: number): TopicCapacity[] {
  return [
    { topic: 'mail', available: Math.min(mailRoom, limit), defaultPriority: 0 },
    { topic: 'ship', available: limit, defaultPriority: -7 },
  ];
}
