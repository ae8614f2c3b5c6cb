import type { Clock } from '../../core/clock.js';

/** Full scans that take longer run rarely, with bounded ones in between. A scan of a clean index takes about 1 ms. */
const HIGH_MS = 5;
/** Slow full scans take at most this part of the time of a connection: one twentieth. */
const REST_FACTOR = 20;

/**
 * A row commits a moment after the time in it. Lower bounds stay this far behind, so that only a transaction that is open for
 * longer adds rows below them. The dead entries of 100 ms cost well under 1 ms.
 */
export const COMMIT_MARGIN_MS = 100;

/**
 * Decides whether scans start at the start of an index or at a lower bound. A transaction that stays open anywhere on a
 * PostgreSQL server keeps the index entries of claimed and finished jobs, and a full scan walks over them: 64 ms for 550,000.
 * While full scans are slow, most scans start at a bound; a full one now and then finds the rows that committed below it.
 */
export class ScanCost {
  private lastMs = 0;
  private lastButOneMs = 0;
  private startedAtMs = -Infinity;

  /** @param intervalMaxMs the longest time between two full scans. */
  constructor(
    private readonly clock: Clock,
    private readonly intervalMaxMs: number,
  ) {}

  /** A full scan starts. */
  recordStart(): void {
    this.startedAtMs = this.clock.now();
  }

  /** @param durationMs how long the database worked on the full scan. */
  recordDuration(durationMs: number): void {
    this.lastButOneMs = this.lastMs;
    this.lastMs = durationMs;
  }

  /** Makes the next scans full ones. */
  reset(): void {
    this.lastMs = 0;
  }

  /** Whether scans should start at a bound. One slow scan is no reason: the server may have been busy with other work. */
  get isHigh(): boolean {
    return this.costMs > HIGH_MS;
  }

  /** Time until the next full scan, while the cost is high. */
  get fullScanInMs(): number {
    return this.startedAtMs + Math.min(this.intervalMaxMs, this.costMs * REST_FACTOR) - this.clock.now();
  }

  private get costMs(): number {
    return Math.min(this.lastMs, this.lastButOneMs);
  }
}
