import { AsyncLocalStorage } from 'node:async_hooks';
import type { Clock } from '../../lib/core/clock.js';
import { endsWithin } from '../../lib/core/clock.js';
import { systemClock } from '../../lib/engine/system-clock.js';
import { signal } from '../support/wait.js';
import { VirtualClock } from '../support/unit/virtual-clock.js';

const sleep = (clock: Clock, ms: number): Promise<void> => new Promise((resolve) => clock.schedule(ms, resolve));

describe('a sleep', () => {
  it('ends when its time has come, and not before', async () => {
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

  it('that begins when another ends counts from there', async () => {
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

describe('the time in which there is nothing to do', () => {
  it('is that of a sleep, and not that in which the event loop was held', async () => {
    const heldFromMs = systemClock.idleMs!();
    const untilMs = performance.now() + 50;
    while (performance.now() < untilMs);
    const sleptFromMs = systemClock.idleMs!();
    await sleep(systemClock, 50);
    expect(sleptFromMs - heldFromMs).toBeLessThan(1);
    expect(systemClock.idleMs!() - sleptFromMs).toBeGreaterThan(20);
  });
});

describe('work within a time', () => {
  it('is true when the work ends first, and forgets its timer', async () => {
    const clock = new VirtualClock();
    const work = signal();
    const answer = endsWithin(clock, 100, work.promise);
    await clock.advance(99);
    work.resolve();

    await expect(answer).resolves.toBe(true);
    expect(clock.waiting).toBe(0);
  });

  it('is false when the time ends first', async () => {
    const clock = new VirtualClock();
    const answer = endsWithin(clock, 100, new Promise(() => undefined));
    await clock.advance(100);

    await expect(answer).resolves.toBe(false);
    expect(clock.waiting).toBe(0);
  });

  it('fails as the work fails, and forgets its timer', async () => {
    const clock = new VirtualClock();

    await expect(endsWithin(clock, 100, Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    expect(clock.waiting).toBe(0);
  });
});

describe('the clock of the process', () => {
  it('wakes after the time that was asked, and never goes back', async () => {
    const before = systemClock.now();
    await sleep(systemClock, 5);

    // Timers count in whole milliseconds, the clock does not.
    expect(systemClock.now() - before).toBeGreaterThan(4);
  });

  it('counts from the call, however long the turn of the event loop goes on', async () => {
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

  it('wakes in the context of nobody', async () => {
    const storage = new AsyncLocalStorage<string>();
    const seen = new Promise((resolve) => {
      storage.run('the first in this turn', () => systemClock.schedule(0, () => undefined));
      systemClock.schedule(0, () => resolve(storage.getStore()));
    });

    expect(await seen).toBeUndefined();
  });

  it('forgets a wake-up that was cancelled, and does not take a very long one for none', async () => {
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
