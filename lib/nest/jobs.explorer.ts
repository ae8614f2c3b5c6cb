import { Inject, Injectable } from '@nestjs/common';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import type { InstanceWrapper } from '@nestjs/core/injector/instance-wrapper.js';
import { JobsEngine } from '../jobs-engine.js';
import type { JobHandlerMetadata } from './decorators/job-handler.decorator.js';
import { jobHandlersOf } from './decorators/job-handler.decorator.js';
import { HandlerPipeline } from './handler-pipeline.js';

type Wrapper = InstanceWrapper<unknown>;

/** Finds every `@JobHandler` of the application and registers it with the engine. */
@Injectable()
export class JobsExplorer {
  constructor(
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
    @Inject(MetadataScanner) private readonly scanner: MetadataScanner,
    @Inject(HandlerPipeline) private readonly pipeline: HandlerPipeline,
    @Inject(JobsEngine) private readonly engine: JobsEngine,
  ) {}

  /** @throws InvalidOptionsError naming class and method when a registration is wrong. */
  explore(): void {
    const seen = new Set<unknown>();
    for (const wrapper of [...this.discovery.getProviders(), ...this.discovery.getControllers()]) {
      const instance: unknown = wrapper.instance;
      // An alias gives the same instance under a second name.
      if (isObject(instance) && !wrapper.isAlias && !seen.has(instance)) {
        seen.add(instance);
        this.exploreProvider(wrapper, instance);
      }
    }
  }

  private exploreProvider(wrapper: Wrapper, instance: object): void {
    for (const name of this.scanner.getAllMethodNames(Object.getPrototypeOf(instance) as object | null)) {
      const handlers = jobHandlersOf((instance as Record<string, unknown>)[name]);
      if (handlers.length > 0) {
        this.register(wrapper, instance, name, handlers);
      }
    }
  }

  private register(wrapper: Wrapper, instance: object, name: string, handlers: readonly JobHandlerMetadata[]): void {
    const source = `${instance.constructor.name}.${name}`;
    const run = this.pipeline.around(wrapper as InstanceWrapper<object>, name, this.engine.settings.globalEnhancers);
    for (const { topic, options } of handlers) {
      this.engine.register(topic, run, options, source);
    }
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) !== null;
}
