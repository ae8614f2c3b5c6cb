/** Timers fire at once when they are set further. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** How long something may take. */
export interface Deadline {
  /** 0 means without end, and so does what a timer cannot hold. */
  ms: number;
  /** What it rejects with when the time is up. */
  error: () => Error;
  /** The caller's: ends it earlier. */
  signal: AbortSignal | undefined;
}

/**
 * Settles as `work` does, but no later than its deadline, even if `work` does not listen to the signal that it is given.
 * Joined by hand: `AbortSignal.any` is missing in browsers that are not old.
 */
export async function within<T>(deadline: Deadline, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const { ms, error, signal } = deadline;
  signal?.throwIfAborted();
  const controller = new AbortController();
  const abort = () => controller.abort(signal?.reason);
  signal?.addEventListener('abort', abort);
  const timer = ms > 0 && ms <= TIMER_MS_MAX ? setTimeout(() => controller.abort(error()), ms) : undefined;
  try {
    return await settledOrAborted(work(controller.signal), controller.signal);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}

/** Waits so long; rejects with the signal's reason as soon as it aborts. */
export async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    await within(
      { ms: 0, error: () => new Error(), signal },
      () => new Promise<void>((resolve) => (timer = setTimeout(resolve, ms))),
    );
  } finally {
    clearTimeout(timer);
  }
}

function settledOrAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    work.then(resolve, reject);
  });
}
