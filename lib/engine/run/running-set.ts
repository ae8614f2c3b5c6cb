import type { Attempt } from './attempt.js';

const BUCKETS = 1_024;
/** Where the last of the random digits of an id stand. */
const [THIRD_LAST, SECOND_LAST, LAST] = [33, 34, 35] as const;

/**
 * Who has a slot, by job id. A hash table that is made once: a map that jobs pass through keeps all of them from the garbage
 * collector for long, see docs/adr/0020-short-lives.md.
 */
export class RunningSet {
  private readonly buckets = Array.from({ length: BUCKETS }, (): Attempt[] => []);
  private taken = 0;

  /** How many are taken. */
  get count(): number {
    return this.taken;
  }

  /** Those that have one, in no order. */
  get attempts(): Attempt[] {
    return this.buckets.flat();
  }

  /** Once for each attempt. */
  give(attempt: Attempt): void {
    this.bucketOf(attempt.id).push(attempt);
    this.taken += 1;
    attempt.hasSlot = true;
  }

  /** The slot is free again. */
  takeBack(attempt: Attempt): void {
    if (!attempt.hasSlot) {
      return;
    }
    const bucket = this.bucketOf(attempt.id);
    const last = bucket.pop()!;
    if (last !== attempt) {
      bucket[bucket.indexOf(attempt)] = last;
    }
    this.taken -= 1;
    attempt.hasSlot = false;
  }

  /** The attempt of this job that has one. */
  holderOf(id: string): Attempt | undefined {
    return this.bucketOf(id).find((attempt) => attempt.id === id);
  }

  private bucketOf(id: string): Attempt[] {
    const hash = (id.charCodeAt(THIRD_LAST) * 31 + id.charCodeAt(SECOND_LAST)) * 31 + id.charCodeAt(LAST);
    return this.buckets[hash % BUCKETS || 0]!;
  }
}
