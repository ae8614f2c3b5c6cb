import { constants } from 'node:os';
import { HttpException } from '@nestjs/common';
import { QueueUnavailableError } from '../../core/errors.js';
import { isDatabaseError } from '../../store/sql-error.js';

/** An error may be the cause of another, and that of a third; deeper than this nobody wraps on purpose. */
const CAUSES_MAX = 8;

/**
 * Whether an error tells of the surroundings and not of the job: it comes from a database, from the network or from the
 * operating system, or is an `HttpException` of 500 or more. The same job may go through in a minute.
 */
export function isOutage(error: unknown, depth = 0): boolean {
  if (typeof error !== 'object' || error === null || depth > CAUSES_MAX) {
    return false;
  }
  if (error instanceof HttpException) {
    // A judgement, whatever has led to it.
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
    return errors.every((inner) => isOutage(inner, depth + 1));
  }
  return isOutage(cause, depth + 1);
}

/** What `fetch` and its body reject with, be it for a certificate, a broken answer or a cut connection. */
function isFailedFetch(error: object): boolean {
  const { name, message } = error as Record<'name' | 'message', unknown>;
  return name === 'TypeError' && (message === 'fetch failed' || message === 'terminated');
}

/** Node's own errors, those of its HTTP client, and what a timeout aborts with. */
function isSystemError(error: object): boolean {
  const { errno, syscall, code, name } = error as Record<'errno' | 'syscall' | 'code' | 'name', unknown>;
  return (
    typeof errno === 'number' ||
    typeof syscall === 'string' ||
    // A socket that hangs up has the code alone.
    (typeof code === 'string' && (Object.hasOwn(constants.errno, code) || code.startsWith('UND_ERR_'))) ||
    name === 'TimeoutError'
  );
}
