import { JobsApiError } from './jobs-api-error.js';

const TRANSIENT_STATUSES = [429, 502, 503, 504];
/** Longest `Retry-After` that the client waits for. */
const RETRY_AFTER_MS_MAX = 60_000;
const FIRST_DELAY_MS = 200;
const DELAY_MS_MAX = 5_000;
/** A timer with a longer delay fires at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Runs `attempt`, and again up to `retries` times while it fails with a transient error. */
export async function withRetries<T>(
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

/** Returns whether the same request can succeed when it is sent again. */
export function isTransient(error: unknown): error is JobsApiError {
  return (
    error instanceof JobsApiError &&
    (error.status === 0 || TRANSIENT_STATUSES.includes(error.status)) &&
    (error.retryAfterMs ?? 0) <= RETRY_AFTER_MS_MAX
  );
}

/**
 * Returns how many milliseconds to wait after a failure. The delay doubles from `firstMs` up to `maxMs`. A random factor of
 * 50–100 % spreads the clients. `retryAfterMs`, up to a minute, is added.
 */
export function backoffMs(failures: number, firstMs: number, maxMs: number, retryAfterMs = 0): number {
  const ms = Math.min(firstMs * 2 ** failures, maxMs);
  return Math.min(retryAfterMs, RETRY_AFTER_MS_MAX) + ms * (0.5 + Math.random() / 2);
}

/** Time limit of an operation. */
export interface Deadline {
  /** 0, or more than a timer can hold, means no limit. */
  ms: number;
  /** Creates the error of an operation that exceeds the limit. */
  error: () => Error;
  /** Aborts the operation earlier. */
  signal: AbortSignal | undefined;
}

/**
 * Settles like `work`, but at the latest at the deadline, even if `work` ignores its signal. Combines the signals itself,
 * because browsers of recent years lack `AbortSignal.any`.
 */
export async function withDeadline<T>(deadline: Deadline, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const { ms, error, signal } = deadline;
  signal?.throwIfAborted();
  const controller = new AbortController();
  const abort = () => controller.abort(signal?.reason);
  signal?.addEventListener('abort', abort);
  const timer = ms > 0 && ms <= TIMER_MS_MAX ? setTimeout(() => controller.abort(error()), ms) : undefined;
  try {
    return await rejectOnAbort(work(controller.signal), controller.signal);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}

/** Waits for `ms` milliseconds. Rejects with the signal's reason when the signal aborts. */
export async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    await withDeadline(
      { ms: 0, error: () => new Error(), signal },
      () => new Promise<void>((resolve) => (timer = setTimeout(resolve, ms))),
    );
  } finally {
    clearTimeout(timer);
  }
}

function rejectOnAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    work.then(resolve, reject);
  });
}
