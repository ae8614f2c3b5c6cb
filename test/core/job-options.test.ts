import { runInNewContext } from 'node:vm';
import { InvalidOptionsError, InvalidPayloadError, PayloadTooLargeError } from '../../lib/core/errors.js';
import type { EnqueueOptions } from '../../lib/core/job.js';
import { readEnqueueOptions, readHandlerOptions } from '../../lib/core/job-options.js';
import { applyCheck, dateCheck } from '../../lib/core/option-checks.js';
import { topicCheck } from '../../lib/core/topic.js';
import { thrownBy } from '../support/unit/thrown.js';

const DAY_MS = 86_400_000;

interface RangeCase {
  readonly option: string;
  readonly setting: string;
  readonly taken: readonly (readonly [given: unknown, read: unknown])[];
  readonly refused: readonly unknown[];
}

const same = (...values: unknown[]): [unknown, unknown][] => values.map((value) => [value, value]);
const notWholeNumbers = [1.5, NaN, Infinity, '1', null, true, {}];
const notDurations = [-1, NaN, Infinity, '', 'soon', '-5s', null, true, {}];

const maxRetries: RangeCase = {
  option: 'maxRetries',
  setting: 'maxRetries',
  taken: same(0, 1, 1_000),
  refused: [-1, 1_001, ...notWholeNumbers],
};
const priority: RangeCase = {
  option: 'priority',
  setting: 'priority',
  taken: [...same(-1_000, 0, 1_000), [-0, 0]],
  refused: [-1_001, 1_001, ...notWholeNumbers],
};
const timeout: RangeCase = {
  option: 'timeout',
  setting: 'timeoutMs',
  taken: [[1, 1], ['1s', 1_000], ['36500d', 36_500 * DAY_MS]], // prettier-ignore
  refused: [0, '0ms', '36501d', ...notDurations],
};
const fixedMinute = { type: 'fixed', delayMs: 60_000, maxDelayMs: DAY_MS, jitter: 0.1 };
const backoffs = {
  taken: [
    [{ type: 'fixed', delay: '1m' }, fixedMinute],
    [
      { type: 'exponential', delay: 5, maxDelay: 5, jitter: 0 },
      { type: 'exponential', delayMs: 5, maxDelayMs: 5, jitter: 0 },
    ],
  ] as [unknown, unknown][],
  refused: [
    'fixed',
    5,
    null,
    { type: 'linear' },
    { delay: -1 },
    { jitter: 2 },
    { delay: 2, maxDelay: 1 },
    { speed: 1 },
  ],
};

const ENQUEUE_CASES: readonly RangeCase[] = [
  maxRetries,
  priority,
  timeout,
  {
    option: 'runAt',
    setting: 'runAt',
    taken: same(
      new Date('1970-01-01T00:00:00.000Z'),
      new Date('2026-02-28T12:00:00.000Z'),
      new Date('9999-12-31T23:59:59.999Z'),
      // Of another realm.
      runInNewContext('new Date(1e12)') as Date,
    ),
    refused: [
      new Date('1969-12-31T23:59:59.999Z'),
      new Date('+010000-01-01T00:00:00.000Z'),
      new Date(8.64e15),
      new Date(-8.64e15),
      new Date(NaN),
      0,
      Date.now(),
      '2026-01-01T00:00:00Z',
      null,
      {},
    ],
  },
  {
    option: 'delay',
    setting: 'delayMs',
    taken: [[0, 0], [1, 1], ['5m', 300_000], ['36500d', 36_500 * DAY_MS]], // prettier-ignore
    refused: ['36501d', ...notDurations],
  },
  { option: 'backoff', setting: 'backoff', ...backoffs, refused: [...backoffs.refused, () => '1m'] },
  {
    option: 'uniqueKey',
    setting: 'uniqueKey',
    taken: same('a', 'é'.repeat(255)),
    refused: ['', 'a'.repeat(256), 'a\u0000', '\ud83d', 7, null, {}],
  },
  {
    option: 'metadata',
    setting: 'metadata',
    taken: [[{}, '{}'], [{ by: 'é', at: new Date(0) }, '{"by":"é","at":"1970-01-01T00:00:00.000Z"}']], // prettier-ignore
    refused: ['note', 7, null, [], true],
  },
];

