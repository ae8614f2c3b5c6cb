/** @never postgres-18 */

import type { Duration, JobContext } from 'nestjs-jobs';
import { LeaseLostError, SnoozeError, UnrecoverableError } from 'nestjs-jobs';
import { signal, until } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';
import { some, textLike, textWith } from './support/matchers.js';

function throwFromGetter(): never {
  throw new Error('not readable');
}

const cycle: Record<string, unknown> = {};
cycle.self = cycle;

/** Results of a handler and the stored value. */
const results: [string, unknown, unknown][] = [
  ['an object', { sent: 3, to: ['a', 'b'] }, { sent: 3, to: ['a', 'b'] }],
  ['text', 'done', 'done'],
  ['zero', 0, 0],
  ['false', false, false],
  ['null', null, null],
  ['nothing', undefined, null],
  ['a date', new Date(0), '1970-01-01T00:00:00.000Z'],
  ['an object with a member that is undefined', { a: 1, b: undefined }, { a: 1 }],
  ['a bigint', 1n, null],
  ['a function', () => 1, null],
  ['a cycle', cycle, null],
  ['a Map', new Map([[1, 2]]), { notJson: 'a Map' }],
  ['an object with a Set', { ids: new Set([1]), sent: 3 }, { ids: { notJson: 'a Set' }, sent: 3 }],
  ['an object whose toJSON throws', { toJSON: throwFromGetter }, null],
  ['an object with a getter that throws', Object.defineProperty({}, 'value', { get: throwFromGetter }), {}],
  ['text with NUL and a lone surrogate', 'a\u0000b\ud800c', 'a\uFFFDb\uFFFDc'],
  ['deeper than 990 levels', JSON.parse('['.repeat(1_500) + ']'.repeat(1_500)), { truncated: true, bytes: 3_000 }],
  [
    'numbers of more than 64 KiB of digits',
    Array.from({ length: 300 }, () => 1e300),
    { truncated: true, bytes: 2_101 },
  ],
  ['more than 64 KiB', 'x'.repeat(65_535), { truncated: true, bytes: 65_537 }],
];

/** Values that a handler throws and the stored `lastError`. */
const errors: [string, () => unknown, string][] = [
  ['an error', () => new Error('failed'), 'failed'],
  ['text', () => 'failed', 'failed'],
  ['nothing', () => undefined, 'thrown value: undefined'],
  ['an error without a message', () => new TypeError(), 'TypeError'],
  ['an error with NUL and a lone surrogate', () => new Error('a\u0000b\ud800'), 'a\uFFFDb\uFFFD'],
  [
    'an object that cannot be described',
    () => Object.defineProperty(new Error(), 'message', { get: throwFromGetter }),
    'the handler threw a value that cannot be described',
  ],
  ['a very long message', () => new Error('é'.repeat(10_000)), 'é'.repeat(4_096)],
];

