import { byId, jobColumns } from './job-row.js';

/*
 * Connection settings, transactions and the tables.
 */

/** Takes the write lock at once: a transaction that reads first and then writes fails instead of waiting. */
export const BEGIN = 'BEGIN IMMEDIATE';
export const COMMIT = 'COMMIT';
export const ROLLBACK = 'ROLLBACK';

/** Overrides what the application's `prepareDatabase` may have set: no statement waits for a lock or keeps one. */
export const CONNECTION_PRAGMAS = ['PRAGMA busy_timeout = 0', 'PRAGMA locking_mode = NORMAL'] as const;

/** Lets readers and the one writer work at the same time. The file keeps the mode. */
export const WRITE_AHEAD_LOG = 'PRAGMA journal_mode = WAL';

/** Whether a commit waits for the disk. */
export const SYNCHRONOUS = { full: 'PRAGMA synchronous = FULL', normal: 'PRAGMA synchronous = NORMAL' } as const;

/** Reads the level as a number; 2 is `FULL`, 3 is `EXTRA`. */
export const SYNCHRONOUS_LEVEL = 'PRAGMA synchronous';

/** Reads the locking mode of the connection. */
export const LOCKING_MODE = 'PRAGMA locking_mode';

/** Reads a number that changes exactly when another connection has committed; costs about a microsecond. */
export const DATA_VERSION = 'PRAGMA data_version';

/** Reads the absolute path of the file. */
export const DATABASE_FILE = `SELECT file FROM pragma_database_list WHERE name = 'main'`;

/** Creates the list of migrations, in the form that TypeORM uses. */
export const CREATE_MIGRATIONS_TABLE = `CREATE TABLE IF NOT EXISTS _jobs_migrations (
  id integer PRIMARY KEY AUTOINCREMENT NOT NULL, timestamp bigint NOT NULL, name varchar NOT NULL)`;

/** Lists the migrations that have run. */
export const LIST_MIGRATIONS = 'SELECT name FROM _jobs_migrations';

/** Records a migration once: two processes may create the tables at the same time. */
export const RECORD_MIGRATION = `
INSERT INTO _jobs_migrations (timestamp, name)
SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM _jobs_migrations WHERE name = ?2)`;

/** Fails unless all columns that this version needs exist, `_jobs_topics` and `_jobs_schedules` included. */
export const CHECK_TABLE = `
SELECT ${jobColumns}, backoff, idempotency_key, body_hash, unstarted_attempt, flow_key, waiting_key, unique_until, debounce_until, (SELECT max(paused_since) FROM _jobs_topics),
  (SELECT max(code_limits) FROM _jobs_topics), (SELECT max(retention) FROM _jobs_topics),
  (SELECT max(dead_letters) FROM _jobs_topics), (SELECT max(slice) FROM _jobs_starts),
  watched, (SELECT max(position) FROM _jobs_links), (SELECT max(finished) FROM _jobs_groups), (SELECT max(details) FROM _jobs_workers), (SELECT max(attempts_failed) FROM _jobs_rollup),
  (SELECT max(time) FROM _jobs_logs), (SELECT max(took_ms) FROM _jobs_counts), (SELECT max(declared) FROM _jobs_schedules)
FROM _jobs ${byId}
WHERE id = '' LIMIT 0`;
