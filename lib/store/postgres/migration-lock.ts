import type { Clock } from '../../core/clock.js';
import { RowLockedError } from '../../core/errors.js';

const TRIES_MAX = 300;
/** In which those who would wait behind a change of the table go on. */
const PAUSE_MS = 1_500;

/**
 * Migrates, and does it again while another process is at it, or somebody has read the table and not committed.
 *
 * @throws RowLockedError after some minutes of that.
 */
export async function whenUnlocked(migrate: () => Promise<void>, clock: Clock): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await migrate();
    } catch (error) {
      if (!(error instanceof RowLockedError) || tries === TRIES_MAX) {
        throw error;
      }
    }
    await new Promise<void>((resolve) => clock.schedule(PAUSE_MS, resolve));
  }
}
