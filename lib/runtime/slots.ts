import type { ClaimToken } from '../core/job.js';
import type { Attempt } from './attempt.js';

/**
 * Who has which slot. An array, since a map that jobs pass through keeps all of them from the garbage collector for long: see
 * docs/adr/0020-short-lives.md.
 */
export class Slots {
  private readonly holders: (Attempt | undefined)[] = [];
  private readonly free: number[] = [];

  /** How many are taken. */
  get count(): number {
    return this.holders.length - this.free.length;
  }

  /** Those that have one, in no order. */
  get attempts(): Attempt[] {
    return this.holders.filter((attempt) => attempt !== undefined);
  }

  /** Once for each attempt. */
  give(attempt: Attempt): void {
    const slot = this.free.pop() ?? this.holders.length;
    this.holders[slot] = attempt;
    attempt.slot = slot;
  }

  /** The slot is free again. */
  takeBack(attempt: Attempt): void {
    const { slot } = attempt;
    if (slot !== undefined) {
      this.holders[slot] = undefined;
      this.free.push(slot);
      attempt.slot = undefined;
    }
  }

  /** The attempt of the same job that still has one. Of a first attempt, and those are many, there is none to look for. */
  olderOf({ id, attempt }: ClaimToken): Attempt | undefined {
    return attempt === 1 ? undefined : this.holders.find((holder) => holder?.id === id);
  }
}
