import { COLUMNS } from '../jobs/columns.js';
import { byId, isHere } from '../jobs/job-row.sqlite.js';

/* Statements about the tables. */

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
SELECT ${Object.keys(COLUMNS).join(', ')}, (SELECT max(paused_since) FROM _jobs_topics WHERE NOT rate_spread),
  (SELECT max(code_limits) FROM _jobs_topics), (SELECT max(retention) FROM _jobs_topics),
  (SELECT max(dead_letters) FROM _jobs_topics), (SELECT max(latest) FROM _jobs_starts),
  (SELECT max(holds) FROM _jobs_links), (SELECT max(is_failing) FROM _jobs_groups), (SELECT max(details) FROM _jobs_workers), (SELECT max(attempts_failed) FROM _jobs_rollup),
  (SELECT max(time) FROM _jobs_logs), (SELECT max(took_ms) FROM _jobs_counts), (SELECT max(revision) FROM _jobs_schedules),
  (SELECT max(declared) FROM _jobs_definitions), (SELECT max(value) FROM _jobs_meta)
FROM _jobs ${byId}
WHERE id = '' LIMIT 0`;

/** Returns the random id of the queue. */
export const QUEUE_ID = `SELECT value FROM _jobs_meta WHERE name = 'id'`;

/** Creates that id where it is missing. */
export const CREATE_QUEUE_ID = `INSERT INTO _jobs_meta (name, value) VALUES ('id', lower(hex(randomblob(16)))) ON CONFLICT DO NOTHING`;

/** Whether a transaction is in the database whose queue has the id ?1. */
export const IS_HERE = `SELECT (${isHere('?1')}) AS is_here`;
