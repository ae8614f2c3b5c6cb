import type { ArgumentsHost } from '@nestjs/common';
import { ForbiddenException } from '@nestjs/common';
import { ExternalContextCreator } from '@nestjs/core';
import { ExternalExceptionFilterContext } from '@nestjs/core/exceptions/external-exception-filter-context.js';
import type { ExternalExceptionsHandler } from '@nestjs/core/exceptions/external-exceptions-handler.js';
import { GuardsConsumer } from '@nestjs/core/guards/index.js';
import { InterceptorsConsumer } from '@nestjs/core/interceptors/index.js';
import { PipesConsumer } from '@nestjs/core/pipes/index.js';
import type { Observable } from 'rxjs';
import { isObservable, lastValueFrom } from 'rxjs';
import { readAbortError, recordCall, trackHandlerPromise } from '../../engine/run/handler-context.js';
import type { MemberCheck } from './member-check.js';
import type { Rejections } from './rejections.js';

/**
 * Builds the call of a handler. Nest's `ExternalContextCreator` builds a function that runs guards, interceptors, pipes, the method
 * and filters, for calls from outside HTTP. This subclass also records rejections of guards and pipes, does not call a handler whose
 * attempt has ended, and accepts an empty Observable as a result.
 */
export class HandlerCallCreator extends ExternalContextCreator {
  constructor(
    private readonly rejections: Rejections,
    private readonly endedAttemptCheck: EndedAttemptCheck,
    ...parts: ConstructorParameters<typeof ExternalContextCreator>
  ) {
    super(...parts);
  }

  override createGuardsFn(...args: Parameters<ExternalContextCreator['createGuardsFn']>): Guards | null {
    const guards = super.createGuardsFn(...args) as Guards | null;
    return (
      guards &&
      (async (params) => {
        try {
          await guards(params);
        } catch (error) {
          this.rejections.record(params[0], error);
          throw error;
        }
        this.endedAttemptCheck.assertRunning(params[0]);
      })
    );
  }

  override createPipesFn(
    ...args: Parameters<ExternalContextCreator['createPipesFn']>
  ): ReturnType<ExternalContextCreator['createPipesFn']> {
    const pipes = super.createPipesFn(...args);
    // Nest calls the method right after this function, with the array `given`.
    return async (given, ...params) => {
      if (pipes) {
        await this.applyPipes(pipes, given, params);
      } else {
        given.splice(0, given.length, ...params);
      }
      this.endedAttemptCheck.assertCalled(params[0] as object);
    };
  }

  private async applyPipes(pipes: Pipes, given: unknown[], params: unknown[]): Promise<void> {
    try {
      await pipes(given, ...params);
    } catch (thrown) {
      if (!(thrown instanceof PipeError)) {
        throw thrown;
      }
      this.rejections.record(params[0] as object, thrown.error);
      throw thrown.error;
    }
  }

  override async transformToResult(result: unknown): Promise<unknown> {
    return toLastValue(result);
  }
}

/** Runs guards. The error names the guard that refuses: Nest's own text, "Forbidden resource", says nothing in the row of a job. */
export class HandlerGuards extends GuardsConsumer {
  override async tryActivate(...args: Parameters<GuardsConsumer['tryActivate']>): Promise<boolean> {
    const [guards, ...rest] = args;
    for (const guard of guards) {
      if (!(await super.tryActivate([guard], ...rest))) {
        const { name } = guard.constructor;
        throw new ForbiddenException(`refused by ${name === 'Object' ? 'a guard' : name}`);
      }
    }
    return true;
  }
}

type Guards = (params: [job: object]) => Promise<void>;
type Pipes = NonNullable<ReturnType<ExternalContextCreator['createPipesFn']>>;

/**
 * Prevents the call of a handler whose attempt ended while guards, interceptors, pipes or providers waited. Another attempt may own
 * the job then.
 */
export class EndedAttemptCheck {
  private readonly stopped = new WeakSet<object>();

