/** Constructor argument of a {@link JobsApiError}. */
export interface JobsApiErrorParts {
  status: number;
  code: string;
  message: string;
  data?: Record<string, string>;
  /** The response's `Retry-After`, in ms. */
  retryAfterMs?: number;
  cause?: unknown;
}

/**
 * The server refused a request, or did not respond.
 * @example
 * try {
 *   await jobs.enqueue('send_receipt', { orderId: 7 }, { priority: 5_000 });
 * } catch (error) {
 *   if (error instanceof JobsApiError && error.code === 'INVALID_REQUEST') console.log(error.data.priority);
 * }
 */
export class JobsApiError extends Error {
  /** HTTP status; 0 without a response. */
  readonly status: number;
  /**
   * Stable, machine-readable name. Either the server's (`INVALID_REQUEST`, `JOB_NOT_FOUND`, …) or one of the client's:
   * `NETWORK` (no response, or a part of one), `TIMEOUT`, `INVALID_RESPONSE` (a success that is not JSON), `HTTP_<status>`
   * (an error that is not from this API, such as a proxy's).
   */
  readonly code: string;
  /** What is wrong with each invalid field, by name. Empty if the error is not about fields. */
  readonly data: Record<string, string>;
  /** Delay before the next try, in ms, if the server sent one. */
  readonly retryAfterMs: number | undefined;

  constructor({ status, code, message, data = {}, retryAfterMs, cause }: JobsApiErrorParts) {
    super(message, { cause });
    this.name = 'JobsApiError';
    this.status = status;
    this.code = code;
    this.data = data;
    this.retryAfterMs = retryAfterMs;
  }
}
