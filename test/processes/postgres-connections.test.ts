import type { Duration } from 'nestjs-jobs';
import { Client } from 'pg';
import type { PostgresDatabase } from '../support/databases.js';
import { createPostgresDatabase, postgresVersions } from '../support/databases.js';
import { signal, until } from '../support/wait.js';
import type { AppQueue } from './support/app-queue.js';
import { openAppQueue } from './support/app-queue.js';
import { Program } from './support/program.js';

const LEASE_MS = 600;
const POLL_MS = 500;
const POOL_SIZE = 2;
const BACK_WITHIN_MS = 15_000;
/** A busy machine gives a process no turn for a while. */
const SOON_MS = 8_000;

interface Started {
  readonly worker: AppQueue;
  readonly started: Map<string, number>;
}

describe.each(postgresVersions())('the connections of a queue on PostgreSQL %s', (version) => {
  let database: PostgresDatabase;
  let admin: Client;
  let queues: AppQueue[];

  beforeEach(async () => {
    database = await createPostgresDatabase(version);
    admin = new Client({ connectionString: database.url });
    await admin.connect();
    queues = [];
  });

  afterEach(async () => {
    await Promise.all(queues.map((queue) => queue.close()));
    await admin.end();
    await database.drop();
  });

  async function open(options: Parameters<typeof openAppQueue>[1], extra = {}): Promise<AppQueue> {
    const queue = await openAppQueue({ type: 'postgres', url: database.url, poolSize: POOL_SIZE, extra }, options);
    queues.push(queue);
    return queue;
  }

  async function listeners(): Promise<number[]> {
    const { rows } = await admin.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'`,
    );
    return rows.map(({ pid }) => pid);
  }

  async function connections(): Promise<number[]> {
    const { rows } = await admin.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'nestjs-jobs'`,
    );
    return rows.map(({ pid }) => pid);
  }

  async function terminate(pids: readonly number[]): Promise<void> {
    await admin.query('SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid', [pids]);
  }

  /** Starts a worker that records the start times of its jobs, on an idle queue. */
  async function startWorker(pollInterval: Duration): Promise<Started> {
    const worker = await open({ pollInterval });
    const started = new Map<string, number>();
    worker.engine.register('quick', ({ id }) => void started.set(id, performance.now()));
    await worker.engine.start();
    await worker.engine.whenIdle();
    return { worker, started };
  }

  /** Measures how long a job of another DataSource waits for its handler, in milliseconds. Leaves an idle queue. */
  async function measureStart({ engine }: AppQueue, { worker, started }: Started): Promise<number> {
    const sinceMs = performance.now();
    const { id } = await engine.enqueue('quick', {});
    const startMs = await until(() => started.get(id), { message: 'the start of a job' });
    await worker.engine.whenIdle();
    return startMs! - sinceMs;
  }

  it('renew leases and complete jobs while sleeping transactions exhaust the pool of the application', async () => {
    const { app, engine } = await open({ lease: LEASE_MS });
    const lost: string[] = [];
    engine.events.subscribe(({ type, id }) => type === 'lease_lost' && lost.push(id));
    const running = signal();
    const release = signal();
    engine.register('long', async () => {
      running.resolve();
      await release.promise;
    });
    engine.register('quick', () => undefined);
    await engine.start();

    const sleepers = Array.from({ length: POOL_SIZE }, () =>
      app.transaction((manager) => manager.query('SELECT pg_sleep(60)')).catch((error: unknown) => error),
    );
    const countSleepers = async (): Promise<number> =>
      (await admin.query(`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`))
        .rowCount ?? 0;
    await until(async () => (await countSleepers()) === POOL_SIZE, { message: 'sleeping transactions' });
    let gotConnection = false;
    const blockedQuery = app.query('SELECT 1').then(() => (gotConnection = true));

    const long = await engine.enqueue('long', {});
    await running.promise;
    const leaseEnd = async (): Promise<number> => (await engine.jobs.get(long.id))?.lockedUntil?.getTime() ?? 0;
    const firstEnd = await leaseEnd();
    await until(async () => (await leaseEnd()) > firstEnd + 2 * LEASE_MS, { message: 'renewals over two leases' });
    const quick = await engine.enqueue('quick', {});
    await until(async () => (await engine.jobs.get(quick.id))?.status === 'completed', { message: 'a quick job' });
    release.resolve();
    await until(async () => (await engine.jobs.get(long.id))?.status === 'completed', { message: 'the long job' });

    expect(gotConnection).toBe(false);
    expect(await countSleepers()).toBe(POOL_SIZE);
    expect(lost).toEqual([]);
    expect(await engine.jobs.get(long.id)).toMatchObject({ attempt: 1, retries: 0 });

    await admin.query(
      `SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`,
    );
    await Promise.all([...sleepers, blockedQuery]);
  });

  it('listen again after an administrator terminated the listening connection', async () => {
    // Without notifications a job would wait for a minute.
    const worker = await startWorker('1m');
    const producer = await open({ role: 'producer' });

    const [terminated] = await listeners();
    const terminatedMs = performance.now();
    await terminate([terminated!]);
    const back = await until(async () => (await listeners()).find((pid) => pid !== terminated), {
      message: 'a new listening connection',
    });
    // The scan after the reconnect may find the first job. The second one needs a notification.
    const waitedMs = [await measureStart(producer, worker), await measureStart(producer, worker)];

    expect(back).toBeGreaterThan(0);
    expect(performance.now() - terminatedMs).toBeLessThan(BACK_WITHIN_MS);
    expect(Math.max(...waitedMs)).toBeLessThan(SOON_MS);
  });

  it('poll while no connection listens', async () => {
    const worker = await startWorker(POLL_MS);
    const producer = await open({ role: 'producer' });
    // Opens a connection for each before new ones are refused.
    await measureStart(producer, worker);

    // Open connections keep working. New ones, such as the listener's, are refused.
    const name = new URL(database.url).pathname.slice(1);
    const other = new Client({ connectionString: database.url.replace(`/${name}`, '/postgres') });
    await other.connect();
    try {
      await other.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
      await terminate(await listeners());
      for (let round = 0; round < 3; round += 1) {
        const waitedMs = await measureStart(producer, worker);
        expect(waitedMs).toBeLessThan(SOON_MS);
        expect(await listeners()).toEqual([]);
      }
      await other.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS true`);
      const allowedMs = performance.now();
      await until(async () => (await listeners()).length === 1, { message: 'a new listening connection' });
      expect(performance.now() - allowedMs).toBeLessThan(BACK_WITHIN_MS);
    } finally {
      await other.end();
    }
  });

  it('close after the idle timeout of the application', async () => {
    const { engine } = await open({ role: 'producer' }, { idleTimeoutMillis: 100 });
    await engine.enqueue('quick', {});
    expect(await connections()).not.toEqual([]);
    await until(async () => (await connections()).length === 0, { message: 'no idle connection' });
    await engine.enqueue('quick', {});
  });

  it('do not keep an otherwise finished process alive', async () => {
    const program = await Program.start('enqueue-only', { database: { type: 'postgres', url: database.url } });
    const readyMs = performance.now();
    expect(await program.exited).toEqual({ code: 0, signal: null });
    expect(performance.now() - readyMs).toBeLessThan(SOON_MS);
    const { rows } = await admin.query('SELECT topic, status FROM _jobs');
    expect(rows).toEqual([{ topic: 'plain', status: 'pending' }]);
  });
});
