import { Inject, Injectable } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import type { InstanceWrapper } from '@nestjs/core/injector/instance-wrapper.js';
import { InvalidOptionsError } from '../core/errors.js';
import type { JobEvent } from '../core/job-events.js';
import type { JobHandlerOptions } from '../core/job-options.js';
import type { TopicLike } from '../core/job-topic.js';
import { JobsEngine } from '../engine/jobs-engine.js';
import type { DecoratedHandlerOptions, JobHandlerMetadata } from './decorators/job-handler.decorator.js';
import { findJobHandlers } from './decorators/job-handler.decorator.js';
import type { JobScheduleMetadata } from './decorators/job-schedule.decorator.js';
import { findJobSchedules } from './decorators/job-schedule.decorator.js';
import { assertParameters } from './handler-parameters.js';
import type { OnJobFailedMetadata } from './decorators/on-job-failed.decorator.js';
import { findFailureHandlers } from './decorators/on-job-failed.decorator.js';
import type { OnJobEventMetadata } from './decorators/on-job-event.decorator.js';
import { findEventListeners } from './decorators/on-job-event.decorator.js';
import {
  decoratedTwice,
  optionsTwice,
  scopedListener,
  severalDeadLetterTopics,
  severalTopics,
} from './jobs.messages.js';
import { HandlerPipeline } from './pipeline/handler-pipeline.js';

type Wrapper = InstanceWrapper<unknown>;

/** Finds every `@JobHandler`, `@JobSchedule`, `@OnJobFailed` and `@OnJobEvent` of the application and registers it with the engine. */
@Injectable()
export class JobsExplorer {
  /** Registered entries, by instance and not by method: two subclasses may inherit the same decorated method. */
  private readonly registered = new WeakMap<object, Set<object>>();

  constructor(
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
    @Inject(HandlerPipeline) private readonly pipeline: HandlerPipeline,
    @Inject(JobsEngine) private readonly engine: JobsEngine,
  ) {}

  /**
   * Registers the handlers of all modules that exist now. A lazily loaded module calls `JobsService.register()` itself.
   *
   * @throws InvalidOptionsError that names class and method when a registration is wrong.
   */
  explore(): void {
    [...this.discovery.getProviders(), ...this.discovery.getControllers()].forEach((wrapper) =>
      this.exploreProvider(wrapper),
    );
  }

  private exploreProvider(wrapper: Wrapper): void {
    const { instance, isAlias } = wrapper;
    if (!isObject(instance) || isAlias) {
      return;
    }
    const handlers = findJobHandlers(instance);
    for (const [name, ofMethod] of handlers) {
      this.registerMethod(wrapper, instance, name, ofMethod);
    }
    for (const [name, schedules] of findJobSchedules(instance)) {
      for (const schedule of schedules.filter((each) => this.isNew(instance, each))) {
        this.declareSchedule(wrapper, name, schedule, handlers.get(name) ?? []);
      }
    }
    for (const [name, entries] of findFailureHandlers(instance)) {
      const missing = entries.filter((each) => this.isNew(instance, each));
      if (missing.length > 0) {
        this.declareFailureHandler(wrapper, name, missing, handlers.get(name) ?? []);
      }
    }
    for (const [name, listeners] of findEventListeners(instance)) {
      listeners
        .filter((each) => this.isNew(instance, each))
        .forEach((each) => this.declareEventListener(wrapper, name, each));
    }
  }

  /** Makes a method the handler of failed jobs. Without `@JobHandler`, it also becomes the handler of the topic of its name. */
  private declareFailureHandler(
    wrapper: Wrapper,
    method: string,
    entries: readonly OnJobFailedMetadata[],
    handlers: readonly JobHandlerMetadata[],
  ): void {
    const instance = wrapper.instance as object;
    const source = `${instance.constructor.name}.${method}`;
    const given = entries.map(({ options }) => options).filter((options) => options !== undefined);
    if (handlers.length > 1) {
      throw new InvalidOptionsError('@OnJobFailed', severalDeadLetterTopics(source));
    }
    if (given.length > 1 || (given.length > 0 && handlers.length > 0)) {
      throw new InvalidOptionsError('@OnJobFailed', optionsTwice(source));
    }
    const { topic = source } = handlers[0] ?? {};
    if (handlers.length === 0) {
      this.registerMethod(wrapper, instance, method, [{ topic, options: given[0], method: entries[0]!.method }]);
    }
    entries.forEach((entry) => this.engine.declareFailureHandler(topic, entry.topic, source));
  }

