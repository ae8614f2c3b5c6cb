import type { ArgumentsHost } from '@nestjs/common';
import { createParamDecorator } from '@nestjs/common';
import type { EntityManager } from '../../typeorm/connect.js';
import type { JobsTransaction } from '../../core/jobs-transaction.js';
import type {
  BatchedJob as CoreBatchedJob,
  JobBatch as CoreJobBatch,
  JobContext as CoreJobContext,
} from '../../core/job-handler.js';

/** `ExecutionContext.getType()` of a handler. */
export const JOB_CONTEXT_TYPE = 'job';

/**
 * The argument of a handler: one attempt of one job, with its payload, its abort signal and `completeTx`.
 *
 * @publicApi
 */
export type JobContext<T = unknown, R = unknown> = CoreJobContext<T, EntityManager, R, JobsTransaction>;

/**
 * The argument of a batch handler: an array of jobs, with a signal and `completeTx` for all of them.
 *
 * @example
 * @JobHandler('index_docs', { batch: { size: 100, wait: '200ms' } })
 * async index(jobs: JobBatch<Doc>) { await this.search.add(jobs.map((job) => job.payload)); }
 *
 * @publicApi
 */
export type JobBatch<T = unknown, R = unknown> = CoreJobBatch<T, EntityManager, R, JobsTransaction>;

/**
 * A member of a {@link JobBatch}: a job with `complete`, `fail` and `snooze`.
 *
 * @publicApi
 */
export type BatchedJob<T = unknown, R = unknown> = CoreBatchedJob<T, EntityManager, R, JobsTransaction>;

/**
 * Injects the {@link JobContext}, or the {@link JobBatch} of a batch handler, into a handler whose other parameters are decorated.
 *
 * @example
 * @JobHandler('send_mail')
 * send(@Payload() mail: SendMailDto, @CurrentJob() job: JobContext) {}
 *
 * @publicApi
 */
export const CurrentJob = createParamDecorator((_data, context) => context.getArgByIndex<JobContext>(0));

/**
 * Whether a guard, interceptor or filter runs around a job handler, not around a request. `context.getArgByIndex<JobContext>(0)`
 * returns the job; of a batch handler, the array of its jobs.
 *
 * @publicApi
 */
export function isJobContext(context: ArgumentsHost): boolean {
  return context.getType<string>() === JOB_CONTEXT_TYPE;
}
