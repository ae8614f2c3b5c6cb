import { defineJob } from '../../lib/core/job-topic.js';
import { runInNewContext } from 'node:vm';
import { InvalidOptionsError, InvalidPayloadError, PayloadTooLargeError } from '../../lib/core/errors.js';
import type { EnqueueOptions } from '../../lib/core/job.js';
import { readEnqueueOptions, readHandlerOptions } from '../../lib/core/job-options.js';
import { applyCheck, dateCheck } from '../../lib/core/option-checks.js';
import { topicCheck } from '../../lib/core/topic.js';
import { captureThrown } from '../support/unit/capture-thrown.js';

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
const expiresIn: RangeCase = {
  option: 'expiresIn',
  setting: 'expiresInMs',
  taken: [[1, 1], ['5m', 300_000], ['36500d', 36_500 * DAY_MS]], // prettier-ignore
  refused: [0, '0s', '36501d', ...notDurations],
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
  expiresIn,
  {
    option: 'expiresAt',
    setting: 'expiresAt',
    taken: same(new Date('1970-01-01T00:00:00.000Z'), new Date('9999-12-31T23:59:59.999Z')),
    refused: [new Date(NaN), new Date(8.64e15), Date.now(), '2026-01-01T00:00:00Z', null, {}],
  },
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
      // A date of another realm.
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
    option: 'concurrencyKey',
    setting: 'concurrencyKey',
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

const minute = { limit: 100, per: 60_000, perKey: false };
const oneAMinute = { ...minute, limit: 1 };

const limits: RangeCase = {
  option: 'limits',
  setting: 'limits',
  taken: [
    [{}, undefined],
    [{ concurrency: undefined }, undefined],
    ...same({ concurrency: 1 }, { concurrency: 10_000, perKey: 1_000 }),
    [{ rate: { limit: 100, per: '1m' } }, { rate: minute }],
    [{ rate: { limit: 1, per: '1s', perKey: true } }, { rate: { limit: 1, per: 1_000, perKey: true } }],
    [{ rate: { limit: 1, per: '1m', spread: true } }, { rate: { ...oneAMinute, spread: true } }],
    [{ rate: { limit: 1, per: '1m', spread: false } }, { rate: oneAMinute }],
    [{ rate: { limit: 1_000_000, per: '1d' } }, { rate: { limit: 1_000_000, per: DAY_MS, perKey: false } }],
  ],
  refused: [
    5,
    null,
    [],
    { concurrency: 0 },
    { concurrency: 10_001 },
    { perKey: 1_001 },
    { perkey: 1 },
    { rate: 100 },
    { rate: { limit: 100 } },
    { rate: { per: '1m' } },
    { rate: { limit: 0, per: '1m' } },
    { rate: { limit: 1_000_001, per: '1m' } },
    { rate: { limit: 1, per: '999ms' } },
    { rate: { limit: 1, per: '25h' } },
    { rate: { limit: 1, per: '1m', perKey: 'yes' } },
    { rate: { limit: 1, per: '1m', spread: 'yes' } },
    { rate: { limit: 1, per: '1m', perkey: true } },
  ],
};

const retention: RangeCase = {
  option: 'retention',
  setting: 'retention',
  taken: [
    ['30s', { completed: 30_000, cancelled: 30_000, failed: 30_000 }],
    [false, { completed: false, cancelled: false, failed: false }],
    [0, { completed: 0, cancelled: 0, failed: 0 }],
    ...same({ failed: 0 }, { completed: false, failed: 365 * DAY_MS }, {}),
    [{ failed: '365d', completed: undefined }, { failed: 365 * DAY_MS }],
  ],
  refused: [true, -1, '1y', null, { pending: '1d' }, { failed: true }, { failed: -1 }],
};

const to = (topic: string, maxRetries?: number, priority?: number) => ({ topic, maxRetries, priority });
const deadLetter: RangeCase = {
  option: 'deadLetter',
  setting: 'deadLetter',
  taken: [
    ['mail.dead', to('mail.dead')],
    ['é'.repeat(255), to('é'.repeat(255))],
    [defineJob('mail.dead', { maxRetries: 9, priority: 5 }), to('mail.dead', 9, 5)],
  ],
  refused: ['', 'a'.repeat(256), 7, null, true, {}],
};

const double = (retry: number): number => retry * 2;

const HANDLER_CASES: readonly RangeCase[] = [
  expiresIn,
  maxRetries,
  priority,
  timeout,
  { option: 'backoff', setting: 'backoff', ...backoffs, taken: [...backoffs.taken, [double, double]] },
  { option: 'concurrency', setting: 'concurrency', taken: same(1, 10_000), refused: [0, 10_001, ...notWholeNumbers] },
  limits,
  retention,
  deadLetter,
  { option: 'transactional', setting: 'transactional', taken: same(true, false), refused: ['true', 1, null, {}] },
];

/** Reads options as JavaScript may pass them: of any type, under any name. */
function readEnqueue(given: Record<string, unknown>): ReturnType<typeof readEnqueueOptions> {
  return readEnqueueOptions(given);
}

function readHandler(given: Record<string, unknown>): ReturnType<typeof readHandlerOptions> {
  return readHandlerOptions('mail', given);
}

function catchError(act: () => unknown): InvalidOptionsError {
  const error = captureThrown(act);
  expect(error).toBeInstanceOf(InvalidOptionsError);
  return error as InvalidOptionsError;
}

describe('enqueue options', () => {
  it('are all absent by default, so the job is due at once', () => {
    const nothing = {
      runAt: undefined,
      delayMs: 0,
      expiresAt: undefined,
      expiresInMs: undefined,
      maxRetries: undefined,
      priority: undefined,
      timeoutMs: undefined,
      backoff: undefined,
      uniqueKey: undefined,
      concurrencyKey: undefined,
      metadata: undefined,
    };

    expect(readEnqueueOptions()).toEqual(nothing);
    expect(readEnqueue(Object.fromEntries(ENQUEUE_CASES.map(({ option }) => [option, undefined])))).toEqual(nothing);
    expect(Object.keys(nothing).sort()).toEqual(ENQUEUE_CASES.map(({ setting }) => setting).sort());
  });

  it.each(ENQUEUE_CASES)('accept $option up to the limits of its range', ({ option, setting, taken }) => {
    for (const [given, value] of taken) {
      expect(readEnqueue({ [option]: given })).toEqual({ ...readEnqueueOptions(), [setting]: value });
    }
  });

  it.each(ENQUEUE_CASES)('reject $option by name when it is out of range', ({ option, refused }) => {
    for (const given of refused) {
      const error = catchError(() => readEnqueue({ [option]: given }));

      expect(error.option.split('.')[0]).toBe(option);
      expect(error.message).toMatch(/expected .+, got .+|unknown option/);
    }
  });

  it('reject runAt together with delay', () => {
    for (const delay of [0, '5m'] as const) {
      expect(catchError(() => readEnqueueOptions({ runAt: new Date(), delay }))).toMatchObject({
        option: 'delay',
        message: 'delay: contradicts runAt; give one of the two',
      });
    }
    expect(() => readEnqueueOptions({ runAt: undefined, delay: '5m' })).not.toThrow();
    expect(() => readEnqueueOptions({ runAt: new Date(), delay: undefined })).not.toThrow();
  });

  it('reject expiresIn together with expiresAt', () => {
    expect(catchError(() => readEnqueueOptions({ expiresIn: '1h', expiresAt: new Date() }))).toMatchObject({
      option: 'expiresIn',
      message: 'expiresIn: contradicts expiresAt; give one of the two',
    });
  });

  it.each([
    ['expireIn', 'expiresIn'],
    ['maxRetry', 'maxRetries'],
    ['run_at', 'runAt'],
    ['prio', 'priority'],
    ['uniqueKeys', 'uniqueKey'],
    ['meta', 'metadata'],
    ['delays', 'delay'],
  ])('reject the unknown name %s and suggest %s', (stranger, nearest) => {
    expect(catchError(() => readEnqueue({ [stranger]: 1 })).message).toContain(nearest);
  });

  it('name the date when runAt is out of range', () => {
    const tooLate = new Date('+010000-01-01T00:00:00.000Z');

    expect(catchError(() => readEnqueueOptions({ runAt: tooLate })).message).toContain('+010000-01-01T00:00:00.000Z');
    expect(catchError(() => readEnqueueOptions({ runAt: new Date(NaN) })).message).toContain('an invalid date');
  });

  it('must be an object', () => {
    for (const given of [null, 7, 'now', []]) {
      expect(() => readEnqueueOptions(given as EnqueueOptions)).toThrow(/^options: expected an object, got /);
    }
  });
});

describe('metadata', () => {
  it.each<[string, object, string]>([
    ['a date', new Date(0), 'expected an object, got "1970-01-01T00:00:00.000Z"'],
    ['an address', new URL('http://a.b/'), 'expected an object, got "http://a.b/"'],
    ['an object that serializes to a list', { toJSON: () => [1] }, 'expected an object, got [1]'],
    ['an object that serializes to null', { toJSON: () => null }, 'expected an object, got null'],
  ])('rejects %s', (_, metadata, text) => {
    const read = (): unknown => readEnqueueOptions({ metadata: metadata as Record<string, unknown> });
    expect(read).toThrow(InvalidOptionsError);
    expect(read).toThrow(text);
  });

  it('may be 64 KiB of JSON and no byte more', () => {
    const frame = '{"a":""}'.length;

    expect(readEnqueueOptions({ metadata: { a: 'é'.repeat((65_536 - frame) / 2) } }).metadata).toHaveLength(32_772);
    expect(captureThrown(() => readEnqueueOptions({ metadata: { a: 'a'.repeat(65_537 - frame) } }))).toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
      subject: 'metadata',
      bytes: 65_537,
      bytesMax: 65_536,
    });
    expect(() => readEnqueueOptions({ metadata: { a: 'a'.repeat(65_537) } })).toThrow(PayloadTooLargeError);
  });

  it('rejects a value that JSON cannot hold, with its path', () => {
    const error = captureThrown(() => readEnqueueOptions({ metadata: { by: { id: 1n } } }));

    expect(error).toBeInstanceOf(InvalidPayloadError);
    expect(error).toMatchObject({ path: 'metadata.by.id' });
  });
});