  /** Called after each wait. @throws the reason why the attempt has ended. */
  assertRunning(job: object): void {
    const ending = readAbortError(job);
    if (ending) {
      this.stopped.add(job);
      throw ending;
    }
  }

  /** Called when the method is called next. @throws the reason why it must not be. */
  assertCalled(job: object): void {
    this.assertRunning(job);
    try {
      recordCall(job);
    } catch (error) {
      this.stopped.add(job);
      throw error;
    }
  }

  /** Called with a result. @throws the reason again if `assertRunning` threw it: an interceptor or filter may have replaced it. */
  assertNotStopped(job: object): void {
    if (this.stopped.has(job)) {
      throw readAbortError(job)!;
    }
  }
}

/**
 * Runs interceptors. When the last one calls the handler, checks that the attempt is running, and registers the handler's promise,
 * so that the attempt keeps its slot until the handler returns.
 */
export class HandlerInterceptors extends InterceptorsConsumer {
  constructor(
    private readonly endedAttemptCheck: EndedAttemptCheck,
    private readonly memberCheck: MemberCheck | undefined,
  ) {
    super();
  }

  override intercept(...args: Parameters<InterceptorsConsumer['intercept']>): Promise<unknown> {
    const [interceptors, params, instance, callback, next, type] = args;
    const job = params[0] as object;
    const { memberCheck } = this;
    const handle = memberCheck ? () => memberCheck(job, next) : next;
    const checked = async (): Promise<unknown> => {
      this.endedAttemptCheck.assertRunning(job);
      const work = handle();
      // An interceptor may return before the handler does.
      trackHandlerPromise(job, work);
      return work;
    };
    return super.intercept(interceptors, params, instance, callback, interceptors?.length > 0 ? checked : handle, type);
  }
}

/** An error that a pipe threw, as opposed to one of a parameter's decorator. */
class PipeError extends Error {
  constructor(readonly error: unknown) {
    super('rejected by a pipe');
  }
}

/** Runs pipes, and wraps the errors that they throw. Only those are rejections; an error of a parameter's decorator is not. */
export class HandlerPipes extends PipesConsumer {
  override async apply(...[value, metadata, pipes]: Parameters<PipesConsumer['apply']>): Promise<unknown> {
    // Outside the try, because this may be the rejection of an asynchronous decorator.
    const given = await value;
    try {
      return await super.apply<unknown>(given, metadata, pipes);
    } catch (error) {
      throw new PipeError(error);
    }
  }
}

interface BoundFilter {
  /** The classes that it catches; empty for all. */
  readonly exceptionMetatypes: readonly (new (...args: never[]) => unknown)[];
  func(exception: unknown, host: ArgumentsHost): unknown;
}

/**
 * Runs the matching filter, without Nest's fallback filter for errors that no filter catches. That one logs them at level ERROR, and a
 * failed attempt is an ordinary event.
 */
export class HandlerFilters extends ExternalExceptionFilterContext {
  override create(...args: Parameters<ExternalExceptionFilterContext['create']>): ExternalExceptionsHandler {
    const handler = super.create(...args);
    handler.next = async (exception, host) => {
      // Nest 11 returns `null` when no filter matches. A filter may return `null` too, so the filter is selected here.
      const filter = (handler as unknown as { filters: readonly BoundFilter[] }).filters.find(
        ({ exceptionMetatypes: types }) => types.length === 0 || types.some((type) => exception instanceof type),
      );
      const result = await toLastValue(filter?.func(exception, host));
      if (result === undefined) {
        throw exception;
      }
      return result as never;
    };
    return handler;
  }
}

/** Resolves promises, and Observables to their last value, or `undefined` when they are empty. */
export async function toLastValue(result: unknown): Promise<unknown> {
  const value = await result;
  return isStream(value) ? lastValueFrom(value, { defaultValue: undefined }) : value;
}

/** An object whose properties throw, such as a revoked proxy, is no stream. */
function isStream(value: unknown): value is Observable<unknown> {
  try {
    return isObservable(value);
  } catch {
    return false;
  }
}
