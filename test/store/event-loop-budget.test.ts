import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../../lib/core/clock.js';
import { EventLoopBudget } from '../../lib/store/runtime/event-loop-budget.js';

async function runManyIterations(): Promise<void> {
  for (let count = 0; count < 20; count += 1) {
    await setImmediate();
  }
}

describe('EventLoopBudget', () => {
  let resumed = 0;
  let nowMs = 0;
  const clock: Clock = { now: () => nowMs, schedule: () => ({ cancel: () => undefined }) };
  const budget = new EventLoopBudget(clock, 5, () => (resumed += 1));

  beforeEach(async () => {
    await runManyIterations();
    resumed = 0;
  });

  it('has time until the limit is reached', () => {
    expect(budget.hasTime()).toBe(true);
    nowMs += 4;
    expect(budget.hasTime()).toBe(true);
    nowMs += 1;
    expect(budget.hasTime()).toBe(false);
  });

  it('resumes the work once, in the next iteration, after it ran out of time', async () => {
    budget.hasTime();
    nowMs += 5;
    budget.hasTime();
    budget.hasTime();
    await runManyIterations();
    expect(resumed).toBe(1);
  });

  it('does not resume work that had time', async () => {
    budget.hasTime();
    await runManyIterations();
    expect(resumed).toBe(0);
  });
});
