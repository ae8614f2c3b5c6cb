/** @never postgres-18 */

import type { EnqueueOptions, JobsError, NewJob } from 'nestjs-jobs';
import { InvalidOptionsError, InvalidPayloadError, PayloadTooLargeError } from 'nestjs-jobs';
import { useApps, useOneApp } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';
import type { TestApp } from './support/test-app.js';

const topics: [string, unknown][] = [
  ['empty text', ''],
  ['256 characters', 'x'.repeat(256)],
  ['a NUL', 'a\u0000b'],
  ['a lone surrogate', 'a\ud800'],
  ['a number', 7],
  ['nothing', undefined],
  ['null', null],
];

function nested(depth: number): unknown {
  return depth === 0 ? 'end' : { a: nested(depth - 1) };
}

const cycle: { list: unknown[] } = { list: [] };
cycle.list.push(cycle);

/** Invalid payloads, and the path that the error contains. */
const payloads: [string, unknown, string][] = [
  ['undefined', undefined, 'payload'],
  ['NaN', { price: NaN }, 'payload.price'],
  ['Infinity', [1, [Infinity]], 'payload[1][0]'],
  ['minus Infinity', -Infinity, 'payload'],
  ['a bigint', { order: { id: 12n } }, 'payload.order.id'],
  ['a function', { then: () => 1 }, 'payload.then'],
  ['a symbol', [Symbol('s')], 'payload[0]'],
  ['undefined in a list', [1, undefined], 'payload[1]'],
  ['a hole in a list', Object.assign([1], { length: 2 }), 'payload[1]'],
  ['a cycle', cycle, 'payload.list[0]'],
  ['NUL in text', { text: 'a\u0000b' }, 'payload.text'],
  ['a lone surrogate in text', ['\udc00'], 'payload[0]'],
  ['NUL in a key', { 'a\u0000': 1 }, 'payload["a\\u0000"]'],
  ['more than 64 levels', nested(65), `payload${'.a'.repeat(64)}`],
  ['an invalid date', { at: new Date(NaN) }, 'payload.at'],
  ['a map', { m: new Map([[1, 2]]) }, 'payload.m'],
  ['a set', new Set([1]), 'payload'],
  ['bytes', { b: new Uint8Array(2) }, 'payload.b'],
  ['a regular expression', [/x/], 'payload[0]'],
  ['a promise that was not awaited', { user: Promise.resolve(1) }, 'payload.user'],
];

/** Invalid options, and the start of the error message. */
const options: [string, object, string][] = [
  ['an unknown name', { retries: 1 }, 'retries: unknown option; '],
  [
    'a name of another queue',
    { deduplication: { id: 'a' } },
    "deduplication: unknown option; did you mean 'uniqueKey'?",
  ],
  [
    'an option of another queue library',
    { removeOnComplete: true },
    "removeOnComplete: unknown option; the module option 'retention' sets how long finished jobs are kept",
  ],
  ['a name with the wrong case', { maxretries: 1 }, "maxretries: unknown option; did you mean 'maxRetries'?"],
  ['runAt as text', { runAt: '2030-01-01' }, 'runAt: expected a Date between the years 1970 and 9999'],
  ['runAt as an invalid Date', { runAt: new Date(NaN) }, 'runAt: expected'],
  ['runAt before 1970', { runAt: new Date(-1) }, 'runAt: expected'],
  ['runAt after 9999', { runAt: new Date(Date.UTC(10_000, 0, 1)) }, 'runAt: expected'],
  ['runAt together with delay', { runAt: new Date(), delay: 1 }, 'delay: contradicts runAt'],
  ['a negative delay', { delay: -1 }, 'delay: expected a duration'],
  [
    'a delay without a unit',
    { delay: '5' },
    "delay: expected a duration, in milliseconds or such as '30s' (ms, s, m, h, d; at most 36500d), got '5'",
  ],
  ['a delay of NaN', { delay: NaN }, 'delay: expected'],
  ['a delay of centuries', { delay: '99999d' }, 'delay: expected'],
  ['maxRetries of −1', { maxRetries: -1 }, 'maxRetries: expected a whole number from 0 to 1000, got -1'],
  ['maxRetries of 1,001', { maxRetries: 1_001 }, 'maxRetries: expected'],
  ['maxRetries of 1.5', { maxRetries: 1.5 }, 'maxRetries: expected'],
  ['maxRetries as text', { maxRetries: '3' }, "maxRetries: expected a whole number from 0 to 1000, got '3'"],
  ['priority of −1,001', { priority: -1_001 }, 'priority: expected a whole number from -1000 to 1000'],
  ['priority of 1,001', { priority: 1_001 }, 'priority: expected'],
  ['a timeout of 0', { timeout: 0 }, 'timeout: expected a duration of at least 1ms'],
  ['an unknown backoff', { backoff: { type: 'linear', delay: 1 } }, 'backoff.type: expected'],
  ['a backoff function', { backoff: () => 1 }, 'backoff: expected'],
  ['a backoff over its maxDelay', { backoff: { type: 'fixed', delay: 10, maxDelay: 5 } }, 'backoff.maxDelay: expected'],
  ['a jitter over 1', { backoff: { type: 'fixed', delay: 10, jitter: 1.1 } }, 'backoff.jitter: expected'],
  ['an empty uniqueKey', { uniqueKey: '' }, 'uniqueKey: expected text of 1 to 255 characters'],
  ['a uniqueKey of 256 characters', { uniqueKey: 'x'.repeat(256) }, 'uniqueKey: expected'],
  ['a uniqueKey with NUL', { uniqueKey: 'a\u0000' }, 'uniqueKey: expected'],
  ['metadata that is a list', { metadata: [1] }, 'metadata: expected an object, got an array'],
  ['metadata that is text', { metadata: 'a' }, 'metadata: expected an object'],
];