describe('handler options', () => {
  it('are all absent by default, and transactional is false', () => {
    const nothing = {
      concurrency: undefined,
      timeoutMs: undefined,
      maxRetries: undefined,
      expiresInMs: undefined,
      backoff: undefined,
      priority: undefined,
      limits: undefined,
      retention: undefined,
      deadLetter: undefined,
      transactional: false,
    };

    expect(readHandlerOptions('mail')).toEqual(nothing);
    expect(Object.keys(nothing).sort()).toEqual(HANDLER_CASES.map(({ setting }) => setting).sort());
    expect(Object.isFrozen(readHandlerOptions('mail'))).toBe(true);
  });

  it.each(HANDLER_CASES)('accept $option up to the limits of its range', ({ option, setting, taken }) => {
    for (const [given, value] of taken) {
      expect(readHandler({ [option]: given })).toEqual({ ...readHandlerOptions('mail'), [setting]: value });
    }
  });

  it.each(HANDLER_CASES)('reject $option out of range and name the topic', ({ option, refused }) => {
    for (const given of refused) {
      const error = catchError(() => readHandler({ [option]: given }));

      expect(error.option.startsWith(`handler of 'mail': ${option}`)).toBe(true);
      expect(error.message).toMatch(/expected .+, got .+|unknown option/);
    }
  });

  it('reject an unknown name and suggest the nearest', () => {
    expect(catchError(() => readHandler({ transactionnal: true })).message).toBe(
      "handler of 'mail': transactionnal: unknown option; did you mean 'transactional'?",
    );
  });
});

describe('a topic', () => {
  it.each(['a', ' ', 'mail:7/é😀', 'a'.repeat(255)])('may be %p', (topic) => {
    expect(applyCheck(topicCheck, topic, 'topic')).toBe(topic);
  });

  it.each(['', 'a'.repeat(256), 'a\u0000', '\ud83d', '\ude00', 7, null, undefined, ['a'], {}])(
    'must not be %p',
    (topic) => {
      expect(() => applyCheck(topicCheck, topic, 'topic')).toThrow(
        /^topic: expected text of 1 to 255 characters .+, got /,
      );
    },
  );
});

describe('runAt', () => {
  it('is not affected by later changes of the Date', () => {
    const given = new Date(0);
    const runAt = applyCheck(dateCheck, given, 'runAt');
    given.setUTCFullYear(2030);

    expect(runAt).toEqual(new Date(0));
  });
});
