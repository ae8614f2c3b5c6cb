import type { Clock } from '../../core/clock.js';

/** Full looks that cost more are made rarely, and bounded ones between them. A look at a clean index costs about 1 ms. */
const HIGH_MS = 5;
/** Costly full looks take one part in so many of the time of a connection. */
const REST_FACTOR = 20;

/**
 * A row commits a moment after the time that stands in it. Bounds stay this far behind what was seen, so that only a
 * transaction that is open for longer brings rows below them. The dead entries of 100 ms cost well under 1 ms.
 */
export const COMMIT_MARGIN_MS = 100;

/**
 * What a look from the start of an index costs. A transaction that stays open anywhere in a PostgreSQL server keeps the
 * entries of claimed and finished jobs in the indexes, and every look from the start walks over them: 64 ms for 550,000.
 * While that is so, looks begin at a lower bound, and a full one now and then finds what committed late below it.
 */
export class ScanCost {
  private lastMs = 0;
  private lastButOneMs = 0;
  private askedAtMs = -Infinity;

  /** @param restMaxMs a full look is made at least this often. */
  constructor(
    private readonly clock: Clock,
    private readonly restMaxMs: number,
  ) {}

  /** A full look is under way. */
  noteAsked(): void {
    this.askedAtMs = this.clock.now();
  }

  /** It kept the database busy for so long. */
  noteFull(tookMs: number): void {
    this.lastButOneMs = this.lastMs;
    this.lastMs = tookMs;
  }

  /** The next looks are to be full ones. */
  forget(): void {
    this.lastMs = 0;
  }

  /** Whether looks should begin at a bound. One slow look says little: the server may have been busy with something else. */
  get isHigh(): boolean {
    return this.costMs > HIGH_MS;
  }

  /** How long until the next full look, while the cost is high. */
  get restMs(): number {
    return this.askedAtMs + Math.min(this.restMaxMs, this.costMs * REST_FACTOR) - this.clock.now();
  }

  private get costMs(): number {
    return Math.min(this.lastMs, this.lastButOneMs);
  }
}