/** Returns the error that the promise rejects with. */
async function rejection(promise: Promise<unknown>): Promise<JobsError> {
  try {
    await promise;
  } catch (error) {
    return error as JobsError;
  }
  throw new Error('expected a rejection');
}

describe.each(everyKind)('enqueue validation on $label', (kind) => {
  const app = useOneApp(kind);

  /** Calls each enqueue method, expects the same error from each and no stored job, and returns that error. */
  async function expectRefusal(topic: unknown, payload: unknown, given?: unknown): Promise<JobsError> {
    const { jobs, dataSource, events } = app();
    const [name, rest] = [topic as string, given as EnqueueOptions | undefined];
    const tries = [
      () => jobs.enqueue(name, payload, rest),
      () => dataSource.transaction((manager) => jobs.enqueueTx(manager, name, payload, rest)),
      () =>
        jobs.enqueueMany([
          { topic: 'work', payload: 1 },
          { ...rest, topic: name, payload },
        ]),
    ];
    const errors: JobsError[] = [];
    for (const attempt of tries) {
      errors.push(await rejection(attempt()));
    }
    const [alone, inTransaction, amongOthers] = errors.map(({ message }) => message);
    expect([inTransaction, amongOthers]).toEqual([alone, `jobs[1].${alone}`]);
    expect(await jobs.stats()).toMatchObject({ total: 0 });
    expect(events).toEqual([]);
    return errors[0]!;
  }

  it.each(topics)('rejects a topic that is %s', async (_, topic) => {
    const error = await expectRefusal(topic, null);
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error).toMatchObject({ code: 'INVALID_OPTIONS', option: 'topic' });
    expect(error.message).toMatch(/^topic: expected text of 1 to 255 characters.*, got /);
  });

  it.each(payloads)('rejects a payload with %s and returns its path', async (_, payload, path) => {
    const error = await expectRefusal('work', payload);
    expect(error).toBeInstanceOf(InvalidPayloadError);
    expect(error).toMatchObject({ code: 'INVALID_PAYLOAD', path });
    expect(error.message.startsWith(`${path}: `)).toBe(true);
  });

  it.each(options)('rejects the option: %s', async (_, given, text) => {
    const error = await expectRefusal('work', null, given);
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toContain(text);
    expect(error.code).toBe('INVALID_OPTIONS');
  });

  it.each<[string, unknown, string]>([
    ['a list', [], 'options: expected an object, got an array'],
    ['a number', 5, 'options: expected an object, got 5'],
    ['another topic', { topic: 'other' }, 'topic: unknown option'],
    ['another payload', { payload: 1 }, 'payload: unknown option'],
  ])('rejects %s as the options argument', async (_, given, text) => {
    const { jobs, dataSource } = app();
    const error = await rejection(jobs.enqueue('work', null, given as EnqueueOptions));
    const same = dataSource.transaction((manager) => jobs.enqueueTx(manager, 'work', null, given as EnqueueOptions));
    expect(await rejection(same)).toEqual(error);
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toContain(text);
    expect(await jobs.stats()).toMatchObject({ total: 0 });
  });

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['an object', { topic: 'work', payload: 1 }],
    ['a list with null', [{ topic: 'work', payload: 1 }, null]],
    ['a list with text', ['work']],
    ['a list with a list', [[]]],
  ])('enqueueMany rejects %s', async (_, given) => {
    expect(await rejection(app().jobs.enqueueMany(given as never))).toBeInstanceOf(InvalidOptionsError);
    expect(await app().jobs.stats()).toMatchObject({ total: 0 });
  });

  it('enqueueMany returns the index of the invalid job', async () => {
    const good = { topic: 'work', payload: 1 };
    const refusals: [object, object][] = [
      [{ payload: { price: NaN } }, { path: 'jobs[1].payload.price' }],
      [{ payload: 'x'.repeat(1_048_576) }, { subject: 'jobs[1].payload', bytes: 1_048_578, bytesMax: 1_048_576 }],
      [{ metadata: { a: [1n] } }, { path: 'jobs[1].metadata.a[0]' }],
      [{ priority: 5_000 }, { option: 'jobs[1].priority' }],
      [{ topic: '' }, { option: 'jobs[1].topic' }],
    ];
    for (const [wrong, place] of refusals) {
      expect(await rejection(app().jobs.enqueueMany([good, { ...good, ...wrong }]))).toMatchObject(place);
    }
    expect(await app().jobs.stats()).toMatchObject({ total: 0 });
  });

  it('rejects metadata that is not JSON or is larger than 64 KiB', async () => {
    const badly = await expectRefusal('work', null, { metadata: { a: [1n] } });
    expect(badly).toBeInstanceOf(InvalidPayloadError);
    expect(badly).toMatchObject({ path: 'metadata.a[0]' });
    const large = await expectRefusal('work', null, { metadata: { a: 'x'.repeat(65_536) } });
    expect(large).toBeInstanceOf(PayloadTooLargeError);
    expect(large).toMatchObject({ subject: 'metadata', bytesMax: 65_536, bytes: 65_544 });
  });
});

