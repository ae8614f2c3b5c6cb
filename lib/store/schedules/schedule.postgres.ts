import { ms } from '../jobs/job-row.postgres.js';
import { insertColumns, insertInput, insertValues } from '../jobs/insert.postgres.js';
import { isLive } from '../definitions/live-definition.postgres.js';

/* The table of schedules. A tick fires in one statement, which compares and moves the schedule's cursor and inserts the job. */

/** Lists all schedules, or only $1, after a first row with the database's time. */
export const LIST_SCHEDULES = `
SELECT NULL AS name, NULL AS definition, NULL AS source, 0 AS revision, ${ms('statement_timestamp()')} AS next_tick, NULL AS last_tick,
  NULL AS last_job_id, NULL AS paused_since, 0 AS live, NULL AS created, NULL AS updated
UNION ALL
(SELECT s.name, s.definition::text, s.source, s.revision, ${ms('s.next_tick')}, ${ms('s.last_tick')}, s.last_job_id::text,
  ${ms('s.paused_since')}, (SELECT count(*) FROM _jobs_definitions d WHERE d.kind = 'schedule' AND d.name = s.name AND ${isLive('d')}),
  ${ms('s.created')}, ${ms('s.updated')} FROM _jobs_schedules s
WHERE $1::text IS NULL OR s.name = $1 ORDER BY s.name)`;

/** Adds schedule $1 with definition $2, source $3 and next tick $4, unless it exists. */
export const ADD_SCHEDULE = `
INSERT INTO _jobs_schedules (name, definition, source, next_tick, created, updated)
SELECT $1, $2::jsonb, $3, $4::timestamptz, statement_timestamp(), statement_timestamp() ON CONFLICT DO NOTHING RETURNING name`;

/**
 * Changes schedule $1 if its revision is $5. $4 is the next tick, if $6 says that the cursor moves. It moves only from $7, unless that is
 * NULL: a tick that fires in between would fire again.
 */
export const CHANGE_SCHEDULE = `
UPDATE _jobs_schedules SET definition = $2::jsonb, source = $3, revision = revision + 1,
  next_tick = CASE WHEN $6::boolean THEN $4::timestamptz ELSE next_tick END,
  updated = statement_timestamp()
WHERE name = $1 AND revision = $5::int AND (NOT $6::boolean OR $7::timestamptz IS NULL OR next_tick = $7::timestamptz)
RETURNING name`;

/** Removes schedule $1 if its revision is $2. */
export const REMOVE_SCHEDULE = `DELETE FROM _jobs_schedules WHERE name = $1 AND revision = $2::int RETURNING name`;

/** Pauses schedule $1. A paused schedule keeps its time. */
export const PAUSE_SCHEDULE = `
UPDATE _jobs_schedules SET paused_since = coalesce(paused_since, statement_timestamp()), revision = revision + 1,
  updated = statement_timestamp()
WHERE name = $1 RETURNING name`;

/** Resumes schedule $1 with next tick $3, if its revision is $2. */
export const RESUME_SCHEDULE = `
UPDATE _jobs_schedules SET paused_since = NULL, next_tick = $3::timestamptz, revision = revision + 1, updated = statement_timestamp()
WHERE name = $1 AND revision = $2::int RETURNING name`;

/**
 * Fires the ticks in $1: moves the cursor of each schedule that is due, not paused and unchanged since the process read it, and inserts
 * the jobs of those schedules. The job's id is a function of schedule and tick, so a second job for a tick is a conflict. Locks in the
 * order of names: processes whose lists differ in order would deadlock otherwise. Returns a row for each moved schedule and each job.
 */
export const FIRE_TICKS = `
WITH held AS MATERIALIZED (
  SELECT s.name, n.next, n.tick, n.last_id, n.jobs, s.definition ->> 'overlap' = 'skip' AND EXISTS (
    SELECT FROM _jobs j WHERE j.id = s.last_job_id AND j.status IN ('pending', 'processing')) AS is_busy
  FROM jsonb_to_recordset($1::jsonb) AS n(
    name text, revision int, expected timestamptz, next timestamptz, tick timestamptz, last_id uuid, jobs jsonb)
  JOIN _jobs_schedules s ON s.name = n.name AND s.revision = n.revision AND s.next_tick = n.expected
    AND s.next_tick <= statement_timestamp() AND s.paused_since IS NULL
  ORDER BY s.name FOR NO KEY UPDATE OF s SKIP LOCKED),
moved AS (
  UPDATE _jobs_schedules s SET next_tick = h.next,
    last_tick = CASE WHEN h.is_busy THEN s.last_tick ELSE coalesce(h.tick, s.last_tick) END,
    last_job_id = CASE WHEN h.is_busy THEN s.last_job_id ELSE coalesce(h.last_id, s.last_job_id) END
  FROM held h WHERE s.name = h.name RETURNING s.name, h.jobs, h.is_busy),
stored AS (
  INSERT INTO _jobs (${insertColumns})
  SELECT ${insertValues} FROM moved m CROSS JOIN LATERAL ${insertInput('m.jobs')} WHERE NOT m.is_busy ORDER BY n.id
  ON CONFLICT DO NOTHING RETURNING id, ${ms('run_at')} AS run_at, ${ms('created')} AS created)
SELECT name, NULL AS id, NULL AS run_at, NULL AS created FROM moved
UNION ALL SELECT NULL, id::text, run_at, created FROM stored`;
