import type { JobDependencies } from './dependencies.js';
import { describeValue, toErrorMessage } from './error-text.js';
import { InvalidOptionsError, InvalidPayloadError } from './errors.js';
import type { EnqueueOptions, NewJob } from './job.js';
import type { TopicJobOptions } from './job-options.js';
import { readTopicOptions } from './job-options.js';
import { applyCheck } from './option-checks.js';
import type { TopicName } from './topic.js';
import { topicCheck, topicNameCheck } from './topic.js';
import { toMemberPath } from './payload.js';
import { concurrencyKeyCheck } from './unique-key.js';

/** A Standard Schema (version 1) validator, such as those of Zod, Valibot and ArkType. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

type SchemaResult<Output> =
  { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly SchemaIssue[] };

interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/**
 * A typed topic: the type of the payload at enqueue and in the handler, and of the handler's result.
 *
 * `Input` and `Output` differ if the schema transforms: the queue stores the input, the handler receives the output.
 */
export interface JobTopic<Input = unknown, Output = Input, Result = unknown> {
  readonly name: string;
  readonly schema: StandardSchema<Input, Output> | undefined;
  /** Defaults for the topic's jobs. Options of the call override them, and so do `timeout` and `backoff` of the handler. */
  readonly options: TopicJobOptions;
  /** Takes an `Input`. `never` lets a topic of any payload type be a topic of the enqueuer. */
  readonly concurrencyKey: ConcurrencyKeyFunction<never> | undefined;
  /** Carries the type of the result for the compiler. Never set. */
  readonly resultType?: Result | undefined;
}

/** Returns the concurrency key of a job from its payload. `undefined`: none. */
export type ConcurrencyKeyFunction<Input> = (payload: Input) => string | undefined;

/**
 * Payload type of the handler of a typed topic.
 *
 * @example
 * function toSubject(job: JobContext<PayloadOf<typeof SendMail>>): string
 */
export type PayloadOf<Topic extends JobTopic> = OutputFor<Topic, never>;

/** Result type of the handler of a typed topic. */
export type ResultOf<Topic extends JobTopic> = ResultFor<Topic>;

// The types of a topic that may be a plain name. In a tuple, a union of topics counts as a plain name.

/** Payload type at enqueue; `Given` for a plain name. */
export type InputFor<Topic, Given> = [Topic] extends [JobTopic<infer Input, unknown>] ? Input : Given;

/** Payload type in the handler; `Given` for a plain name. */
export type OutputFor<Topic, Given> = [Topic] extends [JobTopic<unknown, infer Output>] ? Output : Given;

/** Result type of the handler; `unknown` for a plain name. */
export type ResultFor<Topic> = [Topic] extends [JobTopic<unknown, unknown, infer Result>] ? Result : unknown;

/** Options of {@link defineJob}. */
export interface JobTopicOptions<Input, Output = Input> extends TopicJobOptions {
  /** Standard Schema validator. It checks the payload at enqueue and again before the handler. */
  schema?: StandardSchema<Input, Output> | undefined;
  /**
   * Returns the concurrency key of a job. Called once, at enqueue, with the payload as it is stored. The enqueue option
   * `concurrencyKey` has precedence.
   */
  concurrencyKey?: ConcurrencyKeyFunction<Input> | undefined;
}

/**
 * Defines a typed topic: `defineJob<Payload, Result>(topic, options)`. A schema gives the type of the payload. With a schema
 * and a result type, write `defineJob<Input, Output, Result>(topic, { schema })`.
 *
 * @throws InvalidOptionsError if the topic, the schema or an option is invalid.
 *
 * @example
 * export const SendMail = defineJob<{ to: string }, { messageId: string }>('send_mail', { maxRetries: 5 });
 * const job = await jobs.enqueue(SendMail, { to: 'a@example.org' });
 */
export function defineJob<Input, Output, Result = unknown>(
  topic: string,
  options: JobTopicOptions<Input, Output> & { schema: StandardSchema<Input, Output> },
): JobTopic<Input, Output, Result>;
export function defineJob<Payload, Result = unknown>(
  topic: string,
  options?: JobTopicOptions<Payload>,
): JobTopic<Payload, Payload, Result>;
export function defineJob(
  topic: string,
  { schema, concurrencyKey, ...options }: ImplementedOptions = {},
): JobTopic<unknown, unknown> {
  if (schema !== undefined && typeof schema['~standard']?.validate !== 'function') {
    throw new InvalidOptionsError(`schema of '${topic}'`, 'expected a Standard Schema validator');
  }
  if (concurrencyKey !== undefined && typeof concurrencyKey !== 'function') {
    throw new InvalidOptionsError(`concurrencyKey of '${topic}'`, 'expected a function of the payload');
  }
  const name = applyCheck(topicCheck, topic, 'topic');
  readTopicOptions(name, options);
  return Object.freeze({ name, schema, options: Object.freeze(options), concurrencyKey });
}

