import { InvalidOptionsError } from '../../lib/core/errors.js';
import type { JobsEngineOptions } from '../../lib/engine/jobs-engine.js';
import { JobsEngine } from '../../lib/engine/jobs-engine.js';
import type { JobsOptions } from '../../lib/core/options.js';
import { OPTIONS, readJobsOptions } from '../../lib/core/options.js';
import { thrownBy } from '../support/unit/thrown.js';

function refusalOf(given: unknown): InvalidOptionsError {
  const error = thrownBy(() => readJobsOptions(given as JobsOptions));
  expect(error).toBeInstanceOf(InvalidOptionsError);
  return error as InvalidOptionsError;
}

describe('a part of an option', () => {
  it.each<[string, unknown, string]>([
    [
      'backoff.type',
      { backoff: { type: 'linear', delay: 1 } },
      "'fixed' or 'quadratic' or 'exponential', got 'linear'",
    ],
    [
      'backoff.delay',
      { backoff: { type: 'fixed', delay: 'soon' } },
      "in milliseconds or such as '30s' (ms, s, m, h, d; at most 36500d), got 'soon'",
    ],
    [
      'backoff.maxDelay',
      { backoff: { maxDelay: -1 } },
      "in milliseconds or such as '30s' (ms, s, m, h, d; at most 36500d), got -1",
    ],
    ['backoff.jitter', { backoff: { jitter: 1.01 } }, 'expected a number from 0 to 1, got 1.01'],
    ['backoff.jitter', { backoff: { jitter: NaN } }, 'expected a number from 0 to 1, got NaN'],
    ['backoff.jitter', { backoff: { jitter: -0.1 } }, 'expected a number from 0 to 1, got -0.1'],
    ['backoff', { backoff: [] }, 'expected an object, got an array'],
    [
      'retention.completed',
      { retention: { completed: true } },
      "expected false or a duration, in milliseconds or such as '30s' (ms, s, m, h, d; at most 36500d), got true",
    ],
    ['retention.failed', { retention: { failed: '-1d' } }, "got '-1d'"],
    ['retention.cancelled', { retention: { cancelled: null } }, 'got null'],
    ['retention', { retention: [] }, 'expected an object, got an array'],
    ['sqlite', { sqlite: null }, 'expected an object, got null'],
    ['sqlite', { sqlite: [] }, 'expected an object, got an array'],
    ['sqlite.synchronous', { sqlite: { synchronous: 'off' } }, "expected 'full' or 'normal', got 'off'"],
    ['sqlite.lockTimeout', { sqlite: { lockTimeout: 0 } }, 'expected a duration of at least 1ms'],
    [
      'topics[1]',
      { topics: ['mail', ''] },
      "expected text of 1 to 255 characters without NUL or lone surrogates, got ''",
    ],
    ['topics[0]', { topics: [7] }, 'got 7'],
  ])('is named with its path when it is wrong: %s', (option, given, message) => {
    const error = refusalOf(given);

    expect(error.option).toBe(option);
    expect(error.message).toContain(message);
    expect(error.message.startsWith(`${option}: `)).toBe(true);
  });
});

describe('an unknown option', () => {
  it.each([
    ['concurency', 'concurrency'],
    ['Concurrency', 'concurrency'],
    ['datasource', 'dataSource'],
    ['pollingInterval', 'pollInterval'],
    ['poll_interval', 'pollInterval'],
    ['maxRetry', 'maxRetries'],
    ['max_retries', 'maxRetries'],
    ['leese', 'lease'],
    ['timeOut', 'timeout'],
    ['payloadBytesMax', 'payloadMaxBytes'],
    ['retentions', 'retention'],
    ['sqlight', 'sqlite'],
    ['topic', 'topics'],
    ['htpp', 'http'],
  ])('%s is answered with the nearest right one, %s', (stranger, nearest) => {
    expect(refusalOf({ [stranger]: 1 })).toMatchObject({
      option: stranger,
      message: `${stranger}: unknown option; did you mean '${nearest}'?`,
    });
  });

  it.each([
    ['connection', "dataSource'"],
    ['attempts', "maxRetries', which does not count the first attempt"],
    ['removeOnFail', "retention'"],
  ])('%s is answered with what other queues mean by it: %s', (stranger, name) => {
    expect(refusalOf({ [stranger]: 1 }).message).toBe(`${stranger}: unknown option; did you mean '${name}?`);
  });

  it('defaultJobOptions is answered with where they are', () => {
    expect(refusalOf({ defaultJobOptions: { attempts: 3 } }).message).toBe(
      'defaultJobOptions: unknown option; set defaults for jobs, such as maxRetries and backoff, directly in the module options',
    );
  });

  it('like none of the right ones is answered with all of them', () => {
    expect(refusalOf({ kubernetes: 1 }).message).toBe(
      `kubernetes: unknown option; known are ${Object.keys(OPTIONS).join(', ')}`,
    );
  });

  it.each([
    ['backoff.delays', { backoff: { delays: 1 } }, "did you mean 'delay'?"],
    ['retention.complete', { retention: { complete: 1 } }, "did you mean 'completed'?"],
    ['sqlite.locktimeout', { sqlite: { locktimeout: 1 } }, "did you mean 'lockTimeout'?"],
    ['backoff.factor', { backoff: { factor: 1 } }, 'known are type, delay, maxDelay, jitter'],
  ])('inside another is named with its path: %s', (option, given, answer) => {
    expect(refusalOf(given).message).toBe(`${option}: unknown option; ${answer}`);
  });

  it('is refused even when it is undefined, or called like a member of every object', () => {
    expect(refusalOf({ leese: undefined }).option).toBe('leese');
    expect(refusalOf({ constructor: 1 }).option).toBe('constructor');
    expect(refusalOf(JSON.parse('{"__proto__":1}')).option).toBe('__proto__');
  });
});

