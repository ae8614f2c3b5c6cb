import { Inject, Injectable } from '@nestjs/common';
import {
  EXCEPTION_FILTERS_METADATA,
  GUARDS_METADATA,
  INTERCEPTORS_METADATA,
  PIPES_METADATA,
} from '@nestjs/common/constants.js';
import type { ContextId, ModulesContainer, NestContainer } from '@nestjs/core';
import { ContextIdFactory, ExternalContextCreator } from '@nestjs/core';
import { GuardsConsumer, GuardsContextCreator } from '@nestjs/core/guards/index.js';
import { Injector } from '@nestjs/core/injector/injector.js';
import { InstanceWrapper } from '@nestjs/core/injector/instance-wrapper.js';
import { InterceptorsContextCreator } from '@nestjs/core/interceptors/index.js';
import { PipesContextCreator } from '@nestjs/core/pipes/index.js';
import { REQUEST_CONTEXT_ID } from '@nestjs/core/router/request/request-constants.js';
import { describeValue } from '../../core/error-text.js';
import { InvalidOptionsError } from '../../core/errors.js';
import type { JobContext, JobHandlerFunction } from '../../core/job-handler.js';
import { BODY_PARAMETER, ROUTE_ARGUMENTS_METADATA } from '../decorators/payload.decorator.js';
import { JOB_CONTEXT_TYPE } from '../job-context.js';
import { GatedInterceptors } from './gated-interceptors.js';
import { HandlerContextCreator } from './handler-context-creator.js';
import { AttemptGuard } from './attempt-guard.js';
import { MarkingPipes } from './marking-pipes.js';
import { QuietFilters } from './quiet-filters.js';
import { Rejections } from './rejections.js';

type Method = (...args: unknown[]) => unknown;

/** A method of a provider's class that is a handler. */
export interface DeclaredMethod {
  readonly name: string;
  /** As it was decorated. */
  readonly declared: object;
}

interface HandledMethod extends DeclaredMethod {
  /** Global enhancers that have an instance for each attempt. */
  readonly scopedGlobals: readonly InstanceWrapper[];
}

type ModuleRef = NonNullable<InstanceWrapper['host']>;

/** The class that enhancers see of a handler that was registered as a function. */
class RegisteredHandler {
  constructor(readonly handle: JobHandlerFunction) {}
}

/** Gives a decorated parameter its value: `@Payload()` is the only one that is not a custom decorator. */
const paramsFactory = {
  exchangeKeyForValue(type: number, field: unknown, [job]: [JobContext]): unknown {
    if (type !== BODY_PARAMETER) {
      return null;
    }
    return typeof field === 'string' ? (job.payload as Record<string, unknown> | null)?.[field] : job.payload;
  },
};

/** Wraps a provider's method in the parameters, guards, interceptors, pipes and filters that are bound to it. */
@Injectable()
export class HandlerPipeline {
  private readonly container: NestContainer;
  private readonly injector = new Injector();
  private readonly refusals = new Rejections();
  private readonly gate = new AttemptGuard();

  constructor(@Inject(ExternalContextCreator) creator: ExternalContextCreator) {
    this.container = (creator as unknown as { container: NestContainer }).container;
  }

  /**
   * The handler for a method of a provider: of its one instance, or of a new one for each attempt when its scope asks
   * for that.
   *
   * @param globalEnhancers whether the application's global enhancers come around it too.
   */
  around(provider: InstanceWrapper<object>, declared: DeclaredMethod, globalEnhancers: boolean): JobHandlerFunction {
    const creator = this.creatorFor(provider.host!, globalEnhancers);
    const scopedGlobals = globalEnhancers ? this.scopedGlobals() : [];
    const isShared = provider.isDependencyTreeStatic() && !provider.isTransient && scopedGlobals.length === 0;
    const method: HandledMethod = { ...declared, scopedGlobals };
    const run = isShared ? this.wrap(creator, provider.instance, method) : undefined;
    return async (job) => {
      try {
        const result = await (run ? run(job) : this.runScoped(creator, provider, method, job));
        this.gate.leave(job);
        return result;
      } catch (error) {
        throw this.refusals.translated(job, error);
      }
    };
  }

  /** The handler for a function: the application's global enhancers come around it, and nothing else. */
  aroundFunction(given: JobHandlerFunction): JobHandlerFunction {
    const handle = withoutEnhancers(given);
    let run: JobHandlerFunction | undefined;
    // Not before the first job: when it is registered, the application may not have all of them yet.
    return (job) => (run ??= this.around(this.providerOf(handle), { name: 'handle', declared: handle }, true))(job);
  }

  private providerOf(handle: JobHandlerFunction): InstanceWrapper<object> {
    const modules = [...this.container.getModules().values()];
    return new InstanceWrapper<object>({
      token: RegisteredHandler,
      name: RegisteredHandler.name,
      metatype: RegisteredHandler,
      instance: new RegisteredHandler(handle),
      isResolved: true,
      host: modules.find(({ providers }) => providers.has(HandlerPipeline))!,
    });
  }

