import type { Observable } from 'rxjs';
import type { BatchOptions, JobHandlerOptions, TopicJobOptions } from '../../core/job-options.js';
import type { OutputFor, ResultFor, TopicLike } from '../../core/job-topic.js';
import type { JobBatch, JobContext } from './current-job.decorator.js';
import { addMethodMetadata, assertMethod, findMethodMetadata } from './method-metadata.js';

/** Metadata key of the topics that a method handles. A string, so that two copies of the package share it. */
const JOB_HANDLER_METADATA = 'nestjs-jobs:handler';

export interface JobHandlerMetadata {
  readonly topic: TopicLike;
  readonly options: DecoratedHandlerOptions | undefined;
  /** The decorated method. Decorators below this one keep their metadata on it. */
  readonly method: object;
}

/** Options of `@JobHandler`. */
export interface DecoratedHandlerOptions extends JobHandlerOptions {
  /**
   * `'decorated'` for a method whose one parameter has a decorator such as `@Payload()`. TypeScript does not show those to the
   * decorator of the method, and expects a parameter that takes the job.
   */
  parameters?: 'decorated' | undefined;
}

/** What a handler with this result may return. The queue waits for the last value of an Observable. */
export type HandlerReturn<R> = unknown extends R ? unknown : R | Promise<R> | Observable<R>;

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- a method with any parameters
export type Method = (...args: any[]) => unknown;

/** Text in the compiler's error. */
type PayloadTaken =
  "The handler receives the job: write (job: JobContext<…>) and read job.payload. Or decorate the parameter with @Payload() and add the option { parameters: 'decorated' }.";

/** Text in the compiler's error. */
type BatchTaken =
  'A handler receives one job. To receive an array of jobs, add the option { batch: { size: 100 } }, for example.';

/** Text in the compiler's error. */
type BatchExpected =
  "With the option batch the handler receives an array: write (jobs: JobBatch<…>) and read job.payload of each. Or decorate the parameter with @Payload() and add the option { parameters: 'decorated' }.";

/** The method's own type if it can be a handler of the topic, otherwise a type that explains the error. */
export type CheckedHandler<M extends Method, P, R, Declared> =
  ReturnType<M> extends HandlerReturn<R>
    ? Declared extends 'decorated'
      ? M
      : Parameters<M> extends [(infer Taken)?]
        ? CheckedParameter<M, Taken, JobContext<P, R>>
        : // Two or more parameters are decorated, which the start of the application checks.
          M
    : (...args: never[]) => HandlerReturn<R>;

/** An object without `payload`, such as `{ id: string }`, is meant as the payload, even if the job has these members. */
type CheckedParameter<M, Taken, Context> = [keyof Taken] extends [never]
  ? [Context] extends [Taken]
    ? M
    : PayloadTaken
  : 'payload' extends keyof Taken
    ? [Context] extends [Taken]
      ? M
      : (job: Context) => unknown
    : Taken extends readonly unknown[]
      ? BatchTaken
      : PayloadTaken;

/** Like {@link CheckedHandler}, for a batch handler. The queue ignores the returned value. */
type CheckedBatchHandler<M extends Method, P, R, Declared> = Declared extends 'decorated'
  ? M
  : Parameters<M> extends []
    ? BatchExpected
    : Parameters<M> extends [(infer Taken)?]
      ? CheckedBatchParameter<M, Taken, JobBatch<P, R>>
      : M;

type CheckedBatchParameter<M, Taken, Batch> = unknown extends Taken
  ? M
  : Taken extends readonly (infer Member)[]
    ? 'payload' extends keyof Member
      ? [Batch] extends [Taken]
        ? M
        : (jobs: Batch) => unknown
      : unknown extends Member
        ? M
        : BatchExpected
    : BatchExpected;

/**
 * Makes a method of a provider or a controller the handler of a topic in this process. When the method returns, the job is
 * completed and the returned JSON value is its result. When it throws, the attempt fails and is retried.
 *
 * With the option `batch` the method takes an array of jobs, a `JobBatch`, and the queue ignores what it returns.
 *
 * The method takes the job, or decorated parameters; one decorated parameter needs the option `parameters: 'decorated'`. For a
 * topic of `defineJob<P, R>` it returns an `R`. Guards, interceptors, pipes and filters that are bound to the method or its class
 * apply.
 *
 * @param topic a name of 1 to 255 characters, or a topic of `defineJob`.
 * @param options override the module's `timeout`, `maxRetries`, `backoff` and others for this topic.
 * @throws InvalidOptionsError at once when it decorates anything but a method of an instance; at start when the topic has
 * another handler, an option is invalid, or the method takes something other than the job without a decorator.
 *
 * @example
 * @JobHandler('mail_digest', { concurrency: 5, timeout: '30s' })
 * async digest(job: JobContext<MailDigest>) { await this.mailer.send(job.payload, { signal: job.signal }); }
 *
 * @publicApi
 */
export function JobHandler<
  Topic extends TopicLike,
  Declared extends 'decorated' | undefined = undefined,
  Batch extends BatchOptions | undefined = undefined,
>(
  topic: Topic,
  options?: TopicJobOptions & { parameters?: Declared; batch?: Batch },
): <M extends Method>(
  target: object,
  name: string,
  descriptor: TypedPropertyDescriptor<
    [Batch] extends [undefined]
      ? CheckedHandler<M, OutputFor<Topic, never>, ResultFor<Topic>, Declared>
      : CheckedBatchHandler<M, OutputFor<Topic, never>, ResultFor<Topic>, Declared>
  >,
) => void;
export function JobHandler(topic: TopicLike, options?: DecoratedHandlerOptions) {
  return (target: object, name: string | symbol, descriptor?: { value?: unknown }): void => {
    assertMethod('@JobHandler', target, name, descriptor?.value);
    addMethodMetadata(JOB_HANDLER_METADATA, target, name as string, { topic, options, method: descriptor!.value });
  };
}

/**
 * Returns the handlers of an instance's class and its base classes, by method name. A method that overrides a handler is one
 * only with a decorator of its own.
 */
export function findJobHandlers(instance: object): ReadonlyMap<string, readonly JobHandlerMetadata[]> {
  return findMethodMetadata<JobHandlerMetadata>(JOB_HANDLER_METADATA, instance);
}
