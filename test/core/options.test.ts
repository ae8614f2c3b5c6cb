import { InvalidOptionsError } from '../../lib/core/errors.js';
import type { JobsOptions, JobsSettings } from '../../lib/core/options.js';
import { OPTIONS, readJobsOptions } from '../../lib/core/options.js';
import { captureThrown } from '../support/unit/capture-thrown.js';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

const HTTP = {
  path: 'api/jobs',
  decorators: [],
  adminToken: undefined,
  adminGuard: undefined,
  authenticate: undefined,
  enqueueRule: 'admin',
  readRule: 'admin',
  manageRule: 'admin',
  enqueueFields: ['topic', 'payload', 'run_at', 'delay', 'unique_key', 'metadata'],
  allowedTopics: undefined,
  metrics: false,
  redact: undefined,
  searchPayloads: true,
};

/** All module options, in the order of the documentation. */
const NAMES = [
  'dataSource',
  'database',
  'role',
  'concurrency',
  'topics',
  'pollInterval',
  'lease',
  'timeout',
  'maxRetries',
  'backoff',
  'payloadMaxBytes',
  'retention',
  'shutdownTimeout',
  'globalEnhancers',
  'migrate',
  'connections',
  'transactions',
  'sqlite',
  'strictTopics',
  'operationLog',
  'log',
  'logs',
  'context',
  'codec',
  'telemetry',
  'events',
  'probe',
  'http',
  'ui',
];

const CONTEXT = { capture: (): number => 1, run: (_values: unknown, next: () => unknown) => next() };
const TRANSACTIONS = (): Promise<void> => Promise.resolve();
const CODEC = { encode: (payload: unknown) => payload, decode: (stored: unknown) => stored };

const TELEMETRY = {
  traces: 'link',
  metrics: true,
  tracerProvider: undefined,
  meterProvider: undefined,
  propagator: undefined,
};

interface OptionCase {
  readonly option: keyof JobsOptions;
  /** Its name among the settings. */
  readonly setting: keyof JobsSettings;
  readonly absent: unknown;
  readonly taken: readonly (readonly [given: unknown, read: unknown])[];
  readonly refused: readonly unknown[];
  readonly expected: string;
}

const quadratic = { type: 'quadratic', delayMs: MINUTE_MS, maxDelayMs: DAY_MS, jitter: 0.1 };
const notDurations = [-1, NaN, Infinity, '', 'soon', '5 minutes', true, null, {}, []];
const notWholeNumbers = [1.5, NaN, Infinity, '3', true, null, {}, []];

