/** Status of a job. `completed`, `failed` and `cancelled` are final until a user requeues or deletes the job. */
export const JOB_STATUSES = ['pending', 'processing', 'completed', 'failed', 'cancelled'] as const;

export type JobStatus = (typeof JOB_STATUSES)[number];

/** What a list selects by: a status, or `retrying`: pending jobs that have used a retry. */
export const FILTER_STATUSES = [...JOB_STATUSES, 'retrying'] as const;

export type JobFilterStatus = (typeof FILTER_STATUSES)[number];

/** Returns the status of the jobs that a filter value selects. */
export function toJobStatus(status: JobFilterStatus): JobStatus {
  return status === 'retrying' ? 'pending' : status;
}

/** Statuses of finished jobs. The queue prunes these rows by age. */
export const FINAL_STATUSES = ['completed', 'failed', 'cancelled'] as const;

export type FinalStatus = (typeof FINAL_STATUSES)[number];

/** Status of a job, or `none` before it is inserted and after it is deleted. */
export type JobState = JobStatus | 'none';

/** Names of the transitions. Each is one guarded statement in the store. */
export type TransitionVerb =
  | 'insert'
  | 'claim'
  | 'markStarted'
  | 'renew'
  | 'complete'
  | 'fail'
  | 'end cancelled'
  | 'retry'
  | 'snooze'
  | 'release'
  | 'rescue'
  | 'expire'
  | 'cancel'
  | 'requeue'
  | 'promote'
  | 'unblock'
  | 'delete'
  | 'keep'
  | 'prune';

export interface Transition {
  readonly verb: TransitionVerb;
  readonly from: JobState;
  readonly to: JobState;
  /** Condition of the statement. It changes no row that does not match. */
  readonly guard: string;
}

const owned = 'same id and attempt, still processing';
const leaseExpired = 'lease expired by the database clock';

/** All legal transitions. A test compares this table with `docs/state-machine.md`. */
export const TRANSITIONS: readonly Transition[] = [
  { verb: 'insert', from: 'none', to: 'pending', guard: 'in the transaction of the caller when one is given' },
  {
    verb: 'claim',
    from: 'pending',
    to: 'processing',
    guard: 'due and not expired by the database clock, topic not paused, handler here, slot free',
  },
  { verb: 'markStarted', from: 'processing', to: 'processing', guard: `${owned}; not expired` },
  { verb: 'renew', from: 'processing', to: 'processing', guard: owned },
  { verb: 'complete', from: 'processing', to: 'completed', guard: owned },
  { verb: 'fail', from: 'processing', to: 'failed', guard: `${owned}; no retries left, or unrecoverable` },
  { verb: 'end cancelled', from: 'processing', to: 'cancelled', guard: `${owned}; a cancel was requested` },
  { verb: 'retry', from: 'processing', to: 'pending', guard: `${owned}; retries left` },
  { verb: 'snooze', from: 'processing', to: 'pending', guard: `${owned}; no retry charged` },
  { verb: 'release', from: 'processing', to: 'pending', guard: `${owned}; no retry charged` },
  { verb: 'rescue', from: 'processing', to: 'pending', guard: `${leaseExpired}; retries left, or never started` },
  { verb: 'rescue', from: 'processing', to: 'failed', guard: `${leaseExpired}; no retries left, and started` },
  { verb: 'rescue', from: 'processing', to: 'cancelled', guard: `${leaseExpired}; a cancel was requested` },
  { verb: 'expire', from: 'pending', to: 'cancelled', guard: 'never started; expired by the database clock' },
  { verb: 'cancel', from: 'pending', to: 'cancelled', guard: 'by request, or because of a parent' },
  { verb: 'requeue', from: 'failed', to: 'pending', guard: 'by request; unique key free' },
  { verb: 'requeue', from: 'cancelled', to: 'pending', guard: 'by request, or with its parent; unique key free' },
  { verb: 'promote', from: 'pending', to: 'pending', guard: 'by request; waits for no parent' },
  { verb: 'unblock', from: 'pending', to: 'pending', guard: 'its last parent has ended' },
  {
    verb: 'delete',
    from: 'pending',
    to: 'none',
    guard: 'by request; with children it is `cancelled` until its follow-up has ended them',
  },
  { verb: 'delete', from: 'completed', to: 'none', guard: 'by request' },
  { verb: 'delete', from: 'failed', to: 'none', guard: 'by request' },
  { verb: 'delete', from: 'cancelled', to: 'none', guard: 'by request' },
  {
    verb: 'keep',
    from: 'cancelled',
    to: 'pending',
    guard: 'its deletion found it pending, and the database refuses to delete its row; unique key free',
  },
  { verb: 'prune', from: 'completed', to: 'none', guard: 'finished longer ago than its retention' },
  { verb: 'prune', from: 'failed', to: 'none', guard: 'finished longer ago than its retention' },
  { verb: 'prune', from: 'cancelled', to: 'none', guard: 'finished longer ago than its retention' },
];

/** Returns whether a job of this status has finished. */
export function isFinal(status: JobStatus): status is FinalStatus {
  return (FINAL_STATUSES as readonly string[]).includes(status);
}

/** Words and conditions of an action of users on a job. */
interface ActionFacts {
  /** Infinitive, as in "cannot cancel". */
  readonly verb: string;
  /** Participle, as in "was cancelled". */
  readonly done: string;
  /** Statuses in which the action is allowed. */
  readonly from: readonly JobStatus[];
  /** `true`: only due jobs; `false`: only jobs that are not due; `null`: all. */
  readonly due: boolean | null;
}

/** An action of users on a job. */
export type JobAction = 'requeue' | 'promote' | 'cancel' | 'delete';

export const JOB_ACTIONS: Readonly<Record<JobAction, ActionFacts>> = Object.freeze({
  requeue: { verb: 're-queue', done: 're-queued', from: ['failed', 'cancelled'], due: null },
  promote: { verb: 'promote', done: 'promoted', from: ['pending'], due: false },
  cancel: { verb: 'cancel', done: 'cancelled', from: ['pending', 'processing'], due: null },
  delete: { verb: 'delete', done: 'deleted', from: ['pending', 'completed', 'failed', 'cancelled'], due: null },
});

/** Returns the id as the database writes it, or `undefined` if the text is not a UUID. */
export function parseJobId(id: unknown): string | undefined {
  return typeof id === 'string' && /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id)
    ? id.toLowerCase()
    : undefined;
}
