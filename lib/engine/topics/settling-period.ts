import type { Clock } from '../../core/clock.js';
import { CLOCK_AHEAD_MS, DEFINITION_LIVE_MS } from '../../store/definitions/definition-records.js';

/** A record that is this much later than planned follows an outage, or a step of the clock. */
const LATE_MS = 6_000;

/**
 * Decides whether declarations of live processes may look old. They do after an outage of the database, or when its clock was set, until each
 * process has declared again. A process that has just started cannot know whether there was an outage, so it waits as long. Until then
 * no older definition replaces the one that applies.
 */
export class SettlingPeriod {
  private lastMs: number | undefined;
  private endMs = -Infinity;
  private isOpen = true;
  /** By the clock of this process. */
  private recordedMs = -Infinity;

  constructor(private readonly clock: Pick<Clock, 'now'>) {}

  /** Also when this process has not recorded that it lives for so long that its own declarations look old: an outage may just have ended. */
  get isSettling(): boolean {
    return this.isOpen || this.clock.now() - this.recordedMs > DEFINITION_LIVE_MS;
  }

  /**
   * Called when this process has recorded that it lives.
   *
   * @param now the database's time.
   * @param intervalMs how long this process has planned to wait since the last call.
   */
  record(now: Date, intervalMs: number): void {
    const nowMs = now.getTime();
    const passedMs = this.lastMs === undefined ? Infinity : nowMs - this.lastMs;
    this.lastMs = nowMs;
    this.recordedMs = this.clock.now();
    if (passedMs > intervalMs + LATE_MS || passedMs < -CLOCK_AHEAD_MS) {
      this.endMs = nowMs + DEFINITION_LIVE_MS;
    }
    this.isOpen = nowMs < this.endMs;
  }
}
