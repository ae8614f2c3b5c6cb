/** A head of members that are gone is cut off when it is longer than this, and than what is left. */
const GONE_MAX = 1_000;

/**
 * First in, first out. `Array.shift` notes for the garbage collector where a long array begins now, each time: of a thousand
 * claimed jobs that took a fiftieth of what Node spends on a job.
 */
export class FifoQueue<T> {
  private members: (T | undefined)[] = [];
  private head = 0;

  get length(): number {
    return this.members.length - this.head;
  }

  /** A copy, the first one first. */
  get all(): readonly T[] {
    return this.members.slice(this.head) as T[];
  }

  push(member: T): void {
    this.members.push(member);
  }

  /** Removes the first one; `undefined` when there is none. */
  shift(): T | undefined {
    const member = this.members[this.head];
    if (this.length > 0) {
      this.members[this.head] = undefined;
      this.head += 1;
    }
    if (this.length === 0) {
      this.members.length = 0;
      this.head = 0;
    } else if (this.head > Math.max(GONE_MAX, this.length)) {
      this.take(0);
    }
    return member;
  }

  /** Removes the first so many, or all there are, and answers them. */
  take(count: number): T[] {
    const taken = this.members.slice(this.head, this.head + count) as T[];
    this.members = this.members.slice(this.head + taken.length);
    this.head = 0;
    return taken;
  }
}
