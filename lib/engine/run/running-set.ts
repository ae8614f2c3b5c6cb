import type { Attempt } from './attempt.js';

const BUCKETS = 1_024;
/** Indexes of the last random digits of an id. */
const [THIRD_LAST, SECOND_LAST, LAST] = [33, 34, 35] as const;

/**
 * The attempts that have a slot, by job id. A hash table of a fixed size: V8 would move every job that passes through a `Map` to
 * the old generation (docs/adr/0020-short-lived-objects.md).
 */
export class RunningSet {
  private readonly buckets = Array.from({ length: BUCKETS }, (): Attempt[] => []);
  private count = 0;

  get size(): number {
    return this.count;
  }

  /** In no order. */
  get attempts(): Attempt[] {
    return this.buckets.flat();
  }

  /** Call this once for each attempt. */
  add(attempt: Attempt): void {
    this.findBucket(attempt.id).push(attempt);
    this.count += 1;
    attempt.hasSlot = true;
  }

  /** Does nothing for an attempt without a slot. */
  remove(attempt: Attempt): void {
    if (!attempt.hasSlot) {
      return;
    }
    const bucket = this.findBucket(attempt.id);
    const last = bucket.pop()!;
    if (last !== attempt) {
      bucket[bucket.indexOf(attempt)] = last;
    }
    this.count -= 1;
    attempt.hasSlot = false;
  }

  find(id: string): Attempt | undefined {
    return this.findBucket(id).find((attempt) => attempt.id === id);
  }

  private findBucket(id: string): Attempt[] {
    const hash = (id.charCodeAt(THIRD_LAST) * 31 + id.charCodeAt(SECOND_LAST)) * 31 + id.charCodeAt(LAST);
    // `NaN` for an id that is too short, as in tests.
    return this.buckets[hash % BUCKETS || 0]!;
  }
}
