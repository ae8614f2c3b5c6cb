import { LEASE_LOST } from '../../statement-parts.js';
import { byId, errorsWith, fromNow, keptSince, scanTiming, ms, now } from './statement-parts.js';

const expiredFrom = (from: string): string =>
  `_jobs WHERE status = 'processing' AND locked_until >= ${from} AND locked_until < ${now}`;

/** Whether any lease has expired: asked before the write lock is taken. */
export const LOOK_FOR_EXPIRED = `SELECT EXISTS (SELECT 1 FROM ${expiredFrom('?1')}) AS is_any_expired, ${scanTiming}`;

/** Claimed, but its handler was never called. */
const isUnbegun = '(unbegun_attempt IS attempt)';
const isLost = `(retries >= max_retries AND NOT ${isUnbegun})`;

/**
 * processing with an expired lease → pending, failed or cancelled; none of those that ended before ?2. What has never begun
 * keeps its place, and nothing of it has failed.
 */
export const RESCUE = `
UPDATE _jobs AS j ${byId} SET
  status = CASE WHEN cancel_requested THEN 'cancelled' WHEN ${isLost} THEN 'failed' ELSE 'pending' END,
  retries = retries + (NOT cancel_requested AND retries < max_retries),
  run_at = CASE WHEN cancel_requested OR retries >= max_retries THEN run_at ELSE ${now} END,
  last_error = iif(${isUnbegun}, last_error, ${LEASE_LOST}),
  errors = iif(${isUnbegun}, errors, ${errorsWith(LEASE_LOST, 'NULL')}), locked_until = NULL, locked_by = NULL,
  finished = CASE WHEN cancel_requested OR ${isLost} THEN ${now} END, updated = ${now}
WHERE id IN (
  SELECT id FROM ${expiredFrom('?2')} ORDER BY locked_until LIMIT ?1)
RETURNING id, topic, attempt, status, retries, last_error AS message`;

const page = `(SELECT id, status, finished, created, idempotency_key FROM _jobs ${byId} WHERE id > ?1 ORDER BY id LIMIT ?2)`;

/** The jobs of that page that are over their age, but those of ?4. ?3 is a JSON array of status and age. */
const aged = `
  SELECT p.id FROM ${page} AS p JOIN json_each(?3) AS a ON a.value ->> 'status' = p.status
  WHERE p.finished <= ${fromNow(`-(a.value ->> 'age_ms')`)}
    AND (p.idempotency_key IS NULL OR p.created <= ${keptSince}) AND p.id NOT IN (SELECT value FROM json_each(?4))`;

/** The first UUID v7 of a moment so many milliseconds ago; of one before 1970 the first of all. */
const idBefore = (ageMs: string): string => {
  const hex = `printf('%012x', max(0, ${ms(now)} - ${ageMs}))`;
  return `substr(${hex}, 1, 8) || '-' || substr(${hex}, 9)`;
};

/**
 * Where a page of the table ends, whether any of it is to be deleted, and whether to go on after it, which is as long as any
 * row of it is old, or all of their ids are: those are made by clocks of applications, of which one may be late. ?5 is the
 * youngest age in milliseconds.
 */
export const PRUNE_PAGE = `
SELECT max(id) AS last, count(*) = ?2 AND (min(created) <= ${fromNow('-?5')} OR max(id) < ${idBefore('?5')}) AS has_more, EXISTS (${aged}) AS is_any_aged
FROM ${page}`;

/** Deletes the aged jobs of a page; takes what PRUNE_PAGE does, but ?5. */
export const PRUNE = `DELETE FROM _jobs ${byId} WHERE id IN (${aged}) RETURNING id`;
