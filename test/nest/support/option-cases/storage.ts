import { setImmediate as nextLoop } from 'node:timers/promises';
import { InvalidOptionsError, jobsMigrations, JobsModule, QueueUnavailableError } from 'nestjs-jobs';
import type { RunInTransaction } from 'nestjs-jobs';
import type { DataSource } from 'typeorm';
import { createSqliteFile } from '../../../support/databases.js';
import { signal, until } from '../../../support/wait.js';
import type { Apps } from '../apps.js';
import { everyKind, postgres, sqliteFile, sqliteMemory } from '../database-kinds.js';
import type { OptionCase } from './option-case.js';

const sqliteTables = `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY 1`;
const tables = {
  postgres: `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1`,
  'better-sqlite3': sqliteTables,
  sqlite: sqliteTables,
} as Record<string, string>;

/** The options that set where jobs are stored and how the database is used. */
export const storageCases: readonly OptionCase[] = [
  {
    option: 'dataSource',
    effect: 'names the DataSource of the queue',
    kinds: everyKind,
    expectEffect: expectNamedDataSource,
  },
  {
    option: 'database',
    effect: 'names the database of the queue, which creates its tables there',
    kinds: [sqliteFile],
    expectEffect: expectNamedDatabase,
  },
  {
    option: 'transactions',
    effect: 'runs the transactions of transactional handlers',
    kinds: [postgres],
    expectEffect: expectOwnTransactions,
  },
  {
    option: 'migrate',
    effect: 'false creates no tables: the start fails without them and succeeds with jobsMigrations',
    kinds: everyKind,
    expectEffect: expectNoCreatedTables,
  },
  {
    option: 'connections',
    effect: 'is the size of the pool, without the connection that listens',
    kinds: [postgres],
    expectEffect: expectPoolSize,
  },
  {
    option: 'sqlite.synchronous',
    effect: "sets `synchronous` of the queue's own connection",
    kinds: [sqliteFile],
    expectEffect: expectSynchronous,
  },
  {
    option: 'sqlite.lockTimeout',
    effect: 'limits the wait for the write lock',
    kinds: [sqliteFile, sqliteMemory],
    expectEffect: expectLockTimeout,
  },
  {
    option: 'sqlite.serializeTransactions',
    effect: 'runs the transactions of the application one at a time',
    kinds: [sqliteFile, sqliteMemory],
    expectEffect: expectSerializedTransactions,
  },
  {
    option: 'http',
    effect: 'accepts false or an object',
    kinds: [sqliteMemory],
    expectEffect: expectHttpValues,
  },
  {
    option: 'ui',
    effect: 'accepts false or an object, and contradicts http: false',
    kinds: [sqliteMemory],
    expectEffect: expectUiValues,
  },
];

async function expectNamedDatabase(apps: Apps): Promise<void> {
  const { path, remove } = await createSqliteFile();
  const app = await apps.start({ options: { database: `SQLite:${path}` }, handlers: { work: () => 'done' } });
  const { id } = await app.jobs.enqueue('work', null);
  await until(async () => (await app.jobs.get(id))?.status === 'completed');
  expect(await app.dataSource.query(tables[app.dataSource.options.type]!)).toEqual([]);
  await remove();
}

async function expectOwnTransactions(apps: Apps): Promise<void> {
  const seen: unknown[] = [];
  const transactions: RunInTransaction = (work) =>
    app.dataSource.transaction((manager) =>
      work({
        handle: manager,
        query: async (sql, params) =>
          ((await manager.queryRunner!.query(sql, [...params], true)) as { records?: Record<string, unknown>[] })
            .records ?? [],
      }),
    );
  const app = await apps.start({
    options: { transactions },
    handlers: { work: [(job) => void seen.push(job.tx), { transactional: true }] },
  });
  const { id } = await app.jobs.enqueue('work', null);
  await until(async () => (await app.jobs.get(id))?.status === 'completed');
  expect(seen).toHaveLength(1);
  expect(seen[0]).toHaveProperty('queryRunner');
}

async function expectNamedDataSource(apps: Apps): Promise<void> {
  const app = await apps.start({
    imports: [apps.typeOrm({ name: 'second' }, await apps.anotherDatabase())],
    options: { dataSource: 'second' },
    handlers: { work: () => 'done' },
  });
  const { id } = await app.jobs.enqueue('work', null);
  expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'done' });
  expect(await apps.dataSource('second').query('SELECT topic FROM _jobs')).toEqual([{ topic: 'work' }]);
  expect(await app.dataSource.createQueryRunner().hasTable('_jobs')).toBe(false);
}

