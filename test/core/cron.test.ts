import { parsePattern, parseStoredPattern, toPattern } from '../../lib/core/cron.js';
import { InvalidOptionsError } from '../../lib/core/errors.js';

/** The next ticks after a moment, as ISO text without milliseconds. */
function ticks(pattern: string, tz: string, after: string, count: number): string[] {
  const parsed = parsePattern(pattern, tz);
  const found: string[] = [];
  for (let tick = parsed.next(new Date(after)); tick && found.length < count; tick = parsed.next(tick)) {
    found.push(tick.toISOString().replace('.000Z', 'Z'));
  }
  return found;
}

describe('a cron pattern', () => {
  it('has 5 fields, or 6 with seconds first', () => {
    expect(ticks('30 8 * * 1', 'UTC', '2026-01-01T00:00:00Z', 2)).toEqual([
      '2026-01-05T08:30:00Z',
      '2026-01-12T08:30:00Z',
    ]);
    expect(ticks('*/20 * * * * *', 'UTC', '2026-01-01T00:00:00Z', 2)).toEqual([
      '2026-01-01T00:00:20Z',
      '2026-01-01T00:00:40Z',
    ]);
  });

  it('follows its time zone, not that of the process', () => {
    expect(ticks('15 3 * * *', 'Asia/Kathmandu', '2026-01-01T00:00:00Z', 1)).toEqual(['2026-01-01T21:30:00Z']);
  });

  it.each(['* * * *', '* * * * * * *', '@daily', '61 * * * *', '* * * * FOO', ''])('%p is refused', (pattern) => {
    expect(() => parsePattern(pattern, 'UTC')).toThrow(InvalidOptionsError);
  });

  it.each(['30 2 * * *', '*/10 * * * *', '* * * * * *', '0 0 1 1 *'])(
    '%s: the latest tick is the inverse of the next',
    (pattern) => {
      const parsed = parsePattern(pattern, 'Europe/Berlin');
      const next = parsed.next(new Date('2026-03-28T12:34:56.789Z'))!;
      expect(parsed.latest(next)).toEqual(next);
      expect(parsed.latest(new Date(next.getTime() + 1))).toEqual(next);
      expect(parsed.latest(new Date(next.getTime() - 1))!.getTime()).toBeLessThan(next.getTime());
    },
  );
});

describe('an interval', () => {
  it('counts from its anchor, so that it never drifts', () => {
    const parsed = parsePattern({ every: '10s', anchor: new Date(3_000) }, 'UTC');
    expect(parsed.next(new Date(0))).toEqual(new Date(3_000));
    expect(parsed.next(new Date(3_000))).toEqual(new Date(13_000));
    expect(parsed.next(new Date(12_999))).toEqual(new Date(13_000));
    expect(parsed.latest(new Date(12_999))).toEqual(new Date(3_000));
    expect(parsed.latest(new Date(2_999))).toBeNull();
  });

  it('is stored as text and read again', () => {
    const { text } = parsePattern({ every: '90m' }, 'UTC');
    expect(parseStoredPattern(text, 'UTC').next(new Date(0))).toEqual(new Date(5_400_000));
    expect(toPattern(text)).toEqual({ every: 5_400_000, anchor: new Date(0) });
    expect(toPattern('0 3 * * *')).toBe('0 3 * * *');
  });

  it.each([{ every: '999ms' }, { every: 'soon' }, { every: '10s', offset: 1 }, {}, null, 5])(
    '%j is refused',
    (pattern) => {
      expect(() => parsePattern(pattern as never, 'UTC')).toThrow(InvalidOptionsError);
    },
  );
});
