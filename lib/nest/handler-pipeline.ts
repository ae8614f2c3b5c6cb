import { Inject, Injectable } from '@nestjs/common';
import type { ModulesContainer, NestContainer } from '@nestjs/core';
import { ExternalContextCreator } from '@nestjs/core';
import { ExternalExceptionFilterContext } from '@nestjs/core/exceptions/external-exception-filter-context.js';
import { GuardsConsumer, GuardsContextCreator } from '@nestjs/core/guards/index.js';
import type { InstanceWrapper } from '@nestjs/core/injector/instance-wrapper.js';
import { InterceptorsConsumer, InterceptorsContextCreator } from '@nestjs/core/interceptors/index.js';
import { PipesConsumer, PipesContextCreator } from '@nestjs/core/pipes/index.js';
import type { JobHandlerFunction } from '../core/job-context.js';
import { JOB_CONTEXT_TYPE } from './job-context.js';

/** Where Nest keeps the filters of a class or method. */
const EXCEPTION_FILTERS_METADATA = '__exceptionFilters__';
const ROUTE_ARGUMENTS_METADATA = '__routeArguments__';

type Method = (...args: unknown[]) => unknown;
type ModuleRef = NonNullable<InstanceWrapper['host']>;

/** Wraps a provider's method in the guards, interceptors and filters that are bound to it or its class. */
@Injectable()
export class HandlerPipeline {
  private readonly container: NestContainer;

  constructor(@Inject(ExternalContextCreator) creator: ExternalContextCreator) {
    this.container = (creator as unknown as { container: NestContainer }).container;
  }

  /**
   * @param host the module that provides `instance`; its enhancers are looked up there.
   * @param globalEnhancers whether the application's global ones come around it too.
   */
  around(host: ModuleRef, instance: object, name: string, globalEnhancers: boolean): JobHandlerFunction {
    const method = (instance as Record<string, Method>)[name]!;
    // Nest's last filter writes every error into the log; without a filter of its own, a method goes without it.
    const filters = globalEnhancers || [method, instance.constructor].some(hasFilters);
    return this.creatorFor(host, globalEnhancers).create(
      instance,
      method,
      name,
      ROUTE_ARGUMENTS_METADATA,
      undefined,
      undefined,
      undefined,
      { guards: true, interceptors: true, filters },
      JOB_CONTEXT_TYPE,
    ) as JobHandlerFunction;
  }

  private creatorFor(host: ModuleRef, globalEnhancers: boolean): ExternalContextCreator {
    // Without the application's configuration Nest knows of no global enhancers.
    const config = globalEnhancers ? this.container.applicationConfig : undefined;
    return new ExternalContextCreator(
      new GuardsContextCreator(this.container, config),
      new GuardsConsumer(),
      new InterceptorsContextCreator(this.container, config),
      new InterceptorsConsumer(),
      onlyModule(host),
      new PipesContextCreator(this.container, config),
      new PipesConsumer(),
      new ExternalExceptionFilterContext(this.container, config),
    );
  }
}

/** Nest looks for the provider's module among providers only, and would leave out what is bound to a controller. */
function onlyModule(host: ModuleRef): ModulesContainer {
  const asked = Object.create(host, { hasProvider: { value: () => true } }) as ModuleRef;
  return new Map([[host.token, asked]]) as ModulesContainer;
}

function hasFilters(target: object): boolean {
  return Reflect.hasMetadata(EXCEPTION_FILTERS_METADATA, target);
}
