import { SettlingPeriod } from '../../../lib/engine/topics/settling-period.js';

const EVERY_MS = 4_000;

describe('the time in which declarations of live processes may look old', () => {
  /** The clock of the process, which does not step with that of the database. */
  let nowMs = 0;
  const open = (): { record: (atMs: number) => boolean; period: SettlingPeriod } => {
    const period = new SettlingPeriod({ now: () => nowMs });
    return {
      period,
      record: (atMs) => {
        period.record(new Date(1_000_000 + atMs), EVERY_MS);
        return period.isSettling;
      },
    };
  };
  const settle = (): ((atMs: number) => boolean) => {
    const { record } = open();
    [0, 4_000, 8_000, 12_000, 16_000].forEach(record);
    return record;
  };

  it('lasts from the start of a process until all others had time to declare again', () => {
    const { record, period } = open();
    expect(period.isSettling).toBe(true);
    expect([0, 4_000, 8_000, 12_000].map(record)).toEqual([true, true, true, true]);
    expect([16_000, 20_000, 29_000].map(record)).toEqual([false, false, false]);
  });

  it('lasts as long after an outage', () => {
    const record = settle();
    expect([76_000, 80_000, 84_000, 88_000].map(record)).toEqual([true, true, true, true]);
    expect(record(92_000)).toBe(false);
  });

  it('begins before the first record after an outage', () => {
    const { record, period } = open();
    [0, 4_000, 8_000, 12_000, 16_000].forEach(record);
    nowMs += 14_000;
    expect(period.isSettling).toBe(false);
    nowMs += 1;
    expect(period.isSettling).toBe(true);
  });

  it('lasts as long after a step of the clock, in either direction', () => {
    const record = settle();
    expect(record(3_600_000)).toBe(true);
    expect([20_000, 24_000, 28_000, 32_000].map(record)).toEqual([true, true, true, true]);
    expect(record(36_000)).toBe(false);
  });
});
