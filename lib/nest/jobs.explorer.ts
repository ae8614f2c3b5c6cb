import { Inject, Injectable } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import type { InstanceWrapper } from '@nestjs/core/injector/instance-wrapper.js';
import { toErrorMessage } from '../core/error-text.js';
import { JobsEngine } from '../engine/jobs-engine.js';
import { isBuilt, untilBuilt } from './built-provider.js';
import type { JobHandlerMetadata } from './decorators/job-handler.decorator.js';
import { jobHandlersOf } from './decorators/job-handler.decorator.js';
import { HandlerPipeline } from './pipeline/handler-pipeline.js';
import { LazyModules } from './lazy-modules.js';
import { queueLogger } from './nest-logger.js';

type Wrapper = InstanceWrapper<unknown>;

/** Finds every `@JobHandler` of the application and registers it with the engine. */
@Injectable()
export class JobsExplorer {
  /** What is registered already: by instance, since several may inherit one method. */
  private readonly registered = new WeakMap<object, Set<JobHandlerMetadata>>();
  private isStopped = false;

  constructor(
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
    @Inject(HandlerPipeline) private readonly pipeline: HandlerPipeline,
    @Inject(JobsEngine) private readonly engine: JobsEngine,
    @Inject(LazyModules) private readonly lazyModules: LazyModules,
  ) {}

  /**
   * Registers the handlers of the application, and from now on those of modules that are loaded lazily.
   *
   * @throws InvalidOptionsError naming class and method when a registration is wrong.
   */
  async explore(): Promise<void> {
    this.lazyModules.whenLoaded((modules) => this.exploreModules(modules));
    await this.exploreModules();
  }

  /** Waits no more for what is still being built. */
  stop(): void {
    this.isStopped = true;
  }

  private async exploreModules(modules?: NonNullable<Wrapper['host']>[]): Promise<void> {
    const { discovery } = this;
    for (const wrapper of [...discovery.getProviders({}, modules), ...discovery.getControllers({}, modules)]) {
      if (await isBuilt(wrapper)) {
        this.exploreProvider(wrapper);
      } else {
        void this.exploreLater(wrapper);
      }
    }
  }

  /** Of a load that began before it could be heard of, or that another one does not wait for. */
  private async exploreLater(wrapper: Wrapper): Promise<void> {
    const isWanted = (): boolean => !this.isStopped && this.lazyModules.has(wrapper.host);
    try {
      if (await untilBuilt(wrapper, isWanted)) {
        this.exploreProvider(wrapper);
      }
    } catch (error) {
      queueLogger.error(toErrorMessage(error));
    }
  }

  private exploreProvider(wrapper: Wrapper): void {
    for (const [name, handlers] of handlersOf(wrapper)) {
      this.register(wrapper, wrapper.instance as object, name, handlers);
    }
  }

  private register(wrapper: Wrapper, instance: object, name: string, handlers: readonly JobHandlerMetadata[]): void {
    // A factory may give the instance of another provider once more.
    const registered = this.registered.get(instance) ?? new Set();
    this.registered.set(instance, registered);
    const missing = handlers.filter((handler) => !registered.has(handler));
    if (missing.length > 0) {
      const source = `${instance.constructor.name}.${name}`;
      const method = { name, declared: handlers[0]!.method };
      const run = this.pipeline.around(
        wrapper as InstanceWrapper<object>,
        method,
        this.engine.settings.globalEnhancers,
      );
      for (const handler of missing) {
        this.engine.register(handler.topic, run, handler.options, source);
        registered.add(handler);
      }
    }
  }
}

function handlersOf({ instance, isAlias }: Wrapper): ReadonlyMap<string, readonly JobHandlerMetadata[]> {
  return isObject(instance) && !isAlias ? jobHandlersOf(instance) : new Map();
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) !== null;
}
