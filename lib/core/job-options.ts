import type { Backoff, BackoffFunction, BackoffOptions } from './backoff.js';
import type { Duration } from './duration.js';
import { InvalidOptionsError } from './errors.js';
import type { EnqueueOptions } from './job.js';
import { SET_JOBS_MAX } from './bounds.js';
import {
  backoffCheck,
  concurrencyCheck,
  labelsCheck,
  maxRetriesCheck,
  priorityCheck,
  timeoutCheck,
} from './job-checks.js';
import type { Check } from './option-checks.js';
import {
  applyCheck,
  dateCheck,
  duration,
  flag,
  integer,
  jsonCheck,
  option,
  optional,
  readOptions,
  recordCheck,
} from './option-checks.js';
import type { RetentionOption, TopicRetention } from './retention.js';
import { topicRetentionCheck } from './retention.js';
import { encodePayload, RECORDED_JSON_BYTES_MAX } from './payload.js';
import type { TopicName } from './topic.js';
import { topicNameCheck } from './topic.js';
import type { Limits, TopicLimits } from './topic-limits.js';
import { isUnlimited, limitsCheck } from './topic-limits.js';
import type { Debounce, UniqueMode } from './unique-key.js';
import {
  concurrencyKeyCheck,
  debounceCheck,
  toUniqueMode,
  uniqueForCheck,
  uniqueKeyCheck,
  uniqueUntilCheck,
} from './unique-key.js';

/** Options of a topic's jobs. Absent options have the module's defaults. */
export interface TopicJobOptions {
  /**
   * Jobs of this topic that run at once in this process, 1 to 10,000; of a batch handler, the calls. Default: the module's
   * `concurrency`.
   */
  concurrency?: number | undefined;
  /** Time limit of one attempt, at least 1 ms. Default: that of the module. */
  timeout?: Duration | undefined;
  /** Retries after the first attempt, 0 to 1000, of jobs that this process enqueues. Default: that of the module. */
  maxRetries?: number | undefined;
  /** How long retries wait, or a function of the retry's number and the error. Default: that of the module. */
  backoff?: BackoffOptions | BackoffFunction | undefined;
  /**
   * Cancels jobs that this process enqueues if they have not started this long after the enqueue. At least 1 ms. Default: jobs do not
   * expire.
   */
  expiresIn?: Duration | undefined;
  /** Priority of jobs that this process enqueues, −1000 to 1000. Lower runs first. Default 0. */
  priority?: number | undefined;
  /** Labels of jobs that this process enqueues, at most 10 with those of the call. Default: none. */
  labels?: readonly string[] | undefined;
  /**
   * Limits over all processes. Do not give other limits here than in `defineJob`. An operator's setting has precedence. Default: none.
   */
  limits?: Limits | undefined;
  /**
   * How long finished jobs are kept, for all of them or by status. Every process obeys it. Default, also for absent statuses: that of the
   * module.
   */
  retention?: RetentionOption | undefined;
  /**
   * The topic that receives a dead letter for each job that fails for good: a job with the payload `DeadLetter`, inserted
   * once, right after the failure. Not for jobs that are cancelled or expire. Default: none.
   */
  deadLetter?: TopicName | undefined;
  /** Runs the handler in a transaction that commits together with its completion. PostgreSQL only. Default `false`. */
  transactional?: boolean | undefined;
}

/** Options of a handler. Absent options have the module's defaults. */
export interface JobHandlerOptions extends TopicJobOptions {
  /** Passes several jobs to one call of the handler, which takes a `JobBatch`. A call takes one slot. Not with `transactional`. */
  batch?: BatchOptions | undefined;
}

/** How many jobs one call of a batch handler takes. */
export interface BatchOptions {
  /** Jobs of a full batch, 2 to 1,000. A call may have fewer. */
  size: number;
  /**
   * How long a batch that is not full waits for more jobs, from the claim of its first one; at most one hour. Default 0: a call takes the
   * jobs that are due. A full batch never waits.
   */
  wait?: Duration | undefined;
}

