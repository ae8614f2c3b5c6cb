import { Inject, Injectable } from '@nestjs/common';
import {
  EXCEPTION_FILTERS_METADATA,
  GUARDS_METADATA,
  INTERCEPTORS_METADATA,
  PIPES_METADATA,
} from '@nestjs/common/constants.js';
import type { ContextId, ModulesContainer, NestContainer } from '@nestjs/core';
import { ContextIdFactory, ExternalContextCreator } from '@nestjs/core';
import { GuardsContextCreator } from '@nestjs/core/guards/index.js';
import { Injector } from '@nestjs/core/injector/injector.js';
import { InstanceWrapper } from '@nestjs/core/injector/instance-wrapper.js';
import { InterceptorsContextCreator } from '@nestjs/core/interceptors/index.js';
import { PipesContextCreator } from '@nestjs/core/pipes/index.js';
import { REQUEST_CONTEXT_ID } from '@nestjs/core/router/request/request-constants.js';
import { describeValue } from '../../core/error-text.js';
import { InvalidOptionsError } from '../../core/errors.js';
import type { JobBatch, JobContext, JobHandlerFunction } from '../../core/job-handler.js';
import { announceCall } from '../../engine/run/handler-context.js';
import { BODY_PARAMETER, ROUTE_ARGUMENTS_METADATA } from '../decorators/payload.decorator.js';
import { JOB_CONTEXT_TYPE } from '../decorators/current-job.decorator.js';
import { notAMethod } from '../jobs.messages.js';
import {
  EndedAttemptCheck,
  HandlerCallCreator,
  HandlerFilters,
  HandlerGuards,
  HandlerInterceptors,
  HandlerPipes,
} from './handler-call-creator.js';
import { createMemberCheck } from './member-check.js';
import { Rejections } from './rejections.js';

type Method = (...args: unknown[]) => unknown;

/** A handler method of a provider's class. */
interface DeclaredMethod {
  readonly name: string;
  /** The function that `@JobHandler` decorated. The instance may have another one under this name, such as a bound one. */
  readonly decoratedFunction: object;
}

interface HandledMethod extends DeclaredMethod {
  /** Request-scoped global enhancers: they have one instance for each attempt. */
  readonly scopedGlobals: readonly InstanceWrapper[];
}

type ModuleRef = NonNullable<InstanceWrapper['host']>;

/** The class of a handler that was registered as a function. Guards get it from `ExecutionContext.getClass()`. */
class RegisteredHandler {
  constructor(readonly handle: JobHandlerFunction) {}
}

/**
 * Returns the value of a parameter with `@Payload()`: for a batch, an array. Nest itself resolves parameters with custom decorators.
 */
const paramsFactory = {
  exchangeKeyForValue(type: number, field: unknown, [argument]: [JobContext | JobBatch]): unknown {
    if (type !== BODY_PARAMETER) {
      return null;
    }
    const read = ({ payload }: JobContext): unknown =>
      typeof field === 'string' ? (payload as Record<string, unknown> | null)?.[field] : payload;
    return isBatch(argument) ? argument.map(read) : read(argument);
  },
};

function isBatch(argument: object): argument is JobBatch {
  return Array.isArray(argument);
}

/**
 * Builds a handler function from a provider's method: with its parameters, guards, interceptors, pipes and filters, and with an
 * instance for each attempt when the provider is request-scoped. Read next: handler-call-creator.ts, rejections.ts.
 */
@Injectable()
export class HandlerPipeline {
  private readonly container: NestContainer;
  private readonly injector = new Injector();
  private readonly rejections = new Rejections();
  private readonly endedAttemptCheck = new EndedAttemptCheck();
  /** `undefined` in production. */
  readonly memberCheck = createMemberCheck();

  constructor(@Inject(ExternalContextCreator) creator: ExternalContextCreator) {
    this.container = (creator as unknown as { container: NestContainer }).container;
  }

  /**
   * Returns the handler for a method of a provider.
   *
   * @param globalEnhancers whether the application's global enhancers apply too.
   */
  createHandler(
    provider: InstanceWrapper<object>,
    declaredMethod: DeclaredMethod,
    globalEnhancers: boolean,
  ): JobHandlerFunction {
    const callCreator = this.createCallCreator(provider.host!, globalEnhancers);
    const scopedGlobals = globalEnhancers ? this.findScopedGlobals() : [];
    const isShared = provider.isDependencyTreeStatic() && !provider.isTransient && scopedGlobals.length === 0;
    const method: HandledMethod = { ...declaredMethod, scopedGlobals };
    const run = isShared ? this.wrap(callCreator, provider.instance, method) : undefined;
    return async (job) => {
      announceCall(job);
      try {
        const result = await (run ? run(job) : this.runScoped(callCreator, provider, method, job));
        this.endedAttemptCheck.assertNotStopped(job);
        return result;
      } catch (error) {
        throw this.rejections.toUnrecoverable(job, error);
      }
    };
  }

  /** Returns the handler for a function, with the application's global enhancers and no others. */
  createFunctionHandler(given: JobHandlerFunction): JobHandlerFunction {
    const handle = withoutEnhancers(given);
    let run: JobHandlerFunction | undefined;
    // Built at the first job: when the function is registered, some global enhancers may not exist yet.
    return (job) =>
      (run ??= this.createHandler(this.createProvider(handle), { name: 'handle', decoratedFunction: handle }, true))(
        job,
      );
  }

