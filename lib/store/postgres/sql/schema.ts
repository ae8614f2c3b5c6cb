import { columnsOf } from './statement-parts.js';

/**
 * One process migrates at a time; the lock goes with the transaction. The number is this package's own. Behind a change of the
 * table that waits for whoever has read it everybody waits who works with it: so it never waits for long.
 */
export const LOCK_MIGRATIONS = `SELECT set_config('lock_timeout', '500ms', true), pg_advisory_xact_lock(7305808102)`;

/** Which migrations have run, in the table TypeORM would make. */
export const CREATE_MIGRATIONS_TABLE = `CREATE TABLE IF NOT EXISTS _jobs_migrations (
  id serial NOT NULL PRIMARY KEY, timestamp bigint NOT NULL, name character varying NOT NULL)`;
export const LIST_MIGRATIONS = 'SELECT name FROM _jobs_migrations';
export const RECORD_MIGRATION = 'INSERT INTO _jobs_migrations (timestamp, name) VALUES ($1, $2)';

/** The schema in which the queue's own connections find the table, quoted where it must be. */
export const SCHEMA_OF_JOBS = `
SELECT quote_ident(n.nspname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = '_jobs'::regclass`;

/** Fails unless all columns that this version needs exist, `_jobs_topics` included. */
export const CHECK_TABLE = `
SELECT ${columnsOf('_jobs')}, backoff, idempotency_key, body_hash, unbegun_attempt, (SELECT max(paused_since) FROM _jobs_topics) FROM _jobs LIMIT 0`;
