import type { Clock, ScheduledWake } from '../../../lib/core/clock.js';
import type { Dice } from '../../chaos/dice.js';

/** Something that is going to happen. */
interface Entry {
  atMs: number;
  /** When it was meant to be; differs from `atMs` when its machine stood still then. */
  readonly dueMs: number;
  /** Which of two that are due at the same time comes first. */
  readonly tie: number;
  readonly machine: Machine | undefined;
  happen: (() => void) | undefined;
}

/**
 * The only time of a simulated world: it goes on when nothing is left to do, straight to whatever comes next. What is due
 * at the same moment comes in an order that the dice decide.
 */
export class Agenda {
  nowMs = 0;
  private readonly heap: Entry[] = [];

  constructor(private readonly dice: Dice) {}

  /** Lets something happen in so many milliseconds; on a machine only while that runs. */
  after(ms: number, happen: () => void, machine?: Machine): ScheduledWake {
    const atMs = this.nowMs + Math.max(0, ms);
    const entry: Entry = { atMs, dueMs: atMs, tie: this.dice.next(), machine, happen };
    this.push(entry);
    return { cancel: () => (entry.happen = undefined) };
  }

  /** Goes on until the world is done, or so much time has passed. Answers whether it is done. */
  run(isDone: () => boolean, untilMs: number): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const step = (): void => {
        try {
          if (isDone()) return resolve(true);
          if (!this.advance(untilMs)) return resolve(false);
        } catch (error) {
          return reject(error instanceof Error ? error : new Error(String(error)));
        }
        // Each turn of the event loop ends all promises that wait for no time.
        setImmediate(step);
      };
      setImmediate(step);
    });
  }

  /** Lets the next thing happen; `false` when there is none in time. */
  private advance(untilMs: number): boolean {
    while (this.heap[0] && this.heap[0].atMs <= untilMs) {
      const entry = this.pop()!;
      const resumesAtMs = entry.machine?.resumesAtMs ?? 0;
      if (!entry.happen || entry.machine?.isDead) {
        continue;
      }
      if (resumesAtMs > entry.atMs) {
        entry.atMs = resumesAtMs;
        this.push(entry);
        continue;
      }
      this.nowMs = entry.atMs;
      entry.happen();
      return true;
    }
    this.nowMs = untilMs;
    return false;
  }

  private push(entry: Entry): void {
    let index = this.heap.push(entry) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!comesBefore(entry, this.heap[parent]!)) break;
      this.heap[index] = this.heap[parent]!;
      index = parent;
    }
    this.heap[index] = entry;
  }

  private pop(): Entry | undefined {
    const first = this.heap[0];
    const last = this.heap.pop();
    if (first && last && first !== last) {
      this.sink(last);
    }
    return first;
  }

  private sink(entry: Entry): void {
    const { heap } = this;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child + 1 < heap.length && comesBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (child >= heap.length || !comesBefore(heap[child]!, entry)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = entry;
  }
}

/** After a pause, what was due comes in the order in which it was. */
function comesBefore(a: Entry, b: Entry): boolean {
  return a.atMs !== b.atMs ? a.atMs < b.atMs : a.dueMs !== b.dueMs ? a.dueMs < b.dueMs : a.tie < b.tie;
}

/** What one process runs on: its clock goes on while it stands still, as that of a stopped process does. */
export class Machine implements Clock {
  isDead = false;
  resumesAtMs = 0;

  constructor(
    readonly name: string,
    private readonly agenda: Agenda,
  ) {}

  now(): number {
    return this.agenda.nowMs;
  }

  schedule(ms: number, wake: () => void): ScheduledWake {
    return this.agenda.after(ms, wake, this);
  }

  /** Nothing happens on it for so long; then all that was due does. */
  pause(ms: number): void {
    this.resumesAtMs = Math.max(this.resumesAtMs, this.agenda.nowMs + ms);
  }

  /** Nothing happens on it any more. What it has sent is on its way. */
  crash(): void {
    this.isDead = true;
  }
}
