import type { Job, JobStatus } from '../../../client/index.js';

export type ActionName = 'requeue' | 'cancel' | 'delete';

export const ACTIONS: readonly ActionName[] = ['requeue', 'cancel', 'delete'];

/** What the buttons say. */
export const ACTION_LABELS: Readonly<Record<ActionName, string>> = {
  requeue: 'Re-queue',
  cancel: 'Cancel',
  delete: 'Delete',
};

const ALLOWED: Readonly<Record<ActionName, readonly JobStatus[]>> = {
  requeue: ['failed', 'cancelled'],
  cancel: ['pending', 'processing'],
  delete: ['pending', 'completed', 'failed', 'cancelled'],
};

const REASONS: Readonly<Record<ActionName, string>> = {
  requeue: 'only failed and cancelled jobs can be re-queued',
  cancel: 'only jobs that wait or run can be cancelled',
  delete: 'a job that runs cannot be deleted; cancel it first',
};

/** In which statuses a job can be moved so. */
export function statusesFor(action: ActionName): readonly JobStatus[] {
  return ALLOWED[action];
}

/** Why the API would refuse, or `null` when it would not. */
export function refusalOf(action: ActionName, job: Pick<Job, 'status' | 'cancel_requested'>): string | null {
  if (!ALLOWED[action].includes(job.status)) return REASONS[action];
  return action === 'cancel' && job.cancel_requested ? 'cancelling was asked for already' : null;
}
