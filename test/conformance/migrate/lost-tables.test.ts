import type { DataSource } from 'typeorm';
import { QueueUnavailableError } from 'nestjs-jobs';
import type { JobsOptions } from 'nestjs-jobs';
import { createJobStore, JobsEngine } from '../../../lib/engine/jobs-engine.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import { everyPriority } from '../../../lib/store/lanes.js';
import { newJob } from '../../support/job-rows.js';
import type { EmptyDatabase } from '../../support/stores.js';
import { storeKinds } from '../../support/stores.js';
import { signal, until } from '../../support/wait.js';
import { RecordingLogger } from '../../support/unit/recording-logger.js';

const ALL = ['_jobs', '_jobs_rollup', '_jobs_workers', '_jobs_paused', '_jobs_migrations'];

describe.each(storeKinds())('tables that are dropped while the queue runs, on $label', (kind) => {
  let database: EmptyDatabase;
  let app: DataSource;
  let store: JobStore;
  let engine: JobsEngine;
  let logger: RecordingLogger;

  const open = async (options: JobsOptions = {}): Promise<void> => {
    ({ store } = createJobStore(app, options, { logger }));
    await store.open();
    engine = new JobsEngine({ store, logger, pollInterval: 50, ...options });
  };

  const drop = async (tables: readonly string[]): Promise<void> => {
    for (const table of tables) await app.query(`DROP TABLE ${table}`);
  };

  beforeEach(async () => {
    database = await kind.createDatabase();
    app = await database.app().initialize();
    logger = new RecordingLogger();
  });

  afterEach(async () => {
    await engine.close();
    await store.close();
    await app.destroy();
    await database.remove();
  });

  it('are made anew for whoever comes next, once, and a warning says so', async () => {
    await open();
    await engine.enqueue('mail', 'lost');
    await drop(ALL);
    const jobs = await Promise.all(['a', 'b'].map((payload) => engine.enqueue('mail', payload)));
    expect(await engine.list()).toMatchObject({ total: 2 });
    expect(await engine.get(jobs[0]!.id)).toMatchObject({ payload: 'a' });
    expect(logger.of('warn')).toEqual(["the queue's tables were gone, and with them all jobs; they were made anew"]);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['many jobs', () => engine.enqueueMany(Array.from({ length: 5_000 }, () => ({ topic: 'mail', payload: null })))],
    ['a keyed job', () => engine.enqueue('mail', null, { uniqueKey: 'k' })],
    ['a list', () => engine.list({ topic: 'mail' })],
    ['statistics', () => engine.stats()],
    [
      'a claim',
      () =>
        store.claim({
          lanes: [{ topic: 'mail', priority: 0, lowerBound: null, limit: 1 }],
          limit: 1,
          worker: 'w',
          leaseMs: 1_000,
        }),
    ],
    ['a survey', () => store.survey([everyPriority('mail')])],
    ['a rescue', () => store.rescue(10)],
  ])('are made anew by %s', async (_, ask) => {
    await open();
    await drop(ALL);
    await ask();
    expect(logger.of('warn')).toHaveLength(1);
  });

  it('are made anew by a worker, which runs what comes then', async () => {
    await open();
    const ran: unknown[] = [];
    engine.register('mail', ({ payload }) => void ran.push(payload));
    await engine.start();
    await engine.enqueue('mail', 'before');
    await engine.whenIdle();
    await drop(ALL);
    await until(() => logger.of('warn').length > 0);
    await engine.enqueue('mail', 'after');
    await engine.whenIdle();
    expect(ran).toEqual(['before', 'after']);
    expect(await engine.stats()).toMatchObject({ completed: 1, total: 1 });
  });

  it.each([
    ['by name', [...ALL].sort()],
    [
      'in the order in which they were made',
      ['_jobs_migrations', '_jobs', '_jobs_rollup', '_jobs_workers', '_jobs_paused'],
    ],
  ])('are made anew, all of them, when they were dropped one by one, %s', async (_, order) => {
    await open();
    engine.register('mail', () => null);
    await engine.start();
    for (const table of order) {
      await drop([table]);
      await engine.list().catch(() => undefined);
    }
    await until(() => logger.of('warn').length > 0);
    await engine.enqueue('mail', null);
    await engine.whenIdle();
    expect(await engine.reports.timeseries(1)).toBeDefined();
    expect(await engine.reports.topics()).toMatchObject([{ topic: 'mail', completed: 1 }]);
    await engine.close();
    await store.close();
    await open({ migrate: false });
  });

  it('are made anew behind a transaction that has failed for want of them', async () => {
    await open({ role: 'producer' });
    await drop(ALL);
    const inTransaction = (): Promise<unknown> => app.transaction((manager) => engine.enqueueTx(manager, 'mail', null));
    await expect(inTransaction()).rejects.toThrow(QueueUnavailableError);
    await until(() => logger.of('warn').length > 0);
    await inTransaction();
    expect(await engine.list()).toMatchObject({ total: 1 });
  });

  it('are left to whoever migrates', async () => {
    await open();
    await engine.close();
    await store.close();
    await open({ migrate: false });
    await drop(ALL);
    await expect(engine.enqueue('mail', null)).rejects.toMatchObject({
      constructor: QueueUnavailableError,
      message: expect.stringContaining('run the TypeORM migrations `jobsMigrations`') as string,
    });
    expect(logger.of('warn')).toEqual([]);
  });

  it('are met by attempts that run: these have lost their jobs', async () => {
    await open({ lease: 300 });
    const end = signal();
    const reasons: string[] = [];
    engine.register('mail', async ({ signal: abort }) => {
      abort.addEventListener('abort', () => reasons.push((abort.reason as { code: string }).code));
      await end.promise;
    });
    engine.register('next', () => 'done');
    await engine.start();
    await engine.enqueue('mail', null);
    await until(async () => (await engine.list({ status: 'processing' })).total === 1);
    await drop(ALL);
    await until(() => reasons.length === 1);
    end.resolve();
    const { id } = await engine.enqueue('next', null);
    await engine.whenIdle();
    expect(reasons).toEqual(['LEASE_LOST']);
    expect(await engine.get(id)).toMatchObject({ status: 'completed' });
    expect(await engine.list()).toMatchObject({ total: 1 });
  });

  it.each(['_jobs', '_jobs_rollup'])(
    'are not made anew when %s alone is gone: somebody is at work there',
    async (one) => {
      await open();
      await drop([one]);
      const ask = (): Promise<unknown> =>
        one === '_jobs' ? store.insert([newJob()]) : store.reports.timeseries(['mail'], 60);
      await expect(ask()).rejects.toThrow(QueueUnavailableError);
      await expect(ask()).rejects.toThrow(QueueUnavailableError);
      expect(logger.of('warn')).toEqual([]);
    },
  );
});