describe.each(everyKind)('enqueue on $label', (kind) => {
  const apps = useApps(kind);
  let app: TestApp;

  beforeEach(async () => {
    app = await apps.start({ handlers: { work: () => null } });
  });

  it('accepts a payload of exactly 1,048,576 bytes of JSON and rejects one byte more', async () => {
    // Two bytes each in UTF-8, one character each in JavaScript.
    const exact = 'é'.repeat((1_048_576 - 2) / 2);
    const error = await rejection(app.jobs.enqueue('work', `${exact}a`));
    expect(error).toBeInstanceOf(PayloadTooLargeError);
    expect(error).toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
      subject: 'payload',
      bytes: 1_048_577,
      bytesMax: 1_048_576,
    });
    const { id } = await app.jobs.enqueue('work', exact);
    expect((await app.jobAfter('completed', id)).payload).toBe(exact);
  });

  it('accepts values at the limits', async () => {
    const topic = 'x'.repeat(255);
    const [longest] = await app.jobs.enqueueMany([
      { topic, payload: nested(64), maxRetries: 1_000, priority: 1_000, uniqueKey: 'k'.repeat(255) },
      {
        topic,
        payload: null,
        maxRetries: 0,
        priority: -1_000,
        runAt: new Date(0),
        metadata: { a: 'x'.repeat(65_528) },
      },
      { topic, payload: [], runAt: new Date(Date.UTC(9_999, 11, 31, 23, 59, 59, 999)), timeout: 1 },
      { topic, payload: 0.1, delay: '36500d' },
    ]);
    expect((await app.job(longest!.id)).payload).toEqual(nested(64));
    const { items } = await app.jobs.list({ topic });
    expect(items).toHaveLength(4);
    expect(items[1]!.runAt.toISOString()).toBe('9999-12-31T23:59:59.999Z');
    expect(items[2]!.runAt.toISOString()).toBe('1970-01-01T00:00:00.000Z');
  });

  it('accepts instances of a class and ignores their methods and accessors', async () => {
    class Letter {
      topic = 'unhandled';
      payload = 'text';
      metadata = { from: 'here' };

      delay(): string {
        return 'later';
      }

      get priority(): number {
        return 7;
      }
    }
    const [job] = await app.jobs.enqueueMany([new Letter() as unknown as NewJob]);
    expect(await app.job(job!.id)).toMatchObject({ payload: 'text', metadata: { from: 'here' }, priority: 0 });
  });

  it('drops undefined members and stores everything else that JSON can hold', async () => {
    const payload = {
      a: undefined,
      b: { c: undefined, d: [] },
      at: new Date(0),
      text: 'é\u2028"\\\ud83d\ude00',
      n: -0.5e-7,
    };
    const { id } = await app.jobs.enqueue('unhandled', payload);
    expect((await app.job(id)).payload).toEqual(JSON.parse(JSON.stringify(payload)));
  });
});
