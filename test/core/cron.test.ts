import type { SchedulePattern } from '../../lib/core/cron.js';
import { parsePattern, parseStoredPattern, toPattern } from '../../lib/core/cron.js';
import { InvalidOptionsError } from '../../lib/core/errors.js';
import { readScheduleTimes, renderScheduleTimes } from '../../scripts/schedule-times.js';

/** The next ticks after a moment, as ISO text without milliseconds. */
function ticks(pattern: SchedulePattern, tz: string, after: string, count: number): string[] {
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

  it('has at most 255 characters', () => {
    const seconds = Array.from({ length: 200_000 }, (_, index) => index % 60).join(',');
    expect(() => parsePattern(`${seconds} * * * * *`, 'UTC')).toThrow(
      new InvalidOptionsError('pattern', 'expected a cron pattern of at most 255 characters, got one of 566669'),
    );
    expect(parsePattern('0,10 * * * *'.padEnd(255), 'UTC').text).toBe('0,10 * * * *');
  });

  it('of a stored schedule is parsed once', () => {
    expect(parseStoredPattern('7 * * * *', 'UTC')).toBe(parseStoredPattern('7 * * * *', 'UTC'));
    expect(parseStoredPattern('7 * * * *', 'Europe/Berlin')).not.toBe(parseStoredPattern('7 * * * *', 'UTC'));
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

/** The ticks within some hours after a moment, as local times. */
function localTimes(pattern: SchedulePattern, tz: string, from: string, hours: number): string[] {
  const end = Date.parse(from) + hours * 3_600_000;
  const parsed = parsePattern(pattern, tz);
  const found: string[] = [];
  for (let tick = parsed.next(new Date(from)); tick && tick.getTime() < end; tick = parsed.next(tick)) {
    found.push(tick.toLocaleTimeString('en-GB', { timeZone: tz, hour: '2-digit', minute: '2-digit' }));
  }
  return found;
}

const everyTenMinutes = (hour: string): string[] => ['00', '10', '20', '30', '40', '50'].map((m) => `${hour}:${m}`);

describe('when the clocks go forward', () => {
  it.each([
    ['Europe/Berlin', '2026-03-28T12:00:00Z', '2026-03-29T01:00:00Z', '2026-03-30T00:30:00Z'],
    ['America/New_York', '2026-03-07T12:00:00Z', '2026-03-08T07:00:00Z', '2026-03-09T06:30:00Z'],
    // The gap lasts half an hour and ends at 02:30.
    ['Australia/Lord_Howe', '2026-10-03T02:00:00Z', '2026-10-03T15:30:00Z', '2026-10-04T15:30:00Z'],
    // No daylight saving.
    ['Asia/Kathmandu', '2026-03-28T12:00:00Z', '2026-03-28T20:45:00Z', '2026-03-29T20:45:00Z'],
  ])('30 2 * * * runs at the first moment after the gap in %s', (tz, after, onTheDay, dayLater) => {
    expect(ticks('30 2 * * *', tz, after, 2)).toEqual([onTheDay, dayLater]);
  });

  it.each([
    ['Europe/Berlin', '2026-03-28T23:59:59Z', ['01', '03', '04']],
    ['America/New_York', '2026-03-08T05:59:59Z', ['01', '03', '04']],
    ['Asia/Kathmandu', '2026-03-28T19:14:59Z', ['01', '02', '03']],
  ])('*/10 and 0 * have no ticks in the gap in %s', (tz, from, hours) => {
    expect(localTimes('*/10 * * * *', tz, from, 3)).toEqual(hours.flatMap(everyTenMinutes));
    expect(localTimes('0 * * * *', tz, from, 3)).toEqual(hours.map((hour) => `${hour}:00`));
  });

  it('*/10 and 0 * have no ticks in the gap of half an hour in Australia/Lord_Howe', () => {
    const from = '2026-10-03T14:29:59Z';
    expect(localTimes('*/10 * * * *', 'Australia/Lord_Howe', from, 2)).toEqual([
      ...everyTenMinutes('01'),
      ...['02:30', '02:40', '02:50', '03:00', '03:10', '03:20'],
    ]);
    expect(localTimes('0 * * * *', 'Australia/Lord_Howe', from, 3)).toEqual(['01:00', '03:00', '04:00']);
  });

  it('a pattern with two hours has no tick in the gap', () => {
    expect(ticks('30 2,14 * * *', 'Europe/Berlin', '2026-03-28T20:00:00Z', 2)).toEqual([
      '2026-03-29T12:30:00Z',
      '2026-03-30T00:30:00Z',
    ]);
  });
});

describe('when the clocks go back', () => {
  it.each([
    ['Europe/Berlin', '30 2 * * *', '2026-10-24T12:00:00Z', '2026-10-25T00:30:00Z', '2026-10-26T01:30:00Z'],
    // The hour from 1 to 2 exists twice here, that from 2 to 3 once.
    ['America/New_York', '30 1 * * *', '2026-10-31T12:00:00Z', '2026-11-01T05:30:00Z', '2026-11-02T06:30:00Z'],
    ['America/New_York', '30 2 * * *', '2026-10-31T12:00:00Z', '2026-11-01T07:30:00Z', '2026-11-02T07:30:00Z'],
    ['Australia/Lord_Howe', '45 1 * * *', '2026-04-04T02:00:00Z', '2026-04-04T14:45:00Z', '2026-04-05T15:15:00Z'],
    ['Australia/Lord_Howe', '30 2 * * *', '2026-04-04T02:00:00Z', '2026-04-04T16:00:00Z', '2026-04-05T16:00:00Z'],
    ['Asia/Kathmandu', '30 2 * * *', '2026-10-24T12:00:00Z', '2026-10-24T20:45:00Z', '2026-10-25T20:45:00Z'],
  ])('in %s, %s runs once, the first time', (tz, pattern, after, onTheDay, dayLater) => {
    expect(ticks(pattern, tz, after, 2)).toEqual([onTheDay, dayLater]);
  });

  it.each([
    ['Europe/Berlin', '2026-10-24T23:59:59Z', ['02', '02', '03']],
    ['America/New_York', '2026-11-01T04:59:59Z', ['01', '01', '02']],
    ['Asia/Kathmandu', '2026-10-24T19:14:59Z', ['01', '02', '03']],
  ])('*/10 and 0 * run in both hours in %s', (tz, from, hours) => {
    expect(localTimes('*/10 * * * *', tz, from, 3)).toEqual(hours.flatMap(everyTenMinutes));
    expect(localTimes('0 * * * *', tz, from, 3)).toEqual(hours.map((hour) => `${hour}:00`));
  });

  it('*/10 runs in both half hours in Australia/Lord_Howe, and 0 * once', () => {
    const from = '2026-04-04T13:59:59Z';
    expect(localTimes('*/10 * * * *', 'Australia/Lord_Howe', from, 2)).toEqual([
      ...everyTenMinutes('01'),
      ...['01:30', '01:40', '01:50', '02:00', '02:10', '02:20'],
    ]);
    expect(localTimes('0 * * * *', 'Australia/Lord_Howe', from, 3)).toEqual(['01:00', '02:00', '03:00']);
  });
});

describe.each(['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu'])('in %s', (tz) => {
  it.each(['30 2 * * *', '30 1 * * *', '0,30 1,2 * * *', '*/10 * * * *'])(
    'the latest tick before each tick of %s is the one before it, also when the clocks change',
    (pattern) => {
      const parsed = parsePattern(pattern, tz);
      for (const day of ['2026-03-08', '2026-03-29', '2026-04-04', '2026-10-03', '2026-10-25', '2026-11-01']) {
        let tick = parsed.next(new Date(`${day}T00:00:00Z`))!;
        for (let count = 0; count < 80; count += 1) {
          const following = parsed.next(tick)!;
          expect(parsed.latest(new Date(following.getTime() - 1))).toEqual(tick);
          tick = following;
        }
      }
    },
  );
});

describe('docs/guide/schedule-times.md', () => {
  it('has the times of the library', () => {
    expect(readScheduleTimes()).toBe(renderScheduleTimes());
  });
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

  it('follows UTC, whatever the zone', () => {
    const after = '2026-03-29T00:00:00Z';
    const [berlin, utc] = ['Europe/Berlin', 'UTC'].map((tz) => ticks({ every: '1h' }, tz, after, 3));
    expect(berlin).toEqual(utc);
    expect(berlin).toEqual(['2026-03-29T01:00:00Z', '2026-03-29T02:00:00Z', '2026-03-29T03:00:00Z']);
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
