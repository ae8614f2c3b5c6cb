import { LEASE_LOST } from '../../statement-parts.js';
import { byIdOf, errorsWith, isKeyKept, scanTiming, unlessLocked } from './statement-parts.js';

/** Claimed, but its handler was never called. */
const isUnbegun = '(j.unbegun_attempt IS NOT DISTINCT FROM j.attempt)';
const isLost = `(j.retries >= j.max_retries AND NOT ${isUnbegun})`;

/**
 * processing with an expired lease → pending, failed or cancelled. Rows locked by a completion in flight are skipped, and
 * so is what ended before $2. What has never begun keeps its place, and nothing of it has failed.
 */
export const RESCUE = `
WITH expired AS (
  SELECT id FROM _jobs
  WHERE status = 'processing' AND locked_until >= $2::timestamptz AND locked_until < statement_timestamp()
  ORDER BY locked_until LIMIT $1::int ${unlessLocked}),
rescued AS (UPDATE _jobs j SET
  status = CASE WHEN j.cancel_requested THEN 'cancelled' WHEN ${isLost} THEN 'failed' ELSE 'pending' END,
  retries = j.retries + (NOT j.cancel_requested AND j.retries < j.max_retries)::int,
  run_at = CASE WHEN j.cancel_requested OR j.retries >= j.max_retries THEN j.run_at ELSE statement_timestamp() END,
  last_error = CASE WHEN ${isUnbegun} THEN j.last_error ELSE ${LEASE_LOST} END,
  errors = CASE WHEN ${isUnbegun} THEN j.errors ELSE ${errorsWith(LEASE_LOST, 'NULL::text')} END,
  locked_until = NULL, locked_by = NULL,
  finished = CASE WHEN j.cancel_requested OR ${isLost} THEN statement_timestamp() END,
  updated = statement_timestamp()
FROM expired WHERE ${byIdOf('expired')}
RETURNING j.id, j.topic, j.attempt, j.status, j.retries, j.last_error AS message)
SELECT *, NULL::float8 AS at, NULL::float8 AS took_ms FROM rescued
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, ${scanTiming}`;

/** The moment before which something may be over its age. */
const youngest = 'statement_timestamp() - make_interval(secs => $4::float8 / 1000.0)';

/** The first UUID v7 of a moment, as text; of one before 1970 the first of all. */
const idOf = (moment: string): string =>
  `overlay(lpad(to_hex(greatest(0, extract(epoch FROM ${moment}) * 1000)::bigint), 12, '0') placing '-' from 9 for 0)`;

/**
 * One page of the table in the order of its ids: deletes what is over its age, and says whether to go on, which is as long as
 * any row of the page is old, or all of their ids are: those are made by clocks of applications, of which one may be late. What
 * has run anew since the page was read is young, as is seen when its row is locked. `coalesce` hides the rows from the planner:
 * statistics of a moment at which nothing had finished make it begin with all that has.
 */
export const PRUNE = `
WITH page AS (
  SELECT id, status, finished, created FROM _jobs
  WHERE id > coalesce($1::uuid, '00000000-0000-0000-0000-000000000000') ORDER BY id LIMIT $2::int),
ages AS (
  SELECT status, statement_timestamp() - make_interval(secs => age_ms / 1000.0) AS latest
  FROM jsonb_to_recordset($3::jsonb) AS a(status text, age_ms float8)),
aged AS (
  SELECT p.id, a.status, a.latest FROM page p JOIN ages a ON a.status = p.status
  WHERE p.finished <= a.latest AND p.id <> ALL ($5::uuid[])),
free AS (
  SELECT j.id FROM aged JOIN _jobs j ON ${byIdOf('aged')}
  WHERE coalesce(
    j.status = aged.status AND j.finished <= aged.latest AND (j.idempotency_key IS NULL OR NOT ${isKeyKept}), false)
  FOR UPDATE OF j SKIP LOCKED),
gone AS (DELETE FROM _jobs j USING free WHERE ${byIdOf('free')} RETURNING 1)
SELECT (SELECT count(*) FROM gone) AS removed,
  (SELECT max(id::text) FROM page
   HAVING count(*) = $2::int AND (min(created) <= ${youngest} OR max(id::text) COLLATE "C" < ${idOf(youngest)})) AS next`;
