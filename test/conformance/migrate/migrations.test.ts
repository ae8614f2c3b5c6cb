/**
 * @npm-test postgres-15, memory, typeorm-0.3
 * @slow
 */

import { InvalidOptionsError, jobsMigrations } from 'nestjs-jobs';
import type { JobsOptions } from 'nestjs-jobs';
import type { DataSource } from 'typeorm';
import { createJobStore } from '../../../lib/typeorm/create-job-store.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import { readCatalog } from '../../support/catalog.js';
import { claim, insertOne, TOPIC } from '../../support/job-rows.js';
import type { EmptyDatabase } from '../../support/stores.js';
import { storeKinds } from '../../support/stores.js';
import { until } from '../../support/wait.js';

/** The tables that the migrations create. */
const TABLES = ['_jobs', '_jobs_rollup', '_jobs_workers', '_jobs_topics'];

describe.each(storeKinds())('migrations on $label', (kind) => {
  let database: EmptyDatabase;
  let closing: (() => Promise<void>)[];

  beforeEach(async () => {
    database = await kind.createDatabase();
    closing = [];
  });
  afterEach(async () => {
    for (const close of closing.reverse()) {
      await close();
    }
    await database.remove();
  });

  async function openApp(options?: object): Promise<DataSource> {
    const app = await database.app(options).initialize();
    closing.push(() => app.destroy());
    return app;
  }

  async function openStoreOn(app: DataSource, options: JobsOptions = {}): Promise<JobStore> {
    const { store } = createJobStore(app, options);
    closing.push(() => store.close());
    await store.open();
    return store;
  }

  const listNames = async (app: DataSource, table: string): Promise<string[]> =>
    (await app.query<{ name: string }[]>(`SELECT name FROM ${table} ORDER BY id`)).map(({ name }) => name);
  const migrationNames = jobsMigrations.map((migration) => migration.name);

  /** Expects that the store can insert and claim a job. */
  async function expectToWork(store: JobStore): Promise<void> {
    const id = await insertOne(store);
    expect(await claim(store)).toMatchObject([{ id, attempt: 1 }]);
  }

  it('run once on a fresh database and are recorded', async () => {
    const app = await openApp();
    await expectToWork(await openStoreOn(app));
    expect(await listNames(app, '_jobs_migrations')).toEqual(migrationNames);
  });

  it('change nothing when the tables exist, and keep the jobs', async () => {
    const app = await openApp();
    const first = await openStoreOn(app);
    const before = await readCatalog(app);
    const id = await insertOne(first, { delayMs: 60_000 });
    const second = await openStoreOn(app);
    expect(await second.find([id])).toHaveLength(1);
    expect(await readCatalog(app)).toEqual(before);
    expect(await listNames(app, '_jobs_migrations')).toEqual(migrationNames);
  });

  it('run once when eight stores open a fresh database at the same time', async () => {
    const shared = await openApp();
    const apps = await Promise.all(
      Array.from({ length: 8 }, () => (kind.canHaveTwoConnections ? openApp() : Promise.resolve(shared))),
    );
    const stores = await Promise.all(apps.map((app) => openStoreOn(app)));
    expect(await listNames(shared, '_jobs_migrations')).toEqual(migrationNames);
    for (const store of stores) {
      await expectToWork(store);
    }
  });

  it("reject a table of that name that is not the queue's, and do not change it", async () => {
    const app = await openApp();
    await app.query('CREATE TABLE _jobs (id integer)');
    const before = await readCatalog(app);
    await expect(openStoreOn(app)).rejects.toThrow(/^migrate: .*nothing was changed/);
    expect(await readCatalog(app)).toEqual(before);
  });

  describe('with migrate: false', () => {
    it('reject an empty database with an error that names the option, and create nothing', async () => {
      const app = await openApp();
      const refused = openStoreOn(app, { migrate: false });
      await expect(refused).rejects.toMatchObject({
        constructor: InvalidOptionsError,
        option: 'migrate',
        message: expect.stringMatching(
          /run `npx nestjs-jobs migrate`, or the TypeORM migrations `jobsMigrations`/,
        ) as string,
      });
      expect(await readCatalog(app)).toEqual([]);
    });

    it('reject a table with a missing column', async () => {
      const app = await openApp();
      const store = await openStoreOn(app);
      await store.close();
      await app.query('ALTER TABLE _jobs RENAME COLUMN body_hash TO hash');
      await expect(openStoreOn(app, { migrate: false })).rejects.toMatchObject({ option: 'migrate' });
      await expect(openStoreOn(app, { migrate: true })).rejects.toMatchObject({ option: 'migrate' });
    });

    it('create missing tables and keep existing ones when no migration is recorded', async () => {
      const app = await openApp();
      const store = await openStoreOn(app);
      const id = await insertOne(store, { delayMs: 60_000 });
      await store.close();
      await app.query('DROP TABLE _jobs_topics');
      await expect(openStoreOn(app)).rejects.toThrow(/^migrate: .*_jobs_migrations.*_jobs_topics/);
      await app.query('DROP TABLE _jobs_migrations');
      const again = await openStoreOn(app);
      expect(await again.find([id])).toHaveLength(1);
      await expectToWork(again);
    });

    it('are not run again when they are recorded', async () => {
      const app = await openApp();
      const store = await openStoreOn(app);
      await store.close();
      await expectToWork(await openStoreOn(app, { migrate: false }));
    });
  });

  describe('run by the application', () => {
    const options = { migrations: jobsMigrations, migrationsTableName: 'app_migrations' };

    it('create the same tables as the module', async () => {
      const theirs = await openApp(options);
      await theirs.runMigrations();
      const other = await kind.createDatabase();
      const app = await other.app().initialize();
      const { store } = createJobStore(app);
      await store.open();
      const ours = await readCatalog(app, TABLES);
      await store.close();
      await app.destroy();
      await other.remove();
      expect(ours.length).toBeGreaterThan(2);
      expect(await readCatalog(theirs, TABLES)).toEqual(ours);
      expect(await listNames(theirs, 'app_migrations')).toEqual(migrationNames);
    });

    it.each([true, false])('work for the module with migrate: %p', async (migrate) => {
      const app = await openApp(options);
      await app.runMigrations();
      const before = await readCatalog(app, TABLES);
      await expectToWork(await openStoreOn(app, { migrate }));
      expect(await readCatalog(app, TABLES)).toEqual(before);
      expect((await readCatalog(app, ['_jobs_migrations'])).length > 0).toBe(migrate);
    });

    it('are not needed after the module has created the tables', async () => {
      const app = await openApp(options);
      const store = await openStoreOn(app);
      const id = await insertOne(store, { delayMs: 60_000 });
      expect((await app.runMigrations()).map(({ name }) => name)).toEqual(migrationNames);
      expect(await store.find([id])).toHaveLength(1);
    });

    it('can be reverted', async () => {
      const app = await openApp(options);
      await app.runMigrations();
      for (let left = jobsMigrations.length; left > 0; left -= 1) {
        await app.undoLastMigration();
      }
      expect(await readCatalog(app)).toEqual([]);
    });
  });
});

describe.each(storeKinds().filter(({ locksRows }) => locksRows))(
  'migrations beside open transactions on $label',
  (kind) => {
    it('do not block other statements while they wait for a transaction that has written to the table', async () => {
      const database = await kind.createDatabase();
      const app = await database.app({ migrations: jobsMigrations }).initialize();
      await app.runMigrations();
      const insert = `INSERT INTO _jobs (id, topic, payload) VALUES (gen_random_uuid(), '${TOPIC}', '{}')`;
      const writer = app.createQueryRunner();
      await writer.startTransaction();
      await writer.query(insert);
      const { store } = createJobStore(app);
      const opening = store.open();
      const waits = `SELECT 1 FROM pg_stat_activity WHERE query LIKE '%CREATE INDEX%' AND wait_event_type = 'Lock'`;
      await until(async () => (await app.query<unknown[]>(waits)).length > 0, { message: 'the migration to wait' });
      // Each statement waits behind the migration, which releases its lock request after 500 ms.
      for (let job = 0; job < 3; job += 1) {
        await app.query(insert);
      }
      await writer.commitTransaction();
      await writer.release();
      await opening;
      expect(await claim(store)).toHaveLength(4);
      await store.close();
      await app.destroy();
      await database.remove();
    });
  },
);
