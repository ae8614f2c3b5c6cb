import type { JobEvent } from '../../core/job-events.js';
import type { EngineParts } from '../engine-parts.js';
import { PollLoop } from '../poll-loop.js';
import { COMMIT_MARGIN_MS, ScanCost } from '../claim/scan-cost.js';
import type { Rescued } from '../../store/job-store.js';

type RescuerParts = Pick<EngineParts, 'store' | 'clock' | 'logger' | 'random' | 'wakeSignal' | 'emit'>;

/** With the looks for work, an idle process stays below two statements a second. */
const INTERVAL_MS = 1_500;
/** A line of the log names so many topics. */
const TOPICS_NAMED_MAX = 10;
const BATCH_MAX = 500;
/** While rescues are bounded: what was locked when its lease had ended, and is free again, is found this soon. */
const FULL_REST_MAX_MS = 10_000;

/** Takes jobs away from workers that stopped renewing their leases: dead ones, stopped ones, ones without a network. */
export class Rescuer {
  private readonly loop: PollLoop;
  private readonly cost: ScanCost;
  /** Leases that ended before this were looked at. */
  private lowerBound: string | null = null;

  constructor(private readonly options: RescuerParts) {
    this.cost = new ScanCost(options.clock, FULL_REST_MAX_MS);
    this.loop = new PollLoop({
      ...options,
      name: 'rescue of jobs with expired leases',
      intervalMs: INTERVAL_MS,
      work: () => this.rescue(),
    });
  }

  start(): void {
    this.loop.start();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  private async rescue(): Promise<number | void> {
    const rescued = await this.look();
    this.tell(rescued);
    rescued.forEach((job) => this.options.emit(eventOf(job)));
    const waiting = rescued.filter(({ status }) => status === 'pending').map(({ topic }) => topic);
    if (waiting.length > 0) {
      this.options.wakeSignal.announce([...new Set(waiting)]);
    }
    return rescued.length === BATCH_MAX ? 0 : undefined;
  }

  /** Jobs go on by themselves; that a worker is gone is for a person to know. */
  private tell(rescued: readonly Rescued[]): void {
    const counts = new Map<string, number>();
    rescued.forEach(({ topic }) => counts.set(topic, (counts.get(topic) ?? 0) + 1));
    if (counts.size > 0) {
      const named = [...counts].slice(0, TOPICS_NAMED_MAX).map(([topic, count]) => `'${topic}' (${count})`);
      const jobs = [...named, ...(counts.size > TOPICS_NAMED_MAX ? ['others'] : [])].join(', ');
      this.options.logger.warn(
        `took over jobs whose leases ended: ${jobs}; a worker died, stood still or lost the database`,
      );
    }
  }

  private async look(): Promise<readonly Rescued[]> {
    const isFull = !this.cost.isHigh || this.cost.fullScanInMs <= 0;
    if (isFull) {
      this.cost.recordStart();
    }
    const { rescued, at, tookMs } = await this.options.store.rescue(BATCH_MAX, isFull ? null : this.lowerBound);
    if (isFull) {
      this.cost.recordDuration(tookMs);
    }
    if (rescued.length < BATCH_MAX) {
      this.lowerBound = new Date(at.getTime() - COMMIT_MARGIN_MS).toISOString();
    }
    return rescued;
  }
}

function eventOf({ id, topic, attempt, status, retries, failure }: Rescued): JobEvent {
  switch (status) {
    case 'pending':
      return { type: 'rescued', id, topic, attempt, retries };
    case 'failed':
      return { type: 'failed', id, topic, attempt, durationMs: null, error: failure! };
    case 'cancelled':
      return { type: 'cancelled', id, topic, attempt, durationMs: null };
  }
}
