import { byId, jobColumns } from './statement-parts.js';

/** Which migrations have run, in the table TypeORM would make. */
export const CREATE_MIGRATIONS_TABLE = `CREATE TABLE IF NOT EXISTS _jobs_migrations (
  id integer PRIMARY KEY AUTOINCREMENT NOT NULL, timestamp bigint NOT NULL, name varchar NOT NULL)`;

export const LIST_MIGRATIONS = 'SELECT name FROM _jobs_migrations';

/** Once: on a driver that makes the tables step by step two processes may be at it. */
export const RECORD_MIGRATION = `
INSERT INTO _jobs_migrations (timestamp, name)
SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM _jobs_migrations WHERE name = ?2)`;

/** Fails unless all columns that this version needs exist, `_jobs_topics` included. */
export const CHECK_TABLE = `
SELECT ${jobColumns}, backoff, idempotency_key, body_hash, unbegun_attempt, (SELECT max(paused_since) FROM _jobs_topics)
FROM _jobs ${byId}
WHERE id = '' LIMIT 0`;
