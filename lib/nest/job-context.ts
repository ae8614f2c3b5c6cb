import type { ArgumentsHost } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { JobContext as AnyJobContext } from '../core/job-handler.js';

/** What `ExecutionContext.getType()` says around a handler. */
export const JOB_CONTEXT_TYPE = 'job';

/**
 * What a handler is given: one attempt of one job, with its payload, its signal, and `completeTx`.
 *
 * @publicApi
 */
export type JobContext<T = unknown> = AnyJobContext<T, EntityManager>;

/**
 * Whether a guard, interceptor or filter runs around a job's handler rather than around a request. The job itself is the
 * first argument: `context.getArgByIndex<JobContext>(0)`.
 *
 * @publicApi
 */
export function isJobContext(context: ArgumentsHost): boolean {
  return context.getType<string>() === JOB_CONTEXT_TYPE;
}
