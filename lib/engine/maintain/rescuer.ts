/*
 * Maintenance: loops that every worker runs. In: the clock and events. Out: rescued jobs, pruned rows, declarations of this process.
 * Read rescuer.ts first, then pruner.ts, table-sweepers.ts and worker-presence.ts.
 */
import type { JobEvent } from '../../core/job-events.js';
import type { ExpiredJob, Rescued } from '../../store/jobs/job-records.js';
import { COMMIT_MARGIN_MS, ScanCost } from '../claim/scan-cost.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import { PollLoop } from '../runtime/poll-loop.js';

type RescuerParts = Pick<
  EngineParts,
  'store' | 'clock' | 'logger' | 'failureLog' | 'random' | 'wakeSignal' | 'emit' | 'liveWorkers'
>;

/** Together with the scans, an idle process stays below two statements a second. */
const INTERVAL_MS = 1_500;
/** Their name in the log. */
const FOLLOW_UPS = 'follow-up of ended jobs';
const TOPICS_NAMED_MAX = 10;
const BATCH_MAX = 500;
/** While scans are bounded, a full one runs at least this often. It finds rows that were locked when their lease expired. */
const FULL_REST_MAX_MS = 10_000;

/**
 * Rescues jobs whose lease has expired: their worker crashed, hung or lost the database. The same statement finds whether jobs have not
 * started by their expiry; the rescuer then cancels these. Live processes take turns.
 */
export class Rescuer {
  private readonly loop: PollLoop;
  private readonly cost: ScanCost;
  /** Leases and jobs that expired before this time were handled already. */
  private lowerBound: string | null = null;

  constructor(private readonly parts: RescuerParts) {
    this.cost = new ScanCost(parts.clock, FULL_REST_MAX_MS);
    this.loop = new PollLoop({
      ...parts,
      name: 'rescue of jobs with expired leases',
      intervalMs: INTERVAL_MS,
      work: () => this.run(),
    });
  }

  start(): void {
    this.loop.start();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  /** Resolves when a pass has ended, or the rescuer stops. */
  passed(): Promise<void> {
    return this.loop.passed();
  }

  isStuck(limitMs: number): boolean {
    return this.loop.isStuck(limitMs);
  }

  /** One pass of the loop. */
  async run(): Promise<number | void> {
    const { emit, wakeSignal } = this.parts;
    const { rescued, expired } = await this.findExpired();
    this.warn(rescued);
    rescued.forEach((job) => emit(toEvent(job)));
    expired.forEach(({ id, topic, attempt }) => emit({ type: 'expired', id, topic, attempt }));
    const waiting = rescued.filter(({ status }) => status === 'pending').map(({ topic }) => topic);
    if (waiting.length > 0) {
      wakeSignal.announce([...new Set(waiting)]);
    }
    return rescued.length === BATCH_MAX || expired.length >= BATCH_MAX ? 0 : this.parts.liveWorkers.nextRescueInMs();
  }

  private async findExpired(): Promise<{
    readonly rescued: readonly Rescued[];
    readonly expired: readonly ExpiredJob[];
  }> {
    const { store } = this.parts;
    const isFull = !this.cost.isHigh || this.cost.fullScanInMs <= 0;
    if (isFull) {
      this.cost.recordStart();
    }
    const lowerBound = isFull ? null : this.lowerBound;
    const { rescued, hasOverdue, hasOwed, at, tookMs } = await store.rescue(BATCH_MAX, lowerBound);
    if (isFull) {
      this.cost.recordDuration(tookMs);
    }
    await this.followUp(hasOwed);
    const expired = hasOverdue ? await store.expire(BATCH_MAX, lowerBound) : [];
    if (rescued.length < BATCH_MAX && expired.length < BATCH_MAX) {
      this.lowerBound = new Date(at.getTime() - COMMIT_MARGIN_MS).toISOString();
    }
    return { rescued, expired };
  }

  /** @param hasOwed a process has crashed after it had ended jobs, something else has ended them, or their follow-ups fail. */
  private async followUp(hasOwed: boolean): Promise<void> {
    const { store, failureLog } = this.parts;
    if (hasOwed) {
      await store.links.followOwed();
    }
    const failure = store.links.takeFailure();
    if (failure) {
      failureLog.recordFailure(FOLLOW_UPS, failure);
    } else if (!hasOwed) {
      failureLog.recordSuccess(FOLLOW_UPS);
    }
  }

  private warn(rescued: readonly Rescued[]): void {
    const counts = new Map<string, number>();
    rescued.forEach(({ topic }) => counts.set(topic, (counts.get(topic) ?? 0) + 1));
    if (counts.size > 0) {
      const named = [...counts].slice(0, TOPICS_NAMED_MAX).map(([topic, count]) => `'${topic}' (${count})`);
      const jobs = [...named, ...(counts.size > TOPICS_NAMED_MAX ? ['others'] : [])].join(', ');
      this.parts.logger.warn(
        `rescued jobs whose leases expired: ${jobs}; a worker crashed, hung or lost the database. If it still runs, its log says for how long its event loop stood still`,
      );
    }
  }
}

function toEvent({ id, topic, attempt, status, retries, failure }: Rescued): JobEvent {
  switch (status) {
    case 'pending':
      return { type: 'rescued', id, topic, attempt, retries };
    case 'failed':
      return { type: 'failed', id, topic, attempt, durationMs: null, error: failure! };
    case 'cancelled':
      return { type: 'cancelled', id, topic, attempt, durationMs: null };
  }
}
