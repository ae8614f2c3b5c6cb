import { JobStateError, LeaseLostError } from '../core/errors.js';
import type { ClaimToken } from '../core/job.js';
import type { SqlRow } from './sql-runner.js';

/**
 * Why a transaction of the application's did not complete a job.
 *
 * @param owned the row, when the attempt owns it still: then somebody has asked to cancel it.
 */
export function refusedCompletion({ id, attempt }: ClaimToken, owned: SqlRow | undefined): Error {
  return owned ? new JobStateError(id, 'cannot be completed, a cancel was requested') : new LeaseLostError(id, attempt);
}
