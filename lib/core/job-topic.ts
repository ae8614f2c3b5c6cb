import { InvalidOptionsError, InvalidPayloadError } from './errors.js';
import type { EnqueueOptions, NewJob } from './job.js';
import type { JobHandlerOptions } from './job-options.js';
import { readTopicOptions } from './job-options.js';
import { checked } from './option-checks.js';
import type { TopicName } from './topic.js';
import { topicCheck, topicNameCheck } from './topic.js';
import { toMemberPath } from './payload.js';

/** The part of Standard Schema (version 1) that is used: Zod, Valibot, ArkType and others follow it. */
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
 * A topic with a type: what `enqueue` takes for it and what its handler is given.
 *
 * `Input` and `Output` differ when a schema transforms: the input is what is stored, the output what the handler sees.
 */
export interface JobTopic<Input = unknown, Output = Input> {
  readonly name: string;
  readonly schema: StandardSchema<Input, Output> | undefined;
  /** Hold wherever a job of this topic is enqueued or handled, unless that place says otherwise. */
  readonly options: JobHandlerOptions;
}

/**
 * What the handler of a typed topic is given as its payload.
 *
 * @example
 * function subjectOf(job: JobContext<PayloadOf<typeof SendMail>>): string
 */
export type PayloadOf<Topic extends JobTopic> = Topic extends JobTopic<unknown, infer Output> ? Output : never;

/** What {@link defineJob} takes beside the topic. */
export interface JobTopicOptions<Input, Output = Input> extends JobHandlerOptions {
  /** Any Standard Schema validator: run at enqueue, and again before the handler. */
  schema?: StandardSchema<Input, Output> | undefined;
}

/**
 * Makes a typed topic, to be shared by those who enqueue and those who handle.
 *
 * @throws InvalidOptionsError when the topic, the schema or an option is refused.
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
  const name = checked(topicCheck, topic, 'topic');
  readTopicOptions(name, options);
  return Object.freeze({ name, schema, options: Object.freeze(options) });
}

/** A topic as callers name it: by its text, or by what {@link defineJob} made of it. */
export type TopicLike = string | AnyTopic;

/** A typed topic of whatever type. */
export type AnyTopic = JobTopic<unknown, unknown>;

/** The typed topic that was given; `undefined` for plain text. */
export function toTypedTopic(topic: TopicLike): AnyTopic | undefined {
  return typeof topic === 'object' && topic !== null ? topic : undefined;
}

/** @throws InvalidOptionsError, naming `option`, for what is no topic. */
export function toTopicName(topic: TopicName, option = 'topic'): string {
  return checked(topicNameCheck, topic, option);
}

/** A job of a typed topic, as `enqueueMany` takes it. */
export interface NewTypedJob<Input> extends EnqueueOptions {
  topic: JobTopic<Input, unknown>;
  payload: Input;
}

/** A job to be, of a plain or a typed topic. */
export type AnyNewJob = NewJob | (EnqueueOptions & { topic: TopicLike; payload: unknown });

/** A schema of whatever type. */
export type AnySchema = StandardSchema<unknown, unknown>;

/**
 * What a schema makes of a payload.
 *
 * @param topic named in the error, where another job than the one at work may be meant.
 * @throws InvalidPayloadError naming the path of its first complaint.
 */
export async function validatePayload<Output>(
  schema: StandardSchema<unknown, Output>,
  payload: unknown,
  topic?: string,
): Promise<Output> {
  const result = await schema['~standard'].validate(payload);
  if (result.issues) {
    const [issue] = result.issues;
    throw new InvalidPayloadError(pathOf(issue), issue?.message ?? 'refused by its schema', { topic });
  }
  return result.value;
}

function pathOf(issue: SchemaIssue | undefined): string {
  const keys = (issue?.path ?? []).map((step) => (typeof step === 'object' ? step.key : step));
  return keys.reduce<string>(
    (path, key) => (typeof key === 'number' ? `${path}[${key}]` : toMemberPath(path, String(key))),
    'payload',
  );
}
