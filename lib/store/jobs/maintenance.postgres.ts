import { EXPIRED, FIRST_ID, isOwed, LEASE_LOST } from './job-row.js';
import {
  latestFinish,
  matchesId,
  ownRetentions,
  appendError,
  hasUnfinishedChild,
  isKeptUnique,
  isKeyKept,
  scanTiming,
  skipLocked,
} from './job-row.postgres.js';
import { watchedAtFailure } from '../links/dead-letter.postgres.js';

/** A job that has not started although its expiry has passed. `from` is SQL for a lower bound of the expiry. */
const isOverdue = (from: string): string =>
  `status = 'pending' AND expires_at >= ${from} AND expires_at <= statement_timestamp()`;

/** Whether the job was claimed but its handler was never called. markStarted clears the expiry. */
const isUnstarted = '(j.unstarted_attempt IS NOT DISTINCT FROM j.attempt OR j.expires_at IS NOT NULL)';
const isLost = `(j.retries >= j.max_retries AND NOT ${isUnstarted})`;

/**
 * processing with an expired lease → pending, failed or cancelled: $1 limit, $2 lower bound of the lease. Skips rows that a completion
 * has locked. An attempt that never started keeps its `run_at`, and no error is recorded. The last row says whether
 * `EXPIRE` finds jobs, and whether a follow-up is owed.
 */
export const RESCUE = `
WITH expired AS (
  SELECT j.id FROM _jobs j
  WHERE status = 'processing' AND locked_until >= $2::timestamptz AND locked_until < statement_timestamp()
  ORDER BY locked_until LIMIT $1::int ${skipLocked}),
rescued AS (UPDATE _jobs j SET
  status = CASE WHEN j.cancel_requested THEN 'cancelled' WHEN ${isLost} THEN 'failed' ELSE 'pending' END,
  retries = j.retries + (NOT j.cancel_requested AND j.retries < j.max_retries)::int,
  run_at = CASE WHEN j.cancel_requested OR j.retries >= j.max_retries THEN j.run_at ELSE statement_timestamp() END,
  rescued_attempt = CASE WHEN ${isUnstarted} THEN j.rescued_attempt ELSE j.attempt END,
  last_error = CASE WHEN ${isUnstarted} THEN j.last_error ELSE ${LEASE_LOST} END,
  errors = CASE WHEN ${isUnstarted} THEN j.errors ELSE ${appendError(LEASE_LOST, 'NULL::text')} END,
  watched = CASE WHEN j.watched IS NULL AND ${isLost} AND NOT j.cancel_requested THEN ${watchedAtFailure('j')} ELSE j.watched END,
  locked_until = NULL, locked_by = NULL, flow_key = NULL,
  finished = CASE WHEN j.cancel_requested OR ${isLost} THEN statement_timestamp() END,
  updated = statement_timestamp()
FROM expired WHERE ${matchesId('expired')}
RETURNING j.id, j.topic, j.attempt, j.status, j.retries, j.last_error AS message, ${isOwed('j.')} AS owes)
SELECT *, NULL::float8 AS at, NULL::float8 AS took_ms, NULL::boolean AS has_overdue, NULL::boolean AS has_owed FROM rescued
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, ${scanTiming}, EXISTS (SELECT FROM _jobs WHERE ${isOverdue('$2::timestamptz')}),
  EXISTS (SELECT FROM _jobs WHERE ${isOwed()} AND finished < statement_timestamp() - interval '1 second')`;

/**
 * pending → cancelled for jobs that have not started by their expiry: $1 limit, $2 lower bound of the expiry. Skips locked rows.
 */
export const EXPIRE = `
WITH overdue AS (
  SELECT id FROM _jobs WHERE ${isOverdue('$2::timestamptz')} ORDER BY expires_at LIMIT $1::int ${skipLocked})
UPDATE _jobs j SET status = 'cancelled', last_error = '${EXPIRED}', ended_by = 'expiry', finished = statement_timestamp(), updated = statement_timestamp()
FROM overdue WHERE ${matchesId('overdue')} RETURNING j.id, j.topic, j.attempt, ${isOwed('j.')} AS owes`;

/** Jobs that finished after this time are too young for any retention age. */
const youngest = `statement_timestamp() - make_interval(secs =>
  coalesce(least($4::float8, (SELECT min(age_ms) FROM own_ages)), 0) / 1000.0)`;

/** The first UUID v7 of a time, as text; the lowest of all for a time before 1970. */
const firstId = (moment: string): string =>
  `overlay(lpad(to_hex(greatest(0, extract(epoch FROM ${moment}) * 1000)::bigint), 12, '0') placing '-' from 9 for 0)`;

/**
 * Prunes one page of the table in the order of ids: $1 last id, $2 page size, $3 ages by status, $4 youngest of them, $5 ids to keep.
 * NULL as $3 prunes nothing, whatever topics declare.
 * Returns the id to continue from while any row of the page is old, or all of its ids are: applications generate ids, and a clock
 * may be slow. The row is checked again under its lock, since the job may have run again. `coalesce` hides the rows from the
 * planner: statistics of a moment at which nothing had finished make it start with all finished rows.
 */
export const PRUNE = `
WITH page AS (
  SELECT id, topic, status, finished, created FROM _jobs
  WHERE id > coalesce($1::uuid, '${FIRST_ID}') ORDER BY id LIMIT $2::int),
ages AS (SELECT status, age_ms FROM jsonb_to_recordset($3::jsonb) AS a(status text, age_ms float8)),
own AS MATERIALIZED (${ownRetentions} AND $3 IS NOT NULL),
own_ages AS (
  SELECT CASE WHEN e.value <> 'false' THEN e.value::float8 END AS age_ms
  FROM own CROSS JOIN jsonb_each(own.ages) t CROSS JOIN jsonb_each(t.value) e),
aged AS (
  SELECT * FROM (
    SELECT j.id, j.status, j.finished, ${latestFinish} AS latest FROM page j LEFT JOIN ages a ON a.status = j.status) p
  WHERE p.finished <= p.latest AND p.id <> ALL ($5::uuid[])),
free AS (
  SELECT j.id FROM aged JOIN _jobs j ON ${matchesId('aged')}
  WHERE coalesce(
    j.status = aged.status AND j.finished <= aged.latest AND (j.idempotency_key IS NULL OR NOT ${isKeyKept})
      AND NOT ${isKeptUnique} AND (j.watched IS NULL OR NOT (${isOwed('j.')}) AND NOT ${hasUnfinishedChild('j')}), false)
  FOR UPDATE OF j SKIP LOCKED),
gone AS (DELETE FROM _jobs j USING free WHERE ${matchesId('free')} RETURNING j.id, j.status, j.watched),
kept AS (
  UPDATE _jobs_links l SET outcome = g.status FROM gone g WHERE g.watched IS NOT NULL AND l.parent_id = ANY (ARRAY[g.id]))
SELECT (SELECT array_to_json(array_agg(id))::text FROM gone) AS ids,
  (SELECT max(id::text) FROM page
   HAVING count(*) = $2::int AND (min(created) <= ${youngest} OR max(id::text) COLLATE "C" < ${firstId(youngest)})) AS next`;
