import type { JobContext } from '../../core/job-handler.js';
import type { ScheduleTick } from '../../core/schedule.js';
import { SCHEDULE_METADATA } from '../../core/schedule.js';
import type { StoreTransaction } from '../../store/job-store.js';
import type { Attempt } from './attempt.js';

/** The key of a job's attempt. A symbol, and not enumerable: code that prints, copies or serialises the job skips it. */
const ATTEMPT = Symbol('attempt');

/** Returns the error with which the job's attempt was aborted. Does not create an AbortSignal. */
export function readAbortError(job: object): Error | undefined {
  return (job as Partial<HandlerContext>)[ATTEMPT]?.checkAborted();
}

/** Keeps the job's slot occupied until `work` settles, even when an interceptor stops waiting for it. */
export function trackHandlerPromise(job: object, work: Promise<unknown>): void {
  (job as Partial<HandlerContext>)[ATTEMPT]?.trackHandlerPromise(work);
}

/** Shared by all jobs: an accessor per job took three times the memory of the rest of the context. */
const signalProperty = {
  get(this: HandlerContext): AbortSignal {
    return this[ATTEMPT].signal;
  },
  enumerable: true,
};

/** The argument of a handler: the data of the job, its signal and manager, `progress` and `completeTx`. */
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
  /** Own members, so that handlers may destructure and copy the job. */
  readonly progress: JobContext['progress'];
  readonly completeTx: JobContext['completeTx'];
  declare readonly signal: AbortSignal;
  declare readonly [ATTEMPT]: Attempt;

  /** @param payload the payload of the claim, or the output of the topic's schema. */
  constructor(attempt: Attempt, payload: unknown) {
    const { claim } = attempt;
    this.id = claim.id;
    this.topic = claim.topic;
    this.payload = payload;
    this.attempt = claim.attempt;
    this.retries = claim.retries;
    this.maxRetries = claim.maxRetries;
    this.runAt = claim.runAt;
    this.created = claim.created;
    this.metadata = claim.metadata;
    // In variables first: V8 allocates a function written straight into a member in the old generation, see
    // docs/adr/0020-short-lived-objects.md.
    const progress: JobContext['progress'] = (value) => {
      const kept = attempt.progress(value);
      // Serializers call functions without an argument. Their rejection must not end the process.
      kept.catch(() => undefined);
      return kept;
    };
    const completeTx: JobContext['completeTx'] = (manager, result) => attempt.completeTx(manager, result);
    this.progress = progress;
    this.completeTx = completeTx;
    Object.defineProperty(this, ATTEMPT, { value: attempt });
    Object.defineProperty(this, 'signal', signalProperty);
  }

  get schedule(): ScheduleTick | undefined {
    const stored = this.metadata?.[SCHEDULE_METADATA] as { name: string; tick: string } | undefined;
    if (!stored) {
      return undefined;
    }
    const tick = new Date(stored.tick);
    return { name: stored.name, tick, lateMs: Math.max(0, this.created.getTime() - tick.getTime()) };
  }

  get manager(): StoreTransaction {
    return this[ATTEMPT].manager;
  }
}
