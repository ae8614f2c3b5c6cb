import type { ArgumentsHost, ExceptionFilter } from '@nestjs/common';
import { Catch, Injectable } from '@nestjs/common';
import { toErrorMessage } from '../core/error-text.js';
import { JobsError, QueueUnavailableError } from '../core/errors.js';
import type { JobsLogger } from '../core/logger.js';
import { moduleLogger } from '../nest/nest-logger.js';
import { ApiError, toApiError } from './api-error.js';
import type { HttpRequest, HttpResponse } from './http-adapter.js';
import { endStartedResponse, toPathname, sendJson } from './http-adapter.js';
import * as messages from './http.messages.js';

/**
 * Responds to every error of the API in one shape, without stack traces. As a filter of the controllers it runs before the
 * application's global filters, and it handles what global guards throw, too.
 */
@Catch()
@Injectable()
export class JobsApiErrorFilter implements ExceptionFilter {
  private readonly outages = new ThrottledLogger(moduleLogger);

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<HttpRequest>();
    const response = this.toResponse(error, `${request.method} ${toPathname(request.originalUrl)}`);
    sendJson(http.getResponse<HttpResponse>(), response.status, response.body, response.headers).catch(
      (reason: unknown) => moduleLogger.error(messages.failed(toPathname(request.originalUrl), toErrorMessage(reason))),
    );
  }

  /** Converts an error to the response, and logs the details that the caller must not see. */
  private toResponse(error: unknown, request: string): ApiError {
    const response = toApiError(error);
    if (!response) {
      const stack = error instanceof Error ? error.stack : undefined;
      moduleLogger.error(messages.failed(request, toErrorMessage(error)), stack);
      return new ApiError(500, 'INTERNAL', messages.INTERNAL);
    }
    const cause = error instanceof QueueUnavailableError ? error : response.cause;
    if (response.status >= 500) {
      this.outages.warn(messages.respondedWith(request, response.status, toErrorMessage(cause)));
    }
    return response;
  }
}

/**
 * For the application's own controllers: responds to the queue's errors with the status and body of the jobs API, such as 404 for a
 * `JobNotFoundError` and 503 for a `QueueUnavailableError`. Other errors go to the next filter, or to Nest. Outside HTTP, for
 * example in a handler, the error is thrown again.
 *
 * @example
 * @UseFilters(JobsErrorFilter)
 * @Controller('mails')
 * export class MailsController {}
 *
 * @publicApi
 */
@Catch(JobsError)
export class JobsErrorFilter extends JobsApiErrorFilter {
  override catch(error: JobsError, host: ArgumentsHost): void {
    if (host.getType() !== 'http') {
      throw error;
    }
    if (!endStartedResponse(host.switchToHttp().getResponse<HttpResponse>())) {
      super.catch(error, host);
    }
  }
}

const QUIET_MS = 10_000;

/** Logs at most one warning in ten seconds: an outage can cause thousands. */
class ThrottledLogger {
  private quietUntilMs = -Infinity;
  private skipped = 0;

  constructor(private readonly logger: Pick<JobsLogger, 'warn'>) {}

  warn(message: string): void {
    const nowMs = performance.now();
    if (nowMs < this.quietUntilMs) {
      this.skipped += 1;
      return;
    }
    this.logger.warn(this.skipped > 0 ? `${message} (and ${this.skipped} more before)` : message);
    this.quietUntilMs = nowMs + QUIET_MS;
    this.skipped = 0;
  }
}