  private createProvider(handle: JobHandlerFunction): InstanceWrapper<object> {
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

  /**
   * Runs a method of a request-scoped provider. Nest creates the instance for this attempt, or takes that of its durable context. Such
   * providers get the job when they inject `REQUEST`.
   */
  private async runScoped(
    callCreator: ExternalContextCreator,
    provider: InstanceWrapper<object>,
    method: HandledMethod,
    job: object,
  ): Promise<unknown> {
    const host = provider.host!;
    const contextId = this.createContext(job, provider.isDependencyTreeDurable());
    // The injector reads the provider from this map. The map of the module would lack a controller or a registered function.
    const collection = new Map([[provider.token, provider]]);
    const instance = await this.injector.loadPerContext(provider.instance, host, collection, contextId, provider);
    for (const enhancer of method.scopedGlobals) {
      await this.injector.loadInjectable(enhancer, enhancer.host!, contextId, provider);
    }
    this.endedAttemptCheck.assertRunning(job);
    return this.wrap(callCreator, instance, method, { contextId, inquirerId: provider.id })(job);
  }

  /** Creates the job's context and stores it in the job, so that `ContextIdFactory.getByRequest(job)` returns the same one. */
  private createContext(job: object, isDurable: boolean): ContextId {
    const contextId = ContextIdFactory.getByRequest(job);
    Object.defineProperty(job, REQUEST_CONTEXT_ID, { value: contextId });
    // As for HTTP requests: with a context id strategy, `REQUEST` is the strategy's payload for durable providers. For others it is
    // the job, with the members of that payload.
    const payload = contextId.payload as object | undefined;
    const missing = Object.entries(payload ?? {}).filter(([key]) => !(key in job));
    this.container.registerRequestProvider(
      isDurable ? payload : Object.assign(job, Object.fromEntries(missing)),
      contextId,
    );
    return contextId;
  }

  private findScopedGlobals(): InstanceWrapper[] {
    const config = this.container.applicationConfig!;
    return [
      ...config.getGlobalRequestGuards(),
      ...config.getGlobalRequestInterceptors(),
      ...config.getGlobalRequestPipes(),
      ...config.getGlobalRequestFilters(),
    ];
  }

  private wrap(
    callCreator: ExternalContextCreator,
    instance: object,
    { name, decoratedFunction }: HandledMethod,
    scope?: { readonly contextId: ContextId; readonly inquirerId: string },
  ): Method {
    const method = withCopiedMetadata(decoratedFunction, getMethod(instance, name));
    return callCreator.create(
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

  private createCallCreator(host: ModuleRef, globalEnhancers: boolean): ExternalContextCreator {
    // Nest reads the global enhancers from this configuration. Without it, it applies none.
    const config = globalEnhancers ? this.container.applicationConfig : undefined;
    return new HandlerCallCreator(
      this.rejections,
      this.endedAttemptCheck,
      new GuardsContextCreator(this.container, config),
      new HandlerGuards(),
      new InterceptorsContextCreator(this.container, config),
      new HandlerInterceptors(this.endedAttemptCheck, this.memberCheck),
      createModules(host),
      new PipesContextCreator(this.container, config),
      new HandlerPipes(),
      new HandlerFilters(this.container, config),
    );
  }
}

/** @throws InvalidOptionsError when the member is not a function. */
function getMethod(instance: object, name: string): Method {
  const method: unknown = (instance as Record<string, unknown>)[name];
  if (typeof method !== 'function') {
    const location = `${instance.constructor.name}.${name}`;
    throw new InvalidOptionsError('@JobHandler', notAMethod(location, describeValue(method)));
  }
  return method as Method;
}

/**
 * Returns the method with the metadata of the decorated function. Nest reads guards, interceptors, pipes and filters from the
 * function that is called. That may be another function than the decorated one, for example a bound one.
 */
function withCopiedMetadata(decoratedFunction: object, method: Method): Method {
  if (method === decoratedFunction) {
    return method;
  }
  const called = function (this: unknown, ...args: unknown[]): unknown {
    return Reflect.apply(method, this, args);
  };
  const keys = [decoratedFunction, method].flatMap((source) => Reflect.getMetadataKeys(source) as unknown[]);
  for (const key of keys) {
    const values: unknown[] = [Reflect.getMetadata(key, decoratedFunction), Reflect.getMetadata(key, method)];
    // Enhancers are lists. The Set removes duplicates: another decorator may have copied the lists already.
    const joined = values.every(Array.isArray) ? [...new Set(values.flat())] : (values[1] ?? values[0]);
    Reflect.defineMetadata(key, joined, called);
  }
  return called;
}

const ENHANCERS = [GUARDS_METADATA, INTERCEPTORS_METADATA, PIPES_METADATA, EXCEPTION_FILTERS_METADATA];

/**
 * Returns the function without its own enhancers. A method with `@UseGuards`, for example, may be registered as a function. It belongs
 * to no provider then, and Nest would apply only some of its enhancers.
 */
function withoutEnhancers(given: JobHandlerFunction): JobHandlerFunction {
  const handle: JobHandlerFunction = (job) => given(job);
  for (const key of Reflect.getMetadataKeys(given).filter((each: string) => !ENHANCERS.includes(each))) {
    Reflect.defineMetadata(key, Reflect.getMetadata(key, given), handle);
  }
  return handle;
}

/**
 * Returns a map of modules with `host` alone. Nest searches it for the module that provides the handler's class, whose enhancers it
 * applies. It looks only at providers and would not find a controller, so this `host` claims to provide every class.
 */
function createModules(host: ModuleRef): ModulesContainer {
  const module = Object.create(host, { hasProvider: { value: () => true } }) as ModuleRef;
  return new Map([[host.token, module]]) as ModulesContainer;
}
