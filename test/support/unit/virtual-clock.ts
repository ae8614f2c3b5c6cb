import { setImmediate as turnOfTheEventLoop } from 'node:timers/promises';
import type { Clock, ScheduledWake } from '../../../lib/core/clock.js';

interface Sleeper {
  readonly atMs: number;
  readonly wake: () => void;
}

/** A clock that stands still until a test moves it. */
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

  /** Wake-ups that are waited for. */
  get waiting(): number {
    return this.sleepers.length;
  }

  /** Milliseconds until the next wake-up; `Infinity` when nobody sleeps. */
  get nextWakeInMs(): number {
    return Math.min(...this.sleepers.map(({ atMs }) => atMs)) - this.timeMs;
  }

  /** Lets everything run that waits for no time. */
  async settle(): Promise<void> {
    await turnOfTheEventLoop();
  }

  /** Moves the time on, wake-up by wake-up in their order; what each sets off has run before the next. */
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

  /** Moves the time on until this work has ended. */
  async advanceUntil(work: Promise<unknown>): Promise<void> {
    let isOver = false;
    const over = work.finally(() => (isOver = true));
    while (!isOver) {
      await this.advance(100);
    }
    await over;
  }

  /** Moves the time on while the process stands still: whoever should have been woken meanwhile is woken late, and once. */
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
