import { Inject, Injectable } from '@nestjs/common';
import type { HealthOptions, QueueHealthReport } from '../engine/reports/queue-health.js';
import { JobsEngine } from '../engine/jobs-engine.js';

/**
 * A health indicator for `@nestjs/terminus` 11 and 12, which this package does not import.
 *
 * @example this.health.check([() => this.jobs.check('jobs', { minWorkers: 1 })]);
 * @publicApi
 */
@Injectable()
export class JobsHealthIndicator {
  constructor(@Inject(JobsEngine) private readonly engine: JobsEngine) {}

  /**
   * Checks the database and the loops of this process; the backlog and the workers only if `options` say so.
   *
   * @param key name of the result in the response.
   * @throws InvalidOptionsError for a wrong option.
   */
  async check<Key extends string = 'jobs'>(
    key = 'jobs' as Key,
    options: HealthOptions = {},
  ): Promise<Record<Key, QueueHealthReport>> {
    return { [key]: await this.engine.health.check(options) } as Record<Key, QueueHealthReport>;
  }
}
