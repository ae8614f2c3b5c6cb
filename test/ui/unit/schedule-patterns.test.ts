import { parsePattern } from '../../../lib/core/cron.js';
import { previewTicks } from '../../../ui/src/data/cron-ticks.js';
import { patternWords } from '../../../ui/src/text/pattern-words.js';

describe('a pattern in words', () => {
  it.each([
    ['* * * * *', 'Every minute'],
    ['* * * * * *', 'Every second'],
    ['*/10 * * * * *', 'Every 10 seconds'],
    ['30 * * * * *', 'At second 30 of each minute'],
    ['*/5 * * * *', 'Every 5 minutes'],
    ['*/7 * * * *', 'Every 7 minutes, counted from the start of each hour'],
    ['5,35 * * * *', 'At minutes 5 and 35 of each hour'],
    ['10-20 * * * *', 'Every minute from 10 to 20 of each hour'],
    ['15 */2 * * *', 'At minute 15 of each hour, in every 2nd hour'],
    ['0 * * * *', 'Every hour'],
    ['0 */2 * * *', 'Every 2 hours'],
    ['0 */5 * * *', 'Every 5 hours, counted from midnight'],
    ['0 9-17 * * 1-5', 'Every hour from 09:00 to 17:00, Monday to Friday'],
    ['*/15 9-17 * * MON-FRI', 'Every 15 minutes, from 09:00 to 17:59, Monday to Friday'],
    ['*/15 9,12 * * *', 'Every 15 minutes, from 09:00 to 09:59 and 12:00 to 12:59'],
    ['0 3 * * *', 'Every day at 03:00'],
    ['30 0 3 * * *', 'Every day at 03:00:30'],
    ['0 6-22/4 * * *', 'Every day at 06:00, 10:00, 14:00, 18:00 and 22:00'],
    ['0 3 * * 7', 'On Sunday at 03:00'],
    ['15 10,12 * * 6,0', 'On Sunday and Saturday at 10:15 and 12:15'],
    ['0 0 1 * *', 'On day 1 of the month at 00:00'],
    ['0 0 1-7 * *', 'On days 1 to 7 of the month at 00:00'],
    ['0 0 */2 * ?', 'On every 2nd day, counted from day 1 of the month, at 00:00'],
    ['0 0 L * *', 'On the last day of the month at 00:00'],
    ['0 9 * * 5#2', 'On the second Friday of the month at 09:00'],
    ['0 9 * * fri#L', 'On the last Friday of the month at 09:00'],
    ['0 9 * * 5L', 'On the last Friday of the month at 09:00'],
    ['0 9 1 * 1', 'On day 1 of the month, and also on Monday, at 09:00'],
    ['0 0 1 1,7 *', 'On day 1 of the month at 00:00, in January and July'],
    ['0 0 1 */3 *', 'On day 1 of the month at 00:00, in January, April, July and October'],
    ['0 12 * JUN-AUG *', 'Every day at 12:00, from June to August'],
  ])('is for %s: %s', (pattern, words) => {
    // The words are of a pattern that the queue accepts.
    expect(parsePattern(pattern, 'UTC').next(new Date(0))).not.toBeNull();
    expect(patternWords(pattern)).toBe(words);
  });

  it.each([
    [1_000, 'Every second'],
    [90_000, 'Every 90 seconds'],
    [5_400_000, 'Every 90 minutes'],
    [86_400_000, 'Every day'],
    [1_500, 'Every 1.5 s'],
  ])('is for an interval of %d ms: %s', (every, words) => {
    expect(patternWords({ every })).toBe(words);
  });

  it.each([
    '0 9 15W * *',
    '0 9 1 * +1',
    '10 */5 * * * *',
    '61 * * * *',
    '0 25 * * *',
    '0 0 0 * *',
    'a b c d e',
    '* *',
    '',
  ])('is missing for %p', (pattern) => {
    expect(patternWords(pattern)).toBeNull();
  });
});

describe('the preview of a pattern', () => {
  /** Before both changes of daylight saving of a year. */
  const FROM = ['2026-03-28T12:00:00Z', '2026-10-24T12:00:00Z'].map((iso) => Date.parse(iso));
  const PATTERNS = ['30 2 * * *', '*/10 1-3 * * *', '0 * * * *', '0 0 29 2 *', '0 9 1 * 1', '0 9 * * 5#2', '0 0 L * *'];
  const ZONES = ['UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kathmandu', 'Pacific/Apia'];

  function serverTicks(pattern: Parameters<typeof parsePattern>[0], zone: string, from: number): string[] {
    const ticks: string[] = [];
    let at = new Date(from);
    while (ticks.length < 5) {
      at = parsePattern(pattern, zone).next(at)!;
      ticks.push(at.toISOString());
    }
    return ticks;
  }

  it.each(ZONES)('has the ticks of the server in %s', (zone) => {
    for (const pattern of PATTERNS) {
      for (const from of FROM) {
        expect(previewTicks(pattern, { zone, from })).toEqual({ ok: true, ticks: serverTicks(pattern, zone, from) });
      }
    }
  });

  it('has the ticks of the server for an interval with an anchor in the past and in the future', () => {
    for (const anchor of [new Date(0), new Date('2020-05-06T07:08:09.123Z'), new Date('2031-01-01T00:00:00Z')]) {
      const pattern = { everyMs: 5_400_000, anchorMs: anchor.getTime() };
      const ticks = serverTicks({ every: 5_400_000, anchor }, 'UTC', FROM[0]!);
      expect(previewTicks(pattern, { zone: 'UTC', from: FROM[0]! })).toEqual({ ok: true, ticks });
    }
  });

  it('lies between the start and the end, which count', () => {
    const window = { startAt: '2026-05-01T03:00:00.000Z', endAt: '2026-05-02T03:00:00.000Z' };
    expect(previewTicks('0 3 * * *', { zone: 'UTC', from: FROM[0]!, ...window })).toEqual({
      ok: true,
      ticks: [window.startAt, window.endAt],
    });
  });

  it.each([
    ['0 3 *', 'UTC'],
    ['', 'UTC'],
    ['61 * * * *', 'UTC'],
    ['0 0 30 2 *', 'UTC'],
    ['0 3 * * *', 'Mars/Base'],
    [{ everyMs: 999, anchorMs: 0 }, 'UTC'],
    [{ everyMs: NaN, anchorMs: 0 }, 'UTC'],
  ])('says why there is none for %j in %s', (pattern, zone) => {
    const { ok, message } = previewTicks(pattern, { zone, from: FROM[0]! }) as { ok: boolean; message: string };
    expect(ok).toBe(false);
    expect(message).toMatch(/\w{3,}/);
  });
});