const CASES: readonly OptionCase[] = [
  {
    option: 'dataSource',
    setting: 'dataSource',
    absent: undefined,
    taken: [['jobs', 'jobs']],
    refused: ['', 7, null, {}, 'a\u0000', 'a'.repeat(256)],
    expected: 'text of 1 to 255 characters without NUL or lone surrogates',
  },
  {
    option: 'database',
    setting: 'database',
    absent: undefined,
    taken: [
      'postgres://user@host/shop',
      'postgresql://user@host/shop',
      'sqlite:shop.sqlite',
      'SQLite:shop.sqlite',
      { host: 'db' },
    ].map((database) => [database, database] as const),
    refused: ['', 'mysql://host/shop', 'sqlite:', 7, null, []],
    expected: "'postgres://user@host/database', 'sqlite:path/to/file' or a PoolConfig of pg",
  },
  {
    option: 'role',
    setting: 'role',
    absent: 'all',
    taken: ['all', 'producer', 'worker'].map((role) => [role, role] as const),
    refused: ['', 'All', 'consumer', null, 1],
    expected: "'all' or 'producer' or 'worker'",
  },
  {
    option: 'concurrency',
    setting: 'concurrency',
    absent: 10,
    taken: [1, 10_000].map((count) => [count, count] as const),
    refused: [0, -1, 10_001, ...notWholeNumbers],
    expected: 'a whole number from 1 to 10000',
  },
  {
    option: 'topics',
    setting: 'topics',
    absent: undefined,
    taken: [
      [['mail'], ['mail']],
      [
        ['mail', 'ship', 'mail'],
        ['mail', 'ship'],
      ],
    ],
    refused: [[], 'mail', null, {}],
    expected: 'a non-empty list of text of 1 to 255 characters without NUL or lone surrogates',
  },
  {
    option: 'pollInterval',
    setting: 'pollIntervalMs',
    absent: 1_000,
    taken: [[10, 10], ['250ms', 250], ['1h', 60 * MINUTE_MS]], // prettier-ignore
    refused: [9, 0, ...notDurations],
    expected: "a duration of at least 10ms, in milliseconds or such as '30s' (ms, s, m, h, d; at most 36500d)",
  },
  {
    option: 'lease',
    setting: 'leaseMs',
    absent: 30_000,
    taken: [[300, 300], ['1m', MINUTE_MS]], // prettier-ignore
    refused: [299, 0, ...notDurations],
    expected: "a duration of at least 300ms, in milliseconds or such as '30s' (ms, s, m, h, d; at most 36500d)",
  },
  {
    option: 'timeout',
    setting: 'timeoutMs',
    absent: 10 * MINUTE_MS,
    taken: [[1, 1], ['1d', DAY_MS]], // prettier-ignore
    refused: [0, 0.4, ...notDurations],
    expected: "a duration of at least 1ms, in milliseconds or such as '30s' (ms, s, m, h, d; at most 36500d)",
  },
  {
    option: 'maxRetries',
    setting: 'maxRetries',
    absent: 3,
    taken: [0, 1_000].map((count) => [count, count] as const),
    refused: [-1, 1_001, ...notWholeNumbers],
    expected: 'a whole number from 0 to 1000',
  },
  {
    option: 'backoff',
    setting: 'backoff',
    absent: quadratic,
    taken: [
      [
        { type: 'fixed', delay: '5s' },
        { ...quadratic, type: 'fixed', delayMs: 5_000 },
      ],
      [
        { type: 'exponential', delay: 0, maxDelay: 0, jitter: 1 },
        { type: 'exponential', delayMs: 0, maxDelayMs: 0, jitter: 1 },
      ],
      [
        { type: 'fixed', delay: '2d' },
        { ...quadratic, type: 'fixed', delayMs: 2 * DAY_MS, maxDelayMs: 2 * DAY_MS },
      ],
    ],
    refused: ['fixed', 5, null, () => '1m', true],
    expected: "an object such as { type: 'quadratic', delay: '1m' }",
  },
  {
    option: 'payloadMaxBytes',
    setting: 'payloadBytesMax',
    absent: 1_048_576,
    taken: [1, 64 * 1_048_576].map((bytes) => [bytes, bytes] as const),
    refused: [0, -1, 64 * 1_048_576 + 1, '1MiB', ...notWholeNumbers],
    expected: 'a whole number from 1 to 67108864',
  },
  {
    option: 'retention',
    setting: 'retention',
    absent: { completed: 7 * DAY_MS, cancelled: 7 * DAY_MS, failed: 30 * DAY_MS },
    taken: [
      [false, { completed: false, cancelled: false, failed: false }],
      [0, { completed: 0, cancelled: 0, failed: 0 }],
      ['1d', { completed: DAY_MS, cancelled: DAY_MS, failed: DAY_MS }],
      [{}, { completed: 7 * DAY_MS, cancelled: 7 * DAY_MS, failed: 30 * DAY_MS }],
      [
        { completed: 0, failed: false },
        { completed: 0, cancelled: 7 * DAY_MS, failed: false },
      ],
    ],
    refused: [true, 'for ever', -1, NaN, null, () => 0],
    expected: "false, a duration, or an object such as { completed: '7d', failed: '30d' }",
  },
  {
    option: 'shutdownTimeout',
    setting: 'shutdownTimeoutMs',
    absent: 30_000,
    taken: [[0, 0], ['1m', MINUTE_MS]], // prettier-ignore
    refused: notDurations,
    expected: "a duration, in milliseconds or such as '30s' (ms, s, m, h, d; at most 36500d)",
  },
  {
    option: 'globalEnhancers',
    setting: 'globalEnhancers',
    absent: false,
    taken: [true, false].map((flag) => [flag, flag] as const),
    refused: ['true', 1, 0, null, {}],
    expected: 'true or false',
  },
  {
    option: 'migrate',
    setting: 'migrate',
    absent: true,
    taken: [true, false].map((flag) => [flag, flag] as const),
    refused: ['false', 1, 0, null, {}],
    expected: 'true or false',
  },
  {
    option: 'connections',
    setting: 'connections',
    absent: 3,
    taken: [1, 100].map((count) => [count, count] as const),
    refused: [0, -1, 101, ...notWholeNumbers],
    expected: 'a whole number from 1 to 100',
  },
  {
    option: 'transactions',
    setting: 'transactions',
    absent: undefined,
    taken: [[TRANSACTIONS, TRANSACTIONS]],
    refused: ['prisma', true, null, {}],
    expected: 'a function that runs work in a transaction',
  },
  {
    option: 'sqlite',
    setting: 'sqlite',
    absent: { synchronous: 'full', lockTimeoutMs: 5_000, serializeTransactions: true },
    taken: [
      [{}, { synchronous: 'full', lockTimeoutMs: 5_000, serializeTransactions: true }],
      [{ synchronous: 'normal' }, { synchronous: 'normal', lockTimeoutMs: 5_000, serializeTransactions: true }],
      [{ lockTimeout: '30s' }, { synchronous: 'full', lockTimeoutMs: 30_000, serializeTransactions: true }],
      [{ serializeTransactions: false }, { synchronous: 'full', lockTimeoutMs: 5_000, serializeTransactions: false }],
    ],
    refused: ['normal', 5, true, () => 1],
    expected: 'an object with synchronous, lockTimeout, serializeTransactions',
  },
  {
    option: 'strictTopics',
    setting: 'strictTopics',
    absent: false,
    taken: [true, false].map((flag) => [flag, flag] as const),
    refused: ['true', 1, 0, null, {}],
    expected: 'true or false',
  },
  {
    option: 'operationLog',
    setting: 'operationLog',
    absent: true,
    taken: [true, false].map((flag) => [flag, flag] as const),
    refused: ['false', 1, 0, null, {}],
    expected: 'true or false',
  },
  {
    option: 'log',
    setting: 'log',
    absent: 'text',
    taken: ['text', 'json'].map((log) => [log, log] as const),
    refused: [true, 'JSON', '', 1, null, {}],
    expected: "'text' or 'json'",
  },
  {
    option: 'logs',
    setting: 'logs',
    absent: { maxLines: 200 },
    taken: [[{}, { maxLines: 200 }], [{ maxLines: 0 }, { maxLines: 0 }], [{ maxLines: 10_000 }, { maxLines: 10_000 }]], // prettier-ignore
    refused: [true, 200, 'off', () => 1],
    expected: 'an object with maxLines',
  },
  {
    option: 'context',
    setting: 'context',
    absent: undefined,
    taken: [
      [CONTEXT, [{ name: null, ...CONTEXT }]],
      [
        { tenant: CONTEXT, user: CONTEXT },
        [
          { name: 'tenant', ...CONTEXT },
          { name: 'user', ...CONTEXT },
        ],
      ],
    ],
    refused: [null, true, 'tenant', [], {}],
    expected: 'an object with the functions capture and run, or such objects by name',
  },
  {
    option: 'codec',
    setting: 'codec',
    absent: undefined,
    taken: [[CODEC, CODEC]],
    refused: [null, true, 'base64'],
    expected: 'encryptPayloads(…), or an object with the functions encode and decode',
  },
  {
    option: 'telemetry',
    setting: 'telemetry',
    absent: false,
    taken: [
      [false, false],
      [{}, TELEMETRY],
      [
        { traces: false, metrics: false },
        { ...TELEMETRY, traces: false, metrics: false },
      ],
      [{ traces: 'parent' }, { ...TELEMETRY, traces: 'parent' }],
    ],
    refused: [true, null, 'link', 1],
    expected: "false or an object such as { traces: 'link' }",
  },
  {
    option: 'events',
    setting: 'events',
    absent: { bridge: undefined },
    taken: [[{}, { bridge: undefined }], [{ bridge: 'jobs.' }, { bridge: 'jobs.' }]], // prettier-ignore
    refused: [true, 'jobs.', 1],
    expected: 'an object with bridge',
  },
  {
    option: 'probe',
    setting: 'probe',
    absent: undefined,
    taken: [[9090, 9090], [{ file: '/tmp/ready' }, { file: '/tmp/ready' }]], // prettier-ignore
    refused: [0, 65_536, '9090', true, null, {}, []],
    expected: "a port from 1 to 65535, or { file: '/tmp/ready' }",
  },
  {
    option: 'http',
    setting: 'http',
    absent: HTTP,
    taken: [[false, false], [{}, HTTP], [{ path: '/queue/', adminToken: 't' }, { ...HTTP, path: 'queue', adminToken: 't' }]], // prettier-ignore
    refused: [true, null, 'api', 1],
    expected: 'false or an object',
  },
  {
    option: 'ui',
    setting: 'ui',
    absent: { path: 'admin/jobs' },
    taken: [[false, false], [{}, { path: 'admin/jobs' }], [{ path: '/ui' }, { path: 'ui' }]], // prettier-ignore
    refused: [true, null, 'admin', 1],
    expected: 'false or an object',
  },
];

