import type { DeadLetter } from '../../core/dead-letter.js';
import type { TopicJobOptions } from '../../core/job-options.js';
import type { InputFor, TopicLike } from '../../core/job-topic.js';
import type { CheckedHandler, Method } from './job-handler.decorator.js';
import { addMethodMetadata, assertMethod, findMethodMetadata } from './method-metadata.js';

/** Metadata key of the failures that a method handles. A string, so that two copies of the package share it. */
const ON_JOB_FAILED_METADATA = 'nestjs-jobs:on-job-failed';

export interface OnJobFailedMetadata {
  /** `undefined`: all topics. */
  readonly topic: TopicLike | undefined;
  readonly options: TopicJobOptions | undefined;
  /** The decorated method. */
  readonly method: object;
}

/**
 * Runs a method for each job that fails for good. The method is a job handler: its jobs are dead letters, stored in the transaction that
 * fails the job, and retried like any job. Their topic is `Class.method`, or that of `@JobHandler` on the same method.
 *
 * Several methods may handle the failures of one topic: each has its own dead letter. A job that was cancelled or has expired has not
 * failed.
 *
 * @param topic the topic whose failures it handles; it needs a handler in this process. Default: all topics with a handler in this
 * process, except those that receive dead letters.
 * @param options of the method as a handler, such as `maxRetries`.
 * @throws InvalidOptionsError at once when it decorates anything but a method of an instance; at start for a topic without a handler,
 * and when a topic would receive its own dead letters.
 *
 * @example
 * @OnJobFailed(CapturePayment)
 * async onFailed(job: JobContext<DeadLetter<{ orderId: number }>>) { await this.orders.cancel(job.payload.payload.orderId); }
 *
 * @publicApi
 */
export function OnJobFailed<Topic extends TopicLike | undefined = undefined>(topic?: Topic, options?: TopicJobOptions) {
  return <M extends Method>(
    target: object,
    name: string,
    descriptor: TypedPropertyDescriptor<CheckedHandler<M, DeadLetter<InputFor<Topic, never>>, unknown, undefined>>,
  ): void => {
    assertMethod('@OnJobFailed', target, name, descriptor?.value);
    addMethodMetadata(ON_JOB_FAILED_METADATA, target, name, { topic, options, method: descriptor.value });
  };
}

/** Returns the failures that the methods of an instance's class and its base classes handle, by method name. */
export function findFailureHandlers(instance: object): ReadonlyMap<string, readonly OnJobFailedMetadata[]> {
  return findMethodMetadata<OnJobFailedMetadata>(ON_JOB_FAILED_METADATA, instance);
}
