import fc from 'fast-check';
import { DURATION_MAX_MS, formatDuration, parseDuration } from '../../lib/core/duration.js';

describe('a duration', () => {
  it.each([
    [0, 0],
    [250, 250],
    [1.4, 1],
    [1.5, 2],
    ['0ms', 0],
    ['250ms', 250],
    ['30s', 30_000],
    ['10m', 600_000],
    ['1h', 3_600_000],
    ['7d', 604_800_000],
    ['1.5h', 5_400_000],
    ['0.25s', 250],
    [' 30s ', 30_000],
    ['36500d', DURATION_MAX_MS],
    [DURATION_MAX_MS, DURATION_MAX_MS],
  ])('%p is %d milliseconds', (value, ms) => {
    expect(parseDuration(value)).toBe(ms);
  });

  it.each<unknown>([
    -1,
    NaN,
    Infinity,
    -Infinity,
    DURATION_MAX_MS + 1,
    '36501d',
    '',
    ' ',
    '30',
    's',
    '30 s',
    '30S',
    '-30s',
    '+30s',
    '1e3s',
    '.5s',
    '5.s',
    '1h30m',
    '30sec',
    '30s\n30s',
    '1w',
    '٣s',
    '9'.repeat(400),
    10n,
    null,
    undefined,
    true,
    [],
    ['30s'],
    {},
    new Date(0),
    { valueOf: () => 30 },
  ])('is rejected: %p', (value) => {
    expect(parseDuration(value)).toBeUndefined();
  });

  it('is formatted in the largest unit that gives a whole number', () => {
    const written = [0, 1, 999, 1_000, 1_500, 59_000, 60_000, 90_000, 3_600_000, 86_400_000, 90_000_000].map(
      formatDuration,
    );

    expect(written).toEqual(['0ms', '1ms', '999ms', '1s', '1500ms', '59s', '1m', '90s', '1h', '1d', '25h']);
  });

  it('of any length can be formatted and parsed again', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: DURATION_MAX_MS }), (ms) => {
        expect(parseDuration(formatDuration(ms))).toBe(ms);
      }),
    );
  });

  it('parsed from any text is a whole number of milliseconds within a hundred years, or undefined', () => {
    const texts = fc.tuple(fc.double({ noNaN: true }), fc.constantFrom('ms', 's', 'm', 'h', 'd', '', 'x'));

    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          texts.map(([amount, unit]) => `${amount}${unit}`),
          fc.double(),
        ),
        (value) => {
          const ms = parseDuration(value) ?? 0;

          expect(Number.isInteger(ms) && ms >= 0 && ms <= DURATION_MAX_MS).toBe(true);
        },
      ),
    );
  });
});
