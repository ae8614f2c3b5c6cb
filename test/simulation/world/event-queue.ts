import type { Clock, ScheduledWake } from '../../../lib/core/clock.js';
import type { Dice } from '../../chaos/dice.js';

/** A scheduled event. */
interface Entry {
  atMs: number;
  /** When it was scheduled for; earlier than `atMs` when its machine was paused then. */
  readonly dueMs: number;
  /** Orders events of the same time. */
  readonly tie: number;
  readonly machine: Machine | undefined;
  happen: (() => void) | undefined;
}

/**
 * The time of a simulated world. It jumps to the next event when no promise is left to run. The dice order the events of
 * the same moment.
 */
export class EventQueue {
  nowMs = 0;
  private readonly heap: Entry[] = [];

  constructor(private readonly dice: Dice) {}

  /** Schedules `happen` in `ms` milliseconds. An event of a machine happens only while the machine runs. */
  after(ms: number, happen: () => void, machine?: Machine): ScheduledWake {
    const atMs = this.nowMs + Math.max(0, ms);
    const entry: Entry = { atMs, dueMs: atMs, tie: this.dice.next(), machine, happen };
    this.push(entry);
    return { cancel: () => (entry.happen = undefined) };
  }

  /** Runs events until `isDone` or `untilMs`. Returns whether it is done. */
  run(isDone: () => boolean, untilMs: number): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const step = (): void => {
        try {
          if (isDone()) return resolve(true);
          if (!this.advance(untilMs)) return resolve(false);
        } catch (error) {
          return reject(error instanceof Error ? error : new Error(String(error)));
        }
        // One turn of the event loop settles all promises that do not wait for time.
        setImmediate(step);
      };
      setImmediate(step);
    });
  }

  /** Runs the next event; `false` when none is due until then. */
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

/** After a pause, events happen in the order in which they were due. */
function comesBefore(a: Entry, b: Entry): boolean {
  return a.atMs !== b.atMs ? a.atMs < b.atMs : a.dueMs !== b.dueMs ? a.dueMs < b.dueMs : a.tie < b.tie;
}

/** The machine of one process. Its clock goes on during a pause, like that of a process stopped by SIGSTOP. */
export class Machine implements Clock {
  isDead = false;
  resumesAtMs = 0;

  constructor(
    readonly name: string,
    private readonly events: EventQueue,
  ) {}

  now(): number {
    return this.events.nowMs;
  }

  schedule(ms: number, wake: () => void): ScheduledWake {
    return this.events.after(ms, wake, this);
  }

  /** Delays all events of the machine until the pause ends. */
  pause(ms: number): void {
    this.resumesAtMs = Math.max(this.resumesAtMs, this.events.nowMs + ms);
  }

  /** Drops all events of the machine. Statements that it has sent still reach the table. */
  crash(): void {
    this.isDead = true;
  }
}
