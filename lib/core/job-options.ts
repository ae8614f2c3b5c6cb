import type { Backoff, BackoffFunction, BackoffOptions } from './backoff.js';
import type { Duration } from './duration.js';
import { InvalidOptionsError } from './errors.js';
import type { EnqueueOptions } from './job.js';
import type { Check, Option } from './option-checks.js';
import { dateCheck, duration, flag, jsonCheck, readOptions, recordCheck } from './option-checks.js';
import { backoffCheck, concurrencyCheck, maxRetriesCheck, priorityCheck, timeoutCheck } from './options.js';
import { encodePayload } from './payload.js';
import { RECORDED_JSON_BYTES_MAX } from './recorded-json.js';
import { uniqueKeyCheck } from './unique-key.js';

/** What a handler says about the jobs of its topic. Absent values are the module's. */
export interface JobHandlerOptions {
  /** Jobs of this topic running at once in this process. Default: the module's `concurrency`. */
  concurrency?: number | undefined;
  /** Limit of one attempt, at least 1 ms. Default: the module's. */
  timeout?: Duration | undefined;
  /** Retries after the first attempt, 0 to 1000, for jobs enqueued where this handler is known. Default: the module's. */
  maxRetries?: number | undefined;
  /** How long retries wait, or a function of the retry's number and the error. Default: the module's. */
  backoff?: BackoffOptions | BackoffFunction | undefined;
  /** Priority of jobs enqueued where this handler is known, −1000 to 1000. Default 0. */
  priority?: number | undefined;
  /** Run the handler inside a transaction that commits together with its completion. PostgreSQL only. Default `false`. */
  transactional?: boolean | undefined;
}

/** {@link JobHandlerOptions}, checked. `undefined` where the module's default holds. */
export interface HandlerSettings {
  readonly concurrency: number | undefined;
  readonly timeoutMs: number | undefined;
  readonly maxRetries: number | undefined;
  readonly backoff: Backoff | BackoffFunction | undefined;
  readonly priority: number | undefined;
  readonly transactional: boolean;
}

/**
 * @param place class and method of the handler, where there are any.
 * @throws InvalidOptionsError naming the topic, the place and the option.
 */
export function readHandlerOptions(topic: string, given: JobHandlerOptions = {}, place?: string): HandlerSettings {
  return handlerSettings(given, place ? `handler ${place} of '${topic}'` : `handler of '${topic}'`);
}

/** The same of a typed topic. @throws InvalidOptionsError naming the topic and the option. */
export function readTopicOptions(topic: string, given: JobHandlerOptions): HandlerSettings {
  return handlerSettings(given, `topic '${topic}'`);
}

function handlerSettings(given: JobHandlerOptions, subject: string): HandlerSettings {
  const { timeout, ...same } = readOptions(handlerTable, given, subject);
  return Object.freeze({ ...same, timeoutMs: timeout });
}

/** {@link EnqueueOptions}, checked. `undefined` where the topic's or the module's default holds. */
export interface EnqueueSettings {
  /** Not before this moment; `undefined` counts from now. */
  readonly runAt: Date | undefined;
  readonly delayMs: number;
  readonly maxRetries: number | undefined;
  readonly priority: number | undefined;
  readonly timeoutMs: number | undefined;
  readonly backoff: Backoff | undefined;
  readonly uniqueKey: string | undefined;
  /** JSON text. */
  readonly metadata: string | undefined;
}

/** @throws InvalidOptionsError naming the option; InvalidPayloadError or PayloadTooLargeError for `metadata`. */
export function readEnqueueOptions(given?: EnqueueOptions): EnqueueSettings {
  return given === undefined ? noOptions : enqueueSettings(given);
}

/** What a job in a list has beside its options. */
const BESIDE_OPTIONS = ['topic', 'payload'];

/** The same of a job in a list, whose options are members of its own beside its topic and its payload. */
export function readNewJobOptions(job: EnqueueOptions): EnqueueSettings {
  // Of a class, methods and accessors are no options.
  return enqueueSettings(Object.getPrototypeOf(job) === Object.prototype ? job : { ...job }, BESIDE_OPTIONS);
}

