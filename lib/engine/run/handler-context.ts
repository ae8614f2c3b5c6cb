import type { ParentJob } from '../../core/dependencies.js';
import type { BatchedJob, JobBatch, JobContext } from '../../core/job-handler.js';
import { parseDuration } from '../../core/duration.js';
import { describeValue } from '../../core/error-text.js';
import { InvalidOptionsError, SnoozeError } from '../../core/errors.js';
import type { ScheduleTick } from '../../core/schedule.js';
import { GROUP_METADATA } from '../../core/job-group.js';
import { SCHEDULE_METADATA } from '../../core/schedule.js';
import type { StoreTransaction } from '../../store/transactions/application-transactions.js';
import type { Attempt } from './attempt.js';

/** The key of what runs a job, or a batch. A symbol, and not enumerable: code that prints, copies or serialises the job skips it. */
const ATTEMPT = Symbol('attempt');

/** An attempt, or the call of a batch handler. */
interface HandlerRun {
  checkCall(): Error | undefined;
  recordCall(): void;
  announceCall(): void;
  trackHandlerPromise(work: Promise<unknown>): void;
}

interface Argument {
  readonly [ATTEMPT]?: HandlerRun;
}

/** Returns why the handler must not be called: its attempt was aborted, or all attempts of a batch. Does not create an AbortSignal. */
export function readAbortError(argument: object): Error | undefined {
  return (argument as Argument)[ATTEMPT]?.checkCall();
}

/** The handler is called after this: guards and pipes come first. */
export function announceCall(argument: object): void {
  (argument as Argument)[ATTEMPT]?.announceCall();
}

/** The handler is called now. @throws the error of {@link readAbortError}. */
export function recordCall(argument: object): void {
  (argument as Argument)[ATTEMPT]?.recordCall();
}

/** Keeps the slot occupied until `work` settles, even when an interceptor stops waiting for it. */
export function trackHandlerPromise(argument: object, work: Promise<unknown>): void {
  (argument as Argument)[ATTEMPT]?.trackHandlerPromise(work);
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

  get groupId(): string | undefined {
    return this.metadata?.[GROUP_METADATA] as string | undefined;
  }

  /** Each read makes a new function: a stored one would cost memory in jobs that log nothing. Handlers may destructure it. */
  get log(): JobContext['log'] {
    const attempt = this[ATTEMPT];
    return (message, data, level) => attempt.log(message, data, level);
  }

  /** A new function for each read, as `log`. */
  get step(): JobContext['step'] {
    const attempt = this[ATTEMPT];
    return ((name, work) => attempt.step(name, work)) as JobContext['step'];
  }

  parents(): Promise<ParentJob[]> {
    return this[ATTEMPT].parents();
  }

  get manager(): StoreTransaction {
    return this[ATTEMPT].manager;
  }

  get tx(): object {
    return this[ATTEMPT].ormTransaction;
  }
}

/** What a mark says. */
export type Mark = { readonly value: unknown } | { readonly error: unknown };

/** A member of a batch. */
export class BatchedContext extends HandlerContext implements BatchedJob {
  readonly complete: BatchedJob['complete'];
  readonly fail: BatchedJob['fail'];
  readonly snooze: BatchedJob['snooze'];

  /** @param onMark receives each mark; only the first one counts. */
  constructor(attempt: Attempt, payload: unknown, onMark: (mark: Mark) => void) {
    super(attempt, payload);
    this.complete = (value) => onMark({ value });
    this.fail = (error) => onMark({ error });
    this.snooze = (delay) => {
      if (parseDuration(delay) === undefined) {
        throw new InvalidOptionsError('delay', `snooze expected a duration such as '5m', got ${describeValue(delay)}`);
      }
      onMark({ error: new SnoozeError(delay) });
    };
  }
}

/** What a batch uses of its call. */
interface BatchRun extends HandlerRun {
  readonly signal: AbortSignal;
  completeTx(tx: StoreTransaction): Promise<void>;
}

/** The argument of a batch handler. */
export class HandlerBatch extends Array<BatchedContext> implements JobBatch {
  /** `map` and `filter` return plain arrays. */
  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }

  declare readonly [ATTEMPT]: BatchRun;

  constructor(call: BatchRun, members: readonly BatchedContext[]) {
    super();
    this.push(...members);
    Object.defineProperty(this, ATTEMPT, { value: call });
  }

  get signal(): AbortSignal {
    return this[ATTEMPT].signal;
  }

  completeTx(manager: StoreTransaction): Promise<void> {
    return this[ATTEMPT].completeTx(manager);
  }
}