/** {@link BatchOptions}, checked. */
export interface BatchSettings {
  readonly size: number;
  readonly waitMs: number;
}

/** The topic in `deadLetter`, and what its typed topic sets. */
interface DeadLetterSetting {
  readonly topic: string;
  readonly maxRetries: number | undefined;
  readonly priority: number | undefined;
}

/** {@link JobHandlerOptions}, checked. `undefined` means the module's default. */
export interface HandlerSettings {
  readonly concurrency: number | undefined;
  readonly timeoutMs: number | undefined;
  readonly maxRetries: number | undefined;
  readonly backoff: Backoff | BackoffFunction | undefined;
  readonly priority: number | undefined;
  readonly labels: readonly string[] | undefined;
  /** `undefined`: jobs do not expire. */
  readonly expiresInMs: number | undefined;
  /** `undefined`: none. */
  readonly limits: TopicLimits | undefined;
  /** `undefined`: that of the module. */
  readonly retention: TopicRetention | undefined;
  readonly deadLetter: DeadLetterSetting | undefined;
  readonly transactional: boolean;
  readonly batch: BatchSettings | undefined;
}

/**
 * Checks the options of a handler.
 *
 * @param method class and method of the handler, if it has any.
 * @throws InvalidOptionsError with the topic, the method and the option.
 */
export function readHandlerOptions(topic: string, given: JobHandlerOptions = {}, method?: string): HandlerSettings {
  return toHandlerSettings(given, method ? `handler ${method} of '${topic}'` : `handler of '${topic}'`);
}

/** Checks the options of a typed topic. @throws InvalidOptionsError with the topic and the option. */
export function readTopicOptions(topic: string, given: TopicJobOptions): HandlerSettings {
  const subject = `topic '${topic}'`;
  if ((given as JobHandlerOptions | null)?.batch !== undefined) {
    throw new InvalidOptionsError(`${subject}: batch`, 'belongs to the handler; pass it to @JobHandler or register');
  }
  return toHandlerSettings(given, subject);
}

function toHandlerSettings(given: JobHandlerOptions, subject: string): HandlerSettings {
  const { timeout, limits, expiresIn, ...same } = readOptions(handlerTable, given, subject);
  if (same.batch && same.transactional) {
    throw new InvalidOptionsError(
      `${subject}: transactional`,
      'contradicts batch; leave it out and call jobs.completeTx(manager) at the end of your own transaction',
    );
  }
  return Object.freeze({
    ...same,
    timeoutMs: timeout,
    expiresInMs: expiresIn,
    limits: limits && isUnlimited(limits) ? undefined : limits,
  });
}

/** {@link EnqueueOptions}, checked. `undefined` means the default of the topic or the module. */
export interface EnqueueSettings {
  /** Earliest start; `undefined` means `delayMs` from now. */
  readonly runAt: Date | undefined;
  readonly delayMs: number;
  readonly maxRetries: number | undefined;
  readonly priority: number | undefined;
  readonly timeoutMs: number | undefined;
  readonly backoff: Backoff | undefined;
  readonly uniqueKey: string | undefined;
  /** `undefined`: the key allows one unfinished job. */
  readonly uniqueMode: UniqueMode | undefined;
  readonly concurrencyKey: string | undefined;
  readonly labels: readonly string[] | undefined;
  readonly expiresAt: Date | undefined;
  readonly expiresInMs: number | undefined;
  /** JSON text. */
  readonly metadata: string | undefined;
}

/** Checks the options of `enqueue`. @throws InvalidOptionsError; InvalidPayloadError or PayloadTooLargeError for `metadata`. */
export function readEnqueueOptions(given?: EnqueueOptions): EnqueueSettings {
  return given === undefined ? noOptions : toEnqueueSettings(given);
}