describe.each(everyKind)('the outcome of an attempt on $label', (kind) => {
  const apps = useApps(kind);

  it.each(results)('is completed if the handler returns %s', async (_, value, kept) => {
    const app = await apps.start({ handlers: { work: () => value } });
    const { id } = await app.jobs.enqueue('work', null);
    const { durationMs } = await app.event('completed', id);
    const job = await app.job(id);
    expect(durationMs).toBeGreaterThanOrEqual(0);
    expect(job).toMatchObject({ status: 'completed', result: kept, attempt: 1, retries: 0, lastError: null });
    expect(job).toMatchObject({ lockedBy: null, lockedUntil: null, finished: some(Date) });
    expect(job.started!.getTime()).toBeLessThanOrEqual(job.finished!.getTime());
  });

  it('logs the place of a result that JSON cannot hold, once for each place', async () => {
    const app = await apps.start({ handlers: { work: ({ payload }) => ({ [String(payload)]: new Map() }) } });
    await app.jobs.enqueueMany(['users', 'users', 'orders'].map((payload) => ({ topic: 'work', payload })));
    await app.jobs.whenIdle();
    const lines = ['users', 'orders'].map((name) =>
      textWith(`handler of 'work': result.${name} is a Map, which JSON writes as empty; a note is stored in its place`),
    );
    expect(apps.log.of('warn', 'result.')).toEqual(lines);
  });

  it.each(errors)('has a readable lastError if the handler throws %s', async (_, thrown, text) => {
    const app = await apps.start({
      options: { maxRetries: 0 },
      handlers: {
        work: () => {
          throw thrown();
        },
      },
    });
    const { id } = await app.jobs.enqueue('work', null);
    const job = await app.jobAfter('failed', id);
    expect(job.status).toBe('failed');
    expect(job.lastError).toEqual(text);
    expect(job.errors[0]!.message).toBe(job.lastError);
  });

  it('is retried until maxRetries, and errors lists each attempt', async () => {
    const app = await apps.start({
      options: { maxRetries: 2, backoff: { type: 'fixed', delay: 0 } },
      handlers: {
        work: (job) => {
          throw new Error(`attempt ${job.attempt}, retries ${job.retries} of ${job.maxRetries}`);
        },
      },
    });
    const { id } = await app.jobs.enqueue('work', null);
    const { error } = await app.event('failed', id);
    const job = await app.job(id);
    expect(error.message).toBe('attempt 3, retries 2 of 2');
    expect(job).toMatchObject({ status: 'failed', attempt: 3, retries: 2, maxRetries: 2, lastError: error.message });
    expect(job.errors.map(({ attempt, message }) => [attempt, message])).toEqual([
      [1, 'attempt 1, retries 0 of 2'],
      [2, 'attempt 2, retries 1 of 2'],
      [3, 'attempt 3, retries 2 of 2'],
    ]);
    expect(job.errors[0]).toMatchObject({
      started: textLike(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      finished: textLike(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      stack: textWith('handler-outcomes.test'),
      worker: textWith(`:${process.pid}:`),
    });
    expect(app.eventsOf('retrying', id).map(({ retries }) => retries)).toEqual([1, 2]);
  });

  it('can be completed in a later attempt, and errors keeps the earlier failures', async () => {
    const app = await apps.start({
      options: { backoff: { type: 'fixed', delay: 0 } },
      handlers: {
        work: (job) => {
          if (job.attempt < 3) throw new Error('not yet');
          return 'done';
        },
      },
    });
    const { id } = await app.jobs.enqueue('work', null);
    const job = await app.jobAfter('completed', id);
    expect(job).toMatchObject({ status: 'completed', result: 'done', attempt: 3, retries: 2, lastError: 'not yet' });
    expect(job.errors).toHaveLength(2);
  });

  it('is failed without a retry after an UnrecoverableError', async () => {
    class NoSuchCustomer extends UnrecoverableError {}
    const app = await apps.start({
      handlers: {
        work: () => {
          throw new NoSuchCustomer('no such customer');
        },
      },
    });
    const { id } = await app.jobs.enqueue('work', null);
    const job = await app.jobAfter('failed', id);
    expect(job).toMatchObject({ status: 'failed', attempt: 1, retries: 0, lastError: 'no such customer' });
    expect(app.eventsOf('retrying')).toHaveLength(0);
  });

  it('is failed without a retry after an error with that name, for example of another library', async () => {
    class OtherLibraryError extends Error {
      override readonly name = 'UnrecoverableError';
    }
    const app = await apps.start({
      handlers: {
        work: () => {
          throw new OtherLibraryError('no such customer');
        },
      },
    });
    const { id } = await app.jobs.enqueue('work', null);
    expect(await app.jobAfter('failed', id)).toMatchObject({ attempt: 1, lastError: 'no such customer' });
  });

  it('is pending again after a SnoozeError, which charges no retry', async () => {
    const app = await apps.start({
      handlers: {
        work: () => {
          throw new SnoozeError('5m');
        },
      },
    });
    const { id } = await app.jobs.enqueue('work', null);
    const { runAt } = await app.event('snoozed', id);
    const job = await app.job(id);
    expect(job).toMatchObject({ status: 'pending', attempt: 1, retries: 0, lastError: null, errors: [], runAt });
    expect(Math.abs(runAt.getTime() - job.updated.getTime() - 300_000)).toBeLessThanOrEqual(1);
  });

  it('may be a snooze more often than maxRetries', async () => {
    const app = await apps.start({
      options: { maxRetries: 0 },
      handlers: {
        work: (job) => {
          if (job.attempt <= 5) throw new SnoozeError(1, 'wait for the bank');
          return 'paid';
        },
      },
    });
    const { id } = await app.jobs.enqueue('work', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ attempt: 6, retries: 0, result: 'paid' });
    expect(app.eventsOf('snoozed', id)).toHaveLength(5);
  });

  it('is a failure after a SnoozeError with an invalid duration', async () => {
    const app = await apps.start({
      options: { maxRetries: 0 },
      handlers: {
        work: () => {
          throw new SnoozeError('a while' as Duration);
        },
      },
    });
    const { id } = await app.jobs.enqueue('work', null);
    expect(await app.jobAfter('failed', id)).toMatchObject({ lastError: textLike(/duration.*a while/) });
  });

  it('follows progress, which other processes can read while the handler runs', async () => {
    const step = signal();
    const app = await apps.start({
      handlers: {
        work: async (job) => {
          await job.progress({ done: 1, of: 3, note: 'a\u0000b' });
          await step.promise;
          await job.progress('x'.repeat(70_000));
        },
      },
    });
    const { id } = await app.jobs.enqueue('work', null);
    const half = await until(async () => ((await app.job(id)).progress !== null ? app.job(id) : undefined));
    expect(half).toMatchObject({ status: 'processing', progress: { done: 1, of: 3, note: 'a\uFFFDb' } });
    step.resolve();
    const job = await app.jobAfter('completed', id);
    expect(job).toMatchObject({ status: 'completed', progress: { truncated: true, bytes: 70_002 } });
  });

  it('ends the attempt: a later call of progress rejects', async () => {
    let kept: JobContext | undefined;
    const app = await apps.start({ handlers: { work: (job) => void (kept = job) } });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('completed', id);
    await expect(kept!.progress('late')).rejects.toThrow(LeaseLostError);
    expect(await app.job(id)).toMatchObject({ progress: null });
  });

  it('is computed by a handler that receives all fields of the job', async () => {
    let seen: JobContext | undefined;
    const app = await apps.start({ handlers: { work: (job) => void (seen = job) } });
    const job = await app.jobs.enqueue('work', { a: [1, { b: null }] }, { metadata: { by: 'anna' }, maxRetries: 7 });
    await app.event('completed', job.id);
    expect(seen).toMatchObject({ id: job.id, topic: 'work', payload: { a: [1, { b: null }] }, attempt: 1, retries: 0 });
    expect(seen).toMatchObject({ maxRetries: 7, runAt: job.runAt, created: job.created, metadata: { by: 'anna' } });
    expect(seen!.signal.aborted).toBe(false);
  });
});
