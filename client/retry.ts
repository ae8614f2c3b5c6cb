import { JobsApiError } from './api-error.js';
import { pause } from './deadline.js';

const TRANSIENT_STATUSES = [429, 502, 503, 504];
/** A server that asks for more than this is not waited for, and a stream waits for it no longer. */
const RETRY_AFTER_MS_MAX = 60_000;
const FIRST_DELAY_MS = 200;
const DELAY_MS_MAX = 5_000;

/** Whether the same request may be answered when it is sent again. */
export function isTransient(error: unknown): error is JobsApiError {
  return (
    error instanceof JobsApiError &&
    (error.status === 0 || TRANSIENT_STATUSES.includes(error.status)) &&
    (error.retryAfterMs ?? 0) <= RETRY_AFTER_MS_MAX
  );
}

/**
 * Grows from `firstMs` twofold with each failure to `maxMs`, and is then cut by chance to 50–100 %, so that many clients
 * do not come back at the same moment. Never less than the server asks for, up to a minute.
 */
export function backoffMs(failures: number, firstMs: number, maxMs: number, retryAfterMs = 0): number {
  const ms = Math.min(firstMs * 2 ** failures, maxMs);
  return Math.min(retryAfterMs, RETRY_AFTER_MS_MAX) + ms * (0.5 + Math.random() / 2);
}

/** Runs `attempt`, and again up to `retries` times while its failure is transient. */
export async function repeated<T>(
  attempt: () => Promise<T>,
  retries: number,
  signal: AbortSignal | undefined,
): Promise<T> {
  for (let failures = 0; ; failures += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (failures >= retries || !isTransient(error)) {
        throw error;
      }
      await pause(backoffMs(failures, FIRST_DELAY_MS, DELAY_MS_MAX, error.retryAfterMs), signal);
    }
  }
}
