import { isOwed } from '../jobs/job-row.js';
import { isKeptUnique, isKeyKept, latestFinish, ms, ownRetentions } from '../jobs/job-row.postgres.js';

/* What the doctor and the dry run of a prune read. They run on a connection without the settings of the queue. */

/** Tables whose rows change often. */
const BUSY_TABLES = `('_jobs'::regclass, '_jobs_topics'::regclass, '_jobs_schedules'::regclass, '_jobs_workers'::regclass)`;

/** Reads the time, the settings of autovacuum, and the live and dead rows of `_jobs` by the server's statistics. */
export const DATABASE_STATE = `
SELECT ${ms('clock_timestamp()')} AS now, current_setting('autovacuum')::boolean AS autovacuum,
  (SELECT coalesce(json_agg(c.relname ORDER BY c.relname), '[]')::text FROM pg_class c
   WHERE c.oid IN ${BUSY_TABLES} AND EXISTS (
     SELECT 1 FROM pg_options_to_table(c.reloptions) o
     WHERE o.option_name = 'autovacuum_enabled' AND NOT o.option_value::boolean)) AS tables_without_autovacuum,
  s.n_live_tup AS used, s.n_dead_tup AS wasted
FROM pg_stat_all_tables s WHERE s.relid = '_jobs'::regclass`;

/** Lists up to $2 jobs that have owed a follow-up for $1 milliseconds, the oldest first. */
export const LONG_OWED = `
SELECT id, topic, ${ms('(clock_timestamp() - finished)')} AS owed_ms FROM _jobs
WHERE ${isOwed()} AND finished < clock_timestamp() - make_interval(secs => $1::float8 / 1000) ORDER BY finished, id LIMIT $2::int`;

const age = (since: string): string => ms(`(clock_timestamp() - ${since})`);

/**
 * Lists what keeps VACUUM from removing rows of this database: transactions and prepared transactions that began at least $1
 * milliseconds ago, and replication slots without a client. Without the role pg_read_all_stats it sees the sessions of its own role.
 */
export const HELD_SNAPSHOTS = `
SELECT holder, held_ms FROM (
  SELECT format('session %s of role %s%s, %s', pid, usename,
      CASE WHEN application_name = '' THEN '' ELSE format(' (%s)', application_name) END, state) AS holder,
    ${age('xact_start')} AS held_ms
  FROM pg_stat_activity
  WHERE (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND datname = current_database() AND pid <> pg_backend_pid()
    AND backend_type <> 'autovacuum worker'
  UNION ALL
  SELECT format('prepared transaction %s of role %s', gid, owner), ${age('prepared')} FROM pg_prepared_xacts
  WHERE database = current_database()) h
WHERE held_ms >= $1::float8
UNION ALL
SELECT format('replication slot %s without a client', slot_name), NULL FROM pg_replication_slots
WHERE NOT active AND xmin IS NOT NULL
ORDER BY held_ms DESC NULLS LAST`;

/** Counts the jobs that a prune would delete, by status: $1 ages by status. Reads the whole table. */
export const COUNT_PRUNABLE = `
WITH own AS MATERIALIZED (${ownRetentions})
SELECT j.status, count(*) AS jobs
FROM _jobs j LEFT JOIN jsonb_to_recordset($1::jsonb) AS a(status text, age_ms float8) ON a.status = j.status
WHERE j.finished <= ${latestFinish} AND (j.idempotency_key IS NULL OR NOT ${isKeyKept}) AND NOT ${isKeptUnique} GROUP BY j.status`;
