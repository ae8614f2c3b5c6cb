import { JobsError } from './errors.js';
import type { Job } from './job.js';

/* The errors of `waitFor`. errors.ts cannot import the job: it would be a cycle. */

/** The job for which `waitFor` waited has ended `failed` or `cancelled`. */
export class JobFailedError extends JobsError {
  readonly code = 'JOB_FAILED';

  constructor(
    /** The job as it ended: see its `status`, `lastError` and `errors`. */
    readonly job: Job,
  ) {
    const ending = job.status === 'cancelled' ? 'was cancelled' : 'failed';
    super(`job ${job.id} of topic '${job.topic}' ${ending}${job.lastError === null ? '' : `: ${job.lastError}`}`);
  }
}

/** `waitFor` reached its timeout. The job is not affected. */
export class WaitTimeoutError extends JobsError {
  readonly code = 'WAIT_TIMEOUT';

  constructor(
    /** The id of the job. */
    readonly id: string,
    readonly timeoutMs: number,
  ) {
    super(`job ${id} has not ended within ${timeoutMs} ms`);
  }
}