const double = (retry: number): number => retry * 2;

const HANDLER_CASES: readonly RangeCase[] = [
  maxRetries,
  priority,
  timeout,
  { option: 'backoff', setting: 'backoff', ...backoffs, taken: [...backoffs.taken, [double, double]] },
  { option: 'concurrency', setting: 'concurrency', taken: same(1, 10_000), refused: [0, 10_001, ...notWholeNumbers] },
  { option: 'transactional', setting: 'transactional', taken: same(true, false), refused: ['true', 1, null, {}] },
];

/** Options as JavaScript may give them: of any type, under any name. */
function readEnqueue(given: Record<string, unknown>): ReturnType<typeof readEnqueueOptions> {
  return readEnqueueOptions(given);
}

function readHandler(given: Record<string, unknown>): ReturnType<typeof readHandlerOptions> {
  return readHandlerOptions('mail', given);
}

function refusalOf(act: () => unknown): InvalidOptionsError {
  const error = thrownBy(act);
  expect(error).toBeInstanceOf(InvalidOptionsError);
  return error as InvalidOptionsError;
}

describe('the options of one job', () => {
  it('are all absent by default, and the job is due at once', () => {
    const nothing = {
      runAt: undefined,
      delayMs: 0,
      maxRetries: undefined,
      priority: undefined,
      timeoutMs: undefined,
      backoff: undefined,
      uniqueKey: undefined,
      metadata: undefined,
    };

    expect(readEnqueueOptions()).toEqual(nothing);
    expect(readEnqueue(Object.fromEntries(ENQUEUE_CASES.map(({ option }) => [option, undefined])))).toEqual(nothing);
    expect(Object.keys(nothing).sort()).toEqual(ENQUEUE_CASES.map(({ setting }) => setting).sort());
  });

  it.each(ENQUEUE_CASES)('take $option up to the edges of its range', ({ option, setting, taken }) => {
    for (const [given, value] of taken) {
      expect(readEnqueue({ [option]: given })).toEqual({ ...readEnqueueOptions(), [setting]: value });
    }
  });

  it.each(ENQUEUE_CASES)('are refused by name when $option is out of its range', ({ option, refused }) => {
    for (const given of refused) {
      const error = refusalOf(() => readEnqueue({ [option]: given }));

      expect(error.option.split('.')[0]).toBe(option);
      expect(error.message).toMatch(/expected .+, got .+|unknown option/);
    }
  });

  it('may not say runAt and delay together, whatever they say', () => {
    for (const delay of [0, '5m']) {
      expect(refusalOf(() => readEnqueueOptions({ runAt: new Date(), delay }))).toMatchObject({
        option: 'delay',
        message: 'delay: contradicts runAt; give one of the two',
      });
    }
    expect(() => readEnqueueOptions({ runAt: undefined, delay: '5m' })).not.toThrow();
    expect(() => readEnqueueOptions({ runAt: new Date(), delay: undefined })).not.toThrow();
  });

  it.each([
    ['maxRetry', 'maxRetries'],
    ['run_at', 'runAt'],
    ['prio', 'priority'],
    ['uniqueKeys', 'uniqueKey'],
    ['meta', 'metadata'],
    ['delays', 'delay'],
  ])('are refused under the unknown name %s, and the answer names %s', (stranger, nearest) => {
    expect(refusalOf(() => readEnqueue({ [stranger]: 1 })).message).toContain(nearest);
  });

  it('says which date came when runAt is out of range', () => {
    const tooLate = new Date('+010000-01-01T00:00:00.000Z');

    expect(refusalOf(() => readEnqueueOptions({ runAt: tooLate })).message).toContain('+010000-01-01T00:00:00.000Z');
    expect(refusalOf(() => readEnqueueOptions({ runAt: new Date(NaN) })).message).toContain('an invalid date');
  });

  it('of one job are read from an object only', () => {
    for (const given of [null, 7, 'now', []]) {
      expect(() => readEnqueueOptions(given as EnqueueOptions)).toThrow(/^options: expected an object, got /);
    }
  });
});

