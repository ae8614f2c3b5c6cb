import type { Observable } from 'rxjs';
import type { Duration } from '../core/duration.js';
import { endsWithin } from '../core/clock.js';
import { InvalidOptionsError } from '../core/errors.js';
import type { JobEvent, JobEventType } from '../core/job-events.js';
import { duration, integer, option, optional, readOptions } from '../core/option-checks.js';
import type { IdleWatch } from './changes/idle-watch.js';
import type { EngineLifecycle } from './lifecycle.js';
import type { Rescuer } from './maintain/rescuer.js';
import type { JobRunner } from './run/job-runner.js';
import type { EngineParts } from './runtime/engine-parts.js';
import type { Scheduler } from './schedules/scheduler.js';

/** Options of `runDue`. */
export interface RunDueOptions {
  /** How long to claim jobs. Handlers that run then have `shutdownTimeout` to finish. Default `'50s'`. */
  for?: Duration | undefined;
  /** The most jobs to start. A batch that has begun counts all its jobs. Default: no limit. */
  limit?: number | undefined;
}

/** What happened to the jobs of this process during a call of `runDue`. */
export interface RunDueCounts {
  completed: number;
  /** Failed for good. */
  failed: number;
  /** Failed, and will run again. */
  retried: number;
  snoozed: number;
  cancelled: number;
  /** Returned to the queue without an outcome, because the time or the limit was reached. They keep their retries. */
  released: number;
}

export const RUN_DUE_OPTIONS = {
  for: option(50_000, duration(1)),
  limit: optional(integer(1, Number.MAX_SAFE_INTEGER)),
};

const COUNTED: Partial<Record<JobEventType, keyof RunDueCounts>> = {
  completed: 'completed',
  failed: 'failed',
  retrying: 'retried',
  snoozed: 'snoozed',
  cancelled: 'cancelled',
  released: 'released',
};

type OneShotParts = Pick<EngineParts, 'clock'> & {
  readonly lifecycle: EngineLifecycle;
  readonly idleWatch: IdleWatch;
  readonly runner: JobRunner;
  readonly scheduler: Scheduler;
  readonly rescuer: Rescuer;
};

/** Runs what is due, and ends: for processes that a timer or a request starts. */
export class OneShot {
  private isRunning = false;

  constructor(private readonly parts: OneShotParts) {}

  /**
   * @throws InvalidOptionsError for a wrong option, a second call at the same time, and a limit in a process that claims anyway; the
   * errors of `claimDuring`.
   */
  async run(options: RunDueOptions, events: Observable<JobEvent>): Promise<RunDueCounts> {
    const { for: forMs, limit } = readOptions(RUN_DUE_OPTIONS, options, 'runDue');
    const { lifecycle, runner } = this.parts;
    if (this.isRunning) {
      throw new InvalidOptionsError('runDue', 'another call runs in this process; await it first');
    }
    if (limit !== undefined && lifecycle.isClaiming) {
      throw new InvalidOptionsError(
        'runDue.limit',
        "contradicts this process, which claims jobs all the time; give it the role 'producer', or leave the limit out",
      );
    }
    this.isRunning = true;
    const reached = runner.limitStarts(limit);
    try {
      return await countOutcomes(events, () => lifecycle.claimDuring(() => this.waitUntilIdle(forMs, reached)));
    } finally {
      void runner.limitStarts();
      this.isRunning = false;
    }
  }

  private async waitUntilIdle(forMs: number, reached: Promise<void>): Promise<void> {
    const { clock, idleWatch, scheduler, rescuer } = this.parts;
    const idle = Promise.all([scheduler.passed(), rescuer.passed()]).then(() => idleWatch.waitUntilIdle());
    await endsWithin(clock, forMs, Promise.race([idle, reached]));
  }
}

/** Counts the ends of attempts in this process during `work`. */
export async function countOutcomes(events: Observable<JobEvent>, work: () => Promise<unknown>): Promise<RunDueCounts> {
  const counts: RunDueCounts = { completed: 0, failed: 0, retried: 0, snoozed: 0, cancelled: 0, released: 0 };
  const subscription = events.subscribe(({ type }) => {
    const counted = COUNTED[type];
    if (counted) {
      counts[counted] += 1;
    }
  });
  try {
    await work();
    return counts;
  } finally {
    subscription.unsubscribe();
  }
}
