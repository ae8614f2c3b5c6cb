/** @slow */

import Database from 'better-sqlite3';
import { Client } from 'pg';
import { LeaseLostError, QueueUnavailableError } from 'nestjs-jobs';
import { signal, until } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { postgres, sqliteFile } from './support/database-kinds.js';
import { waitForAbort } from './support/wait-for-abort.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { some } from './support/matchers.js';

const atOnce = { type: 'fixed', delay: 0 } as const;

describe('a PostgreSQL outage', () => {
  const apps = useApps(postgres);
  const unhandled: unknown[] = [];
  const onUnhandled = (error: unknown): void => void unhandled.push(error);
  let proxy: TcpProxy;

  beforeEach(async () => {
    process.on('unhandledRejection', onUnhandled);
    proxy = TcpProxy.before((apps.address as { url: string }).url);
    await proxy.open();
    // Closes last, because the applications close their connections through it.
    apps.afterEverything(() => proxy.close());
  });

  afterEach(() => {
    process.removeListener('unhandledRejection', onUnhandled);
    if (unhandled.length > 0) throw new AggregateError(unhandled.splice(0), 'unhandled rejections');
  });

  const throughProxy = (): object => ({ url: proxy.url });

  it('at startup: the application does not start and throws the error of TypeORM', async () => {
    await proxy.close();
    const error = await apps.refusal({ typeOrm: throughProxy() });
    expect(JSON.stringify([error, error.message])).toContain('ECONNREFUSED');
    await proxy.open();
  });

  it('at startup: the application starts after the retries of TypeORM succeed', async () => {
    await proxy.close();
    const starting = apps.start({
      typeOrm: { ...throughProxy(), retryAttempts: 1_000, retryDelay: 20 },
      handlers: { work: () => 'done' },
    });
    await until(() => apps.log.of('error', 'Unable to connect to the database').length >= 2);
    await proxy.open();
    const app = await starting;
    const { id } = await app.jobs.enqueue('work', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'done' });
  });

  it('every method rejects with QueueUnavailableError and works again after the outage', async () => {
    const app = await apps.start({ typeOrm: throughProxy(), handlers: { work: () => 'done' } });
    const { id } = await app.jobs.enqueue('unhandled', null);
    await proxy.close();
    for (const ask of [
      () => app.jobs.enqueue('work', 1),
      () => app.jobs.enqueue('work', 1, { uniqueKey: 'a' }),
      () => app.jobs.enqueueMany([{ topic: 'work', payload: 1 }]),
      () => app.jobs.get(id),
      () => app.jobs.list(),
      () => app.jobs.stats(),
      () => app.jobs.requeue(id),
      () => app.jobs.promote(id),
      () => app.jobs.cancel(id),
      () => app.jobs.delete(id),
    ]) {
      await expect(ask()).rejects.toThrow(QueueUnavailableError);
    }
    await proxy.open();
    const job = await app.jobs.enqueue('work', null);
    expect(await app.jobAfter('completed', job.id)).toMatchObject({ result: 'done' });
    expect(await app.job(id)).toMatchObject({ status: 'pending' });
  });

  it('while a new connection is set up: only the call that needs it rejects', async () => {
    const app = await apps.start({ typeOrm: throughProxy(), handlers: { work: () => 'done' } });
    // The first statement that the queue sends over each new connection.
    proxy.cutOff('default_transaction_isolation');
    await proxy.close();
    await proxy.open();
    for (let round = 1; round <= 10; round += 1) {
      await expect(app.jobs.stats()).rejects.toThrow(QueueUnavailableError);
    }
    proxy.cutOff(undefined);
    const { id } = await app.jobs.enqueue('work', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'done' });
  });

  it('while the application opens a connection: only its query rejects, and the process continues', async () => {
    const app = await apps.start({ typeOrm: throughProxy(), handlers: { work: () => 'done' } });
    const admin = new Client({ connectionString: (apps.address as { url: string }).url, application_name: 'admin' });
    await admin.connect();
    // Occupies all open connections, so that the next statement needs a new one.
    const { master } = app.dataSource.driver as unknown as { master: { idleCount: number } };
    const taken = Array.from({ length: master.idleCount }, () => app.dataSource.createQueryRunner());
    await Promise.all(taken.map((queryRunner) => queryRunner.connect()));
    const held = proxy.holdReady('nestjs-jobs');
    const query = Promise.allSettled([app.dataSource.query('SELECT 1')]);
    await held;
    await admin.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND application_name NOT IN ('admin', 'nestjs-jobs')
       ORDER BY backend_start DESC LIMIT 1`,
    );
    expect(await query).toMatchObject([{ status: 'rejected' }]);
    await Promise.all(taken.map((queryRunner) => queryRunner.release()));
    await admin.end();
    const { id } = await app.jobs.enqueue('work', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'done' });
  });

  it('workers continue after the outage, and no acknowledged job is lost', async () => {
    const ran = new Set<unknown>();
    const app = await apps.start({
      typeOrm: throughProxy(),
      // A job whose claim was not confirmed runs after its lease expires.
      options: { lease: '1s', backoff: atOnce },
      handlers: { work: (job) => void ran.add(job.payload) },
    });
    const acknowledged: unknown[] = [];
    for (let round = 0; round < 60; round += 1) {
      if (round % 20 === 10) await proxy.close();
      if (round % 20 === 15) await proxy.open();
      await app.jobs.enqueue('work', round).then(
        () => acknowledged.push(round),
        (error: unknown) => expect(error).toBeInstanceOf(QueueUnavailableError),
      );
    }
    await until(async () => {
      const { pending, processing } = await app.jobs.stats();
      return pending + processing === 0;
    });
    expect(acknowledged.length).toBeGreaterThanOrEqual(40);
    expect(acknowledged.filter((payload) => !ran.has(payload))).toEqual([]);
    expect(await app.jobs.stats()).toMatchObject({ failed: 0 });
    // One line per loop and outage, not one per retry.
    expect(apps.log.of('error').length).toBeLessThan(20);
  });

  it('the outcome of a handler that ends during the outage is written afterwards', async () => {
    const end = signal();
    const app = await apps.start({ typeOrm: throughProxy(), handlers: { work: () => end.promise.then(() => 'kept') } });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('started', id);
    await proxy.close();
    end.resolve();
    await expect(app.jobs.get(id)).rejects.toThrow(QueueUnavailableError);
    expect(app.eventsOf('completed', id)).toEqual([]);
    await proxy.open();
    expect(await app.jobAfter('completed', id)).toMatchObject({ status: 'completed', result: 'kept', attempt: 1 });
  });

  it('after a long outage the outcome is written at shutdown, within shutdownTimeout', async () => {
    const end = signal();
    const app = await apps.start({
      typeOrm: throughProxy(),
      options: { shutdownTimeout: '2s' },
      handlers: { work: () => end.promise.then(() => 'kept') },
    });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('started', id);
    end.resolve();
    // After 7 failed writes the pause before the next one is longer than shutdownTimeout.
    for (let tries = 1; tries <= 7; tries += 1) await proxy.cutNext('kept', 'unsent');
    await app.close();
    expect(apps.log.of('warn', 'shutdownTimeout')).toEqual([]);
    expect(app.eventsOf('completed', id)).toHaveLength(1);
    const other = await apps.start({ options: { role: 'producer' } });
    expect(await other.job(id)).toMatchObject({ status: 'completed', result: 'kept', attempt: 1, retries: 0 });
  });

  it('a pooler that drops notifications causes one warning, and polling finds the jobs', async () => {
    proxy.mute();
    const options = { pollInterval: '200ms' } as const;
    const app = await apps.start({ typeOrm: throughProxy(), options, handlers: { work: () => 'done' } });
    const warnings = (): unknown[] => apps.log.of('warn', 'notifications do not arrive');
    await until(() => warnings().length > 0, { message: 'a warning' });
    const [{ id }] = await app.dataSource.query<[{ id: string }]>(
      `INSERT INTO _jobs (id, topic, payload) VALUES (gen_random_uuid(), 'work', 'null') RETURNING id`,
    );
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'done' });
    expect(warnings()).toHaveLength(1);
  });

  it('longer than the lease: the handler loses its lease, and the job runs again after the outage', async () => {
    const reasons: unknown[] = [];
    const app = await apps.start({
      typeOrm: throughProxy(),
      options: { lease: 300 },
      handlers: {
        work: async (job) => {
          if (job.attempt > 1) return 'second time';
          return waitForAbort(job).catch((reason: unknown) => {
            reasons.push(reason);
            throw reason;
          });
        },
      },
    });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('started', id);
    await proxy.close();
    await app.event('lease_lost', id);
    expect(reasons).toEqual([some(LeaseLostError)]);
    await proxy.open();
    const job = await app.jobAfter('completed', id);
    expect(job).toMatchObject({ status: 'completed', result: 'second time', retries: 1 });
  });

  it('notifications arrive again after the outage', async () => {
    const app = await apps.start({
      typeOrm: throughProxy(),
      options: { pollInterval: '1h' },
      handlers: { work: () => 'done' },
    });
    await proxy.close();
    await until(() => apps.log.of('error', 'retrying until the database is back').length > 0);
    await proxy.open();
    await until(() => apps.log.of('log', 'the database is back').length > 0);
    const elsewhere = await apps.start({ options: { role: 'producer' } });
    const { id } = await elsewhere.jobs.enqueue('work', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'done' });
  });

  it('a permanent outage: close ends after shutdownTimeout', async () => {
    const app = await apps.start({
      typeOrm: throughProxy(),
      options: { shutdownTimeout: 100 },
      handlers: { work: waitForAbort },
    });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('started', id);
    await proxy.close();
    const since = performance.now();
    await app.close();
    expect(performance.now() - since).toBeLessThan(10_000);
    await proxy.open();
    const other = await apps.start({ options: { role: 'producer' } });
    expect(await other.job(id)).toMatchObject({ status: 'processing', attempt: 1 });
  });

  it('a silent network: enqueue rejects, and workers continue over new connections', async () => {
    const app = await apps.start({
      typeOrm: throughProxy(),
      options: { lease: '1s' },
      handlers: { work: () => 'done' },
    });
    const first = await app.jobs.enqueue('work', null);
    await app.event('completed', first.id);
    proxy.stall();
    await expect(app.jobs.enqueue('work', null)).rejects.toThrow(QueueUnavailableError);
    proxy.restart();
    const next = await until(() => app.jobs.enqueue('work', null).catch(() => undefined), { timeoutMs: 20_000 });
    await until(() => app.eventsOf('completed', next!.id).length > 0, { timeoutMs: 20_000 });
  }, 60_000);
});

describe('another connection that holds the lock of a SQLite file', () => {
  const apps = useApps(sqliteFile);

  it('makes enqueue reject after lockTimeout; workers continue when the lock is free', async () => {
    const end = signal();
    const app = await apps.start({
      options: { sqlite: { lockTimeout: 60 } },
      handlers: { work: () => end.promise.then(() => 'kept'), other: () => 'done' },
    });
    const running = await app.jobs.enqueue('work', null);
    const waiting = await app.jobs.enqueue('other', null, { delay: 100 });
    await app.event('started', running.id);

    const otherConnection = new Database(app.dataSource.options.database as string);
    apps.afterwards(async () => otherConnection.close());
    otherConnection.exec('BEGIN IMMEDIATE');
    end.resolve();
    await expect(app.jobs.enqueue('other', null)).rejects.toThrow(QueueUnavailableError);
    await expect(app.jobs.cancel(waiting.id)).rejects.toThrow(QueueUnavailableError);
    expect(await app.job(running.id)).toMatchObject({ status: 'processing' });
    otherConnection.exec('COMMIT');

    expect(await app.jobAfter('completed', running.id)).toMatchObject({ result: 'kept', attempt: 1 });
    expect(await app.jobAfter('completed', waiting.id)).toMatchObject({ result: 'done' });
  });
});
