import type { Socket } from 'node:net';
import * as pg from 'pg';
import type { PostgresDriver } from '../../../lib/store/postgres/own-pool.js';
import { openPool } from '../../../lib/store/postgres/own-pool.js';
import type { SessionRunner } from '../../../lib/store/postgres/session.js';
import { PostgresSession } from '../../../lib/store/postgres/session.js';
import type { PooledClient } from '../../../lib/store/postgres/pool.js';
import { ConnectionValidator } from '../../../lib/store/postgres/pool.js';
import { CLAIM } from '../../../lib/store/jobs/claim.postgres.js';
import { INSERT_JOBS } from '../../../lib/store/jobs/insert.postgres.js';
import { RENEW } from '../../../lib/store/jobs/lease.postgres.js';
import { toInsertJson } from '../../../lib/store/jobs/batch-json.js';
import type { SqlRow, SqlRunner, SqlScript } from '../../../lib/store/runtime/sql-runner.js';
import { runScript } from '../../../lib/store/runtime/sql-runner.js';
import { claim, insertOne, newJob } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { TcpProxy } from '../../support/tcp-proxy.js';
import { until } from '../../support/wait.js';

interface Proven {
  readonly runner: SqlRunner;
  readonly lend: () => ReturnType<PostgresSession['lend']>;
}

const kinds = storeKinds().filter(({ hasNotifications }) => hasNotifications);

