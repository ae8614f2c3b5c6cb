import { Inject, Injectable } from '@nestjs/common';
import type { NestContainer } from '@nestjs/core';
import { ExternalContextCreator } from '@nestjs/core';
import { ExternalExceptionFilterContext } from '@nestjs/core/exceptions/external-exception-filter-context.js';
import { GuardsConsumer, GuardsContextCreator } from '@nestjs/core/guards/index.js';
import { InterceptorsConsumer, InterceptorsContextCreator } from '@nestjs/core/interceptors/index.js';
import { PipesConsumer, PipesContextCreator } from '@nestjs/core/pipes/index.js';
import type { JobHandlerFunction } from '../core/job-context.js';
import { JOB_CONTEXT_TYPE } from './job-context.js';

/** Where Nest keeps the filters of a class or method. */
const EXCEPTION_FILTERS_METADATA = '__exceptionFilters__';
const ROUTE_ARGUMENTS_METADATA = '__routeArguments__';

type Method = (...args: unknown[]) => unknown;

/** Wraps a provider's method in the guards, interceptors and filters that are bound to it or its class. */
@Injectable()
export class HandlerPipeline {
  constructor(@Inject(ExternalContextCreator) private readonly everywhere: ExternalContextCreator) {}

  /** @param globalEnhancers whether the application's global ones come around it too. */
  around(instance: object, name: string, globalEnhancers: boolean): JobHandlerFunction {
    const method = (instance as Record<string, Method>)[name]!;
    const creator = globalEnhancers ? this.everywhere : this.boundOnly();
    // Nest's last filter writes every error into the log; without a filter of its own, a method goes without it.
    const filters = globalEnhancers || [method, instance.constructor].some(hasFilters);
    const enhancers = { guards: true, interceptors: true, filters };
    return creator.create(
      instance,
      method,
      name,
      ROUTE_ARGUMENTS_METADATA,
      undefined,
      undefined,
      undefined,
      enhancers,
      JOB_CONTEXT_TYPE,
    ) as JobHandlerFunction;
  }

  /** Without the application's configuration Nest knows of no global enhancers. */
  private boundOnly(): ExternalContextCreator {
    const { container } = this.everywhere as unknown as { container: NestContainer };
    return new ExternalContextCreator(
      new GuardsContextCreator(container),
      new GuardsConsumer(),
      new InterceptorsContextCreator(container),
      new InterceptorsConsumer(),
      container.getModules(),
      new PipesContextCreator(container),
      new PipesConsumer(),
      new ExternalExceptionFilterContext(container),
    );
  }
}

function hasFilters(target: object): boolean {
  return Reflect.hasMetadata(EXCEPTION_FILTERS_METADATA, target);
}