/** Members of a `NewJob` that are not options. */
const OTHER_MEMBERS = ['topic', 'payload', 'ref', 'dependsOn', 'onParentFailure'];

/** Checks the options of a job for `enqueueMany`, which are members beside its topic and payload. */
export function readNewJobOptions(job: EnqueueOptions): EnqueueSettings {
  // The copy drops the methods and accessors of a class.
  return toEnqueueSettings(Object.getPrototypeOf(job) === Object.prototype ? job : { ...job }, OTHER_MEMBERS);
}

/** Lists the members one by one, because each enqueue runs this and a spread is slower. */
function toEnqueueSettings(given: EnqueueOptions, others?: readonly string[]): EnqueueSettings {
  const options = readOptions(ENQUEUE_OPTIONS, given, '', others);
  if (given.runAt !== undefined && given.delay !== undefined) {
    throw new InvalidOptionsError('delay', 'contradicts runAt; give one of the two');
  }
  if (given.expiresIn !== undefined && given.expiresAt !== undefined) {
    throw new InvalidOptionsError('expiresIn', 'contradicts expiresAt; give one of the two');
  }
  const { metadata } = options;
  const uniqueMode = toUniqueMode(options);
  return {
    runAt: options.runAt,
    delayMs: uniqueMode?.debounce ? readDebounceDelay(given, uniqueMode.debounce) : options.delay,
    maxRetries: options.maxRetries,
    priority: options.priority,
    timeoutMs: options.timeout,
    backoff: options.backoff,
    uniqueKey: options.uniqueKey,
    uniqueMode,
    concurrencyKey: options.concurrencyKey,
    labels: options.labels,
    expiresAt: options.expiresAt,
    expiresInMs: options.expiresIn,
    metadata: metadata === undefined ? undefined : encodeMetadata(metadata),
  };
}

/** @throws InvalidOptionsError when the call also sets the start in another way. */
function readDebounceDelay({ runAt, delay }: EnqueueOptions, { wait }: Debounce): number {
  const other = runAt !== undefined ? 'runAt' : delay !== undefined ? 'delay' : undefined;
  if (other !== undefined) {
    throw new InvalidOptionsError('debounce', `contradicts ${other}; give one of the two`);
  }
  return wait;
}

/**
 * Encodes metadata of the application as JSON text.
 *
 * @throws InvalidOptionsError for an object that JSON writes as another type, such as a `Date`, and for a member of the queue.
 */
export function encodeMetadata(metadata: Record<string, unknown>): string {
  const reserved = Object.keys(metadata).find((name) => name.startsWith('$'));
  if (reserved !== undefined) {
    throw new InvalidOptionsError(`metadata.${reserved}`, "names that begin with '$' belong to the queue");
  }
  const text = encodePayload(metadata, RECORDED_JSON_BYTES_MAX, 'metadata');
  if (!text.startsWith('{')) {
    throw new InvalidOptionsError('metadata', `expected ${recordCheck.expects}, got ${text.slice(0, 60)}`);
  }
  return text;
}

/** Changes to a job that `requeue` makes. */
export interface RequeueOptions {
  /** New payload. Default: unchanged. */
  payload?: unknown;
  /** Earliest start. Default: now. */
  runAt?: Date | undefined;
  /** Retries after the first attempt, 0 to 1000. Default: unchanged. */
  maxRetries?: number | undefined;
  /** Also re-queues the jobs that were cancelled because this one failed: they wait for it again. Default `false`. */
  dependants?: boolean | undefined;
}

/** Checks the changes of `requeue`, except the payload. `undefined` means unchanged. */
export function readRequeueOptions(given: RequeueOptions = {}): RequeueOptions {
  return readOptions(REQUEUE_OPTIONS, given);
}

const handlerBackoffCheck: Check<Backoff | BackoffFunction> = {
  expects: `${backoffCheck.expects} or a function`,
  parse: (value, path) => (typeof value === 'function' ? (value as BackoffFunction) : backoffCheck.parse(value, path)),
};

