import type { Clock } from '../../../core/clock.js';
import { QueueUnavailableError } from '../../../core/errors.js';
import { toSqlError } from '../../sql-error.js';

/** The first pause before a locked database is asked again, and the longest one. */
export const PAUSE_MIN_MS = 1;
export const PAUSE_MAX_MS = 25;

/**
 * Does what needs no write lock, and does it again while the file is locked all the same: another process changes its
 * journal mode, recovers the log after a crash, or is the last one to close it.
 *
 * @throws QueueUnavailableError when that takes longer than `timeoutMs`.
 */
export async function untilFree<T>(work: () => T | Promise<T>, clock: Clock, timeoutMs: number): Promise<T> {
  const sinceMs = clock.now();
  for (let pauseMs = PAUSE_MIN_MS; ; pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS)) {
    try {
      return await work();
    } catch (error) {
      if (toSqlError(error).kind !== 'busy') {
        throw error;
      }
      if (clock.now() - sinceMs >= timeoutMs) {
        throw lockTimeout(timeoutMs);
      }
    }
    await new Promise<void>((resolve) => clock.schedule(pauseMs, resolve));
  }
}

/** Says that the lock did not come, and what is the usual reason. */
export function lockTimeout(timeoutMs: number): QueueUnavailableError {
  return new QueueUnavailableError(
    `the lock of the database did not come within ${timeoutMs} ms: another process, or an open transaction of this one, ` +
      'has it; is this awaited inside an open transaction? Then use enqueueTx with its manager, or call it when that has ended',
  );
}
