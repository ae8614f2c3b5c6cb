import { constants } from 'node:os';
import { HttpException } from '@nestjs/common';
import { toErrorMessage } from '../../core/error-text.js';
import { isUnrecoverable, QueueUnavailableError, SnoozeError, UnrecoverableError } from '../../core/errors.js';
import { isDatabaseError } from '../../store/runtime/sql-error.js';

/**
 * Remembers the attempts that a guard or a pipe rejected. Such a job fails without a retry, because a retry would be rejected
 * too. Filters see the original error.
 */
export class Rejections {
  /** Keyed by job, because an error cannot be a key: it may be a string, or one object thrown for many jobs. */
  private readonly rejected = new WeakMap<object, { readonly error: unknown }>();

  /** Ignores snoozes and transient errors: a later attempt may pass. */
  record(job: object, error: unknown): void {
    if (!(error instanceof SnoozeError) && !isTransientError(error)) {
      this.rejected.set(job, { error });
    }
  }

  /**
   * Returns an `UnrecoverableError` for a recorded rejection, any other error unchanged. One job of a batch may be the cause, so each
   * of several runs alone first.
   */
  toUnrecoverable(job: object, error: unknown): unknown {
    const rejection = this.rejected.get(job);
    const isOneJob = !Array.isArray(job) || job.length === 1;
    return isOneJob && rejection && Object.is(rejection.error, error) && !isUnrecoverable(error)
      ? new UnrecoverableError(toMessage(error), { cause: error })
      : error;
  }
}

/** Limits the search through `cause` and `errors`. */
const CAUSES_MAX = 8;

/**
 * Whether a retry may succeed, because the error comes from a database, the network or the operating system, or is an
 * `HttpException` of 500 or more.
 */
function isTransientError(error: unknown, depth = 0): boolean {
  if (typeof error !== 'object' || error === null || depth > CAUSES_MAX) {
    return false;
  }
  if (error instanceof HttpException) {
    // The status decides, whatever the cause was.
    return error.getStatus() >= 500;
  }
  if (
    error instanceof QueueUnavailableError ||
    isDatabaseError(error) ||
    isSystemError(error) ||
    isFailedFetch(error)
  ) {
    return true;
  }
  const { errors, cause } = error as { errors?: unknown; cause?: unknown };
  if (Array.isArray(errors) && errors.length > 0) {
    return errors.every((inner) => isTransientError(inner, depth + 1));
  }
  return isTransientError(cause, depth + 1);
}

/** Whether `fetch`, or reading its body, rejected: for a bad certificate, a broken response or a lost connection. */
function isFailedFetch(error: object): boolean {
  const { name, message } = error as Record<'name' | 'message', unknown>;
  return name === 'TypeError' && (message === 'fetch failed' || message === 'terminated');
}

/** Whether it is an error of Node or of its HTTP client, or the reason of `AbortSignal.timeout()`. */
function isSystemError(error: object): boolean {
  const { errno, syscall, code, name } = error as Record<'errno' | 'syscall' | 'code' | 'name', unknown>;
  return (
    typeof errno === 'number' ||
    typeof syscall === 'string' ||
    // "socket hang up" has only a code.
    (typeof code === 'string' && (Object.hasOwn(constants.errno, code) || code.startsWith('UND_ERR_'))) ||
    name === 'TimeoutError'
  );
}

/** A `ValidationPipe` puts its messages into the response. */
function toMessage(error: unknown): string {
  const response = error instanceof HttpException ? error.getResponse() : undefined;
  const details = typeof response === 'object' ? (response as { message?: unknown }).message : undefined;
  return Array.isArray(details) ? `${toErrorMessage(error)}: ${details.join('; ')}` : toErrorMessage(error);
}
