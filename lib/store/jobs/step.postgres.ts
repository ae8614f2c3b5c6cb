import { iso, isOwned, skipLocked } from './job-row.postgres.js';

export { STILL_OWNED } from './lease.postgres.js';

/** Adds steps to owned jobs, unless they have one of this name, and returns the rows that it wrote; skips locked rows. */
export const RECORD_STEPS = `
WITH o AS MATERIALIZED (SELECT * FROM jsonb_to_recordset($1::jsonb) AS s(id uuid, attempt int, step jsonb)),
free AS (SELECT o.* FROM o JOIN _jobs j ON ${isOwned} ORDER BY o.id ${skipLocked})
UPDATE _jobs j SET updated = statement_timestamp(), steps = coalesce(j.steps, '[]') || CASE
  WHEN j.steps @> jsonb_build_array(jsonb_build_object('name', o.step -> 'name')) THEN '[]'::jsonb
  ELSE jsonb_build_array(o.step || jsonb_build_object('finished', ${iso('statement_timestamp()')})) END
FROM free o WHERE ${isOwned} RETURNING j.id, j.attempt, j.cancel_requested, j.ctid AS row_ref`;
