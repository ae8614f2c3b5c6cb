import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../../../lib/core/clock.js';
import type { BetterSqliteRunner } from '../../../lib/store/sqlite/driver/better-sqlite-runner.js';
import { SyncWriteQueue } from '../../../lib/store/sqlite/driver/sync-write-queue.js';
import { EventLoopBudget } from '../../../lib/store/event-loop-budget.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

/** Long enough for whoever asks again in each turn to have asked often. */
async function manyTurns(): Promise<void> {
  for (let turns = 0; turns < 20; turns += 1) {
    await setImmediate();
  }
}

describe('a turn of the event loop', () => {
  let called = 0;
  let nowMs = 0;
  const clock: Clock = { now: () => nowMs, schedule: () => ({ cancel: () => undefined }) };
  const turn = new EventLoopBudget(clock, 5, () => (called += 1));

  beforeEach(async () => {
    await manyTurns();
    called = 0;
  });

  it('has time until it has taken as long as it may', () => {
    expect(turn.hasTime()).toBe(true);
    nowMs += 4;
    expect(turn.hasTime()).toBe(true);
    nowMs += 1;
    expect(turn.hasTime()).toBe(false);
  });

  it('calls whoever was refused in the next one, once', async () => {
    turn.hasTime();
    nowMs += 5;
    turn.hasTime();
    turn.hasTime();
    await manyTurns();
    expect(called).toBe(1);
  });

  it('calls nobody who had the time', async () => {
    turn.hasTime();
    await manyTurns();
    expect(called).toBe(0);
  });
});

describe('the lane of a synchronous driver', () => {
  it('waits for a transaction of the application, instead of asking in each turn whether it has ended', async () => {
    const clock = new VirtualClock();
    let asked = 0;
    const lane = new SyncWriteQueue({
      clock,
      runner: { inTransaction: false } as BetterSqliteRunner,
      isAppInTransaction: () => (asked += 1) > 0,
      lockTimeoutMs: 100,
    });
    const refusal = lane
      .run(function* () {
        yield* [];
      })
      .catch((error: unknown) => error);
    await manyTurns();
    expect(asked).toBe(1);
    await clock.advance(200);
    expect(await refusal).toMatchObject({ code: 'QUEUE_UNAVAILABLE' });
    // Once a millisecond, until it gives up.
    expect(asked).toBeLessThanOrEqual(102);
  });
});
