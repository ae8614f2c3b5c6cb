/** How the parts of a {@link JobsApiError} are given. */
export interface JobsApiErrorParts {
  status: number;
  code: string;
  message: string;
  data?: Record<string, string>;
  /** What the answer's `Retry-After` asks for, in ms. */
  retryAfterMs?: number;
  cause?: unknown;
}

/**
 * A request that was refused, or that got no answer.
 * @example
 * try {
 *   await jobs.enqueue('send_receipt', { orderId: 7 }, { priority: 5_000 });
 * } catch (error) {
 *   if (error instanceof JobsApiError && error.code === 'INVALID_REQUEST') console.log(error.data.priority);
 * }
 */
export class JobsApiError extends Error {
  /** The HTTP status; 0 when no answer came. */
  readonly status: number;
  /**
   * Stable, for programs. The server's own (`INVALID_REQUEST`, `JOB_NOT_FOUND`, …), or one of the client's: `NETWORK`
   * (no answer, or half of one), `TIMEOUT` (none in time), `INVALID_RESPONSE` (a success that is not JSON),
   * `HTTP_<status>` (a refusal that does not come from this API, such as a proxy's).
   */
  readonly code: string;
  /** By the name of a field, what is wrong with it; empty when it is not about fields. */
  readonly data: Record<string, string>;
  /** How long the server asked to wait before the next try, in ms. */
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
