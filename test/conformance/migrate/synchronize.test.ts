import type { DataSource } from 'typeorm';
import { DefaultNamingStrategy, EntitySchema } from 'typeorm';
import { createJobStore } from '../../../lib/typeorm/create-job-store.js';
import { readCatalog } from '../../support/catalog.js';
import { insertOne } from '../../support/job-rows.js';
import type { EmptyDatabase } from '../../support/stores.js';
import { storeKinds } from '../../support/stores.js';

/** A job entity of the application. */
const Job = new EntitySchema({
  name: 'Job',
  columns: {
    id: { type: 'integer', primary: true, generated: 'increment' },
    title: { type: 'varchar', length: 80, default: 'clerk' },
    status: { type: 'varchar', default: 'open' },
  },
  indices: [{ columns: ['status'] }],
});

const Applicant = new EntitySchema<{ id: number; firstName: string; job: object }>({
  name: 'Applicant',
  columns: { id: { type: 'integer', primary: true, generated: 'increment' }, firstName: { type: 'varchar' } },
  relations: { job: { type: 'many-to-one', target: 'Job', nullable: false } },
});

/** A naming strategy with unusual names. */
class ShoutingStrategy extends DefaultNamingStrategy {
  override tableName(name: string, given: string | undefined): string {
    return `_${(given ?? name).toUpperCase()}S`;
  }

  override columnName(name: string, given: string | undefined): string {
    return `${given ?? name}_`.toUpperCase();
  }
}

const appOptions = {
  entities: [Job, Applicant],
  namingStrategy: new ShoutingStrategy(),
  entityPrefix: 'app_',
  synchronize: true,
  migrationsTableName: '_jobs_migrations_of_the_app',
};

const plainOptions = { entities: [Job, Applicant], synchronize: true };

/** Changes that TypeORM's schema comparison does not detect. */
const mutations: { name: string; postgres: string; sqlite: [string, string] }[] = [
  {
    name: 'a changed CHECK',
    postgres: `ALTER TABLE _jobs DROP CONSTRAINT _jobs_limits_check,
      ADD CONSTRAINT _jobs_limits_check CHECK (priority BETWEEN -1001 AND 1000)`,
    sqlite: ['priority BETWEEN -1000', 'priority BETWEEN -1001'],
  },
  {
    name: 'a dropped predicate of a partial index',
    postgres: `DROP INDEX _jobs_pending; CREATE INDEX _jobs_pending ON _jobs (topic, priority, run_at)`,
    sqlite: [
      `(topic, priority, run_at)\n    WHERE status = 'pending' AND concurrency_key IS NULL`,
      '(topic, priority, run_at)',
    ],
  },
  {
    name: 'a changed default',
    postgres: 'ALTER TABLE _jobs ALTER COLUMN max_retries SET DEFAULT 4',
    sqlite: ['max_retries integer NOT NULL DEFAULT 3', 'max_retries integer NOT NULL DEFAULT 4'],
  },
  {
    name: 'a changed type',
    postgres: 'ALTER TABLE _jobs ALTER COLUMN attempt TYPE bigint',
    sqlite: ['attempt integer', 'attempt bigint'],
  },
  {
    name: 'a column that may be null',
    postgres: 'ALTER TABLE _jobs ALTER COLUMN retries DROP NOT NULL',
    sqlite: ['retries integer NOT NULL', 'retries integer'],
  },
];

async function mutate(app: DataSource, { postgres, sqlite: [from, to] }: (typeof mutations)[number]): Promise<void> {
  if (app.options.type === 'postgres') {
    await app.query(postgres);
    return;
  }
  const statements = (await readCatalog(app, ['_jobs'])).sort((a, b) =>
    a.includes('TABLE') ? -1 : b.includes('TABLE') ? 1 : 0,
  );
  await app.query('DROP TABLE _jobs');
  for (const statement of statements) {
    await app.query(statement.replace(from, to));
  }
}

describe.each(storeKinds())('an application with synchronize: true on $label', (kind) => {
  let database: EmptyDatabase;
  /** Runs the work on a database that only the queue has changed. */
  let fresh: string[];

  beforeAll(async () => {
    fresh = await runOnFreshDatabase(async (app) => {
      await withStore(app);
      return readCatalog(app);
    });
  });
  beforeEach(async () => {
    database = await kind.createDatabase();
  });
  afterEach(() => database.remove());

  async function runOnFreshDatabase<T>(work: (app: DataSource) => Promise<T>): Promise<T> {
    const other = await kind.createDatabase();
    const app = await other.app().initialize();
    try {
      return await work(app);
    } finally {
      await app.destroy();
      await other.remove();
    }
  }

  /** Opens a store, inserts a job and closes the store. */
  async function withStore(app: DataSource): Promise<string> {
    const { store } = createJobStore(app);
    await store.open();
    const id = await insertOne(store);
    await store.close();
    return id;
  }

  const rows = (app: DataSource): Promise<object[]> => app.query('SELECT * FROM _jobs ORDER BY id');

  describe.each([
    ['its own naming strategy and prefix', appOptions],
    ['plain names', plainOptions],
  ])('and %s', (_names, options) => {
    it('does not change the tables of the queue, whether they are created before or after its own', async () => {
      const app = await database.app(options).initialize();
      await withStore(app);
      expect(await readCatalog(app)).toEqual(fresh);
      const stored = await rows(app);

      await app.synchronize();
      expect(await readCatalog(app)).toEqual(fresh);
      expect(await rows(app)).toEqual(stored);

      await withStore(app);
      expect(await readCatalog(app)).toEqual(fresh);
      expect(await rows(app)).toHaveLength(2);
      expect(app.getMetadata('Job').tableName).not.toBe('_jobs');
      expect(await app.getRepository('Job').count()).toBe(0);
      await app.destroy();
    });

    it('generates no migration for the tables of the queue', async () => {
      const app = await database.app(options).initialize();
      await withStore(app);
      const { upQueries, downQueries } = await app.driver.createSchemaBuilder().log();
      const statements = [...upQueries, ...downQueries].map(({ query }) => query);
      expect(statements.filter((query) => /\b_jobs(_rollup|_migrations)?\b/.test(query))).toEqual([]);
      await app.destroy();
    });
  });

  it('loses no job to its options that would drop or change tables', async () => {
    const dangerous = { ...plainOptions, dropSchema: true, migrationsRun: true };
    const app = await database.app(dangerous).initialize();
    const first = await withStore(app);
    const second = await withStore(app);
    expect(await rows(app)).toMatchObject([{ id: first }, { id: second }]);
    expect(await readCatalog(app)).toEqual(fresh);
    await app.destroy();
  });

  it.each(mutations)('is detected when it changes $name', async (mutation) => {
    const app = await database.app().initialize();
    await withStore(app);
    expect(await readCatalog(app)).toEqual(fresh);
    await mutate(app, mutation);
    expect(await readCatalog(app)).not.toEqual(fresh);
    await app.destroy();
  });
});
