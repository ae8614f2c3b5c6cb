import type { Clock, ScheduledWake } from '../../core/clock.js';
import type { Attempt } from './attempt.js';

const CHECK_MS = 100;
/**
 * An attempt is stale after this many checks, half a second: other processes may be idle. While handlers are quick, checks count
 * and time does not: a process that is suspended makes no checks.
 */
const CHECKS_MAX = 5;

/** Claimed jobs that wait for a slot, first in, first out. */
export class ClaimBuffer {
  private waiting: Attempt[] = [];
  private checks = 0;
  private nextCheck: ScheduledWake | undefined;

  /**
   * @param areHandlersQuick whether handlers still are as quick as when the jobs were claimed ahead.
   * @param onStale receives attempts that have waited too long. The buffer has removed them.
   * @param waitMs how much longer they may wait, since they wait for others.
   */
  constructor(
    private readonly clock: Clock,
    private readonly areHandlersQuick: () => boolean,
    private readonly onStale: (stale: readonly Attempt[]) => void,
    private readonly waitMs = 0,
  ) {}

  get length(): number {
    return this.waiting.length;
  }

  /** The waiting attempts, the next one first. */
  get all(): readonly Attempt[] {
    return this.waiting;
  }

  /** Call `watch` after the last push. */
  push(attempt: Attempt): void {
    attempt.bufferedAtCheck = this.checks;
    this.waiting.push(attempt);
  }

  shift(): Attempt | undefined {
    return this.waiting.shift();
  }

  /** Removes the first attempts. */
  take(count: number): Attempt[] {
    return this.waiting.splice(0, count);
  }

  /** Empties the buffer. */
  takeAll(): Attempt[] {
    this.nextCheck?.cancel();
    this.nextCheck = undefined;
    return this.waiting.splice(0);
  }

  /** Schedules the next check if attempts wait. Apart from `push`, since most attempts never wait. */
  watch(): void {
    if (this.waiting.length > 0) {
      this.nextCheck ??= this.clock.schedule(CHECK_MS, () => this.check());
    }
  }

  private check(): void {
    this.nextCheck = undefined;
    this.checks += 1;
    const stale = this.waiting.splice(0, this.countStale());
    if (stale.length > 0) {
      this.onStale(stale);
    }
    this.watch();
  }

  private countStale(): number {
    const checksMax = CHECKS_MAX + Math.ceil(this.waitMs / CHECK_MS);
    const claimedBeforeMs = this.areHandlersQuick() ? -Infinity : this.clock.now() - checksMax * CHECK_MS;
    const isStale = ({ bufferedAtCheck, claimedAtMs }: Attempt): boolean =>
      this.checks - bufferedAtCheck > checksMax || claimedAtMs <= claimedBeforeMs;
    const firstFresh = this.waiting.findIndex((attempt) => !isStale(attempt));
    return firstFresh < 0 ? this.waiting.length : firstFresh;
  }
}