/** The longest `wait`. During it the jobs are `processing`, and other processes do not see them. */
const BATCH_WAIT_MAX_MS = 3_600_000;

const batchTable = {
  size: optional(integer(2, SET_JOBS_MAX)),
  wait: option(0, duration(0, BATCH_WAIT_MAX_MS)),
};

const batchCheck: Check<BatchSettings> = {
  expects: 'an object with size and wait',
  parse: (value, path) => {
    if (typeof value !== 'object' || value === null) {
      return undefined;
    }
    const { size, wait } = readOptions(batchTable, value, path);
    return Object.freeze({ size: applyCheck(batchTable.size.check, size, `${path}.size`)!, waitMs: wait });
  },
};

const expiresInCheck = duration(1);

const deadLetterCheck: Check<DeadLetterSetting> = {
  expects: topicNameCheck.expects,
  parse: (value, path) => {
    const topic = topicNameCheck.parse(value, path);
    // `defineJob` has checked them.
    const { maxRetries, priority } = (value as { options?: TopicJobOptions } | null)?.options ?? {};
    return topic === undefined ? undefined : Object.freeze({ topic, maxRetries, priority });
  },
};

const handlerTable = {
  concurrency: optional(concurrencyCheck),
  timeout: optional(timeoutCheck),
  maxRetries: optional(maxRetriesCheck),
  expiresIn: optional(expiresInCheck),
  backoff: optional(handlerBackoffCheck),
  priority: optional(priorityCheck),
  labels: optional(labelsCheck),
  limits: optional(limitsCheck),
  retention: optional(topicRetentionCheck),
  deadLetter: optional(deadLetterCheck),
  transactional: option(false, flag),
  batch: optional(batchCheck),
};

/** Describes each option of `enqueue`. */
export const ENQUEUE_OPTIONS = {
  runAt: optional(dateCheck, 'earliest start; not together with delay'),
  delay: option(0, duration(0), 'time until the earliest start; not together with runAt'),
  expiresIn: optional(expiresInCheck, 'cancels the job if it has not started this long after the enqueue'),
  expiresAt: optional(dateCheck, 'cancels the job if it has not started by then; not together with expiresIn'),
  maxRetries: optional(maxRetriesCheck, 'retries after the first attempt'),
  priority: optional(priorityCheck, 'lower runs first; default 0'),
  timeout: optional(timeoutCheck, 'time limit of one attempt'),
  backoff: optional(backoffCheck, 'how long retries wait'),
  uniqueKey: optional(uniqueKeyCheck, 'allows one unfinished job per topic and key'),
  uniqueUntil: optional(uniqueUntilCheck, "when the job frees uniqueKey; default 'finished'"),
  uniqueFor: optional(uniqueForCheck, 'uniqueKey stays taken at least this long after the job was stored'),
  debounce: optional(debounceCheck, 'a call before the start replaces the payload and delays the job; needs uniqueKey'),
  concurrencyKey: optional(concurrencyKeyCheck, 'jobs with one key share a limit, and keys take turns'),
  labels: optional(labelsCheck, 'words by which people find the job, such as team:billing'),
  metadata: optional(recordCheck, 'data of the application about the job, at most 64 KiB'),
};

/** Options of a job that only the code sets: a request cannot. */
export const CODE_OPTIONS = ['backoff'] as const;

/** Describes each change that `requeue` makes. */
export const REQUEUE_OPTIONS = {
  payload: optional(jsonCheck, 'new payload; default: unchanged'),
  runAt: optional(dateCheck, 'earliest start; default: now'),
  maxRetries: optional(maxRetriesCheck, 'retries after the first attempt; default: unchanged'),
  dependants: optional(flag, 'also re-queues the jobs that were cancelled because this one failed'),
};

/** Settings of a call without options, computed once. */
const noOptions = Object.freeze(toEnqueueSettings({}));
