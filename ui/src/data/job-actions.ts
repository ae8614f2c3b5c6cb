import type { Job, JobFilterStatus, JobStatus } from '../../../client/index.js';
import { messages } from '../messages/messages.js';
import type { Filters } from '../route/route.js';
import { ENDED_STATUSES } from '../text/job-statuses.js';

/** What can be done to a job, or to many. */
export type ActionName = 'requeue' | 'promote' | 'cancel' | 'delete';

export const BULK_ACTIONS: readonly ActionName[] = ['requeue', 'promote', 'cancel', 'delete'];

const ALLOWED: Readonly<Record<ActionName, readonly JobStatus[]>> = {
  requeue: ['failed', 'cancelled'],
  promote: ['pending'],
  cancel: ['pending', 'processing'],
  delete: ['pending', 'completed', 'failed', 'cancelled'],
};

/**
 * What a single job has buttons for. The first is how it runs: before its time while it waits, else once more. A blocked job starts
 * when other jobs end.
 */
export function actionsFor({ status, blocked }: Pick<Job, 'status' | 'blocked'>): readonly ActionName[] {
  if (blocked) return ['cancel', 'delete'];
  return [status === 'pending' ? 'promote' : 'requeue', 'cancel', 'delete'];
}

/** Whether a job has failed and will run again. */
export function isRetrying({ status, retries, blocked }: Job): boolean {
  return status === 'pending' && retries > 0 && !blocked;
}

/** Returns the statuses of the filtered jobs that the action can change. Empty: none. */
export function statusesAmong(
  action: ActionName,
  { statuses, errorKey, due, order }: Filters,
): readonly JobFilterStatus[] {
  const implied: readonly JobFilterStatus[] = errorKey ? ['failed'] : order ? ENDED_STATUSES : [];
  const meant: readonly JobFilterStatus[] = due ? ['pending'] : statuses.length === 0 ? implied : statuses;
  if (action === 'promote' && due === 'true') return [];
  const allowed = ALLOWED[action];
  return meant.length === 0
    ? allowed
    : meant.filter((status) => allowed.includes(status === 'retrying' ? 'pending' : status));
}

/**
 * Why the API would refuse, or why it would change nothing; `null` when neither.
 *
 * @param now by the clock of the server, in milliseconds since 1970
 */
export function findRefusal(
  action: ActionName,
  job: Pick<Job, 'status' | 'cancel_requested' | 'run_at'>,
  now: number,
): string | null {
  const { refusals } = messages.actions;
  if (!ALLOWED[action].includes(job.status)) return refusals[action];
  if (action === 'promote' && job.run_at !== null && Date.parse(job.run_at) <= now) return refusals.alreadyDue;
  return action === 'cancel' && job.cancel_requested ? refusals.alreadyCancelling : null;
}