/** Written member by member: every job passes here. */
function enqueueSettings(given: EnqueueOptions, others?: readonly string[]): EnqueueSettings {
  const options = readOptions(ENQUEUE_OPTIONS, given, '', others);
  if (given.runAt !== undefined && given.delay !== undefined) {
    throw new InvalidOptionsError('delay', 'contradicts runAt; give one of the two');
  }
  const { metadata } = options;
  return {
    runAt: options.runAt,
    delayMs: options.delay,
    maxRetries: options.maxRetries,
    priority: options.priority,
    timeoutMs: options.timeout,
    backoff: options.backoff,
    uniqueKey: options.uniqueKey,
    metadata: metadata === undefined ? undefined : metadataText(metadata),
  };
}

/** @throws InvalidOptionsError for an object that is none as JSON, such as a `Date`. */
function metadataText(metadata: Record<string, unknown>): string {
  const text = encodePayload(metadata, RECORDED_JSON_BYTES_MAX, 'metadata');
  if (!text.startsWith('{')) {
    throw new InvalidOptionsError('metadata', `expected ${recordCheck.expects}, got ${text.slice(0, 60)}`);
  }
  return text;
}

/** What may be changed when a job is re-queued. */
export interface RequeueOptions {
  /** A corrected payload. Default: as it was. */
  payload?: unknown;
  /** Not before this moment. Default: now. */
  runAt?: Date | undefined;
  /** Retries after the first attempt, 0 to 1000. Default: as it was. */
  maxRetries?: number | undefined;
}

/** {@link RequeueOptions}, checked; `payload` not yet. `undefined` where the row stays as it is. */
export function readRequeueOptions(given: RequeueOptions = {}): RequeueOptions {
  return readOptions(REQUEUE_OPTIONS, given);
}

const handlerBackoffCheck: Check<Backoff | BackoffFunction> = {
  expects: `${backoffCheck.expects} or a function`,
  parse: (value, path) => (typeof value === 'function' ? (value as BackoffFunction) : backoffCheck.parse(value, path)),
};

/** An option without a default of its own: absent means that somebody else's default holds. */
function optional<T>(check: Check<T>, meaning: string): Option<T | undefined> {
  return { default: undefined, check, meaning };
}

const handlerTable = {
  concurrency: optional(concurrencyCheck, 'jobs of this topic running at once here'),
  timeout: optional(timeoutCheck, 'limit of one attempt'),
  maxRetries: optional(maxRetriesCheck, 'retries after the first attempt'),
  backoff: optional(handlerBackoffCheck, 'how long retries wait'),
  priority: optional(priorityCheck, 'priority of jobs enqueued here'),
  transactional: { default: false, check: flag, meaning: 'completion commits with the effects' } as Option<boolean>,
};

/** Each option of an enqueue, once. */
export const ENQUEUE_OPTIONS = {
  runAt: optional(dateCheck, 'not before this moment'),
  delay: { default: 0, check: duration(0), meaning: 'not before this long from now; not together with runAt' },
  maxRetries: optional(maxRetriesCheck, 'retries after the first attempt'),
  priority: optional(priorityCheck, 'lower runs first; default 0'),
  timeout: optional(timeoutCheck, 'limit of one attempt'),
  backoff: optional(backoffCheck, 'how long retries wait'),
  uniqueKey: optional(uniqueKeyCheck, 'one unfinished job per topic and key'),
  metadata: optional(recordCheck, "the caller's notes, at most 64 KiB"),
};

/** Each change that a requeue takes, once. */
export const REQUEUE_OPTIONS = {
  payload: optional(jsonCheck, 'a corrected payload; default: unchanged'),
  runAt: optional(dateCheck, 'not before this moment; default: now'),
  maxRetries: optional(maxRetriesCheck, 'retries after the first attempt; default: unchanged'),
};

/** Of a call without options, as most are: read once. */
const noOptions = Object.freeze(enqueueSettings({}));
