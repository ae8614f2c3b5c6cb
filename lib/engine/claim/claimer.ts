import { StatementCancelledError } from '../../core/errors.js';
import type { Claim } from '../../core/job.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { CountedClaim } from '../run/hand-overs.js';
import type { JobRunner } from '../run/job-runner.js';
import type { ClaimCapacity } from './claim-capacity.js';
import type { LaneIndex, PlannedClaim, ScanMode } from './lane-index.js';

type ClaimerParts = Pick<EngineParts, 'store' | 'clock' | 'leaseMs' | 'worker'> & {
  readonly runner: JobRunner;
  readonly lanes: LaneIndex;
  readonly capacity: ClaimCapacity;
  /** Whether claims start at the lanes' first rows or at their lower bounds. */
  readonly startMode: () => ScanMode;
};

/**
 * - `no capacity`: no claim was sent, because no topic has capacity.
 * - `no due lanes`: no claim was sent, because no lane with capacity has a due job, as far as this process knows.
 * - `no jobs`: the claim returned none, and none is known to be due; or it failed.
 * - `continue`: the claim returned jobs, or more are known to be due.
 */
type ClaimResult = 'no capacity' | 'no due lanes' | 'no jobs' | 'continue';

/** Claims due jobs of known lanes, within the capacity, and passes them to the job runner. */
export class Claimer {
  /** Whether claimed jobs are to run here. Otherwise they are released. */
  isStarted = false;
  /** In the order in which they were sent. */
  private readonly inFlight: Promise<ClaimResult>[] = [];
  /** The last claim returned as many jobs as it asked for: more are due. */
  isBacklogged = false;
  /** The first error of a claim; the next call of `claim()` throws it. */
  private failure: { readonly error: unknown } | undefined;

  constructor(private readonly options: ClaimerParts) {}

  start(): void {
    this.isStarted = true;
    this.failure = undefined;
  }

  stop(): void {
    this.isStarted = false;
  }

  /** Whether a claim is in flight. */
  get isBusy(): boolean {
    return this.inFlight.length > 0;
  }

  /** Resolves when the claims that are in flight now have ended. */
  async idle(): Promise<void> {
    await Promise.all(this.inFlight);
  }

  /** Whether a lane with capacity has, or may have, a due job. */
  isAnyDue(): boolean {
    const { lanes, capacity, clock } = this.options;
    return lanes.isAnyDue(capacity.availableTopics(), clock.now());
  }

  /** Sends a claim unless one is in flight, and waits for the oldest. @throws the first error since the last call. */
  async claim(): Promise<ClaimResult> {
    const refusal = this.inFlight.length === 0 && this.send();
    if (refusal) {
      return refusal;
    }
    this.pipelineClaims();
    const result = await this.inFlight[0]!;
    const { failure } = this;
    this.failure = undefined;
    if (failure) {
      throw failure.error;
    }
    return result;
  }

  /** In a backlog, sends the next claim before the last one returns. */
  pipelineClaims(): void {
    const isBacklog = this.isBacklogged && this.isStarted && !this.failure && this.inFlight.length > 0;
    while (isBacklog && this.options.capacity.canPipeline) {
      if (this.send()) {
        return;
      }
    }
  }

  /** @returns why no claim was sent. */
  private send(): 'no capacity' | 'no due lanes' | undefined {
    const { clock, leaseMs, worker, lanes: laneIndex, capacity, startMode } = this.options;
    const { limit } = capacity;
    const topics = capacity.availableTopics(limit);
    if (topics.length === 0 && !capacity.hasLimitedCapacity) {
      return 'no capacity';
    }
    const lanes = laneIndex.plan(topics, limit, clock.now(), startMode());
    if (lanes.length === 0) {
      return 'no due lanes';
    }
    const { batchSize, limit: batchLimit } = lanes[0]!;
    const size = batchSize ? { limit: batchLimit, slots: Math.ceil(batchLimit / batchSize) } : { limit, slots: limit };
    const claiming = this.execute({ from: 'lanes', lanes, ...size, leaseMs, worker }, laneIndex.recordSend());
    this.inFlight.push(claiming);
    void claiming.then(() => this.inFlight.splice(this.inFlight.indexOf(claiming), 1));
    return undefined;
  }

  /** Never rejects, since the claim may not be awaited: the next `claim` throws the error. */
  private async execute(request: PlannedClaim, version: number): Promise<ClaimResult> {
    const { store, clock, runner, leaseMs, lanes, capacity } = this.options;
    const sentMs = clock.now();
    const idleBeforeMs = clock.eventLoopIdleMs?.() ?? sentMs;
    capacity.reserve(request);
    capacity.recordTurn('ordinary');
    try {
      const { claims } = await store.claim(request);
      const nowMs = clock.now();
      capacity.recordResult(request, nowMs - sentMs > leaseMs / 3);
      runner.prefetch.recordClaim((clock.eventLoopIdleMs?.() ?? nowMs) - idleBeforeMs);
      deliverClaims(this.options, claims, { claimedAtMs: nowMs, leaseEndsMs: sentMs + leaseMs }, this.isStarted);
      this.isBacklogged = claims.length === request.limit;
      lanes.recordClaim(request, claims, version);
      return claims.length > 0 || this.isAnyDue() ? 'continue' : 'no jobs';
    } catch (error) {
      const isTimeout = error instanceof StatementCancelledError;
      capacity.recordResult(request, isTimeout ? true : undefined);
      this.isBacklogged = false;
      this.failure ??= { error };
      return 'no jobs';
    }
  }
}

/** Times of a claim, by the process's clock. */
interface ClaimTimes {
  /** When its result came. */
  readonly claimedAtMs: number;
  /** When its leases end at the earliest. */
  readonly leaseEndsMs: number;
  /** Set if a rate has counted its jobs. */
  readonly counted?: CountedClaim | undefined;
}

/** Sorts claims, most urgent first, and passes them to the runner. After a stop it releases them. */
export function deliverClaims(
  { runner, capacity }: { readonly runner: JobRunner; readonly capacity: ClaimCapacity },
  claims: Claim[],
  { claimedAtMs, leaseEndsMs, counted }: ClaimTimes,
  isStarted: boolean,
): void {
  claims.sort((a, b) => a.priority - b.priority || a.runAt.getTime() - b.runAt.getTime() || (a.id < b.id ? -1 : 1));
  for (const claim of claims) {
    capacity.recordPayloadLength(claim.payloadLength);
    if (isStarted) {
      runner.accept(claim, claimedAtMs, leaseEndsMs, counted);
    } else {
      runner.release(claim, claimedAtMs, leaseEndsMs, counted);
    }
  }
}
