import { InvalidOptionsError } from '../../lib/core/errors.js';
import type { JobsEngineOptions } from '../../lib/engine/jobs-engine.js';
import { JobsEngine } from '../../lib/engine/jobs-engine.js';
import type { JobsOptions } from '../../lib/core/options.js';
import { OPTIONS, readJobsOptions } from '../../lib/core/options.js';
import { captureThrown } from '../support/unit/capture-thrown.js';

function catchError(given: unknown): InvalidOptionsError {
  const error = captureThrown(() => readJobsOptions(given as JobsOptions));
  expect(error).toBeInstanceOf(InvalidOptionsError);
  return error as InvalidOptionsError;
}

describe('a nested option', () => {
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
    ['sqlite.serializeTransactions', { sqlite: { serializeTransactions: 'no' } }, 'expected true or false'],
    [
      'topics[1]',
      { topics: ['mail', ''] },
      "expected text of 1 to 255 characters without NUL or lone surrogates, got ''",
    ],
    ['topics[0]', { topics: [7] }, 'got 7'],
  ])('is rejected with its path when it is wrong: %s', (option, given, message) => {
    const error = catchError(given);

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
    ['retries', 'maxRetries'],
  ])('%s is rejected with the suggestion %s', (stranger, nearest) => {
    expect(catchError({ [stranger]: 1 })).toMatchObject({
      option: stranger,
      message: `${stranger}: unknown option; did you mean '${nearest}'?`,
    });
  });

  it.each([
    ['connection', "dataSource'"],
    ['attempts', "maxRetries', which does not count the first attempt"],
    ['removeOnFail', "retention'"],
  ])('%s of another queue is rejected with its counterpart %s', (stranger, name) => {
    expect(catchError({ [stranger]: 1 }).message).toBe(`${stranger}: unknown option; did you mean '${name}?`);
  });

  it('defaultJobOptions is rejected with a hint to set the options directly', () => {
    expect(catchError({ defaultJobOptions: { attempts: 3 } }).message).toBe(
      'defaultJobOptions: unknown option; set defaults for jobs, such as maxRetries and backoff, directly in the module options',
    );
  });

  it('that resembles no option is rejected with a list of all options', () => {
    expect(catchError({ kubernetes: 1 }).message).toBe(
      `kubernetes: unknown option; known are ${Object.keys(OPTIONS).join(', ')}`,
    );
  });

  it.each([
    ['backoff.delays', { backoff: { delays: 1 } }, "did you mean 'delay'?"],
    ['retention.complete', { retention: { complete: 1 } }, "did you mean 'completed'?"],
    ['sqlite.locktimeout', { sqlite: { locktimeout: 1 } }, "did you mean 'lockTimeout'?"],
    ['backoff.factor', { backoff: { factor: 1 } }, 'known are type, delay, maxDelay, jitter'],
  ])('inside another option is rejected with its path: %s', (option, given, answer) => {
    expect(catchError(given).message).toBe(`${option}: unknown option; ${answer}`);
  });

  it('is rejected even if it is undefined or named like a member of Object.prototype', () => {
    expect(catchError({ leese: undefined }).option).toBe('leese');
    expect(catchError({ constructor: 1 }).option).toBe('constructor');
    expect(catchError(JSON.parse('{"__proto__":1}')).option).toBe('__proto__');
  });
});

