import type { JobHandlerOptions } from '../../core/job-options.js';
import type { TopicLike, JobTopic } from '../../core/job-topic.js';
import type { JobContext } from '../job-context.js';

/** Under this key a method keeps the topics it handles. Fixed text, so that two copies of the package understand it. */
export const JOB_HANDLER_METADATA = 'nestjs-jobs:handler';

export interface JobHandlerMetadata {
  readonly topic: TopicLike;
  readonly options: JobHandlerOptions | undefined;
}

type Method = (...args: never[]) => unknown;

/** A method that takes the job takes one of its topic's type; decorated parameters are the method's own affair. */
type HandlerOf<Output, T> = T extends (job: JobContext<infer Taken>, ...rest: never[]) => unknown
  ? [Output] extends [Taken]
    ? T
    : never
  : T;

/**
 * Makes a provider's method the handler of a topic in this process. Returning completes the job, throwing fails the
 * attempt.
 *
 * @throws InvalidOptionsError when the application starts, if the topic has another handler or an option is refused.
 *
 * @example
 * @JobHandler('mail_digest', { concurrency: 5, timeout: '30s' })
 * async digest(job: JobContext<MailDigest>) { await this.mailer.send(job.payload, { signal: job.signal }); }
 *
 * @publicApi
 */
export function JobHandler<Output>(
  topic: JobTopic<unknown, Output>,
  options?: JobHandlerOptions,
): <T extends Method>(target: object, name: string, descriptor: TypedPropertyDescriptor<HandlerOf<Output, T>>) => void;
export function JobHandler(
  topic: string,
  options?: JobHandlerOptions,
): <T extends Method>(target: object, name: string, descriptor: TypedPropertyDescriptor<T>) => void;
export function JobHandler(topic: TopicLike, options?: JobHandlerOptions) {
  return (_target: object, _name: string, descriptor: TypedPropertyDescriptor<Method>): void => {
    const handlers = jobHandlersOf(descriptor.value);
    Reflect.defineMetadata(JOB_HANDLER_METADATA, [...handlers, { topic, options }], descriptor.value!);
  };
}

/** The topics a method handles; none for most methods. */
export function jobHandlersOf(method: unknown): readonly JobHandlerMetadata[] {
  return typeof method === 'function'
    ? ((Reflect.getMetadata(JOB_HANDLER_METADATA, method) as JobHandlerMetadata[] | undefined) ?? [])
    : [];
}
