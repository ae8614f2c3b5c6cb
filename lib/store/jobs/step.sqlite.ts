import { byId, iso, isOwned, isOwnedClaim, now } from './job-row.sqlite.js';

/** Adds steps to owned jobs, unless they have one of this name, and returns the rows that the workers still own. */
export const RECORD_STEPS = `
WITH o AS MATERIALIZED (
  SELECT value ->> 'id' AS id, value ->> 'attempt' AS attempt, value -> 'step' AS step FROM json_each(?1))
UPDATE _jobs AS j SET updated = ${now}, steps = iif(
  EXISTS (SELECT 1 FROM json_each(j.steps) AS s WHERE s.value ->> 'name' = o.step ->> 'name'), j.steps,
  json_insert(coalesce(j.steps, '[]'), '$[#]', json_set(o.step, '$.finished', ${iso(now)})))
FROM o WHERE ${isOwned} RETURNING id, attempt, cancel_requested`;

/** Finds claims that are still owned though their rows were not written. */
export const STILL_OWNED = `SELECT id, attempt, cancel_requested FROM _jobs ${byId} WHERE ${isOwnedClaim}`;
