/** Where a job stands. `completed`, `failed` and `cancelled` are final until somebody re-queues or deletes the job. */
export const JOB_STATUSES = ['pending', 'processing', 'completed', 'failed', 'cancelled'] as const;

export type JobStatus = (typeof JOB_STATUSES)[number];

/** The statuses of a job that has ended; such rows are pruned by age. */
export const FINAL_STATUSES = ['completed', 'failed', 'cancelled'] as const;

export type FinalStatus = (typeof FINAL_STATUSES)[number];

/** A state a job can be in, with `none` for the time before it is inserted and after it is deleted. */
export type JobState = JobStatus | 'none';

/** The verbs that move a job. Each is one guarded statement in the store. */
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
  | 'cancel'
  | 'requeue'
  | 'promote'
  | 'delete'
  | 'prune';

export interface Transition {
  readonly verb: TransitionVerb;
  readonly from: JobState;
  readonly to: JobState;
  /** What must hold in the row for the statement to touch it. */
  readonly guard: string;
}

const owned = 'same id and attempt, still processing';
const leaseExpired = 'lease expired by the database clock';

/** The one table of legal transitions. `docs/state-machine.md` repeats it for people; a test holds the two together. */
export const TRANSITIONS: readonly Transition[] = [
  { verb: 'insert', from: 'none', to: 'pending', guard: 'in the transaction of the caller when one is given' },
  {
    verb: 'claim',
    from: 'pending',
    to: 'processing',
    guard: 'due by the database clock, topic not paused, handler here, slot free',
  },
  { verb: 'markStarted', from: 'processing', to: 'processing', guard: owned },
  { verb: 'renew', from: 'processing', to: 'processing', guard: owned },
  { verb: 'complete', from: 'processing', to: 'completed', guard: owned },
  { verb: 'fail', from: 'processing', to: 'failed', guard: `${owned}; no retries left, or unrecoverable` },
  { verb: 'end cancelled', from: 'processing', to: 'cancelled', guard: `${owned}; a cancel was requested` },
  { verb: 'retry', from: 'processing', to: 'pending', guard: `${owned}; retries left` },
  { verb: 'snooze', from: 'processing', to: 'pending', guard: `${owned}; no retry charged` },
  { verb: 'release', from: 'processing', to: 'pending', guard: `${owned}; no retry charged` },
  { verb: 'rescue', from: 'processing', to: 'pending', guard: `${leaseExpired}; retries left, or never begun` },
  { verb: 'rescue', from: 'processing', to: 'failed', guard: `${leaseExpired}; no retries left, and begun` },
  { verb: 'rescue', from: 'processing', to: 'cancelled', guard: `${leaseExpired}; a cancel was requested` },
  { verb: 'cancel', from: 'pending', to: 'cancelled', guard: 'by request' },
  { verb: 'requeue', from: 'failed', to: 'pending', guard: 'by request; unique key free' },
  { verb: 'requeue', from: 'cancelled', to: 'pending', guard: 'by request; unique key free' },
  { verb: 'promote', from: 'pending', to: 'pending', guard: 'by request' },
  { verb: 'delete', from: 'pending', to: 'none', guard: 'by request' },
  { verb: 'delete', from: 'completed', to: 'none', guard: 'by request' },
  { verb: 'delete', from: 'failed', to: 'none', guard: 'by request' },
  { verb: 'delete', from: 'cancelled', to: 'none', guard: 'by request' },
  { verb: 'prune', from: 'completed', to: 'none', guard: 'finished longer ago than its retention' },
  { verb: 'prune', from: 'failed', to: 'none', guard: 'finished longer ago than its retention' },
  { verb: 'prune', from: 'cancelled', to: 'none', guard: 'finished longer ago than its retention' },
];

/** Whether a job of this status has ended. */
export function isFinal(status: JobStatus): status is FinalStatus {
  return (FINAL_STATUSES as readonly string[]).includes(status);
}

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

/** The id as the database writes it, or `undefined` when no job can have it. */
export function parseJobId(id: unknown): string | undefined {
  return typeof id === 'string' && /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id)
    ? id.toLowerCase()
    : undefined;
}
