import { byId, ms, now } from '../jobs/job-row.sqlite.js';
import { isLive } from '../definitions/live-definition.sqlite.js';

/* The table of schedules. A tick fires in one transaction, which compares and moves the schedule's cursor and inserts the job. */

/** Lists all schedules, or only ?1, after a first row with the database's time. */
export const LIST_SCHEDULES = `
SELECT NULL AS name, NULL AS definition, NULL AS source, 0 AS revision, ${ms(now)} AS next_tick, NULL AS last_tick,
  NULL AS last_job_id, NULL AS paused_since, 0 AS live, NULL AS created, NULL AS updated
UNION ALL
SELECT s.name, s.definition, s.source, s.revision, ${ms('s.next_tick')}, ${ms('s.last_tick')}, s.last_job_id, ${ms('s.paused_since')},
  (SELECT count(*) FROM _jobs_definitions AS d WHERE d.kind = 'schedule' AND d.name = s.name AND ${isLive('d')}),
  ${ms('s.created')}, ${ms('s.updated')} FROM _jobs_schedules AS s
WHERE ?1 IS NULL OR s.name = ?1 ORDER BY name`;

/** Adds schedule ?1 with definition ?2, source ?3 and next tick ?4, unless it exists. */
export const ADD_SCHEDULE = `
INSERT INTO _jobs_schedules (name, definition, source, next_tick, created, updated)
VALUES (?1, ?2, ?3, ?4, ${now}, ${now}) ON CONFLICT DO NOTHING RETURNING name`;

/** Whether two times are the same, however they are written: a user may have set a cursor with `datetime`. */
const isSame = (a: string, b: string): string => `${ms(a)} = ${ms(b)}`;

/**
 * Changes schedule ?1 if its revision is ?5. ?4 is the next tick, if ?6 says that the cursor moves. It moves only from ?7, unless that is
 * NULL: a tick that fires in between would fire again.
 */
export const CHANGE_SCHEDULE = `
UPDATE _jobs_schedules SET definition = ?2, source = ?3, revision = revision + 1, next_tick = iif(?6, ?4, next_tick),
  updated = ${now}
WHERE name = ?1 AND revision = ?5 AND (NOT ?6 OR ?7 IS NULL OR ${isSame('next_tick', '?7')}) RETURNING name`;

/** Removes schedule ?1 if its revision is ?2. */
export const REMOVE_SCHEDULE = 'DELETE FROM _jobs_schedules WHERE name = ?1 AND revision = ?2 RETURNING name';

/** Pauses schedule ?1. A paused schedule keeps its time. */
export const PAUSE_SCHEDULE = `
UPDATE _jobs_schedules SET paused_since = coalesce(paused_since, ${now}), revision = revision + 1, updated = ${now}
WHERE name = ?1 RETURNING name`;

/** Resumes schedule ?1 with next tick ?3, if its revision is ?2. */
export const RESUME_SCHEDULE = `
UPDATE _jobs_schedules SET paused_since = NULL, next_tick = ?3, revision = revision + 1, updated = ${now}
WHERE name = ?1 AND revision = ?2 RETURNING name`;

/** Names those of the schedules in ?1 whose last job is unfinished and prevents a new one. */
export const BUSY_SCHEDULES = `
SELECT s.name FROM _jobs_schedules AS s CROSS JOIN _jobs AS j ${byId} ON j.id = s.last_job_id
WHERE s.name IN (SELECT value FROM json_each(?1)) AND s.definition ->> 'overlap' = 'skip' AND j.status IN ('pending', 'processing')`;

/**
 * Moves the cursors of the schedules in ?1 that are due, not paused and unchanged since the process read them. Returns their names.
 * A member without a tick moves the cursor only.
 */
export const MOVE_CURSORS = `
UPDATE _jobs_schedules AS s SET next_tick = n.value ->> 'next',
  last_tick = coalesce(n.value ->> 'tick', s.last_tick), last_job_id = coalesce(n.value ->> 'last_id', s.last_job_id)
FROM json_each(?1) AS n
WHERE s.name = n.value ->> 'name' AND s.revision = n.value ->> 'revision' AND ${isSame('s.next_tick', "n.value ->> 'expected'")}
  AND ${ms('s.next_tick')} <= ${ms(now)} AND s.paused_since IS NULL
RETURNING name`;
