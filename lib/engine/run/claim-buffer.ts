import type { Clock, ScheduledWake } from '../../core/clock.js';
import type { Attempt } from './attempt.js';
import { FifoQueue } from './fifo-queue.js';

const LOOK_MS = 100;
/**
 * What still waits after so many looks, half a second, is given back: its turn has not come, and other processes may be idle.
 * While handlers are quick looks are counted, and not time: a process that stands still misses them, and nothing makes room
 * meanwhile.
 */
const LOOKS_MAX = 5;

/** Claimed jobs that wait for a slot, in the order in which they are to run. */
export class ClaimBuffer {
  private readonly waiting = new FifoQueue<Attempt>();
  private pushed = 0;
  /** How many had been pushed at each of the last looks. */
  private looks: number[] = [];
  private nextLook: ScheduledWake | undefined;

  /**
   * @param areQuick whether handlers are as quick as they were when jobs were claimed ahead.
   * @param onStale gets those that have waited too long; they have left the buffer.
   */
  constructor(
    private readonly clock: Clock,
    private readonly areQuick: () => boolean,
    private readonly onStale: (stale: readonly Attempt[]) => void,
  ) {}

  /** How many wait. */
  get length(): number {
    return this.waiting.length;
  }

  /** Those that wait, the next one first. */
  get all(): readonly Attempt[] {
    return this.waiting.all;
  }

  /** Adds one at the end. `watch` is called when it has not begun at once. */
  push(attempt: Attempt): void {
    this.waiting.push(attempt);
    this.pushed += 1;
  }

  /** The one whose turn it is. */
  shift(): Attempt | undefined {
    return this.waiting.shift();
  }

  /** Empties the buffer. */
  takeAll(): Attempt[] {
    this.nextLook?.cancel();
    this.nextLook = undefined;
    return this.waiting.take(this.length);
  }

  /** Called after jobs were pushed, and have not begun at once: most never wait. */
  watch(): void {
    if (this.waiting.length === 0 || this.nextLook) {
      return;
    }
    this.nextLook = this.clock.schedule(LOOK_MS, () => {
      this.nextLook = undefined;
      this.releaseStale();
      this.watch();
    });
  }

  private releaseStale(): void {
    this.looks.push(this.pushed);
    if (this.waiting.length === 0) {
      this.looks = [];
      return;
    }
    const missed = this.looks.length > LOOKS_MAX ? this.looks.shift()! - (this.pushed - this.waiting.length) : 0;
    const count = this.areQuick() ? missed : Math.max(missed, this.olderThan(LOOKS_MAX * LOOK_MS));
    const stale = this.waiting.take(Math.max(0, count));
    if (stale.length > 0) {
      this.onStale(stale);
    }
  }

  private olderThan(ageMs: number): number {
    const bornBeforeMs = this.clock.now() - ageMs;
    const youngAt = this.waiting.all.findIndex(({ sinceMs }) => sinceMs > bornBeforeMs);
    return youngAt < 0 ? this.waiting.length : youngAt;
  }
}
