import type { JobStatus } from './job-state.js';

/** What people do to a job, in words, and in which statuses it can be done. */
interface ActionFacts {
  /** As in "cannot cancel". */
  readonly verb: string;
  /** What became of the job. */
  readonly done: string;
  readonly from: readonly JobStatus[];
  /** Which of these it changes, by whether their time has come; `null` is all. */
  readonly due: boolean | null;
}

export type JobAction = 'requeue' | 'promote' | 'cancel' | 'delete';

export const JOB_ACTIONS: Readonly<Record<JobAction, ActionFacts>> = Object.freeze({
  requeue: { verb: 're-queue', done: 're-queued', from: ['failed', 'cancelled'], due: null },
  promote: { verb: 'promote', done: 'promoted', from: ['pending'], due: false },
  cancel: { verb: 'cancel', done: 'cancelled', from: ['pending', 'processing'], due: null },
  delete: { verb: 'delete', done: 'deleted', from: ['pending', 'completed', 'failed', 'cancelled'], due: null },
});