describe.each(kinds)('PostgresSession on $label', (kind) => {
  const fixture = useStore(kind);
  let pool: pg.Pool;
  let session: PostgresSession;
  let runner: SessionRunner;

  beforeEach(() => {
    session = new PostgresSession({ statementTimeoutMs: 30_000, lockTimeoutMs: 1_000 });
    const { url } = fixture.app.options as { url: string };
    pool = new pg.Pool({ connectionString: url, max: 1, verify: session.prepare });
    runner = session.createRunner(pool);
  });
  afterEach(() => pool.end());

  const insert = (): Promise<readonly object[]> =>
    runner.query(INSERT_JOBS, [toInsertJson([newJob()], (moment) => moment.toISOString()), null, null]);

  it('runs a script in one transaction, and rolls back when a statement fails', async () => {
    function* script(last: string): SqlScript<readonly SqlRow[]> {
      const jobs = toInsertJson([newJob()], (moment) => moment.toISOString());
      yield { sql: INSERT_JOBS, params: [jobs, null, null] };
      return yield { sql: last, params: [] };
    }
    const run = (given: SqlScript<readonly SqlRow[]>): Promise<readonly SqlRow[]> =>
      runner.transaction((tx) => runScript(tx, given));
    const count = 'SELECT count(*)::int AS jobs FROM _jobs';
    await expect(run(script('SELECT 1 / 0'))).rejects.toMatchObject({ kind: 'refused' });
    expect(await runner.query(count, [])).toEqual([{ jobs: 0 }]);
    expect(await run(script(count))).toEqual([{ jobs: 1 }]);
    expect(await runner.query(count, [])).toEqual([{ jobs: 1 }]);
  });

  async function listPrepared(): Promise<string[]> {
    const { rows } = await pool.query<{ name: string }>('SELECT name FROM pg_prepared_statements ORDER BY name');
    return rows.map(({ name }) => name);
  }

  it('prepares the frequent statements only', async () => {
    await insert();
    await insert();
    await runner.query('SELECT $1::int AS one', [1]);
    expect(await listPrepared()).toEqual(['nestjs_jobs_insert_jobs']);
  });

  it.each([
    { title: 'loses its prepared statements', change: 'DEALLOCATE ALL' },
    { title: 'holds a prepared statement of another client', change: 'PREPARE nestjs_jobs_renew AS SELECT 1' },
  ])('works when the connection $title, as behind a pooler', async ({ change }) => {
    await insert();
    await pool.query(change);
    expect(await insert()).toHaveLength(1);
    expect(await runner.query(RENEW, ['[]', 1])).toEqual([]);
    expect(await insert()).toHaveLength(1);
    expect(await fixture.sql('SELECT 1 FROM _jobs')).toHaveLength(3);
  });

  it('pipelines statements until it detects a pooler', async () => {
    expect(session.isPipelining).toBe(false);
    await runner.query(RENEW, ['[]', 1]);
    expect(session.isPipelining).toBe(true);
    await pool.query('DEALLOCATE ALL');
    await runner.query(RENEW, ['[]', 1]);
    expect(session.isPipelining).toBe(false);
  });

  it.each([
    { title: 'the application forbids it', mayPipeline: false, client: { processID: 1, pipeline: false } },
    { title: 'the driver is an older one', mayPipeline: true, client: { processID: 1 } },
  ])('does not pipeline when $title', ({ mayPipeline, client }) => {
    const other = new PostgresSession(session.limits, mayPipeline);
    const made = { ...client, on: () => undefined, query: (_: string, done: () => void) => done() };
    other.prepare(made, () => undefined);
    expect(other.isPipelining).toBe(false);
    expect(made).toMatchObject(client);
  });

  it('resets the planner settings of a connection while it is lent', async () => {
    const ask = 'SHOW plan_cache_mode';
    expect(await runner.query(ask, [])).toEqual([{ plan_cache_mode: 'force_generic_plan' }]);
    const [client, release] = await session.lend(pool);
    expect((await client.query(ask)).rows).toEqual([{ plan_cache_mode: 'auto' }]);
    release();
    expect(await runner.query(ask, [])).toEqual([{ plan_cache_mode: 'force_generic_plan' }]);
  });

  it('closes a lent connection that is released broken', async () => {
    const [client, release] = await session.lend(pool);
    await client.query('SELECT pg_terminate_backend(pg_backend_pid())').catch(() => undefined);
    release();
    expect(await insert()).toHaveLength(1);
    expect(await runner.query('SHOW plan_cache_mode', [])).toEqual([{ plan_cache_mode: 'force_generic_plan' }]);
  });

  it('closes a connection that does not reply in time, and rejects its other queries', async () => {
    const proxy = TcpProxy.before((fixture.app.options as { url: string }).url);
    await proxy.open();
    const hasty = new PostgresSession({ statementTimeoutMs: 1_000, lockTimeoutMs: 100 });
    const silent = new pg.Pool({ connectionString: proxy.url, max: 1, verify: hasty.prepare });
    try {
      const clients: PooledClient[] = [];
      silent.on('connect', (client) => clients.push(client));
      const { query } = hasty.createRunner(silent);
      const ask = (): Promise<unknown> => query(CLAIM, ['[]', 1, 'w', 1_000]);
      // The first call detects the driver's features, the second one prepares the statement for pipelined ones.
      await ask();
      await ask();
      proxy.stall();
      const answers = await Promise.allSettled([ask(), ask()]);
      expect(answers.map((answer) => (answer as PromiseRejectedResult).reason as unknown)).toEqual([
        expect.objectContaining({ kind: 'unavailable', message: 'the database did not reply in time' }),
        expect.objectContaining({ kind: 'unavailable' }),
      ]);
      expect(clients.map(({ connection }) => connection!.stream)).toMatchObject([{ destroyed: true }]);
      proxy.restart();
      expect(await ask()).toEqual([]);
    } finally {
      await silent.end();
      await proxy.close();
    }
  });

  it.each([
    {
      title: 'statements of the queue',
      ask: ({ runner }: Proven) => runner.query('SELECT 1 AS one', []),
    },
    {
      title: 'borrowers',
      ask: async ({ lend }: Proven) => {
        const [client, release] = await lend();
        const { rows } = await client.query('SELECT 1 AS one');
        release();
        return rows;
      },
    },
  ])('replaces idle connections that were dropped silently, for $title', async ({ ask }) => {
    const proxy = TcpProxy.before((fixture.app.options as { url: string }).url);
    await proxy.open();
    const careful = new PostgresSession(session.limits, true, new ConnectionValidator({ bypassMs: 0, timeoutMs: 200 }));
    const idle = new pg.Pool({ connectionString: proxy.url, max: 2, verify: careful.prepare });
    try {
      const clients: PooledClient[] = [];
      idle.on('connect', (client) => clients.push(client));
      const proven = { runner: careful.createRunner(idle), lend: () => careful.lend(idle) };
      await Promise.all([ask(proven), ask(proven)]);
      await until(() => idle.idleCount === 2, { message: 'idle connections' });
      proxy.stall();
      proxy.restart();
      expect(await ask(proven)).toEqual([{ one: 1 }]);
      expect(clients.map(({ connection }) => (connection!.stream as Socket).destroyed)).toEqual([true, true, false]);
    } finally {
      await idle.end();
      await proxy.close();
    }
  });

  it('runs no statement on a connection that the server has just closed', async () => {
    const careful = new PostgresSession(
      session.limits,
      true,
      new ConnectionValidator({ bypassMs: 0, timeoutMs: 1_000 }),
    );
    const { query } = careful.createRunner(pool);
    pool.on('error', () => undefined);
    for (let times = 0; times < 10; times += 1) {
      const [row] = await query('SELECT pg_backend_pid() AS pid', []);
      await fixture.sql(`SELECT pg_terminate_backend(${Number(row!.pid)})`);
      expect(await query('SELECT 1 AS one', [])).toEqual([{ one: 1 }]);
    }
  });

  it('keeps idle connections for a minute by default, and for 10 s behind a pooler', async () => {
    const { url } = fixture.app.options as { url: string };
    const readOptions = async (config: object): Promise<object> => {
      const database = { driver: pg as unknown as PostgresDriver, config: { connectionString: url, ...config } };
      const own = await openPool(database, 3, session);
      await own.end();
      return own.options;
    };
    expect(await readOptions({})).toMatchObject({ idleTimeoutMillis: 60_000, allowExitOnIdle: true });
    expect(await readOptions({ idleTimeoutMillis: 5 })).toMatchObject({ idleTimeoutMillis: 5, allowExitOnIdle: true });

    const readIdleTimeout = (rows: { is_standby: string }[], idleTimeoutMillis: number): number => {
      const other = new PostgresSession(session.limits);
      const query = (_: string, done: (error: undefined, result: { rows: typeof rows }) => void): void =>
        done(undefined, { rows });
      other.prepare({ processID: 1, on: () => undefined, query }, () => undefined);
      const options = { idleTimeoutMillis };
      other.boundIdleTime({ options });
      return options.idleTimeoutMillis;
    };
    expect(readIdleTimeout([{ is_standby: 'false' }], 60_000)).toBe(60_000);
    expect(readIdleTimeout([], 60_000)).toBe(10_000);
    expect(readIdleTimeout([], 90_000)).toBe(90_000);
  });

  it('prepares a statement again after the type of a column has changed', async () => {
    // More statements than connections, so that each connection prepares the statement.
    const claims = (): Promise<unknown> => Promise.all(Array.from({ length: 8 }, () => claim(fixture.store)));
    for (const type of ['varchar(255)', 'text']) {
      await claims();
      await fixture.sql(`ALTER TABLE _jobs ALTER COLUMN topic TYPE ${type}`);
      await claims();
    }
    expect(await insertOne(fixture.store)).toEqual(expect.any(String));
    expect(await claim(fixture.store)).toHaveLength(1);
  });
});
