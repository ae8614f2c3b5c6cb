import type { BackoffBounds } from '../../core/backoff.js';
import { backoffMs } from '../../core/backoff.js';
import { StatementCancelledError } from '../../core/errors.js';
import type { ClaimResult } from '../../store/jobs/job-records.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { JobRunner } from '../run/job-runner.js';
import type { ClaimCapacity, SlotShare } from './claim-capacity.js';
import type { ClaimSource, SentClaim } from './claim-loop.js';
import type { LaneIndex, PlannedClaim } from './lane-index.js';
import type { LaneScanner } from './lane-scanner.js';

type LaneSourceParts = Pick<
  EngineParts,
  'clock' | 'random' | 'leaseMs' | 'worker' | 'concurrency' | 'pollIntervalMs'
> & {
  readonly runner: JobRunner;
  readonly lanes: LaneIndex;
  readonly capacity: ClaimCapacity;
  readonly scanner: LaneScanner;
};

/** A claim from lanes that was sent. */
interface SentLaneClaim extends SentClaim {
  readonly request: PlannedClaim;
  readonly version: number;
  readonly idleBeforeMs: number;
}

/** Pauses between claims that return nothing because other transactions lock the due rows. */
const LOCKED_PAUSES: BackoffBounds = { minMs: 20, maxMs: 200 };

/** All topics without limits, as one source of claims: the lane index knows which of their lanes may have due jobs. */
export class LaneSource implements ClaimSource {
  readonly name = 'claiming jobs';
  served = 0;
  inFlight = 0;
  failures = 0;
  pausedUntilMs = -Infinity;
  /** The last claim returned as many jobs as it asked for: more are due. */
  isBacklogged = false;
  /** Other transactions lock the due rows: no claim before this time, unless there is news. */
  private heldUntilMs = -Infinity;
  /** Whether the last claim returned nothing, and nothing has happened since. */
  private gotNothing = false;
  /** How many claims in a row returned nothing although jobs are due. */
  private emptyClaims = 0;
  /** Whether the last request has found no topic with capacity. */
  hasNoCapacity = false;

  constructor(private readonly parts: LaneSourceParts) {}

  get blockedUntilMs(): number {
    return Math.max(this.heldUntilMs, this.pausedUntilMs);
  }

  /** Whether a lane with room for its jobs may have a due one, and no claim is in flight. */
  wants(nowMs: number): boolean {
    return this.inFlight === 0 && this.blockedUntilMs <= nowMs && this.isAnyDue(nowMs);
  }

  isAnyDue(nowMs: number): boolean {
    const { lanes, capacity } = this.parts;
    return lanes.isAnyDue(capacity.topicsWithRoom(), nowMs);
  }

  /** Whether the next claim may be sent before the last one has returned. Called at the end of each job. */
  get mayPipeline(): boolean {
    return this.isBacklogged && this.inFlight > 0 && this.failures === 0 && this.parts.capacity.canPipeline;
  }

  /** Something has happened that may end a lock. */
  recordNews(): void {
    this.heldUntilMs = -Infinity;
    this.gotNothing = false;
  }

  request(share: SlotShare, nowMs: number): SentLaneClaim | undefined {
    const { clock, leaseMs, worker, lanes: laneIndex, capacity, scanner } = this.parts;
    const limit = capacity.limitWithin(share);
    const topics = capacity.availableTopics(limit, share);
    this.hasNoCapacity = topics.length === 0;
    const lanes = this.hasNoCapacity ? [] : laneIndex.plan(topics, limit, nowMs, scanner.mode);
    if (lanes.length === 0) {
      return undefined;
    }
    const { batchSize, limit: batchLimit } = lanes[0]!;
    const size = batchSize ? { limit: batchLimit, slots: Math.ceil(batchLimit / batchSize) } : { limit, slots: limit };
    return {
      request: { from: 'lanes', lanes, ...size, leaseMs, worker },
      sentMs: nowMs,
      version: laneIndex.recordSend(),
      idleBeforeMs: clock.eventLoopIdleMs?.() ?? nowMs,
    };
  }

  record({ request, version, sentMs, idleBeforeMs }: SentLaneClaim, { claims }: ClaimResult, nowMs: number): void {
    const { clock, runner, leaseMs, lanes, capacity } = this.parts;
    capacity.recordResult(request, nowMs - sentMs > leaseMs / 3);
    runner.prefetch.recordClaim((clock.eventLoopIdleMs?.() ?? nowMs) - idleBeforeMs);
    this.isBacklogged = claims.length === request.limit;
    lanes.recordClaim(request, claims, version);
    this.gotNothing = claims.length === 0;
    if (!this.gotNothing) {
      this.emptyClaims = 0;
    }
  }

  recordFailure({ request }: SentLaneClaim, error: unknown): void {
    this.parts.capacity.recordResult(request, error instanceof StatementCancelledError ? true : undefined);
    this.isBacklogged = false;
    this.gotNothing = false;
  }

  /** A scan has ended. Jobs that are due although the claim before it has returned none are locked. */
  recordScan(nowMs: number): void {
    const { scanner, random, pollIntervalMs } = this.parts;
    if (this.gotNothing && this.inFlight === 0 && !scanner.hasFoundLanes && this.isAnyDue(nowMs)) {
      const pauseMs = backoffMs(this.emptyClaims, LOCKED_PAUSES, random());
      this.emptyClaims += 1;
      // A job that becomes due in another lane does not wait for the end of the pause.
      this.heldUntilMs = nowMs + Math.min(pauseMs, pollIntervalMs, scanner.nextDueInMs());
    } else {
      this.emptyClaims = 0;
    }
    this.gotNothing = false;
  }
}
