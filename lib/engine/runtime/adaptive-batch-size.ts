import { SET_JOBS_MAX } from '../../core/bounds.js';

/** Limits the items of one statement. A statement that took too long halves the limit; any other raises it by one. */
export class AdaptiveBatchSize {
  private current = SET_JOBS_MAX;

  get limit(): number {
    return this.current;
  }

  /** @param count items in the statement that took too long. */
  shrink(count: number): void {
    this.current = Math.max(1, Math.floor(count / 2));
  }

  grow(): void {
    this.current = Math.min(SET_JOBS_MAX, this.current + 1);
  }
}
