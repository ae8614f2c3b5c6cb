import { SET_JOBS_MAX } from '../core/limits.js';

/** How many members one statement may carry: half as many after one that took too long, and slowly more again. */
export class AdaptiveBatchSize {
  private current = SET_JOBS_MAX;

  get limit(): number {
    return this.current;
  }

  /** A statement for so many has taken too long. */
  shrink(count: number): void {
    this.current = Math.max(1, Math.floor(count / 2));
  }

  /** One has not. */
  grow(): void {
    this.current = Math.min(SET_JOBS_MAX, this.current + 1);
  }
}