describe('contradicting options', () => {
  it('are rejected: topics of a producer, which never claims', () => {
    expect(catchError({ role: 'producer', topics: ['mail'] })).toMatchObject({
      option: 'topics',
      message: "topics: contradicts role 'producer', which never claims; remove one of the two",
    });
    expect(() => readJobsOptions({ role: 'worker', topics: ['mail'] })).not.toThrow();
  });

  it('are rejected: an admin UI without the HTTP API', () => {
    expect(catchError({ http: false, ui: {} }).message).toMatch(/^ui: contradicts http: false/);
    expect(() => readJobsOptions({ http: false, ui: false })).not.toThrow();
    expect(() => readJobsOptions({ http: false })).not.toThrow();
  });

  it('are rejected: a lockTimeout longer than the lease', () => {
    expect(catchError({ lease: '10s', sqlite: { lockTimeout: '11s' } }).message).toMatch(
      /^sqlite\.lockTimeout: contradicts lease/,
    );
    expect(catchError({ sqlite: { lockTimeout: 30_001 } }).option).toBe('sqlite.lockTimeout');
    expect(() => readJobsOptions({ lease: '10s', sqlite: { lockTimeout: '10s' } })).not.toThrow();
    expect(() => readJobsOptions({ lease: '1m', sqlite: { lockTimeout: '31s' } })).not.toThrow();
  });

  it('are rejected: a backoff.maxDelay below backoff.delay', () => {
    expect(catchError({ backoff: { type: 'fixed', delay: '2m', maxDelay: '1m' } })).toMatchObject({
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
  ])('are deeply frozen %s', (_name, given) => {
    const settings = readJobsOptions(given);
    const loose = Object.entries({ settings, ...settings }).filter(([, value]) => !Object.isFrozen(value));

    expect(loose.map(([name]) => name)).toEqual([]);
  });

  it('ignore members added to Object.prototype', () => {
    const members = Object.prototype as { extend?: () => void };
    members.extend = () => undefined;
    try {
      expect(readJobsOptions({ concurrency: 5 })).toMatchObject({ concurrency: 5, maxRetries: 3 });
    } finally {
      delete members.extend;
    }
  });

  it('are a copy that later changes of the options do not affect', () => {
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

const CONTEXT = { capture: () => 1, run: (_values: unknown, next: () => unknown) => next() };

describe('options of objects', () => {
  it.each([
    [{ capture: (): number => 1 }, 'context.run: expected a function, got none'],
    [{ tenant: { run: () => 1 } }, 'context.tenant.capture: expected a function, got none'],
    [{ ...CONTEXT, runs: 1 }, "context.runs: unknown option; did you mean 'run'?"],
    [{ tenant: 7 }, 'context.tenant: expected an object, got 7'],
  ])('name the wrong member of a context %#', (context, message) => {
    expect(catchError({ context }).message).toContain(message);
  });

  it.each([
    [{ traces: true }, "telemetry.traces: expected false or 'link' or 'parent', got true"],
    [{ tracerProvider: {} }, 'telemetry.tracerProvider: expected a TracerProvider, got an object'],
    [{ meterProvider: null }, 'telemetry.meterProvider: expected a MeterProvider, got null'],
    [{ propagator: { inject: () => 1 } }, 'telemetry.propagator: expected a TextMapPropagator, got an object'],
    [{ trace: false }, "telemetry.trace: unknown option; did you mean 'traces'?"],
  ])('name the wrong member of telemetry %#', (telemetry, message) => {
    expect(catchError({ telemetry }).message).toContain(message);
  });
});

describe('an engine', () => {
  it('rejects missing options with what it needs', () => {
    const error = captureThrown(() => new JobsEngine({} as JobsEngineOptions));
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect((error as Error).message).toBe('store: expected a store from createJobStore(), got undefined');
  });
});

describe('module options', () => {
  it('describe a wrong value, of an object only its kind', () => {
    const came = [7.5, 'many', NaN, null, [1], { secret: 's3cret' }, () => 1].map((concurrency) => {
      return catchError({ concurrency }).message.replace(/^.*, got /, '');
    });

    expect(came).toEqual(['7.5', "'many'", 'NaN', 'null', 'an array', 'an object', 'a function']);
  });

  it('must be an object', () => {
    for (const given of [null, 7, 'all', [], true]) {
      expect(catchError(given).message).toMatch(/^options: expected an object, got /);
    }
  });
});
