import { HttpException, HttpStatus } from '@nestjs/common';
import {
  InvalidOptionsError,
  InvalidPayloadError,
  JobsError,
  PayloadTooLargeError,
  QueueUnavailableError,
  RowLockedError,
} from '../core/errors.js';
import type { JobsErrorCode, PayloadIssue } from '../core/errors.js';
import { toWireName } from '../core/wire-name.js';
import * as messages from './http.messages.js';

/** What is wrong, by the name of a field in the request. */
export type FieldErrors = Readonly<Record<string, string>>;

interface ApiErrorDetails extends ErrorOptions {
  readonly data?: FieldErrors;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An unsuccessful response. Its message is shown to the caller. */
export class ApiError extends Error {
  readonly data: FieldErrors;
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

  /** The body of the response. */
  get body(): ApiErrorBody {
    const { status, code, message, data } = this;
    return { status, code, message, data };
  }
}

/** The body of every unsuccessful response. */
export interface ApiErrorBody {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly data: FieldErrors;
}

/** 400; `data` says what is wrong with each field. */
export function invalidRequest(data: FieldErrors): ApiError {
  const [[name, reason] = ['request', 'invalid']] = Object.entries(data);
  return new ApiError(400, 'INVALID_REQUEST', `${name}: ${reason}`, { data });
}

/** 401: the caller is unknown. */
export function unauthorized(message = messages.UNAUTHORIZED, options: ErrorOptions = {}): ApiError {
  return new ApiError(401, 'UNAUTHORIZED', message, { ...options, headers: { 'WWW-Authenticate': 'Bearer' } });
}

/** 403: a rule does not admit the caller. */
export function forbidden(): ApiError {
  return new ApiError(403, 'FORBIDDEN', messages.FORBIDDEN);
}

/** 403: the rules or `http.allowedTopics` do not let the caller do this with the topic. */
export function topicNotAllowed(topic?: string): ApiError {
  return new ApiError(403, 'TOPIC_NOT_ALLOWED', messages.topicNotAllowed(topic), {
    data: { topic: 'not allowed here' },
  });
}

/** 403: the caller may enqueue, but not set these fields. */
export function fieldsNotAllowed(fields: readonly string[]): ApiError {
  const data = Object.fromEntries(fields.map((field) => [field, messages.FIELD_NOT_ALLOWED]));
  return new ApiError(403, 'FIELD_NOT_ALLOWED', `${fields[0]!}: ${messages.FIELD_NOT_ALLOWED}`, { data });
}

/** Converts an `HttpException` with status 400 to 599; returns any other error as it is. */
export function toRefusal(error: unknown): unknown {
  if (!isHttpException(error)) {
    return error;
  }
  const status = error.getStatus();
  if (!(status >= 400 && status <= 599)) {
    return error;
  }
  if (status === 401) {
    return unauthorized(error.message, { cause: error });
  }
  const message = status < 500 ? error.message : messages.AUTHORIZATION_FAILED;
  return new ApiError(status, HttpStatus[status] ?? 'REFUSED', message, { cause: error });
}

/** By its shape: the application may have another copy of Nest's class. */
function isHttpException(error: unknown): error is HttpException {
  return error instanceof HttpException || typeof (error as HttpException | null)?.getStatus === 'function';
}

/** `null`: the caller gets 500 without details. */
const STATUS_BY_CODE: Readonly<Record<JobsErrorCode, number | null>> = {
  PAYLOAD_TOO_LARGE: 413,
  INVALID_PAYLOAD: 400,
  INVALID_OPTIONS: 400,
  JOB_NOT_FOUND: 404,
  GROUP_NOT_FOUND: 404,
  SCHEDULE_NOT_FOUND: 404,
  SCHEDULE_STATE: 409,
  JOB_STATE: 409,
  IDEMPOTENCY_CONFLICT: 422,
  QUEUE_UNAVAILABLE: 503,
  LEASE_LOST: null,
  MISSING_KEY: null,
  UNKNOWN_DATA_SOURCE: null,
  UNRECOVERABLE: null,
  SNOOZE: null,
  JOB_ABORTED: null,
  IDLE_TIMEOUT: null,
  JOB_FAILED: null,
  WAIT_TIMEOUT: null,
  DATABASE_REFUSED: null,
};

/** What `InvalidOptionsError` names when the program is wrong, whatever its caller has sent. */
const PROGRAM_OPTIONS: ReadonlySet<string> = new Set(['manager', 'transactional']);

/** Converts an error to its response; `undefined` for one that the caller must not see. */
export function toApiError(thrown: unknown): ApiError | undefined {
  const error = toRefusal(thrown);
  if (error instanceof ApiError) {
    return error;
  }
  if (error instanceof InvalidOptionsError) {
    const isOfProgram = PROGRAM_OPTIONS.has(error.option);
    return isOfProgram ? undefined : invalidRequest({ [toWireName(error.option)]: error.reason });
  }
  const status = error instanceof JobsError ? STATUS_BY_CODE[error.code] : null;
  if (status === null) {
    return undefined;
  }
  const { code, message } = error as JobsError;
  if (error instanceof QueueUnavailableError) {
    // The driver's own message stays in the log.
    const shown = error instanceof RowLockedError ? messages.ROW_LOCKED : messages.UNAVAILABLE;
    return new ApiError(status, code, shown, { headers: { 'Retry-After': '1' } });
  }
  return new ApiError(status, code, message, { data: fieldErrors(error as JobsError) });
}

function fieldErrors(error: JobsError): FieldErrors {
  if (error instanceof PayloadTooLargeError) {
    return { [error.subject]: `expected at most ${error.bytesMax} bytes of ${error.form}, got ${error.bytes}` };
  }
  if (error instanceof InvalidPayloadError) {
    // The field has the whole message, which names the paths inside it.
    const [field = 'payload'] = /^(jobs\[\d+\]\.)?[^.[]+/.exec(error.path) ?? [];
    const issues = error.topic === undefined ? [] : error.issues;
    return { ...joinReasons(issues), [field]: error.message };
  }
  return {};
}

/** The issues of a schema by path: a form finds each of its inputs. */
function joinReasons(issues: readonly PayloadIssue[]): FieldErrors {
  const reasons = new Map<string, string>();
  for (const { path, reason } of issues) {
    reasons.set(path, reasons.has(path) ? `${reasons.get(path)!}; ${reason}` : reason);
  }
  return Object.fromEntries(reasons);
}