/** Reads options as JavaScript may pass them: of any type, under any name. */
function read(given: Record<string, unknown>): JobsSettings {
  return readJobsOptions(given);
}

function catchError(given: unknown): InvalidOptionsError {
  const error = captureThrown(() => readJobsOptions(given as JobsOptions));
  expect(error).toBeInstanceOf(InvalidOptionsError);
  return error as InvalidOptionsError;
}

/** Other settings that an option changes: by default SQLite waits for a lock no longer than a lease. */
const impliedSettings = (option: string, value: unknown): object =>
  option === 'lease'
    ? { sqlite: { ...readJobsOptions().sqlite, lockTimeoutMs: Math.min(5_000, value as number) } }
    : {};

describe('module options', () => {
  it('are the documented ones, each defined once', () => {
    expect(Object.keys(OPTIONS)).toEqual(NAMES);
    expect(CASES.map(({ option }) => option)).toEqual(NAMES);
  });

  it('map one to one to settings', () => {
    expect(Object.keys(readJobsOptions()).sort()).toEqual(CASES.map(({ setting }) => setting).sort());
  });

  it.each(CASES)('have a default for $option when it is absent or undefined', ({ option, setting, absent }) => {
    expect(readJobsOptions()[setting]).toEqual(absent);
    expect(read({ [option]: undefined })[setting]).toEqual(absent);
  });

  it.each(CASES)('accept valid values of $option, which change no other setting', ({ option, setting, taken }) => {
    for (const [given, value] of taken) {
      expect(read({ [option]: given })).toEqual({
        ...readJobsOptions(),
        ...impliedSettings(option, value),
        [setting]: value,
      });
    }
  });

  it.each(CASES)(
    'reject a wrong $option with its name, the expected and the given value',
    ({ option, refused, expected }) => {
      for (const given of refused) {
        const error = catchError({ [option]: given });

        expect(error).toMatchObject({ code: 'INVALID_OPTIONS', option });
        expect(error.message.startsWith(`${option}: expected ${expected}, got `)).toBe(true);
        expect(error.message.length).toBeGreaterThan(`${option}: expected ${expected}, got `.length);
      }
    },
  );
});
