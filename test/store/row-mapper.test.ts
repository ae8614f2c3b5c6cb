import { toInsertedJob } from '../../lib/store/jobs/row-mapper.js';

/** Reads a time of microseconds since 1970. Returns milliseconds. */
function read(microseconds: number): number {
  const moment = microseconds / 1_000;
  return toInsertedJob({ id: 'a', run_at: moment, created: moment }).runAt.getTime();
}

describe('a timestamp of a row', () => {
  it.each(['1970-01-01', '2026-02-28', '2108-12-31', '2126-05-01', '2250-01-01'])(
    'is truncated to milliseconds in %s',
    (day) => {
      const start = Date.parse(day);
      const offsets = Array.from({ length: 20_000 }, (_, microseconds) => microseconds);
      const wrong = offsets.filter((offset) => read(start * 1_000 + offset) !== start + Math.floor(offset / 1_000));
      expect(wrong).toEqual([]);
    },
  );

  it.each(['1970-01-01T00:00:00.001Z', '2026-02-28T12:34:56.789Z', '9999-12-31T23:59:59.999Z'])(
    'of a whole millisecond is unchanged: %s',
    (text) => {
      expect(toInsertedJob({ id: 'a', run_at: Date.parse(text), created: 0 }).runAt.toISOString()).toBe(text);
    },
  );

  it('with a rounding error of a multiplication is not truncated to the previous millisecond', () => {
    const seconds = Date.parse('2026-02-28T12:34:56.789Z') / 1_000;
    expect(toInsertedJob({ id: 'a', run_at: seconds * 1_000 - 0.000_25, created: 0 }).runAt.getTime() % 1_000).toBe(
      789,
    );
  });
});
