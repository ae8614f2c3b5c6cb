/** @slow */

import type { Duration, JobContext, JobsModuleOptions } from 'nestjs-jobs';
import { QueueUnavailableError } from 'nestjs-jobs';
import { Client } from 'pg';
import type { PgBouncer, PoolMode } from '../support/pgbouncer.js';
import { findPgBouncer, startPgBouncer } from '../support/pgbouncer.js';
import { until } from '../support/wait.js';
import type { AppParts } from './support/apps.js';
import { useApps } from './support/apps.js';
import { postgres } from './support/database-kinds.js';
import { waitForAbort } from './support/wait-for-abort.js';
import type { TestApp } from './support/test-app.js';

const POLL_MS = 300;
const LOCK_TIMEOUT_OF_DATABASE_MS = 7_000;
const atOnce = { type: 'fixed', delay: 0 } as const;

/** A trigger that records the settings of each statement that writes `_jobs`. */
const RECORD_SETTINGS = `
CREATE TABLE seen (isolation text, read_only text, statement_timeout text, lock_timeout text, hashjoin text,
  commit text);
CREATE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO seen SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only'),
    current_setting('statement_timeout'), current_setting('lock_timeout'), current_setting('enable_hashjoin'),
    current_setting('synchronous_commit');
  RETURN NULL;
END $$;
CREATE TRIGGER spy AFTER INSERT OR UPDATE ON _jobs EXECUTE FUNCTION spy()`;

const OWN_SETTINGS = {
  isolation: 'read committed',
  read_only: 'off',
  statement_timeout: '30s',
  hashjoin: 'off',
  commit: 'on',
};

const HANDLERS = {
  plain: () => 'done',
  flaky: ({ attempt }: JobContext) => {
    if (attempt === 1) throw new Error('once');
    return attempt;
  },
  transactional: [async ({ manager }: JobContext) => void (await manager.query('SELECT 1')), { transactional: true }],
  long: waitForAbort,
} as const satisfies AppParts['handlers'];

beforeAll(() => void findPgBouncer(), 300_000);

