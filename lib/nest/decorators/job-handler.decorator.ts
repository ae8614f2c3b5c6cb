import { describeValue } from '../../core/error-text.js';
import { InvalidOptionsError } from '../../core/errors.js';
import type { JobHandlerOptions } from '../../core/job-options.js';
import type { TopicLike, JobTopic } from '../../core/job-topic.js';
import type { JobContext } from '../job-context.js';

/** Under this key a method keeps the topics it handles. Fixed text, so that two copies of the package understand it. */
const JOB_HANDLER_METADATA = 'nestjs-jobs:handler';

export interface JobHandlerMetadata {
  readonly topic: TopicLike;
  readonly options: JobHandlerOptions | undefined;
  /** The method as it was decorated: what stands below the decorator is kept on it. */
  readonly method: object;
}

type Method = (...args: never[]) => unknown;

/**
 * A method that takes the job takes one of its topic's type: of another, the compiler names the one that is expected.
 * Decorated parameters are the method's own affair.
 */
type HandlerOf<Output, T> = T extends (job: JobContext<infer Taken>, ...rest: never[]) => unknown
  ? [Output] extends [Taken]
    ? T
    : (job: JobContext<Output>) => unknown
  : T;

/**
 * Makes a provider's method the handler of a topic in this process. Returning completes the job, throwing fails the
 * attempt.
 *
 * @throws InvalidOptionsError at once where there is no method of an instance; when the application starts, if the topic
 * has another handler or an option is refused.
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
  return (target: object, name: string | symbol, descriptor?: { value?: unknown }): void => {
    refuseOtherThanMethods(target, name, descriptor?.value);
    // Kept by class and name: a decorator above this one may put another function in the method's place.
    const handlers = ownHandlers(target, name as string);
    const handler = { topic, options, method: descriptor!.value };
    Reflect.defineMetadata(JOB_HANDLER_METADATA, [...handlers, handler], target, name);
  };
}

/**
 * The topics that the class of an instance handles, by the names of its methods; what the instance has in their place is what
 * runs. A method that overrides a handler is one only when it says so.
 */
export function jobHandlersOf(instance: object): ReadonlyMap<string, readonly JobHandlerMetadata[]> {
  const byName = new Map<string, readonly JobHandlerMetadata[]>();
  let owner = Object.getPrototypeOf(instance) as object | null;
  while (owner) {
    for (const name of Object.getOwnPropertyNames(owner)) {
      byName.set(name, byName.get(name) ?? ownHandlers(owner, name));
    }
    owner = Object.getPrototypeOf(owner) as object | null;
  }
  return new Map([...byName].filter(([, handlers]) => handlers.length > 0));
}

function ownHandlers(target: object, name: string): readonly JobHandlerMetadata[] {
  return (Reflect.getOwnMetadata(JOB_HANDLER_METADATA, target, name) as JobHandlerMetadata[] | undefined) ?? [];
}

/** Whatever else it stood on would never be found, and its jobs would wait for ever without a word. */
function refuseOtherThanMethods(target: object, name: string | symbol | undefined, value: unknown): void {
  const owner = typeof target === 'function' ? target.name : target.constructor.name;
  const place = name === undefined ? owner : `${owner}.${String(name)}`;
  const found = otherThanMethod(target, name, value);
  if (found) {
    throw new InvalidOptionsError('@JobHandler', `on ${place}: expected a method of the class, got ${found}`);
  }
}

function otherThanMethod(target: object, name: string | symbol | undefined, value: unknown): string | undefined {
  if (typeof target === 'function') {
    return name === undefined ? 'the class itself' : 'a static member';
  }
  if (typeof name === 'symbol') {
    return 'one whose name is a symbol';
  }
  if (typeof value === 'function') {
    return undefined;
  }
  return value === undefined ? 'a property or an accessor' : describeValue(value);
}
