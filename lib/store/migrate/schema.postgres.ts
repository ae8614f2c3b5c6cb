import { COLUMNS } from '../jobs/columns.js';
import { isHere } from '../jobs/job-row.postgres.js';

/**
 * Locks migrations against other processes until the transaction ends; the number is this package's own. A change of the table that
 * waits for a reader blocks all other users of the table, so it waits 500 ms at most.
 */
export const LOCK_MIGRATIONS = `SELECT set_config('lock_timeout', '500ms', true), pg_advisory_xact_lock(7305808102)`;

/** Creates the table of migrations, as TypeORM would. */
export const CREATE_MIGRATIONS_TABLE = `CREATE TABLE IF NOT EXISTS _jobs_migrations (
  id serial NOT NULL PRIMARY KEY, timestamp bigint NOT NULL, name character varying NOT NULL)`;

/** Lists the migrations that have run. */
export const LIST_MIGRATIONS = 'SELECT name FROM _jobs_migrations';

/** Records a migration. */
export const RECORD_MIGRATION = 'INSERT INTO _jobs_migrations (timestamp, name) VALUES ($1, $2)';

/** Returns the schema in which the queue's own connections find the table, quoted where necessary. */
export const SCHEMA_OF_JOBS = `
SELECT quote_ident(n.nspname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = '_jobs'::regclass`;

/** Fails unless all columns of this version exist, those of `_jobs_topics` and `_jobs_schedules` included. */
export const CHECK_TABLE = `
SELECT ${Object.keys(COLUMNS).join(', ')}, (SELECT max(paused_since) FROM _jobs_topics WHERE NOT rate_spread),
  (SELECT max(code_limits::text) FROM _jobs_topics), (SELECT max(retention::text) FROM _jobs_topics),
  (SELECT max(dead_letters::text) FROM _jobs_topics), (SELECT max(latest) FROM _jobs_starts),
  (SELECT bool_or(holds) FROM _jobs_links), (SELECT bool_or(is_failing) FROM _jobs_groups), (SELECT max(details::text) FROM _jobs_workers),
  (SELECT max(attempts_failed) FROM _jobs_rollup),
  (SELECT max(time) FROM _jobs_logs), (SELECT max(took_ms) FROM _jobs_counts), (SELECT max(revision) FROM _jobs_schedules),
  (SELECT max(declared) FROM _jobs_definitions), (SELECT max(value) FROM _jobs_meta) FROM _jobs LIMIT 0`;

/** Returns the random id of the queue. */
export const QUEUE_ID = `SELECT value FROM _jobs_meta WHERE name = 'id'`;

/** Creates that id where it is missing. */
export const CREATE_QUEUE_ID = `INSERT INTO _jobs_meta (name, value) VALUES ('id', gen_random_uuid()::text) ON CONFLICT DO NOTHING`;

/** Whether a transaction is in the database whose queue has the id $1. */
export const IS_HERE = `SELECT (${isHere('$1')})::int AS is_here`;
