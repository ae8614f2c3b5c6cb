import { InvalidOptionsError, InvalidPayloadError } from './errors.js';
import type { EnqueueOptions, NewJob } from './job.js';
import type { JobHandlerOptions } from './job-options.js';
import { readTopicOptions } from './job-options.js';
import { applyCheck } from './option-checks.js';
import type { TopicName } from './topic.js';
import { topicCheck, topicNameCheck } from './topic.js';
import { toMemberPath } from './payload.js';

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
 * A typed topic: the type of the payload at enqueue and in the handler.
 *
 * `Input` and `Output` differ if the schema transforms: the queue stores the input, the handler receives the output.
 */
export interface JobTopic<Input = unknown, Output = Input> {
  readonly name: string;
  readonly schema: StandardSchema<Input, Output> | undefined;
  /** Defaults for the topic's jobs. Options of the call or of the handler override them. */
  readonly options: JobHandlerOptions;
}

/**
 * Payload type of the handler of a typed topic.
 *
 * @example
 * function toSubject(job: JobContext<PayloadOf<typeof SendMail>>): string
 */
export type PayloadOf<Topic extends JobTopic> = Topic extends JobTopic<unknown, infer Output> ? Output : never;

/** Options of {@link defineJob}. */
export interface JobTopicOptions<Input, Output = Input> extends JobHandlerOptions {
  /** Standard Schema validator. It checks the payload at enqueue and again before the handler. */
  schema?: StandardSchema<Input, Output> | undefined;
}

/**
 * Defines a typed topic for enqueuing code and handlers to share.
 *
 * @throws InvalidOptionsError if the topic, the schema or an option is invalid.
 *
 * @example
 * export const SendMail = defineJob<{ to: string }>('send_mail', { maxRetries: 5 });
 * await jobs.enqueue(SendMail, { to: 'a@example.org' });
 */
export function defineJob<Input, Output = Input>(
  topic: string,
  { schema, ...options }: JobTopicOptions<Input, Output> = {},
): JobTopic<Input, Output> {
  if (schema !== undefined && typeof schema['~standard']?.validate !== 'function') {
    throw new InvalidOptionsError(`schema of '${topic}'`, 'expected a Standard Schema validator');
  }
  const name = applyCheck(topicCheck, topic, 'topic');
  readTopicOptions(name, options);
  return Object.freeze({ name, schema, options: Object.freeze(options) });
}

/** A topic: its name, or the result of {@link defineJob}. */
export type TopicLike = string | AnyTopic;

/** A typed topic of any type. */
type AnyTopic = JobTopic<unknown, unknown>;

/** Returns the typed topic; `undefined` for a plain name. */
export function toTypedTopic(topic: TopicLike): AnyTopic | undefined {
  return typeof topic === 'object' && topic !== null ? topic : undefined;
}

/** Returns the topic's name. @throws InvalidOptionsError with the name `option` if the value is not a topic. */
export function toTopicName(topic: TopicName, option = 'topic'): string {
  return applyCheck(topicNameCheck, topic, option);
}

/** A job of a typed topic, for `enqueueMany`. */
export interface NewTypedJob<Input> extends EnqueueOptions {
  topic: JobTopic<Input, unknown>;
  payload: Input;
}

/** A job for `enqueueMany`, of a plain or a typed topic. */
export type AnyNewJob = NewJob | (EnqueueOptions & { topic: TopicLike; payload: unknown });

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
