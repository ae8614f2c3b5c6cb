import type { JobEvent, JobEventType } from '../../core/job-events.js';
import type { TopicLike } from '../../core/job-topic.js';
import type { Method } from './job-handler.decorator.js';
import { addMethodMetadata, assertMethod, findMethodMetadata } from './method-metadata.js';

/** Metadata key of the events that a method receives. A string, so that two copies of the package share it. */
const ON_JOB_EVENT_METADATA = 'nestjs-jobs:on-job-event';

export interface OnJobEventMetadata {
  readonly type: JobEventType;
  /** `undefined`: all topics. */
  readonly topic: TopicLike | undefined;
}

/** The method's own type if it can receive the event, otherwise the type that it should have. */
type CheckedListener<M extends Method, Event> =
  Parameters<M> extends [] ? M : [Event] extends [Parameters<M>[0]] ? M : (event: Event) => unknown;

/**
 * Calls a method of a provider or a controller for each event of this type in this process, from the start of the application until the
 * queue has closed. Other processes do not receive it, and an event is lost if the process dies: to act on a failed job without fail, use
 * `@OnJobFailed`. The queue does not wait for the method, and logs what it throws.
 *
 * @param type such as `'completed'` or `'retrying'`.
 * @param topic only events of this topic. Default: of all topics.
 * @throws InvalidOptionsError at once when it decorates anything but a method of an instance; at start for an unknown type, and on a
 * provider that is created for each request.
 *
 * @example
 * @OnJobEvent('retrying', SendMail)
 * onRetry(event: Extract<JobEvent, { type: 'retrying' }>) { this.alerts.warn(event.error.message); }
 *
 * @publicApi
 */
export function OnJobEvent<Type extends JobEventType>(type: Type, topic?: TopicLike) {
  return <M extends Method>(
    target: object,
    name: string,
    descriptor: TypedPropertyDescriptor<CheckedListener<M, Extract<JobEvent, { type: Type }>>>,
  ): void => {
    assertMethod('@OnJobEvent', target, name, descriptor?.value);
    addMethodMetadata(ON_JOB_EVENT_METADATA, target, name, { type, topic });
  };
}

/** Returns the events that the methods of an instance's class and its base classes receive, by method name. */
export function findEventListeners(instance: object): ReadonlyMap<string, readonly OnJobEventMetadata[]> {
  return findMethodMetadata<OnJobEventMetadata>(ON_JOB_EVENT_METADATA, instance);
}
