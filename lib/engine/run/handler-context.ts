import type { Claim } from '../../core/job.js';
import type { JobContext } from '../../core/job-handler.js';
import type { StoreTransaction } from '../../store/job-store.js';

/** What a handler may ask of its attempt, through its job. */
export interface AttemptHandle {
  readonly signal: AbortSignal;
  readonly manager: StoreTransaction;
  /** Why the handler is not to be called any more, if it is not. */
  endingNow(): Error | undefined;
  progress(value: unknown): Promise<void>;
  completeTx(manager: StoreTransaction, result?: unknown): Promise<void>;
  /** The handler is at work until this settles, whatever those around it make of it. */
  worksUntil(end: Promise<unknown>): void;
}

/** Where a job keeps its attempt, hidden from whoever prints, copies or serialises it. */
const ATTEMPT = Symbol('attempt');

/** Why the attempt behind a handler's job is to end, if it is; asked without making a signal. */
export function endingOf(job: object): Error | undefined {
  return (job as Partial<HandlerContext>)[ATTEMPT]?.endingNow();
}

/** A job's handler is at work until this settles, also when an interceptor around it has stopped waiting. */
export function worksUntil(job: object, end: Promise<unknown>): void {
  (job as Partial<HandlerContext>)[ATTEMPT]?.worksUntil(end);
}

/** One for all jobs: an accessor of each one's own took three times the memory of all the rest of it. */
const signalOfAttempt = {
  get(this: HandlerContext): AbortSignal {
    return this[ATTEMPT].signal;
  },
  enumerable: true,
};

/** What a handler sees of its attempt. */
export class HandlerContext implements JobContext {
  readonly id: string;
  readonly topic: string;
  readonly payload: unknown;
  readonly attempt: number;
  readonly retries: number;
  readonly maxRetries: number;
  readonly runAt: Date;
  readonly created: Date;
  readonly metadata: Readonly<Record<string, unknown>> | null;
  /** Own members, so that a handler may take them out of the job, and find them in a copy of it. */
  readonly progress: JobContext['progress'];
  readonly completeTx: JobContext['completeTx'];
  /** One of these as well; made when somebody asks. */
  declare readonly signal: AbortSignal;
  declare readonly [ATTEMPT]: AttemptHandle;

  constructor(claim: Claim, attempt: AttemptHandle) {
    this.id = claim.id;
    this.topic = claim.topic;
    this.payload = claim.payload;
    this.attempt = claim.attempt;
    this.retries = claim.retries;
    this.maxRetries = claim.maxRetries;
    this.runAt = claim.runAt;
    this.created = claim.created;
    this.metadata = claim.metadata;
    // Not written straight into the members, or V8 would put them among what is old, and the attempt with them: see
    // docs/adr/0020-short-lives.md.
    const progress: JobContext['progress'] = (value) => attempt.progress(value);
    const completeTx: JobContext['completeTx'] = (manager, result) => attempt.completeTx(manager, result);
    this.progress = progress;
    this.completeTx = completeTx;
    Object.defineProperty(this, ATTEMPT, { value: attempt });
    Object.defineProperty(this, 'signal', signalOfAttempt);
  }

  get manager(): StoreTransaction {
    return this[ATTEMPT].manager;
  }
}
