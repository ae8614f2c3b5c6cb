import type { DataSource, DataSourceOptions } from 'typeorm';
import { jobsMigrations } from '../../migrations/index.js';
import type { OwnPool } from '../store/postgres/own-pool.js';
import type { PooledClient } from '../store/postgres/pool.js';
import type { PostgresSession } from '../store/postgres/session.js';
import { setImmediate } from '../store/runtime/real-timers.js';
import type { OwnDatabase } from '../store/sqlite/own-database.js';
import { createJobSchema } from './job-schema.js';
import { loadTypeOrm } from './packages.cjs';

/*
 * The DataSource behind `@InjectRepository(Job)`. It is the queue's own, because column types differ between databases, and so that the
 * application's `synchronize` and `migration:generate` never touch the queue's tables. It runs on connections that the store has opened:
 * instead of the driver it gets a small object whose connections are those of the store.
 */

/** Options that are the same on both databases. */
const OPTIONS = {
  migrations: jobsMigrations,
  migrationsTableName: '_jobs_migrations',
  synchronize: false,
  dropSchema: false,
  migrationsRun: false,
  subscribers: [],
  logging: false,
  cache: false,
};

/** The parts of the queue's own connections that a repository needs; known once the store is open. */
export class StoreConnections {
  postgres: { readonly pool: OwnPool; readonly session: PostgresSession } | undefined;
  sqlite: OwnDatabase | undefined;
}

/** Creates the DataSource, not initialized. @param connections filled before it is initialized. */
export function createJobDataSource(app: DataSource, connections: StoreConnections): DataSource {
  const type = app.options.type as string;
  const options =
    type === 'postgres'
      ? { type, driver: createPostgresDriver(connections), installExtensions: false }
      : { type, database: toFileName(app), driver: createSqliteDriver(type, connections) };
  const entities = [createJobSchema(type === 'postgres' ? 'postgres' : 'sqlite')];
  const { DataSource: Created } = loadTypeOrm();
  return new Created({ ...OPTIONS, ...options, entities } as unknown as DataSourceOptions);
}

function toFileName(app: DataSource): string {
  const { database } = app.options;
  return typeof database === 'string' ? database : ':memory:';
}

type Release = (error?: Error | boolean) => void;
type OnConnected = (error: unknown, client?: PooledClient, release?: Release) => void;

/** Returns what TypeORM uses of `pg`: a pool. Its connections are lent by the queue's pool, with the planner's own settings. */
function createPostgresDriver(connections: StoreConnections): object {
  class LentPool {
    on(): this {
      return this;
    }

    connect(done: OnConnected): void {
      const { pool, session } = connections.postgres!;
      session.lend(pool).then(([client, release]) => done(undefined, client, release), done);
    }

    /** The store closes its pool. */
    end(done: () => void): void {
      done();
    }
  }
  return { Pool: LentPool };
}

/** Returns what TypeORM uses of the package: a constructor that returns the store's connection. */
function createSqliteDriver(type: string, connections: StoreConnections): object {
  // Not a class: up to TypeORM 0.3.26, better-sqlite3 is called without `new`.
  function LentDatabase(...args: unknown[]): object {
    const done = args.at(-1);
    if (typeof done === 'function') {
      setImmediate(done as () => void);
    }
    return withoutClose(connections.sqlite!.database);
  }
  return type === 'sqlite' ? { verbose: () => ({ Database: LentDatabase }) } : LentDatabase;
}

/** Returns the connection with a `close` that does nothing: the store closes it. */
function withoutClose<T extends object>(database: T): T {
  return new Proxy(database, {
    get(target, name) {
      if (name === 'close') {
        return (done?: () => void) => done?.();
      }
      const member = Reflect.get(target, name, target) as unknown;
      return typeof member === 'function' ? (member.bind(target) as unknown) : member;
    },
  });
}
