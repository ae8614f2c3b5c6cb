import type { SchedulePattern } from '../../core/cron.js';
import type { ScheduleOptions } from '../../core/schedule.js';
import type { JobTopic } from '../../core/job-topic.js';
import type { CheckedHandler, Method } from './job-handler.decorator.js';
import { addMethodMetadata, assertMethod, findMethodMetadata } from './method-metadata.js';

/** Metadata key of the schedules of a method. A string, so that two copies of the package share it. */
const JOB_SCHEDULE_METADATA = 'nestjs-jobs:schedule';

export interface JobScheduleMetadata {
  readonly pattern: SchedulePattern;
  readonly options: ScheduleOptions;
  /** The decorated method. */
  readonly method: object;
}

/**
 * Adds a job for each tick of a pattern: one job, over any number of processes. The decorated method is its handler, unless the options
 * name a topic. Beside `@JobHandler`, the jobs have that handler's topic.
 *
 * Only processes whose code declares the schedule fire it. If the pattern changes, the schedule starts again from now.
 *
 * @param pattern a cron pattern with 5 fields, or 6 with seconds first; or `{ every: '10s' }`.
 * @param options time zone, missed ticks, overlap, and the options of the jobs.
 * @throws InvalidOptionsError at once when it decorates anything but a method of an instance; at start for a wrong pattern or option, and
 * for two schedules with one name.
 *
 * @example
 * @JobSchedule('0 3 * * *', { tz: 'Europe/Berlin' })
 * async nightly(job: JobContext) { await this.reports.build(job.schedule?.tick); }
 *
 * @publicApi
 */
export function JobSchedule<T = null, Topic extends string | JobTopic<T> | undefined = undefined>(
  pattern: SchedulePattern,
  options: ScheduleOptions<T> & { topic?: Topic } = {},
) {
  return <M extends Method>(
    target: object,
    name: string,
    descriptor: TypedPropertyDescriptor<Topic extends undefined ? CheckedHandler<M, never, unknown, undefined> : M>,
  ): void => {
    assertMethod('@JobSchedule', target, name, descriptor?.value);
    addMethodMetadata(JOB_SCHEDULE_METADATA, target, name, { pattern, options, method: descriptor.value });
  };
}

/** Returns the schedules of an instance's class and its base classes, by method name. */
export function findJobSchedules(instance: object): ReadonlyMap<string, readonly JobScheduleMetadata[]> {
  return findMethodMetadata<JobScheduleMetadata>(JOB_SCHEDULE_METADATA, instance);
}
