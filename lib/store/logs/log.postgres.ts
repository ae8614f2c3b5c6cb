import { FIRST_ID } from '../jobs/job-row.js';
import { matchesId, ms } from '../jobs/job-row.postgres.js';

/* Lines of `job.log`: `_jobs_logs`. Sets are JSON arrays in $1. */

const jobIds = 'SELECT DISTINCT s.id::uuid AS id FROM jsonb_array_elements_text($1::jsonb) AS s(id)';

/** Adds lines of running jobs. A line that is there already stays: the response of an earlier try was lost. */
export const INSERT_LINES = `
INSERT INTO _jobs_logs (job_id, attempt, line, level, message, data, time)
SELECT l.id, l.attempt, l.line, l.level, l.message, l.data, statement_timestamp() - make_interval(secs => l.age_ms / 1000.0)
FROM jsonb_to_recordset($1::jsonb) AS l(id uuid, attempt int, line int, level text, message text, data jsonb, age_ms float8)
ORDER BY l.id, l.attempt, l.line
ON CONFLICT (job_id, attempt, line) DO NOTHING`;

/** Deletes all but the newest $2 lines of each job. In this form the planner can only use the primary key: see `matchesId`. */
export const TRIM_LINES = `
WITH cut AS MATERIALIZED (
  SELECT job_id, attempt, line FROM (
    SELECT l.job_id, l.attempt, l.line, row_number() OVER (PARTITION BY l.job_id ORDER BY l.attempt DESC, l.line DESC) AS place
    FROM (${jobIds}) AS s JOIN _jobs_logs l ON l.job_id = ANY (ARRAY[s.id])) AS r
  WHERE place = $2::int + 1)
DELETE FROM _jobs_logs l USING cut WHERE l.job_id = ANY (ARRAY[cut.job_id]) AND (l.attempt, l.line) <= (cut.attempt, cut.line)`;

/** Reads $4 lines of job $1 after line $3 of attempt $2. Lines of a deleted job stay until `prune` finds them. */
export const READ_LINES = `
SELECT attempt, line, level, message, data::text AS data, ${ms('time')} AS time FROM _jobs_logs
WHERE job_id = $1::uuid AND (attempt, line) > ($2::int, $3::int) AND EXISTS (SELECT FROM _jobs j WHERE j.id = $1::uuid)
ORDER BY attempt, line LIMIT $4::int`;

/** Reads the state of jobs, and the position of their newest lines. */
export const WATCHED_JOBS = `
SELECT j.id, j.status, ${ms('j.updated')} AS updated,
  (SELECT l.attempt || '.' || l.line FROM _jobs_logs l WHERE l.job_id = j.id ORDER BY l.attempt DESC, l.line DESC LIMIT 1) AS last_line
FROM (${jobIds}) AS s JOIN _jobs j ON ${matchesId('s')}`;

/** Lists the next $2 jobs with lines after job $1, by a loose scan, and whether they are gone. */
export const LOGGED_JOBS = `
WITH RECURSIVE page AS (
  (SELECT job_id, 1 AS place FROM _jobs_logs
   WHERE job_id > coalesce($1::uuid, '${FIRST_ID}') ORDER BY job_id LIMIT 1)
  UNION ALL
  SELECT n.job_id, p.place + 1 FROM page p CROSS JOIN LATERAL (
    SELECT job_id FROM _jobs_logs WHERE job_id > p.job_id ORDER BY job_id LIMIT 1) n
  WHERE p.place < $2::int)
SELECT p.job_id, NOT EXISTS (SELECT FROM _jobs j WHERE j.id = ANY (ARRAY[p.job_id])) AS is_gone FROM page p ORDER BY p.place`;

/** Deletes all lines of jobs. */
export const DELETE_LINES = `DELETE FROM _jobs_logs WHERE job_id = ANY (ARRAY(${jobIds}))`;
