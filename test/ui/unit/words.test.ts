import { en } from '../../../ui/src/messages/en.js';
import { useMessages } from '../../../ui/src/messages/messages.js';
import { zhCn } from '../../../ui/src/messages/zh-cn.js';
import { bytesText, jobsText, rateText, shortCount } from '../../../ui/src/text/amount.js';
import { durationField, parseDuration, durationText, roughDuration } from '../../../ui/src/text/duration.js';
import { relativeText } from '../../../ui/src/text/moment.js';
import { patternWords } from '../../../ui/src/text/pattern-words.js';
import { readProgress } from '../../../ui/src/text/progress.js';
import { readStacks } from '../../../ui/src/text/stack.js';
import { shortened, visible } from '../../../ui/src/text/visible-text.js';
import { zoneText } from '../../../ui/src/text/zone-time.js';

describe('texts of the admin UI', () => {
  it.each([
    [0, '0 ms'],
    [0.2, '< 1 ms'],
    [3.14159, '3.1 ms'],
    [812.4, '812 ms'],
    [999.7, '1 s'],
    [1_234, '1.23 s'],
    [59_960, '1 min'],
    [125_000, '2 min 5 s'],
    [7_200_000, '2 h'],
    [273_600_000, '3 d 4 h'],
  ])('show the duration %d ms', (ms, text) => {
    expect(durationText(ms)).toBe(text);
  });

  it.each([
    [0, '0ms'],
    [250, '250ms'],
    [90_000, '90s'],
    [5_400_000, '90m'],
    [86_400_000, '1d'],
  ])('show the duration %d ms as a field takes it', (ms, text) => {
    expect(durationField(ms)).toBe(text);
    expect(parseDuration(text)).toBe(ms);
  });

  it('read no other text as a duration', () => {
    expect(['', '10', 'ms', '10 s', '-1s', '1.5h'].map(parseDuration)).toEqual([NaN, NaN, NaN, NaN, NaN, 5_400_000]);
  });

  it('show a relative time', () => {
    const now = Date.parse('2030-01-01T00:00:00Z');
    expect(relativeText('2030-01-01T00:00:00.400Z', now)).toBe('now');
    expect(relativeText('2029-12-31T23:59:48Z', now)).toBe('12 s ago');
    expect(relativeText('2030-01-03T01:00:00Z', now)).toBe('in 2 d');
    expect(roughDuration(3_599_000)).toBe('59 min');
  });

  it('show counts, rates and sizes', () => {
    expect([jobsText(1), jobsText(12_340), shortCount(99_999), shortCount(1_234_567)]).toEqual([
      '1 job',
      '12,340 jobs',
      '99,999',
      '1.2M',
    ]);
    expect([rateText(1), rateText(0.99999), rateText(0.953), rateText(0.0001), rateText(0)]).toEqual([
      '100 %',
      '> 99.9 %',
      '95.3 %',
      '< 0.1 %',
      '0 %',
    ]);
    expect([bytesText(12), bytesText(3_500), bytesText(1_048_576)]).toEqual(['12 B', '3.4 KiB', '1 MiB']);
  });

  it.each([
    [50, { fraction: 0.5, text: '50 %' }],
    [0.5, { fraction: 0.5, text: '50 %' }],
    [
      { done: 3, of: 8 },
      { fraction: 0.375, text: '3 of 8', message: null, hasMore: false },
    ],
    [
      { current: 9, total: 8 },
      { fraction: 1, text: '9 of 8' },
    ],
    [
      { percent: 12.34, message: 'reading' },
      { fraction: 0.1234, text: '12.3 %', message: 'reading', hasMore: false },
    ],
    [
      { percent: 40, file: 'a.csv' },
      { fraction: 0.4, text: '40 %', message: null, hasMore: true },
    ],
    [{ done: 3, of: 0 }, null],
    ['half', null],
    [250, null],
    [null, null],
  ])('show the progress %j', (value, progress) => {
    const read = readProgress(value);
    expect(progress === null ? read : { ...read, ...progress }).toEqual(read);
  });

  it('list the application frames of a stack first', () => {
    const stack = [
      'Error: no',
      '    at Carrier.put (/srv/shop/dist/carrier.js:17:22)',
      '    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)',
      '    at run (/srv/shop/node_modules/nestjs-jobs/dist/cjs/lib/runtime/executor.js:1:1)',
      '    at ShippingJobs.ship (file:///srv/shop/dist/shipping.jobs.js:42:13)',
    ].join('\n');
    const [read, ...others] = readStacks(stack);
    expect(read!.own).toEqual([
      'at Carrier.put (/srv/shop/dist/carrier.js:17:22)',
      'at ShippingJobs.ship (file:///srv/shop/dist/shipping.jobs.js:42:13)',
    ]);
    expect(read!.foreign).toHaveLength(2);
    expect(others).toEqual([]);
  });

  it('separate the frames of causes from those of the error', () => {
    const stack = 'Error: no\n    at a (/srv/a.js:1:1)\n[cause]: TypeError: why\n    at b (/srv/b.js:1:1)';
    expect(readStacks(stack)).toEqual([
      { cause: undefined, own: ['at a (/srv/a.js:1:1)'], foreign: [] },
      { cause: 'TypeError: why', own: ['at b (/srv/b.js:1:1)'], foreign: [] },
    ]);
  });

  it('escape invisible characters and shorten text', () => {
    expect(visible('a\u202eb\u0000c\u200bd\n\te\u2066')).toBe('a\\u202eb\\u0000c\\u200bd\n\te\\u2066');
    expect(visible('مرحبا 👍')).toBe('مرحبا 👍');
    expect(shortened('abcdef', 4)).toBe('abc…');
    expect(shortened('ab👍def', 4)).toBe('ab…');
  });
});

describe('texts in Chinese', () => {
  const nothing = (): void => undefined;
  beforeAll(() => useMessages(zhCn, 'zh-CN', nothing));
  afterAll(() => useMessages(en, 'en', nothing));

  it('show amounts, durations and times', () => {
    const now = Date.parse('2030-01-01T00:00:00Z');
    expect([jobsText(12_340), durationText(125_000), rateText(0.99999)]).toEqual([
      '12,340 个任务',
      '2 分钟 5 秒',
      '> 99.9%',
    ]);
    expect(relativeText('2029-12-31T23:59:48Z', now)).toBe('12 秒前');
    expect(zoneText('2030-01-01T00:00:00Z', 'UTC')).toBe('2030年1月1日周二 00:00');
  });

  it.each([
    ['*/5 * * * *', '每 5 分钟'],
    ['5,35 * * * *', '每小时的第 5 和 35 分钟'],
    ['*/7 * * * *', '每 7 分钟（从每小时开始时起算）'],
    ['*/15 9-17 * * MON-FRI', '星期一至星期五，09:00 至 17:59，每 15 分钟'],
    ['0 3 * * 7', '每星期日 03:00'],
    ['0 0 1 1,7 *', '一月和七月，每月 1 日 00:00'],
    ['0 9 * * 5#2', '每月第 2 个星期五 09:00'],
    [{ every: 5_400_000 }, '每 90 分钟'],
  ])('describe the pattern %j: %s', (pattern, words) => {
    expect(patternWords(pattern)).toBe(words);
  });
});
