import type { LiveBounds } from '../../store/definitions/definition-records.js';
import { LIVE } from '../../store/definitions/definition-records.js';

/** A record that is this much later than planned follows an outage, or a step of the clock. */
const LATE_MS = 6_000;

/**
 * Decides how old the declaration of a live process may be. After an outage of the database, or when its clock was set, the declarations of
 * all processes look old, until each of them has declared again. So for a while older ones count as live, too.
 */
export class LiveWindow {
  private lastMs: number | undefined;
  private widenedMs = 0;
  private wideUntilMs = -Infinity;

  /**
   * Called when this process has recorded that it lives.
   *
   * @param now the database's time.
   * @param intervalMs how long this process has planned to wait since the last call.
   */
  record(now: Date, intervalMs: number): void {
    const nowMs = now.getTime();
    const passedMs = nowMs - (this.lastMs ?? nowMs);
    this.lastMs = nowMs;
    if (passedMs > intervalMs + LATE_MS || passedMs < -LIVE.aheadMs) {
      this.widenedMs = Math.max(this.widenedMs, Math.abs(passedMs));
      this.wideUntilMs = nowMs + LIVE.liveMs;
    } else if (nowMs >= this.wideUntilMs) {
      this.widenedMs = 0;
    }
  }

  get bounds(): LiveBounds {
    return { liveMs: LIVE.liveMs + this.widenedMs, aheadMs: LIVE.aheadMs + this.widenedMs };
  }
}
