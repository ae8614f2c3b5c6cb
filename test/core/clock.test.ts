import { AsyncLocalStorage } from 'node:async_hooks';
import type { Clock } from '../../lib/core/clock.js';
import { endsWithin } from '../../lib/core/clock.js';
import { systemClock } from '../../lib/store/runtime/system-clock.js';
import { signal, until } from '../support/wait.js';
import { VirtualClock } from '../support/unit/virtual-clock.js';

const sleep = (clock: Clock, ms: number): Promise<void> => new Promise((resolve) => clock.schedule(ms, resolve));

describe('virtual clock: a sleep', () => {
  it('ends exactly when its time is over', async () => {
    const clock = new VirtualClock();
    const ended: string[] = [];
    void sleep(clock, 20).then(() => ended.push('long'));
    void sleep(clock, 10).then(() => ended.push('short'));

    await clock.advance(9);
    expect(ended).toEqual([]);
    await clock.advance(1);
    expect(ended).toEqual(['short']);
    await clock.advance(1_000);
    expect(ended).toEqual(['short', 'long']);
    expect(clock.now()).toBe(1_010);
  });

  it('that starts when another ends counts from that moment', async () => {
    const clock = new VirtualClock();
    const woken: number[] = [];
    void sleep(clock, 10)
      .then(() => woken.push(clock.now()))
      .then(() => sleep(clock, 10))
      .then(() => woken.push(clock.now()));

    await clock.advance(100);

    expect(woken).toEqual([10, 20]);
  });
});

describe('idle time', () => {
  it('includes sleeps and excludes the time in which the event loop was blocked', async () => {
    const heldFromMs = systemClock.eventLoopIdleMs!();
    const untilMs = performance.now() + 50;
    while (performance.now() < untilMs);
    const sleptFromMs = systemClock.eventLoopIdleMs!();
    expect(sleptFromMs - heldFromMs).toBeLessThan(1);
    // One sleep may count nothing: on a busy machine its time is over before the loop begins to wait.
    await until(async () => {
      await sleep(systemClock, 50);
      return systemClock.eventLoopIdleMs!() - sleptFromMs > 20;
    });
  });
});

describe('work with a time limit', () => {
  it('resolves to true and clears its timer when the work ends first', async () => {
    const clock = new VirtualClock();
    const work = signal();
    const answer = endsWithin(clock, 100, work.promise);
    await clock.advance(99);
    work.resolve();

    await expect(answer).resolves.toBe(true);
    expect(clock.waiting).toBe(0);
  });

  it('resolves to false when the time ends first', async () => {
    const clock = new VirtualClock();
    const answer = endsWithin(clock, 100, new Promise(() => undefined));
    await clock.advance(100);

    await expect(answer).resolves.toBe(false);
    expect(clock.waiting).toBe(0);
  });

  it('rejects with the error of the work and clears its timer', async () => {
    const clock = new VirtualClock();

    await expect(endsWithin(clock, 100, Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    expect(clock.waiting).toBe(0);
  });
});

describe('system clock', () => {
  it('calls back after the given time and never goes back', async () => {
    const before = systemClock.now();
    await sleep(systemClock, 5);

    // Timers count whole milliseconds, the clock fractions.
    expect(systemClock.now() - before).toBeGreaterThan(4);
  });

  it('counts from the call, even if the event loop is blocked afterwards', async () => {
    const warn = jest.spyOn(process, 'emitWarning');
    const woken: string[] = [];
    systemClock.schedule(0, () => woken.push('at once'));
    systemClock.schedule(40, () => woken.push('overdue'));
    const busyUntilMs = systemClock.now() + 60;
    while (systemClock.now() < busyUntilMs);
    await new Promise<void>((resolve) => systemClock.schedule(20, resolve)).then(() => woken.push('later'));

    expect(woken).toEqual(['at once', 'overdue', 'later']);
    expect(warn).not.toHaveBeenCalled();
    warn.mockRestore();
  });

  it('calls back outside the async context of its caller', async () => {
    const storage = new AsyncLocalStorage<string>();
    const seen = new Promise((resolve) => {
      storage.run('the first in this turn', () => systemClock.schedule(0, () => undefined));
      systemClock.schedule(0, () => resolve(storage.getStore()));
    });

    expect(await seen).toBeUndefined();
  });

  it('does not call back after a cancel, and accepts a very long delay', async () => {
    const woken: string[] = [];
    const cancelled = systemClock.schedule(0, () => woken.push('cancelled'));
    const long = systemClock.schedule(2 ** 40, () => woken.push('long'));
    cancelled.cancel();
    await sleep(systemClock, 5);
    long.cancel();
    cancelled.cancel();

    expect(woken).toEqual([]);
  });
});