describe.each<PoolMode>(['transaction', 'session'])('the queue behind PgBouncer in %s mode', (poolMode) => {
  const apps = useApps(postgres);
  let pooler: PgBouncer;
  let direct: Client;

  beforeEach(async () => {
    const { url } = apps.address as { url: string };
    direct = new Client({ connectionString: url });
    await direct.connect();
    apps.afterEverything(() => direct.end());
    const name = new URL(url).pathname.slice(1);
    // Defaults of this database that the queue has to override.
    for (const setting of [
      `default_transaction_isolation = 'repeatable read'`,
      'statement_timeout = 17000',
      `lock_timeout = ${LOCK_TIMEOUT_OF_DATABASE_MS}`,
      'synchronous_commit = off',
    ]) {
      await direct.query(`ALTER DATABASE ${name} SET ${setting}`);
    }
    pooler = await startPgBouncer(url, poolMode);
    apps.afterEverything(() => pooler.stop());
  });

  function start(options: JobsModuleOptions = {}, handlers: AppParts['handlers'] = {}): Promise<TestApp> {
    const settings = { pollInterval: POLL_MS, backoff: atOnce, ...options };
    return apps.start({ typeOrm: { url: pooler.url }, options: settings, handlers });
  }

  it('runs jobs with every kind of handler and outcome', async () => {
    const app: TestApp = await start(
      {},
      {
        ...HANDLERS,
        complete_tx: (job) => app.dataSource.transaction((manager) => job.completeTx(manager, 'in completeTx')),
      },
    );
    const { jobs } = app;
    const jobsInTx = await app.dataSource.transaction('READ COMMITTED', async (manager) => [
      await jobs.enqueueTx(manager, 'plain', null),
      ...(await jobs.enqueueMany([{ topic: 'transactional', payload: null, uniqueKey: 'a' }], { manager })),
    ]);
    const many = await jobs.enqueueMany([
      { topic: 'flaky', payload: null },
      { topic: 'complete_tx', payload: null, uniqueKey: 'b' },
      { topic: 'plain', payload: null, uniqueKey: 'c' },
    ]);
    const ids = [...jobsInTx, ...many].map(({ id }) => id);
    await Promise.all(ids.map((id) => app.event('completed', id)));
    expect(await app.job(many[0]!.id)).toMatchObject({ attempt: 2, result: 2, retries: 1 });
    expect(await app.job(many[1]!.id)).toMatchObject({ attempt: 1, result: 'in completeTx' });

    const long = await jobs.enqueue('long', null);
    await app.event('started', long.id);
    await jobs.cancel(long.id);
    await app.event('cancelled', long.id);
    await jobs.requeue(long.id);
    await app.event('started', long.id, 2);
    await jobs.cancel(long.id);
    await app.event('cancelled', long.id, 2);
    await jobs.delete(long.id);
    expect(await jobs.get(long.id)).toBeNull();
    expect(await jobs.stats()).toMatchObject({ completed: ids.length, failed: 0, total: ids.length });
  });

  it('runs its statements under its own settings and leaves those of other clients unchanged', async () => {
    const app = await start({}, HANDLERS);
    await direct.query(RECORD_SETTINGS);
    const other = new Client({ connectionString: pooler.url });
    await other.connect();
    const readSettings = async (): Promise<unknown> => {
      const { rows } = await other.query<object>(
        `SELECT current_setting('default_transaction_isolation') AS isolation, current_setting('lock_timeout') AS lock,
           current_setting('statement_timeout') AS statement, current_setting('enable_hashjoin') AS hashjoin`,
      );
      return rows[0];
    };
    const theirs = { isolation: 'repeatable read', lock: '7s', statement: '17s', hashjoin: 'on' };
    for (let round = 1; round <= 10; round += 1) {
      const uniqueKey = String(round);
      const [alone, together] = await Promise.all([
        app.jobs.enqueue('plain', null),
        app.jobs.enqueueMany(['plain', 'flaky'].map((topic) => ({ topic, payload: null, uniqueKey }))),
      ]);
      const jobs = [alone, ...together];
      await Promise.all(jobs.map(({ id }) => app.event('completed', id)));
      expect(await readSettings()).toEqual(theirs);
    }
    await other.end();
    const { rows } = await direct.query('SELECT DISTINCT * FROM seen ORDER BY lock_timeout DESC');
    // Completions wait for a lock for a shorter time.
    expect(rows).toEqual(['1s', '150ms'].map((lock) => ({ ...OWN_SETTINGS, lock_timeout: lock })));
  });

  it('stops to wait for a locked row after its own lock timeout and continues', async () => {
    const app = await start({}, HANDLERS);
    const { id } = await app.jobs.enqueue('unhandled', null);
    await direct.query('BEGIN');
    await direct.query('UPDATE _jobs SET updated = updated');
    const sinceMs = performance.now();
    await expect(app.jobs.cancel(id)).rejects.toThrow(QueueUnavailableError);
    expect(performance.now() - sinceMs).toBeLessThan(LOCK_TIMEOUT_OF_DATABASE_MS);
    const next = await app.jobs.enqueue('plain', null);
    await app.event('completed', next.id);
    await direct.query('ROLLBACK');
    await app.jobs.cancel(id);
    expect(await app.job(id)).toMatchObject({ status: 'cancelled' });
  });

  it('lets two applications work on one queue without claiming a job twice', async () => {
    const both = [await start({}, HANDLERS), await start({}, HANDLERS)];
    const jobs = await both[0]!.jobs.enqueueMany(
      Array.from({ length: 500 }, () => ({ topic: 'plain', payload: null })),
    );
    const ended = (): string[] => both.flatMap((app) => app.eventsOf('completed').map(({ id }) => id));
    await until(() => ended().length >= jobs.length);
    expect(new Set(ended()).size).toBe(jobs.length);
    expect(ended()).toHaveLength(jobs.length);
    expect(await direct.query('SELECT DISTINCT status, attempt FROM _jobs')).toMatchObject({
      rows: [{ status: 'completed', attempt: 1 }],
    });
  });
});

describe('the queue behind PgBouncer', () => {
  const apps = useApps(postgres);

  async function throughPooler(
    poolMode: PoolMode,
    pollInterval: Duration,
  ): Promise<readonly [worker: TestApp, producer: TestApp]> {
    const pooler = await startPgBouncer((apps.address as { url: string }).url, poolMode);
    apps.afterEverything(() => pooler.stop());
    const typeOrm = { url: pooler.url };
    const worker = await apps.start({ typeOrm, options: { pollInterval }, handlers: HANDLERS });
    return [worker, await apps.start({ typeOrm, options: { role: 'producer' } })];
  }

  it('warns once in transaction mode that notifications do not arrive, and finds jobs by polling', async () => {
    const [worker, producer] = await throughPooler('transaction', POLL_MS);
    await until(() => apps.log.of('warn', 'notifications do not arrive').length > 0);
    for (let round = 1; round <= 3; round += 1) {
      const { id } = await producer.jobs.enqueue('plain', null);
      await worker.event('completed', id);
    }
    const lines = apps.log.lines.filter(({ text }) => text.startsWith('notifications'));
    expect(lines).toEqual([{ level: 'warn', text: expect.stringContaining('a pooler in transaction mode') as string }]);
    expect(apps.log.of('error')).toEqual([]);
  });

  it('receives notifications in session mode and logs nothing', async () => {
    const [worker, producer] = await throughPooler('session', '10m');
    const { id } = await producer.jobs.enqueue('plain', null);
    await worker.event('completed', id);
    expect(apps.log.lines.filter(({ text }) => text.startsWith('notifications'))).toEqual([]);
    expect(apps.log.of('error')).toEqual([]);
  });
});
