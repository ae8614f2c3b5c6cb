import { LiveWindow } from '../../../lib/engine/topics/live-window.js';
import { LIVE } from '../../../lib/store/definitions/definition-records.js';

const EVERY_MS = 4_000;

describe('the window of live declarations', () => {
  const open = (): { record: (atMs: number) => number; window: LiveWindow } => {
    const window = new LiveWindow();
    return {
      window,
      record: (atMs) => {
        window.record(new Date(1_000_000 + atMs), EVERY_MS);
        return window.bounds.liveMs - LIVE.liveMs;
      },
    };
  };

  it('has its usual length while the process declares in time, and after its first record', () => {
    const { record, window } = open();
    expect([0, EVERY_MS, 2 * EVERY_MS + 5_000].map(record)).toEqual([0, 0, 0]);
    expect(window.bounds).toEqual(LIVE);
  });

  it('is longer by an outage, until all processes had time to declare again', () => {
    const { record } = open();
    record(0);
    expect(record(60_000)).toBe(60_000);
    expect([64_000, 68_000, 72_000].map(record)).toEqual([60_000, 60_000, 60_000]);
    expect(record(76_000)).toBe(0);
  });

  it('is longer by a step of the clock, in either direction', () => {
    const { record, window } = open();
    record(0);
    expect(record(3_600_000)).toBe(3_600_000);
    expect(record(4_000)).toBeGreaterThanOrEqual(3_596_000);
    expect(window.bounds.aheadMs).toBeGreaterThanOrEqual(3_596_000);
    expect([8_000, 12_000, 16_000].every((atMs) => record(atMs) > 0)).toBe(true);
    expect(record(20_000)).toBe(0);
  });
});
