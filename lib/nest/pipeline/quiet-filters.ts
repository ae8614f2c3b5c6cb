import type { ArgumentsHost } from '@nestjs/common';
import type { ExternalExceptionsHandler } from '@nestjs/core/exceptions/external-exceptions-handler.js';
import { ExternalExceptionFilterContext } from '@nestjs/core/exceptions/external-exception-filter-context.js';
import { lastValueOf } from '../last-value.js';

interface BoundFilter {
  /** What it catches; everything when empty. */
  readonly exceptionMetatypes: readonly (new (...args: never[]) => unknown)[];
  func(exception: unknown, host: ArgumentsHost): unknown;
}

/** Nest's last filter writes every error into the log as an ERROR; here a failed attempt is an ordinary event. */
export class QuietFilters extends ExternalExceptionFilterContext {
  override create(...args: Parameters<ExternalExceptionFilterContext['create']>): ExternalExceptionsHandler {
    const handler = super.create(...args);
    handler.next = async (exception, host) => {
      // Chosen here: Nest 11 has `null` for "no filter", and a filter may answer `null`.
      const filter = (handler as unknown as { filters: readonly BoundFilter[] }).filters.find(
        ({ exceptionMetatypes: types }) => types.length === 0 || types.some((type) => exception instanceof type),
      );
      // A filter may be asynchronous, or answer with an Observable: what it comes to in the end is its answer.
      const result = await lastValueOf(filter?.func(exception, host));
      if (result === undefined) {
        throw exception;
      }
      return result as never;
    };
    return handler;
  }
}
