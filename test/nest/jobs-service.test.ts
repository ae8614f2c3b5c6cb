/** @matrix postgres-18, typeorm-0.3 */

import { v7 as uuidv7 } from 'uuid';
import type { EnqueueOptions, NewJob } from 'nestjs-jobs';
import {
  defineJob,
  InvalidOptionsError,
  InvalidPayloadError,
  Job,
  JobNotFoundError,
  JobsEngine,
  JobStateError,
  PayloadTooLargeError,
  UnknownDataSourceError,
  UnrecoverableError,
} from 'nestjs-jobs';
import { DataSource } from 'typeorm';
import { signal } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';

const everyOption: EnqueueOptions = {
  maxRetries: 9,
  priority: -7,
  timeout: '2m',
  backoff: { type: 'exponential', delay: '1s' },
  uniqueKey: 'key',
  metadata: { a: 1 },
};
const everyOptionInTheRow = { maxRetries: 9, priority: -7, timeoutMs: 120_000, uniqueKey: 'key', metadata: { a: 1 } };

describe.each(everyKind)('JobsService on $label', (kind) => {
  const apps = useApps(kind);

  it('enqueue returns the whole job as stored', async () => {
    const { jobs } = await apps.start();
    const job = await jobs.enqueue('work', { to: 'anna' });
    expect(job).toBeInstanceOf(Job);
    expect({ ...job }).toEqual({ ...(await jobs.get(job.id)) });
    expect(job).toMatchObject({
      topic: 'work',
      payload: { to: 'anna' },
      status: 'pending',
      attempt: 0,
      retries: 0,
      maxRetries: 3,
      priority: 0,
      timeoutMs: null,
      lastError: null,
      errors: [],
      result: null,
      progress: null,
      uniqueKey: null,
      metadata: null,
      cancelRequested: false,
      lockedBy: null,
      lockedUntil: null,
      started: null,
      finished: null,
    });
    expect(job.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(job.runAt).toEqual(job.created);
    expect(job.deduplicated).toBe(false);
  });

  it('has the bulk actions, topics and errors of the engine', async () => {
    const { jobs, module } = await apps.start({});
    const engine = module.get(JobsEngine);
    expect([jobs.bulk === engine.bulk, jobs.topics === engine.topics, jobs.errors === engine.errors]).toEqual([
      true,
      true,
      true,
    ]);
    const { id } = await jobs.enqueue('work', null);
    expect(await jobs.topics.list()).toMatchObject([{ topic: 'work', pending: 1 }]);
    expect(await jobs.bulk.run({ action: 'cancel', ids: [id] })).toMatchObject({ matched: 1, changed: 1 });
    expect(await jobs.errors.list()).toMatchObject({ items: [] });
  });

  it('enqueue, enqueueAt, enqueueTx and enqueueMany store the same row', async () => {
    const app = await apps.start();
    const { jobs, dataSource } = app;
    const runAt = new Date(Date.now() + 3_600_000);
    const many = { topic: 'c', payload: { n: 3 }, runAt, ...everyOption };
    const stored = [
      await jobs.enqueue('a', { n: 1 }, { ...everyOption, runAt }),
      await jobs.enqueueAt('b', { n: 2 }, runAt, everyOption),
      ...(await jobs.enqueueMany([many])),
      await dataSource.transaction((manager) => jobs.enqueueTx(manager, 'd', { n: 4 }, { ...everyOption, runAt })),
      ...(await dataSource.transaction((manager) => jobs.enqueueMany([{ ...many, topic: 'e' }], { manager }))),
    ];
    expect(stored.map(({ topic }) => topic)).toEqual(['a', 'b', 'c', 'd', 'e']);
    for (const { id } of stored) {
      expect(await app.job(id)).toMatchObject({ ...everyOptionInTheRow, runAt, status: 'pending' });
    }
  });

  it('getByKey returns the unfinished job of a topic and a key', async () => {
    const { jobs } = await apps.start();
    const [one, other] = await jobs.enqueueMany([
      { topic: 'a', payload: 1, uniqueKey: 'key', delay: '1h' },
      { topic: 'b', payload: 2, uniqueKey: 'key' },
      { topic: 'a', payload: 3, uniqueKey: 'another' },
      { topic: 'a', payload: 4 },
    ]);
    expect(await jobs.getByKey('a', 'key')).toEqual(await jobs.get(one!.id));
    expect(await jobs.getByKey(defineJob('b'), 'key')).toMatchObject({ id: other!.id, payload: 2 });
    expect(await jobs.getByKey('c', 'key')).toBeNull();
    expect(await jobs.getByKey('a', "'; DROP TABLE _jobs; --")).toBeNull();
    await jobs.cancel(one!.id);
    expect(await jobs.getByKey('a', 'key')).toBeNull();
    const next = await jobs.enqueue('a', 5, { uniqueKey: 'key' });
    expect(await jobs.getByKey('a', 'key')).toMatchObject({ id: next.id });
  });

  it.each([
    ['a topic', '', 'key', /^topic: expected/],
    ['a key', 'a', '', /^uniqueKey: expected/],
    ['a key', 'a', undefined as unknown as string, /^uniqueKey: expected .* got undefined/],
  ])('getByKey rejects %s that is invalid: %j %j', async (_, topic, key, message) => {
    const { jobs } = await apps.start();
    const error = await jobs.getByKey(topic, key).catch((refusal: unknown) => refusal);
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect((error as Error).message).toMatch(message);
  });

  it('enqueueMany stores and returns all jobs in the given order', async () => {
    const { jobs } = await apps.start();
    expect(await jobs.enqueueMany([])).toEqual([]);
    const rows: NewJob<number>[] = Array.from({ length: 2_500 }, (_, n) => ({ topic: `t${n % 3}`, payload: n }));
    const stored = await jobs.enqueueMany(rows);
    expect(stored.map(({ payload }) => payload)).toEqual(rows.map(({ payload }) => payload));
    expect(await jobs.stats()).toMatchObject({ pending: 2_500 });
    const { items } = await jobs.list({ limit: 3 });
    expect(items.map(({ payload }) => payload)).toEqual([2_499, 2_498, 2_497]);
  });

  it.each<[string, Partial<NewJob>, new (...args: never[]) => Error]>([
    ['payload', { payload: { bad: undefined, worse: NaN } }, InvalidPayloadError],
    ['size', { payload: 'x'.repeat(1_048_577) }, PayloadTooLargeError],
    ['topic', { topic: '' }, InvalidOptionsError],
    ['option', { priority: 1_001 }, InvalidOptionsError],
  ])('enqueueMany stores no job if the %s of one is invalid', async (_, wrong, type) => {
    const app = await apps.start({ handlers: { work: () => null } });
    const rows: NewJob[] = [1, 2, 3].map((payload) => ({ topic: 'work', payload }));
    rows[1] = { ...rows[1]!, ...wrong };
    await expect(app.jobs.enqueueMany(rows)).rejects.toThrow(type);
    expect(await app.jobs.stats()).toMatchObject({ total: 0 });
    expect(app.events).toEqual([]);
  });

  it('enqueueMany returns the existing job for each taken unique key', async () => {
    const { jobs } = await apps.start();
    const holder = await jobs.enqueue('work', 'holder', { uniqueKey: 'a' });
    const stored = await jobs.enqueueMany([
      { topic: 'work', payload: 1, uniqueKey: 'a' },
      { topic: 'work', payload: 2, uniqueKey: 'b' },
      { topic: 'work', payload: 3, uniqueKey: 'b' },
      { topic: 'work', payload: 4 },
    ]);
    expect(stored.map(({ deduplicated }) => deduplicated ?? false)).toEqual([true, false, true, false]);
    expect(stored[0]!.id).toBe(holder.id);
    expect(stored[2]!.id).toBe(stored[1]!.id);
    expect(stored.map(({ payload }) => payload)).toEqual(['holder', 2, 2, 4]);
  });

  it('enqueueTx and enqueueMany reject a manager without an open transaction and one of another DataSource', async () => {
    const { jobs, dataSource } = await apps.start();
    const otherDataSource = await new DataSource({ type: 'better-sqlite3', database: ':memory:' }).initialize();
    apps.afterwards(() => otherDataSource.destroy());
    const { manager } = dataSource;
    await expect(jobs.enqueueTx(manager, 'work', null)).rejects.toThrow(InvalidOptionsError);
    await expect(jobs.enqueueMany([{ topic: 'work', payload: 1 }], { manager })).rejects.toThrow(InvalidOptionsError);
    await expect(otherDataSource.transaction((other) => jobs.enqueueTx(other, 'work', null))).rejects.toThrow(
      UnknownDataSourceError,
    );
    expect(await jobs.stats()).toMatchObject({ total: 0 });
  });

  it.each([
    ['manager, misspelt', { manger: {} }, 'manger'],
    ['an option of a job', { priority: 5 }, 'priority'],
    ['a number', 5, 'options'],
    ['null', null, 'options'],
    ['null as the manager', { manager: null }, 'manager'],
    ['undefined as the manager', { manager: undefined }, 'manager'],
  ])('enqueueMany rejects an invalid options argument and stores nothing: %s', async (_, options, option) => {
    const { jobs } = await apps.start();
    const refused = jobs.enqueueMany([{ topic: 'work', payload: 1 }], options as never);
    await expect(refused).rejects.toMatchObject({ constructor: InvalidOptionsError, option });
    expect(await jobs.stats()).toMatchObject({ total: 0 });
  });

  it('enqueueAt rejects a different runAt in its options', async () => {
    const { jobs } = await apps.start();
    const [moment, other] = ['2030-01-01', '2031-01-01'].map((text) => new Date(text)) as [Date, Date];
    const refused = jobs.enqueueAt('work', null, moment, { runAt: other });
    await expect(refused).rejects.toMatchObject({ constructor: InvalidOptionsError, option: 'options.runAt' });
    const stored = await jobs.enqueueAt('work', null, moment, { runAt: new Date(moment) });
    expect(stored.runAt).toEqual(moment);
  });

  it('get returns null and actions throw JobNotFoundError for an unknown id', async () => {
    const { jobs } = await apps.start();
    for (const id of [uuidv7(), 'nothing', '', "' OR 1=1 --", undefined as never]) {
      expect(await jobs.get(id)).toBeNull();
      await expect(jobs.requeue(id)).rejects.toThrow(JobNotFoundError);
      await expect(jobs.promote(id)).rejects.toThrow(JobNotFoundError);
      await expect(jobs.cancel(id)).rejects.toThrow(JobNotFoundError);
      await expect(jobs.delete(id)).rejects.toThrow(JobNotFoundError);
    }
  });

  it('get accepts an id in capitals', async () => {
    const { jobs } = await apps.start();
    const { id } = await jobs.enqueue('work', null);
    expect(await jobs.get(id.toUpperCase())).toMatchObject({ id });
  });

  it('requeue resets the retries of a failed or cancelled job and can change the job', async () => {
    const app = await apps.start({
      options: { maxRetries: 1, backoff: { type: 'fixed', delay: 0 } },
      handlers: {
        work: async (job) => {
          await job.progress('half');
          if (job.payload !== 'right') throw new Error('wrong');
          return 'done';
        },
      },
    });
    const { id } = await app.jobs.enqueue('work', 'wrong');
    expect(await app.jobAfter('failed', id)).toMatchObject({ attempt: 2, retries: 1, progress: 'half' });

    const runAt = new Date(Date.now() + 3_600_000);
    const waiting = await app.jobs.requeue(id, { payload: 'right', runAt, maxRetries: 7 });
    expect(waiting).toMatchObject({
      status: 'pending',
      payload: 'right',
      runAt,
      maxRetries: 7,
      retries: 0,
      attempt: 2,
    });
    expect(waiting).toMatchObject({ finished: null, result: null, progress: null, lastError: 'wrong' });

    await app.jobs.cancel(id);
    expect(await app.jobs.requeue(id)).toMatchObject({ payload: 'right', maxRetries: 7, cancelRequested: false });
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'done', attempt: 3, retries: 0 });
  });

  it('requeue rejects pending, processing and completed jobs, and invalid changes', async () => {
    const end = signal();
    const app = await apps.start({ handlers: { work: () => end.promise } });
    const waiting = await app.jobs.enqueue('unhandled', null);
    const running = await app.jobs.enqueue('work', null);
    await app.event('started', running.id);
    await expect(app.jobs.requeue(waiting.id)).rejects.toThrow(/it is pending/);
    await expect(app.jobs.requeue(running.id)).rejects.toThrow(/it is processing/);
    end.resolve();
    await app.event('completed', running.id);
    await expect(app.jobs.requeue(running.id)).rejects.toThrow(JobStateError);
    await app.jobs.cancel(waiting.id);
    await expect(app.jobs.requeue(waiting.id, { payload: 1n })).rejects.toThrow(InvalidPayloadError);
    await expect(app.jobs.requeue(waiting.id, { runAt: new Date(NaN) })).rejects.toThrow(InvalidOptionsError);
    await expect(app.jobs.requeue(waiting.id, { maxRetries: 1_001 })).rejects.toThrow(InvalidOptionsError);
    await expect(app.jobs.requeue(waiting.id, { maxRetry: 1 } as object)).rejects.toThrow(InvalidOptionsError);
    expect(await app.job(waiting.id)).toMatchObject({ status: 'cancelled' });
  });

  it('requeue rejects a taken unique key and returns the id of its holder', async () => {
    const { jobs } = await apps.start();
    const first = await jobs.enqueue('work', 1, { uniqueKey: 'a' });
    await jobs.cancel(first.id);
    const second = await jobs.enqueue('work', 2, { uniqueKey: 'a' });
    const error: unknown = await jobs.requeue(first.id).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(JobStateError);
    expect(error).toMatchObject({ id: first.id, holderId: second.id, code: 'JOB_STATE' });
    expect((error as Error).message).toContain(second.id);
    await jobs.delete(second.id);
    expect(await jobs.requeue(first.id)).toMatchObject({ status: 'pending', uniqueKey: 'a' });
  });

  it('delete removes every job except a running one', async () => {
    const end = signal();
    const app = await apps.start({
      handlers: {
        work: () => end.promise,
        fail: () => {
          throw new UnrecoverableError('no');
        },
      },
    });
    const [waiting, running, failed] = await app.jobs.enqueueMany(
      ['unhandled', 'work', 'fail'].map((topic) => ({ topic, payload: null })),
    );
    await Promise.all([app.event('started', running!.id), app.event('failed', failed!.id)]);
    await expect(app.jobs.delete(running!.id)).rejects.toThrow(/it is processing/);
    await app.jobs.delete(waiting!.id);
    await app.jobs.delete(failed!.id);
    await expect(app.jobs.delete(failed!.id)).rejects.toThrow(JobNotFoundError);
    end.resolve();
    await app.event('completed', running!.id);
    await app.jobs.delete(running!.id);
    expect(await app.jobs.stats()).toMatchObject({ total: 0 });
  });
});
