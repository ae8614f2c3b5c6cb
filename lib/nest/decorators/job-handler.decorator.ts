import type { JobHandlerOptions } from '../../core/job-options.js';
import type { JobContext } from '../job-context.js';

/** Under this key a method keeps the topics it handles. Fixed text, so that two copies of the package understand it. */
export const JOB_HANDLER_METADATA = 'nestjs-jobs:handler';

export interface JobHandlerMetadata {
  readonly topic: string;
  readonly options: JobHandlerOptions | undefined;
}

type HandlerMethod = (job: JobContext<never>, ...rest: never[]) => unknown;

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
export function JobHandler(topic: string, options?: JobHandlerOptions) {
  return <T extends HandlerMethod>(
    _target: object,
    _name: string | symbol,
    descriptor: TypedPropertyDescriptor<T>,
  ): void => {
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
