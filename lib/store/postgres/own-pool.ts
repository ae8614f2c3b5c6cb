import type { SqlRow } from '../runtime/sql-runner.js';
import type { PostgresClient } from './postgres-listener.js';
import type { IdlingPool, SessionPool } from './pool.js';
import { IDLE_MAX_MS } from './pool.js';
import { clientTimeoutMs } from './session.postgres.js';
import type { PostgresSession } from './session.js';

/** The part of the package `pg` that the queue uses. */
export interface PostgresDriver {
  readonly Pool: new (config: object) => OwnPool;
  readonly Client: new (config: object) => PostgresClient;
}

/** How the queue reaches the database. */
export interface PostgresDatabase {
  readonly driver: PostgresDriver;
  /** Members of `pg.PoolConfig`. Those that the queue needs to have a certain value are replaced. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** The part of `pg.Pool` that the queue uses. */
export interface OwnPool extends SessionPool, IdlingPool {
  readonly options: IdlingPool['options'] & object;
  on(event: 'error', handle: (error: Error) => void): unknown;
  query(sql: string, params?: readonly unknown[]): Promise<{ readonly rows: readonly SqlRow[] }>;
  end(): Promise<void>;
}

/**
 * How long the pool waits for a new or a free connection. A longer limit of the application does not count: a renewal that waits for a
 * minute would lose its lease.
 */
const CONNECTION_TIMEOUT_MAX_MS = 10_000;

/** Returns the limit of the application, or the queue's if that is shorter. 0 is no limit. */
export function connectionTimeoutMs({ connectionTimeoutMillis: given }: PostgresDatabase['config']): number {
  return Math.min(Number(given) || CONNECTION_TIMEOUT_MAX_MS, CONNECTION_TIMEOUT_MAX_MS);
}

/**
 * Opens the queue's own connections. Handlers that use up the application's pool must not delay the renewal of leases.
 *
 * @param connections size of the pool.
 * @param session prepares each new connection.
 */
export async function openPool(
  { driver, config }: PostgresDatabase,
  connections: number,
  session: PostgresSession,
): Promise<OwnPool> {
  const pool = new driver.Pool({
    application_name: 'nestjs-jobs',
    idleTimeoutMillis: IDLE_MAX_MS,
    ...config,
    connectionTimeoutMillis: connectionTimeoutMs(config),
    // The row mapper expects text.
    binary: false,
    // Switched on for each connection that can: see `PostgresSession`.
    pipeline: false,
    max: connections,
    min: 0,
    // Idle connections do not keep the process alive.
    allowExitOnIdle: true,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    query_timeout: clientTimeoutMs(session.limits),
    // The pool calls it once for each new connection, before the first use.
    verify: session.prepare,
  });
  // An idle connection that breaks is replaced. Without a listener the process would end.
  pool.on('error', () => undefined);
  try {
    (await pool.connect()).release();
  } catch (error) {
    await pool.end();
    throw error;
  }
  session.boundIdleTime(pool);
  return pool;
}