describe('options that contradict each other', () => {
  it('are refused: a producer never claims, so it has no topics', () => {
    expect(refusalOf({ role: 'producer', topics: ['mail'] })).toMatchObject({
      option: 'topics',
      message: "topics: contradicts role 'producer', which never claims; remove one of the two",
    });
    expect(() => readJobsOptions({ role: 'worker', topics: ['mail'] })).not.toThrow();
  });

  it('are refused: the admin UI lives on the HTTP API', () => {
    expect(refusalOf({ http: false, ui: {} }).message).toMatch(/^ui: contradicts http: false/);
    expect(() => readJobsOptions({ http: false, ui: false })).not.toThrow();
    expect(() => readJobsOptions({ http: false })).not.toThrow();
  });

  it('are refused: a wait for the write lock that outlasts the lease it is to renew', () => {
    expect(refusalOf({ lease: '10s', sqlite: { lockTimeout: '11s' } }).message).toMatch(
      /^sqlite\.lockTimeout: contradicts lease/,
    );
    expect(refusalOf({ sqlite: { lockTimeout: 30_001 } }).option).toBe('sqlite.lockTimeout');
    expect(() => readJobsOptions({ lease: '10s', sqlite: { lockTimeout: '10s' } })).not.toThrow();
    expect(() => readJobsOptions({ lease: '1m', sqlite: { lockTimeout: '31s' } })).not.toThrow();
  });

  it('are refused: a limit of waiting below its unit', () => {
    expect(refusalOf({ backoff: { type: 'fixed', delay: '2m', maxDelay: '1m' } })).toMatchObject({
      option: 'backoff.maxDelay',
      message: 'backoff.maxDelay: expected at least backoff.delay (120000 ms), got 60000 ms',
    });
  });
});

describe('the settings', () => {
  const GIVEN: JobsOptions = {
    topics: ['mail'],
    backoff: { type: 'fixed', delay: 1 },
    retention: { failed: false },
    sqlite: { synchronous: 'normal' },
    http: {},
    ui: {},
  };

  it.each<[string, JobsOptions]>([
    ['without options', {}],
    ['with options', GIVEN],
  ])('are frozen all through, %s', (_name, given) => {
    const settings = readJobsOptions(given);
    const loose = Object.entries({ settings, ...settings }).filter(([, value]) => !Object.isFrozen(value));

    expect(loose.map(([name]) => name)).toEqual([]);
  });

  it('are the same where somebody has given every object a member', () => {
    const members = Object.prototype as { extend?: () => void };
    members.extend = () => undefined;
    try {
      expect(readJobsOptions({ concurrency: 5 })).toMatchObject({ concurrency: 5, maxRetries: 3 });
    } finally {
      delete members.extend;
    }
  });

  it('are a copy: what the caller does to his options later changes nothing', () => {
    const topics = ['mail'];
    const backoff = { type: 'fixed' as const, delay: 1 };
    const given: JobsOptions = { ...GIVEN, topics, backoff };
    const settings = readJobsOptions(given);
    topics.push('ship');
    backoff.delay = 99;
    given.concurrency = 99;

    expect(settings).toEqual(readJobsOptions(GIVEN));
  });
});

describe('an engine', () => {
  it('says what it needs when it is given no store', () => {
    const error = thrownBy(() => new JobsEngine({} as JobsEngineOptions));
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect((error as Error).message).toBe('store: expected a store from createJobStore(), got undefined');
  });
});