  /** Subscribes a method to the events of this process. Nest creates no instance for an event. */
  private declareEventListener(wrapper: Wrapper, method: string, { type, topic }: OnJobEventMetadata): void {
    const instance = wrapper.instance as Record<string, (event: JobEvent) => unknown>;
    const source = `${instance.constructor.name}.${method}`;
    if (!wrapper.isDependencyTreeStatic() || wrapper.isTransient) {
      throw new InvalidOptionsError('@OnJobEvent', scopedListener(source));
    }
    this.engine.declareEventListener(type, topic, (event) => instance[method]!(event), source);
  }

  /** Declares a schedule. Without a topic of its own and without `@JobHandler`, its method handles its jobs. */
  private declareSchedule(
    wrapper: Wrapper,
    method: string,
    { pattern, options, method: decorated }: JobScheduleMetadata,
    handlers: readonly JobHandlerMetadata[],
  ): void {
    const instance = wrapper.instance as object;
    const source = `${instance.constructor.name}.${method}`;
    const { name = source, topic = handlers[0]?.topic } = options;
    if (options.topic === undefined && handlers.length > 1) {
      throw new InvalidOptionsError('@JobSchedule', severalTopics(source));
    }
    if (topic === undefined) {
      this.registerMethod(wrapper, instance, method, [{ topic: name, options: undefined, method: decorated }]);
    }
    this.engine.declareSchedule(name, pattern, { ...options, topic });
  }

  /** Whether this entry of an instance has not been seen: a factory may return the instance of another provider. */
  private isNew(instance: object, entry: object): boolean {
    const seen = this.registered.get(instance) ?? new Set();
    this.registered.set(instance, seen);
    const isNew = !seen.has(entry);
    seen.add(entry);
    return isNew;
  }

  private registerMethod(
    wrapper: Wrapper,
    instance: object,
    name: string,
    handlers: readonly JobHandlerMetadata[],
  ): void {
    const missing = handlers.filter((handler) => this.isNew(instance, handler));
    if (missing.length > 0) {
      const source = `${instance.constructor.name}.${name}`;
      const method = { name, decoratedFunction: handlers[0]!.method };
      const run = this.pipeline.createHandler(
        wrapper as InstanceWrapper<object>,
        method,
        this.engine.settings.globalEnhancers,
      );
      for (const handler of missing) {
        assertFirstOfTopic(handler, handlers, source);
        const { parameters, options } = splitOptions(handler.options);
        assertParameters(instance, name, handler.method, parameters, options?.batch !== undefined);
        this.engine.register(handler.topic, run, options, source);
      }
    }
  }
}

/** @throws InvalidOptionsError when an earlier `@JobHandler` of the method names the same topic. */
function assertFirstOfTopic(
  handler: JobHandlerMetadata,
  handlers: readonly JobHandlerMetadata[],
  source: string,
): void {
  const isSame = ({ topic }: JobHandlerMetadata): boolean => toName(topic) === toName(handler.topic);
  if (handlers.findIndex(isSame) !== handlers.indexOf(handler)) {
    throw new InvalidOptionsError('@JobHandler', decoratedTwice(source, toName(handler.topic)));
  }
}

/** The engine rejects an invalid topic. */
function toName(topic: TopicLike): string {
  return typeof topic === 'string' ? topic : topic?.name;
}

/** Separates the option that only `@JobHandler` has. The engine rejects options that are not an object. */
function splitOptions(given: DecoratedHandlerOptions | undefined): {
  readonly parameters?: unknown;
  readonly options: JobHandlerOptions | undefined;
} {
  if (typeof given !== 'object' || given === null || !('parameters' in given)) {
    return { options: given };
  }
  const { parameters, ...options } = given;
  return { parameters, options };
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) !== null;
}
