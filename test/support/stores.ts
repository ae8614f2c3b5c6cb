import { setImmediate as nextLoop } from 'node:timers/promises';
import type { DataSource as DataSourceType, EntityManager, QueryRunner } from 'typeorm';
import { DataSource } from 'typeorm';
import type { Job, JobsOptions } from 'nestjs-jobs';
import { createJobStore } from '../../lib/typeorm/create-job-store.js';
import type { JobStore } from '../../lib/store/job-store.js';
import { createPostgresDatabase, createSqliteFile, postgresVersions } from './databases.js';
import { hasSqlite3, SQLITE3 } from './typeorm.js';
import { until } from './wait.js';

/** A kind of database with its capabilities. Tests select by these, never by the label. */
export interface StoreKind {
  readonly label: string;
  /** Another connection can reach the same database, as another process would. */
  readonly canHaveTwoConnections: boolean;
  /** Transactions lock only the rows they change, so several can write at the same time. */
  readonly locksRows: boolean;
  /** An open transaction keeps old rows and their index entries. */
  readonly keepsOldRows: boolean;
  /** The one that long walks are made on, of those that understand the same SQL. */
  readonly isMain: boolean;
  /** Other processes receive notifications, which name a topic and can be lost with a connection. */
  readonly hasNotifications: boolean;
  createDatabase(): Promise<EmptyDatabase>;
}

/** A database without tables. */
export interface EmptyDatabase {
  /** A DataSource of an application on it, not initialized yet. */
  app(options?: object): DataSourceType;
  remove(): Promise<void>;
}

/** Every kind of database that the queue supports, for `describe.each(storeKinds())('… on $label', …)`. */
export function storeKinds(): StoreKind[] {
  const [newest, ...older] = postgresVersions().map(postgresKind);
  // With TypeORM 0.3 an older server would show nothing that it does not show with 1.x.
  return [newest!, ...(hasSqlite3 ? [sqlite3Kind] : older), sqliteFileKind, sqliteMemoryKind];
}

function postgresKind(version: ReturnType<typeof postgresVersions>[number]): StoreKind {
  return {
    label: `PostgreSQL ${version}`,
    canHaveTwoConnections: true,
    locksRows: true,
    keepsOldRows: true,
    isMain: !hasSqlite3 && version === postgresVersions()[0],
    hasNotifications: true,
    async createDatabase() {
      const { url, drop } = await createPostgresDatabase(version);
      return { app: (options) => new DataSource({ ...options, type: 'postgres', url }), remove: drop };
    },
  };
}

const sqliteFileKind: StoreKind = {
  label: 'a SQLite file',
  canHaveTwoConnections: true,
  locksRows: false,
  keepsOldRows: false,
  isMain: !hasSqlite3,
  hasNotifications: false,
  async createDatabase() {
    const { path: database, remove } = await createSqliteFile();
    return { app: (options) => new DataSource({ ...options, type: 'better-sqlite3', database }), remove };
  },
};

const sqliteMemoryKind: StoreKind = {
  label: 'SQLite in memory',
  canHaveTwoConnections: false,
  locksRows: false,
  keepsOldRows: false,
  isMain: false,
  hasNotifications: false,
  async createDatabase() {
    const app = (options?: object): DataSourceType =>
      new DataSource({ ...options, type: 'better-sqlite3', database: ':memory:' });
    return { app, remove: () => Promise.resolve() };
  },
};

const sqlite3Kind: StoreKind = {
  ...sqliteFileKind,
  label: 'a SQLite file with sqlite3',
  async createDatabase() {
    const { path: database, remove } = await createSqliteFile();
    return { app: (options) => new DataSource({ ...options, type: SQLITE3, database }), remove };
  },
};

/** An open store with the application's DataSource. */
export interface OpenStore {
  readonly app: DataSourceType;
  readonly store: JobStore;
  close(): Promise<void>;
}

/** Opens a store as an application with these options would. */
export async function openStore(database: EmptyDatabase, options: JobsOptions = {}): Promise<OpenStore> {
  const app = await database.app().initialize();
  const { store } = createJobStore(app, { sqlite: { synchronous: 'normal' }, ...options });
  try {
    await store.open();
  } catch (error) {
    await store.close();
    await app.destroy();
    throw error;
  }
  return {
    app,
    store,
    close: async () => {
      await store.close();
      await app.destroy();
    },
  };
}

/** A value of a column; `msFromNow` counts from the database's own time. */
export type ColumnValue = string | number | boolean | null | Date | { readonly msFromNow: number };

/** A transaction of the application, on a separate connection if the database allows two. */
export interface AppTransaction {
  readonly manager: EntityManager;
  commit(): Promise<void>;
  rollback(): Promise<void>;
}

/**
 * A fresh database with an open store for all tests of the surrounding `describe`; the table is emptied before each of
 * them, and what a test opened and left open is closed after it.
 */
export function useStore(kind: StoreKind, options: JobsOptions = {}): StoreFixture {
  const fixture = new StoreFixture(kind, options);
  beforeAll(() => fixture.open());
  beforeEach(async () => {
    await fixture.sql('DELETE FROM _jobs');
    await fixture.sql('DELETE FROM _jobs_links');
    await fixture.sql('DELETE FROM _jobs_logs');
    await fixture.sql('DELETE FROM _jobs_counts');
    await fixture.sql('DELETE FROM _jobs_definitions');
  });
  afterEach(() => fixture.closeLeftOvers());
  afterAll(() => fixture.close());
  return fixture;
}

