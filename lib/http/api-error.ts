import { HttpException, HttpStatus } from '@nestjs/common';
import {
  InvalidOptionsError,
  InvalidPayloadError,
  JobsError,
  PayloadTooLargeError,
  QueueUnavailableError,
  RowLockedError,
} from '../core/errors.js';
import type { JobsErrorCode } from '../core/errors.js';
import type { JsonAnswer } from './http-exchange.js';
import { jsonAnswer } from './http-exchange.js';

/** What is wrong, by the name of a field as it stands on the wire. */
export type FieldComplaints = Readonly<Record<string, string>>;

/** What an {@link ApiError} may say beside status, code and message. */
interface ApiErrorDetails extends ErrorOptions {
  readonly data?: FieldComplaints;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An answer that is no success, thrown from wherever it becomes clear. Its message is shown to the caller. */
export class ApiError extends Error {
  readonly data: FieldComplaints;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    { data = {}, headers = {}, ...options }: ApiErrorDetails = {},
  ) {
    super(message, options);
    this.data = data;
    this.headers = headers;
  }
}

/** 400: the request is not what the route takes; `data` says why, field by field. */
export function invalidRequest(data: FieldComplaints): ApiError {
  const [[name, reason] = ['request', 'invalid']] = Object.entries(data);
  return new ApiError(400, 'INVALID_REQUEST', `${name}: ${reason}`, { data });
}

/** 401: nobody is known to ask. */
export function unauthorized(): ApiError {
  const headers = { 'WWW-Authenticate': 'Bearer' };
  return new ApiError(401, 'UNAUTHORIZED', 'credentials are missing or wrong', { headers });
}

/** 403: whoever asks may not do that. */
export function forbidden(message = 'you are not allowed to do that'): ApiError {
  return new ApiError(403, 'FORBIDDEN', message);
}

/** 403: callers over HTTP do not reach this topic. */
export function topicNotAllowed(what: string): ApiError {
  const message = `${what} is not among those that are allowed here`;
  return new ApiError(403, 'TOPIC_NOT_ALLOWED', message, { data: { topic: 'not allowed here' } });
}

/** What the application's own code threw while it judged a caller. Only an `HttpException` that refuses is an answer. */
export function refusalOf(error: unknown): unknown {
  if (!isHttpException(error)) {
    return error;
  }
  const status = error.getStatus();
  if (!(status >= 400 && status <= 599)) {
    return error;
  }
  if (status === 401) {
    return unauthorized();
  }
  const message = status < 500 ? error.message : 'the request could not be judged';
  return new ApiError(status, HttpStatus[status] ?? 'REFUSED', message, { cause: error });
}

/** By its shape: the application may have another copy of Nest's class. */
function isHttpException(error: unknown): error is HttpException {
  return error instanceof HttpException || typeof (error as HttpException | null)?.getStatus === 'function';
}

/** `null` where an error is nobody's business outside. */
const STATUS_BY_CODE: Readonly<Record<JobsErrorCode, number | null>> = {
  PAYLOAD_TOO_LARGE: 413,
  INVALID_PAYLOAD: 400,
  INVALID_OPTIONS: 400,
  JOB_NOT_FOUND: 404,
  JOB_STATE: 409,
  IDEMPOTENCY_CONFLICT: 422,
  QUEUE_UNAVAILABLE: 503,
  LEASE_LOST: null,
  UNKNOWN_DATA_SOURCE: null,
  UNRECOVERABLE: null,
  SNOOZE: null,
  JOB_ABORTED: null,
  IDLE_TIMEOUT: null,
  DATABASE_REFUSED: null,
};

/** An error as this API answers it; `undefined` when it is nobody's business outside. */
export function apiErrorOf(error: unknown): ApiError | undefined {
  if (error instanceof ApiError) {
    return error;
  }
  if (error instanceof InvalidOptionsError) {
    return invalidRequest({ [wireName(error.option)]: error.reason });
  }
  const status = error instanceof JobsError ? STATUS_BY_CODE[error.code] : null;
  if (status === null) {
    return undefined;
  }
  const { code, message } = error as JobsError;
  if (error instanceof QueueUnavailableError) {
    // What the driver said stays in the log.
    const reason =
      error instanceof RowLockedError ? 'an open transaction holds what is needed here' : 'the queue is not available';
    return new ApiError(status, code, `${reason}; try again`, { headers: { 'Retry-After': '1' } });
  }
  return new ApiError(status, code, message, { data: complaintsOf(error as JobsError) });
}

/** The body of every answer that is no success. */
export type ApiErrorBody = Pick<ApiError, 'status' | 'code' | 'message' | 'data'>;

/** The answer that tells an error. */
export function errorAnswer({ status, code, message, data, headers }: ApiError): JsonAnswer<ApiErrorBody> {
  return jsonAnswer(status, { status, code, message, data }, headers);
}

function complaintsOf(error: JobsError): FieldComplaints {
  if (error instanceof PayloadTooLargeError) {
    return { [error.subject]: `expected at most ${error.bytesMax} bytes of JSON text, got ${error.bytes}` };
  }
  if (error instanceof InvalidPayloadError) {
    // The field alone; where in it stands in the message.
    const [field = 'payload'] = /^(jobs\[\d+\]\.)?[^.[]+/.exec(error.path) ?? [];
    return { [field]: error.message };
  }
  return {};
}

function wireName(option: string): string {
  return option.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
