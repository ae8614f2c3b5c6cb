import { Inject, Injectable } from '@nestjs/common';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { InvalidOptionsError } from '../core/errors.js';
import { JobsEngine } from '../jobs-engine.js';
import { jobHandlersOf } from './decorators/job-handler.decorator.js';
import { HandlerPipeline } from './handler-pipeline.js';

type Wrapper = ReturnType<DiscoveryService['getProviders']>[number];

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
      // An alias gives the same instance under a second name.
      if (wrapper.metatype?.prototype && !wrapper.isAlias && !seen.has(wrapper.instance)) {
        seen.add(wrapper.instance);
        this.exploreProvider(wrapper);
      }
    }
  }

  private exploreProvider(wrapper: Wrapper): void {
    const prototype = (wrapper.instance as object | null) ?? (wrapper.metatype?.prototype as object);
    for (const name of this.scanner.getAllMethodNames(Object.getPrototypeOf(prototype) as object | null)) {
      const handlers = jobHandlersOf((prototype as Record<string, unknown>)[name]);
      if (handlers.length > 0) {
        this.register(wrapper, name, handlers);
      }
    }
  }

  private register(wrapper: Wrapper, name: string, handlers: ReturnType<typeof jobHandlersOf>): void {
    const source = `${wrapper.name}.${name}`;
    if (!wrapper.isDependencyTreeStatic() || wrapper.isTransient) {
      throw new InvalidOptionsError('handler', `${source}: expected a provider of default scope`);
    }
    const run = this.pipeline.around(wrapper.instance as object, name, this.engine.settings.globalEnhancers);
    for (const { topic, options } of handlers) {
      this.engine.register(topic, run, options, source);
    }
  }
}