describe('the metadata of a job', () => {
  it.each<[string, object, string]>([
    ['a date', new Date(0), 'expected an object, got "1970-01-01T00:00:00.000Z"'],
    ['an address', new URL('http://a.b/'), 'expected an object, got "http://a.b/"'],
    ['what becomes a list', { toJSON: () => [1] }, 'expected an object, got [1]'],
    ['what becomes nothing', { toJSON: () => null }, 'expected an object, got null'],
  ])('is refused when it is %s', (_, metadata, text) => {
    const read = (): unknown => readEnqueueOptions({ metadata: metadata as Record<string, unknown> });
    expect(read).toThrow(InvalidOptionsError);
    expect(read).toThrow(text);
  });

  it('may be 64 KiB of JSON, and not one byte more', () => {
    const frame = '{"a":""}'.length;

    expect(readEnqueueOptions({ metadata: { a: 'é'.repeat((65_536 - frame) / 2) } }).metadata).toHaveLength(32_772);
    expect(thrownBy(() => readEnqueueOptions({ metadata: { a: 'a'.repeat(65_537 - frame) } }))).toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
      subject: 'metadata',
      bytes: 65_537,
      bytesMax: 65_536,
    });
    expect(() => readEnqueueOptions({ metadata: { a: 'a'.repeat(65_537) } })).toThrow(PayloadTooLargeError);
  });

  it('is refused with the path of what JSON cannot carry', () => {
    const error = thrownBy(() => readEnqueueOptions({ metadata: { by: { id: 1n } } }));

    expect(error).toBeInstanceOf(InvalidPayloadError);
    expect(error).toMatchObject({ path: 'metadata.by.id' });
  });
});

describe('the options of a handler', () => {
  it('are all absent by default, and it is not transactional', () => {
    const nothing = {
      concurrency: undefined,
      timeoutMs: undefined,
      maxRetries: undefined,
      backoff: undefined,
      priority: undefined,
      transactional: false,
    };

    expect(readHandlerOptions('mail')).toEqual(nothing);
    expect(Object.keys(nothing).sort()).toEqual(HANDLER_CASES.map(({ setting }) => setting).sort());
    expect(Object.isFrozen(readHandlerOptions('mail'))).toBe(true);
  });

  it.each(HANDLER_CASES)('take $option of a handler up to the edges of its range', ({ option, setting, taken }) => {
    for (const [given, value] of taken) {
      expect(readHandler({ [option]: given })).toEqual({ ...readHandlerOptions('mail'), [setting]: value });
    }
  });

  it.each(HANDLER_CASES)('are refused under the topic when its $option is out of range', ({ option, refused }) => {
    for (const given of refused) {
      const error = refusalOf(() => readHandler({ [option]: given }));

      expect(error.option.startsWith(`handler of 'mail': ${option}`)).toBe(true);
      expect(error.message).toMatch(/expected .+, got .+|unknown option/);
    }
  });

  it('are refused under an unknown name, and the answer names the nearest', () => {
    expect(refusalOf(() => readHandler({ transactionnal: true })).message).toBe(
      "handler of 'mail': transactionnal: unknown option; did you mean 'transactional'?",
    );
  });
});

describe('a topic', () => {
  it.each(['a', ' ', 'mail:7/é😀', 'a'.repeat(255)])('may be called %p', (topic) => {
    expect(applyCheck(topicCheck, topic, 'topic')).toBe(topic);
  });

  it.each(['', 'a'.repeat(256), 'a\u0000', '\ud83d', '\ude00', 7, null, undefined, ['a'], {}])(
    'may never be called %p',
    (topic) => {
      expect(() => applyCheck(topicCheck, topic, 'topic')).toThrow(
        /^topic: expected text of 1 to 255 characters .+, got /,
      );
    },
  );
});

describe('the moment a job is due', () => {
  it('is the date as it was when it was given', () => {
    const given = new Date(0);
    const runAt = applyCheck(dateCheck, given, 'runAt');
    given.setUTCFullYear(2030);

    expect(runAt).toEqual(new Date(0));
  });
});