/** Options for a payload of any type. */
type ImplementedOptions = Omit<JobTopicOptions<unknown, unknown>, 'concurrencyKey'> & {
  concurrencyKey?: ConcurrencyKeyFunction<never> | undefined;
};

/** A topic: its name, or the result of {@link defineJob}. */
export type TopicLike = string | AnyTopic;

/** A typed topic of any type. */
type AnyTopic = JobTopic<unknown, unknown>;

/**
 * Returns the typed topic; `undefined` for a plain name.
 *
 * @param hint end of the error.
 * @throws InvalidOptionsError with the name `option` for an object that `defineJob` did not return.
 */
export function toTypedTopic(topic: TopicLike, option = 'topic', hint = ''): AnyTopic | undefined {
  if (typeof topic !== 'object' || topic === null) {
    return undefined;
  }
  if (typeof topic.options !== 'object' || topic.options === null) {
    const got = describeValue(topic);
    throw new InvalidOptionsError(option, `expected text or the value of defineJob(), got ${got}${hint}`);
  }
  return topic;
}

/** Returns the topic's name. @throws InvalidOptionsError with the name `option` if the value is not a topic. */
export function toTopicName(topic: TopicName, option = 'topic'): string {
  return applyCheck(topicNameCheck, topic, option);
}

/** A job of a typed topic, for `enqueueMany`. */
export interface NewTypedJob<Input> extends EnqueueOptions, JobDependencies {
  topic: JobTopic<Input, unknown>;
  payload: Input;
}

/** A job for `enqueueMany`, of a plain or a typed topic. */
export type AnyNewJob = NewJob | (EnqueueOptions & JobDependencies & { topic: TopicLike; payload: unknown });

/**
 * Calls the function of a typed topic.
 *
 * @throws InvalidOptionsError when the function throws or returns something other than a key or `undefined`.
 */
export function readConcurrencyKey(
  topic: string,
  toKey: ConcurrencyKeyFunction<never>,
  payload: unknown,
): string | undefined {
  let key: unknown;
  try {
    key = toKey(payload as never);
  } catch (error) {
    throw new InvalidOptionsError(
      'concurrencyKey',
      `the function of '${topic}' threw for this payload: ${toErrorMessage(error)}`,
      { cause: error },
    );
  }
  if (key !== undefined && concurrencyKeyCheck.parse(key, 'concurrencyKey') === undefined) {
    throw new InvalidOptionsError(
      'concurrencyKey',
      `the function of '${topic}' must return ${concurrencyKeyCheck.expects} or undefined, got ${describeValue(key)}`,
    );
  }
  return key as string | undefined;
}

/** A schema of any type. */
export type AnySchema = StandardSchema<unknown, unknown>;

/**
 * Validates a payload and returns the schema's output.
 *
 * @param topic topic of the job to enqueue, for the error: a handler can enqueue jobs of other topics.
 * @throws InvalidPayloadError with the issues that the schema reports.
 */
export async function validatePayload<Output>(
  schema: StandardSchema<unknown, Output>,
  payload: unknown,
  topic?: string,
): Promise<Output> {
  const result = await schema['~standard'].validate(payload);
  if (result.issues) {
    const issues = result.issues.slice(0, ISSUES_MAX).map((issue) => ({ path: toPath(issue), reason: issue.message }));
    const { path, reason } = issues[0] ?? { path: 'payload', reason: 'rejected by its schema' };
    throw new InvalidPayloadError(path, reason, { topic, issues: issues.length > 0 ? issues : undefined });
  }
  return result.value;
}

/** How many issues of a schema an error lists. */
const ISSUES_MAX = 50;

function toPath(issue: SchemaIssue): string {
  const keys = (issue.path ?? []).map((step) => (typeof step === 'object' ? step.key : step));
  return keys.reduce<string>(
    (path, key) => (typeof key === 'number' ? `${path}[${key}]` : toMemberPath(path, String(key))),
    'payload',
  );
}