export class StoreFixture {
  private database!: EmptyDatabase;
  private main!: OpenStore;
  private leftOvers: (() => Promise<void>)[] = [];

  constructor(
    readonly kind: StoreKind,
    private readonly options: JobsOptions,
  ) {}

  get store(): JobStore {
    return this.main.store;
  }

  get app(): DataSourceType {
    return this.main.app;
  }

  async open(): Promise<void> {
    this.database = await this.kind.createDatabase();
    this.main = await openStore(this.database, this.options);
  }

  async close(): Promise<void> {
    await this.main.close();
    await this.database.remove();
  }

  /** Opens another store and DataSource on the same database, as another process would. */
  async openAnother(options: JobsOptions = this.options): Promise<OpenStore> {
    const other = await openStore(this.database, options);
    this.leftOvers.push(() => other.close());
    return other;
  }

  /** Opens a transaction of the application; it is rolled back after the test unless it has ended. */
  async begin(app: DataSourceType = this.app): Promise<AppTransaction> {
    const queryRunner = app.createQueryRunner();
    await queryRunner.startTransaction();
    this.leftOvers.push(() => endOf(queryRunner));
    return {
      manager: queryRunner.manager,
      commit: async () => {
        await queryRunner.commitTransaction();
        await queryRunner.release();
      },
      rollback: async () => {
        await queryRunner.rollbackTransaction();
        await queryRunner.release();
      },
    };
  }

  /** Adds a subscriber to the application's DataSource until the test ends. */
  subscribe(subscriber: object): void {
    const { subscribers } = this.app;
    subscribers.push(subscriber as (typeof subscribers)[number]);
    this.leftOvers.push(() => Promise.resolve(void subscribers.splice(subscribers.indexOf(subscriber), 1)));
  }

  async closeLeftOvers(): Promise<void> {
    for (const close of this.leftOvers.splice(0).reverse()) {
      await close();
    }
  }

  /** Runs a statement on the application's connection. */
  sql<T extends object>(statement: string): Promise<T[]> {
    return this.app.query<T[]>(statement);
  }

  /** Changes columns of a job by SQL: ages, expired leases, unusual states. */
  async set(ids: string | readonly string[], columns: Readonly<Record<string, ColumnValue>>): Promise<void> {
    const values = Object.entries(columns).map(([column, value]) => `${column} = ${this.literal(value)}`);
    const list = [ids].flat().map((id) => `'${id}'`);
    await this.sql(`UPDATE _jobs SET ${values.join(', ')} WHERE id IN (${list.join(', ')})`);
  }

  /** Sets the lease of a claimed job to a past time by the database's clock. */
  async expire(ids: string | readonly string[]): Promise<void> {
    await this.set(ids, { locked_until: { msFromNow: -1_000 } });
  }

  /** Returns the job; throws when it does not exist. */
  async job(id: string): Promise<Job> {
    const [job] = await this.store.find([id]);
    if (!job) throw new Error(`there is no job ${id}`);
    return job;
  }

  /** Resolves when a statement of this test waits for a lock; on SQLite after its first failed try. */
  async untilLockWait(): Promise<void> {
    if (this.isPostgres) {
      const sql = `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
      await until(async () => (await this.sql(sql)).length > 0, { message: 'a statement that waits for a lock' });
    } else {
      // The first try is made within the tick of the call, before any timer or immediate.
      await nextLoop();
    }
  }

  /** Returns the time of the database. */
  async now(): Promise<Date> {
    const now = this.literal({ msFromNow: 0 });
    // Truncated, not rounded, so that a job with this runAt is due.
    const epoch = this.isPostgres
      ? `floor(extract(epoch FROM ${now}) * 1000)::float8`
      : `round(unixepoch(${now}, 'subsec') * 1000)`;
    const [row] = await this.sql<{ ms: number }>(`SELECT ${epoch} AS ms`);
    return new Date(row!.ms);
  }

  private literal(value: ColumnValue): string {
    if (value instanceof Date) {
      return this.isPostgres ? `'${value.toISOString()}'` : `'${value.toISOString().replace('T', ' ').slice(0, -1)}'`;
    }
    if (typeof value === 'object' && value !== null) {
      return this.isPostgres
        ? `statement_timestamp() + interval '${value.msFromNow} milliseconds'`
        : `strftime('%Y-%m-%d %H:%M:%f', 'now', '${value.msFromNow / 1000} seconds')`;
    }
    return typeof value === 'string' ? `'${value.replaceAll("'", "''")}'` : String(value);
  }

  private get isPostgres(): boolean {
    return this.app.options.type === 'postgres';
  }
}

/** Resolves when enough of the database's minute is left for a test that must not cross its end. */
export async function untilMinuteIsYoung(fixture: StoreFixture): Promise<void> {
  const isYoung = async (): Promise<boolean> => (await fixture.now()).getTime() % 60_000 < 55_000;
  await until(isYoung, { message: 'the next minute' });
}

async function endOf(queryRunner: QueryRunner): Promise<void> {
  while (queryRunner.isTransactionActive && !queryRunner.isReleased) {
    await queryRunner.rollbackTransaction();
  }
  if (!queryRunner.isReleased) {
    await queryRunner.release();
  }
}
