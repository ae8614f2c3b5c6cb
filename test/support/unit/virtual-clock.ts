import { setImmediate as turnOfTheEventLoop } from 'node:timers/promises';
import type { Clock, ScheduledWake } from '../../../lib/core/clock.js';

interface Sleeper {
  readonly atMs: number;
  readonly wake: () => void;
}

/** A clock whose time only the test advances. */
export class VirtualClock implements Clock {
  private timeMs = 0;
  private sleepers: Sleeper[] = [];

  now(): number {
    return this.timeMs;
  }

  schedule(ms: number, wake: () => void): ScheduledWake {
    const sleeper = { atMs: this.timeMs + ms, wake };
    this.sleepers.push(sleeper);
    return { cancel: () => this.remove(sleeper) };
  }

  /** The number of scheduled wake-ups. */
  get waiting(): number {
    return this.sleepers.length;
  }

  /** Milliseconds until the next wake-up; `Infinity` if none is scheduled. */
  get nextWakeInMs(): number {
    return Math.min(...this.sleepers.map(({ atMs }) => atMs)) - this.timeMs;
  }

  /** Runs everything that does not wait for a timer. */
  async settle(): Promise<void> {
    await turnOfTheEventLoop();
  }

  /** Advances the time wake-up by wake-up. The effects of each run before the next. */
  async advance(ms: number): Promise<void> {
    const endMs = this.timeMs + ms;
    await this.settle();
    for (let next = this.firstUntil(endMs); next; next = this.firstUntil(endMs)) {
      this.remove(next);
      this.timeMs = Math.max(this.timeMs, next.atMs);
      next.wake();
      await this.settle();
    }
    this.timeMs = endMs;
  }

  /** Advances the time until this work has ended. */
  async advanceUntil(work: Promise<unknown>): Promise<void> {
    let isOver = false;
    const over = work.finally(() => (isOver = true));
    while (!isOver) {
      await this.advance(100);
    }
    await over;
  }

  /** Advances the time as if the process was suspended: overdue wake-ups run once, afterwards. */
  async suspend(ms: number): Promise<void> {
    this.timeMs += ms;
    for (const late of this.sleepers.filter(({ atMs }) => atMs <= this.timeMs)) {
      this.remove(late);
      late.wake();
      await this.settle();
    }
  }

  private firstUntil(endMs: number): Sleeper | undefined {
    const due = this.sleepers.filter(({ atMs }) => atMs <= endMs);
    return due.sort((a, b) => a.atMs - b.atMs)[0];
  }

  private remove(sleeper: Sleeper): void {
    this.sleepers = this.sleepers.filter((other) => other !== sleeper);
  }
}