  /** One instance for this attempt, or for its durable context; what is injected as `REQUEST` is the job. */
  private async runScoped(
    creator: ExternalContextCreator,
    provider: InstanceWrapper<object>,
    method: HandledMethod,
    job: object,
  ): Promise<unknown> {
    const host = provider.host!;
    const contextId = this.contextOf(job, provider.isDependencyTreeDurable());
    // Nest looks for nothing but the provider itself there, which may be a controller, or none of the module's.
    const collection = new Map([[provider.token, provider]]);
    const instance = await this.injector.loadPerContext(provider.instance, host, collection, contextId, provider);
    for (const enhancer of method.scopedGlobals) {
      await this.injector.loadInjectable(enhancer, enhancer.host!, contextId, provider);
    }
    this.gate.enter(job);
    return this.wrap(creator, instance, method, { contextId, inquirerId: provider.id })(job);
  }

  /** The context of the job: whoever asks `ContextIdFactory.getByRequest(job)` again is given the same. */
  private contextOf(job: object, isDurable: boolean): ContextId {
    const contextId = ContextIdFactory.getByRequest(job);
    Object.defineProperty(job, REQUEST_CONTEXT_ID, { value: contextId });
    // As Nest does it for a request: durable providers see what their strategy says, others see that on the job, too.
    const payload = contextId.payload as object | undefined;
    const news = Object.entries(payload ?? {}).filter(([key]) => !(key in job));
    this.container.registerRequestProvider(
      isDurable ? payload : Object.assign(job, Object.fromEntries(news)),
      contextId,
    );
    return contextId;
  }

  private scopedGlobals(): InstanceWrapper[] {
    const config = this.container.applicationConfig!;
    return [
      ...config.getGlobalRequestGuards(),
      ...config.getGlobalRequestInterceptors(),
      ...config.getGlobalRequestPipes(),
      ...config.getGlobalRequestFilters(),
    ];
  }

  private wrap(
    creator: ExternalContextCreator,
    instance: object,
    { name, declared }: HandledMethod,
    scope?: { readonly contextId: ContextId; readonly inquirerId: string },
  ): Method {
    const method = withMetadataOf(declared, calledMethod(instance, name));
    return creator.create(
      instance,
      method,
      name,
      ROUTE_ARGUMENTS_METADATA,
      paramsFactory,
      scope?.contextId,
      scope?.inquirerId,
      { guards: true, interceptors: true, filters: true },
      JOB_CONTEXT_TYPE,
    );
  }

  private creatorFor(host: ModuleRef, globalEnhancers: boolean): ExternalContextCreator {
    // Without the application's configuration Nest knows of no global enhancers.
    const config = globalEnhancers ? this.container.applicationConfig : undefined;
    return new HandlerContextCreator(
      this.refusals,
      this.gate,
      new GuardsContextCreator(this.container, config),
      new GuardsConsumer(),
      new InterceptorsContextCreator(this.container, config),
      new GatedInterceptors(this.gate),
      onlyModule(host),
      new PipesContextCreator(this.container, config),
      new MarkingPipes(),
      new QuietFilters(this.container, config),
    );
  }
}

/** @throws InvalidOptionsError when something else stands in its place. */
function calledMethod(instance: object, name: string): Method {
  const method: unknown = (instance as Record<string, unknown>)[name];
  if (typeof method !== 'function') {
    const place = `${instance.constructor.name}.${name}`;
    throw new InvalidOptionsError('@JobHandler', `on ${place}: expected a method, got ${describeValue(method)}`);
  }
  return method as Method;
}

/**
 * What runs in place of a decorated method, bound or replaced, with the guards, interceptors, pipes and filters that were bound
 * to that one: they are kept on the function.
 */
function withMetadataOf(declared: object, method: Method): Method {
  if (method === declared) {
    return method;
  }
  const called = function (this: unknown, ...args: unknown[]): unknown {
    return Reflect.apply(method, this, args);
  };
  const keys = [declared, method].flatMap((source) => Reflect.getMetadataKeys(source) as unknown[]);
  for (const key of keys) {
    const values: unknown[] = [Reflect.getMetadata(key, declared), Reflect.getMetadata(key, method)];
    // Guards and the like are lists, of which a decorator may have copied one to the other.
    const joined = values.every(Array.isArray) ? [...new Set(values.flat())] : (values[1] ?? values[0]);
    Reflect.defineMetadata(key, joined, called);
  }
  return called;
}

const ENHANCERS = [GUARDS_METADATA, INTERCEPTORS_METADATA, PIPES_METADATA, EXCEPTION_FILTERS_METADATA];

/** A decorated method that is given as a function belongs to no provider: Nest would find some of what is bound to it, not all. */
function withoutEnhancers(given: JobHandlerFunction): JobHandlerFunction {
  const handle: JobHandlerFunction = (job) => given(job);
  for (const key of Reflect.getMetadataKeys(given).filter((each: string) => !ENHANCERS.includes(each))) {
    Reflect.defineMetadata(key, Reflect.getMetadata(key, given), handle);
  }
  return handle;
}

/** Nest looks for the provider's module among providers only, and would leave out what is bound to a controller. */
function onlyModule(host: ModuleRef): ModulesContainer {
  const asked = Object.create(host, { hasProvider: { value: () => true } }) as ModuleRef;
  return new Map([[host.token, asked]]) as ModulesContainer;
}