async function expectNoCreatedTables(apps: Apps): Promise<void> {
  const options = { migrate: false };
  const error = await apps.refusal({ options });
  expect(error).toBeInstanceOf(InvalidOptionsError);
  expect(error.message).toMatch(/^JobsModule.forRoot: migrate: .*_jobs.*jobsMigrations/);

  const typeOrm = { migrations: jobsMigrations, migrationsRun: true };
  const app = await apps.start({ options, typeOrm, handlers: { work: () => 'done' } });
  const { id } = await app.jobs.enqueue('work', null);
  expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'done' });
  const made = await app.dataSource.query<{ name: string }[]>(tables[app.dataSource.options.type]!);
  expect(made.map(({ name }) => name)).toEqual([
    '_jobs',
    '_jobs_counts',
    '_jobs_definitions',
    '_jobs_groups',
    // PostgreSQL has an index in its place.
    ...(app.dataSource.options.type === 'postgres' ? [] : ['_jobs_labels']),
    '_jobs_links',
    '_jobs_logs',
    '_jobs_meta',
    '_jobs_rollup',
    '_jobs_schedules',
    '_jobs_starts',
    '_jobs_topics',
    '_jobs_workers',
    'migrations',
  ]);
}

async function expectPoolSize(apps: Apps): Promise<void> {
  const count = async (dataSource: DataSource, condition: string): Promise<number> => {
    const rows = await dataSource.query<unknown[]>(
      `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'nestjs-jobs' AND ${condition}`,
    );
    return rows.length;
  };
  for (const connections of [1, 5]) {
    const app = await apps.start({ options: { connections } });
    const blocker = app.dataSource.createQueryRunner();
    await blocker.startTransaction();
    await blocker.query('LOCK TABLE _jobs IN ACCESS EXCLUSIVE MODE');
    // More queries than connections: each connection of the pool waits for the lock.
    const queries = Array.from({ length: 50 }, () => app.rows.count());
    await until(async () => (await count(app.dataSource, `wait_event_type = 'Lock'`)) === connections);
    expect(await count(app.dataSource, 'true')).toBe(connections + 1);
    await blocker.commitTransaction();
    await blocker.release();
    await Promise.all(queries);
    expect(await count(app.dataSource, 'true')).toBe(connections + 1);
    await app.close();
  }
}

async function expectSynchronous(apps: Apps): Promise<void> {
  for (const [sqlite, level] of [
    [{ synchronous: 'normal' }, 1],
    [{ synchronous: 'full' }, 2],
    [{}, 2],
  ] as const) {
    const app = await apps.start({ options: { sqlite } });
    expect(await app.rows.query('PRAGMA synchronous')).toEqual([{ synchronous: level }]);
    await app.close();
  }
}

async function expectSerializedTransactions(apps: Apps): Promise<void> {
  for (const sqlite of [{}, { serializeTransactions: true }, { serializeTransactions: false }]) {
    const app = await apps.start({ options: { sqlite } });
    const { dataSource } = app;
    // TypeORM has one query runner for all.
    const isShared = dataSource.createQueryRunner() === dataSource.createQueryRunner();
    expect(isShared).toBe(sqlite.serializeTransactions === false);
    if (!isShared) {
      const steps: string[] = [];
      const transact = (): Promise<unknown> =>
        dataSource.transaction(async () => {
          steps.push('begins');
          await nextLoop();
          steps.push('ends');
        });
      await Promise.all([transact(), transact()]);
      expect(steps).toEqual(['begins', 'ends', 'begins', 'ends']);
    }
    await app.close();
  }
}

async function expectLockTimeout(apps: Apps): Promise<void> {
  const app = await apps.start({ options: { sqlite: { lockTimeout: '150ms' } } });
  const isLocked = signal();
  const isOver = signal();
  const holding = app.dataSource.transaction(async (manager) => {
    await manager.query('CREATE TABLE locked (id integer)');
    isLocked.resolve();
    await isOver.promise;
  });
  await isLocked.promise;
  const error: unknown = await app.jobs.enqueue('work', null).catch((thrown: unknown) => thrown);
  isOver.resolve();
  await holding;
  expect(error).toBeInstanceOf(QueueUnavailableError);
  expect((error as Error).message).toMatch(/has held the SQLite lock for \d+ ms.*enqueueTx/);
  expect(await app.jobs.stats()).toMatchObject({ total: 0 });
}

async function expectHttpValues(apps: Apps): Promise<void> {
  await (await apps.start({ options: { http: { path: 'queue' } } })).close();
  const app = await apps.start({ options: { http: false } });
  await app.app.listen(0, '127.0.0.1');
  expect((await fetch(`${await app.app.getUrl()}/api/jobs/stats`)).status).toBe(404);
  expect(() => JobsModule.forRoot({ http: true as never })).toThrow(/^JobsModule.forRoot: http: /);
}

async function expectUiValues(apps: Apps): Promise<void> {
  await (await apps.start({ options: { ui: { path: 'queue' } } })).close();
  const app = await apps.start({ options: { ui: false, http: false } });
  await app.app.listen(0, '127.0.0.1');
  expect((await fetch(`${await app.app.getUrl()}/admin/jobs`)).status).toBe(404);
  expect(() => JobsModule.forRoot({ ui: 'yes' as never })).toThrow(/^JobsModule.forRoot: ui: /);
  expect(() => JobsModule.forRoot({ http: false, ui: {} })).toThrow(/^JobsModule.forRoot: ui: contradicts http: false/);
}
