import { byId, fromNow, ms } from '../jobs/job-row.sqlite.js';

/* Lines of `job.log`: `_jobs_logs`. Sets are JSON arrays in ?1. */

/** Adds lines of running jobs. A line that is there already stays. `WHERE true` ends the SELECT for SQLite's parser. */
export const INSERT_LINES = `
INSERT INTO _jobs_logs (job_id, attempt, line, level, message, data, time)
SELECT value ->> 'id', value ->> 'attempt', value ->> 'line', value ->> 'level', value ->> 'message', nullif(value -> 'data', 'null'),
  ${fromNow(`-(value ->> 'age_ms')`)}
FROM json_each(?1) WHERE true
ON CONFLICT (job_id, attempt, line) DO NOTHING`;

/** Deletes all but the newest ?2 lines of each job. */
export const TRIM_LINES = `
DELETE FROM _jobs_logs WHERE (job_id, attempt, line) IN (
  SELECT job_id, attempt, line FROM (
    SELECT job_id, attempt, line, row_number() OVER (PARTITION BY job_id ORDER BY attempt DESC, line DESC) AS place
    FROM _jobs_logs WHERE job_id IN (SELECT value FROM json_each(?1)))
  WHERE place > ?2)`;

/** Reads ?4 lines of job ?1 after line ?3 of attempt ?2. Lines of a deleted job stay until `prune` finds them. */
export const READ_LINES = `
SELECT attempt, line, level, message, data, ${ms('time')} AS time FROM _jobs_logs
WHERE job_id = ?1 AND (attempt, line) > (?2, ?3) AND EXISTS (SELECT 1 FROM _jobs ${byId} WHERE id = ?1)
ORDER BY attempt, line LIMIT ?4`;

/** Reads the state of jobs, and the position of their newest lines. */
export const WATCHED_JOBS = `
SELECT id, status, ${ms('updated')} AS updated,
  (SELECT l.attempt || '.' || l.line FROM _jobs_logs AS l WHERE l.job_id = _jobs.id ORDER BY l.attempt DESC, l.line DESC LIMIT 1) AS last_line
FROM _jobs ${byId} WHERE id IN (SELECT value FROM json_each(?1))`;

/** Lists the next ?2 jobs with lines after job ?1, by a loose scan, and whether they are gone. */
export const LOGGED_JOBS = `
WITH RECURSIVE page AS (
  SELECT * FROM (SELECT job_id, 1 AS place FROM _jobs_logs WHERE job_id > coalesce(?1, '') ORDER BY job_id LIMIT 1)
  UNION ALL
  SELECT (SELECT l.job_id FROM _jobs_logs AS l WHERE l.job_id > page.job_id ORDER BY l.job_id LIMIT 1), place + 1
  FROM page WHERE place < ?2 AND job_id IS NOT NULL)
SELECT job_id, NOT EXISTS (SELECT 1 FROM _jobs ${byId} WHERE id = page.job_id) AS is_gone
FROM page WHERE job_id IS NOT NULL ORDER BY place`;

/** Deletes all lines of jobs. */
export const DELETE_LINES = 'DELETE FROM _jobs_logs WHERE job_id IN (SELECT value FROM json_each(?1))';
