import type { Clock, ScheduledWake } from '../../../core/clock.js';
import type { StoreHints } from '../../job-store.js';

/** How often the file is asked whether another connection has committed: the question costs about a microsecond. */
const WATCH_INTERVAL_MS = 20;

/**
 * Tells of each commit of another connection, and of the first look.
 *
 * @param versionOf what changes with each of them; it is told what it answered last.
 * @returns what ends it.
 */
export async function watchCommits(
  versionOf: (lastKnown: unknown) => Promise<unknown>,
  hints: StoreHints,
  clock: Clock,
): Promise<() => Promise<void>> {
  let seen: unknown;
  let timer: ScheduledWake | undefined;
  let isWatching = true;
  const look = async (): Promise<void> => {
    const version = await versionOf(seen);
    if (!isWatching) {
      return;
    }
    if (version !== seen) {
      seen = version;
      hints.jobs();
      hints.cancel();
    }
    timer = clock.schedule(WATCH_INTERVAL_MS, () => void look());
  };
  await look();
  return () => {
    isWatching = false;
    timer?.cancel();
    return Promise.resolve();
  };
}
