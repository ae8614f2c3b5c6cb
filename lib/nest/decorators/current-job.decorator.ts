import type { ArgumentsHost } from '@nestjs/common';
import { createParamDecorator } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { JobContext as CoreJobContext } from '../../core/job-handler.js';

/** `ExecutionContext.getType()` of a handler. */
export const JOB_CONTEXT_TYPE = 'job';

/**
 * The argument of a handler: one attempt of one job, with its payload, its abort signal and `completeTx`.
 *
 * @publicApi
 */
export type JobContext<T = unknown, R = unknown> = CoreJobContext<T, EntityManager, R>;

/**
 * Injects the {@link JobContext} into a handler whose other parameters are decorated.
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
 * returns the job.
 *
 * @publicApi
 */
export function isJobContext(context: ArgumentsHost): boolean {
  return context.getType<string>() === JOB_CONTEXT_TYPE;
}
