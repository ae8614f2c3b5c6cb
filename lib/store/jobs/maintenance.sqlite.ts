import { EXPIRED, isOwed, LEASE_LOST } from './job-row.js';
import {
  byId,
  appendError,
  fromNow,
  hasUnfinishedChild,
  isAged,
  isKeptUnique,
  keptSince,
  ms,
  now,
  ownAges,
  scanTiming,
} from './job-row.sqlite.js';
import { watchedAtFailure } from '../links/dead-letter.sqlite.js';

const expiredFrom = (from: string): string =>
  `_jobs WHERE status = 'processing' AND locked_until >= ${from} AND locked_until < ${now}`;

/** Jobs that have not started although their expiry has passed. */
const overdueFrom = (from: string): string =>
  `_jobs INDEXED BY _jobs_expiring WHERE status = 'pending' AND expires_at >= ${from} AND expires_at <= ${now}`;

/** Whether any lease from ?1 on has expired, whether `EXPIRE` finds jobs, and whether a follow-up is owed. Takes no lock. */
export const HAS_EXPIRED = `
SELECT EXISTS (SELECT 1 FROM ${expiredFrom('?1')}) AS has_expired, EXISTS (SELECT 1 FROM ${overdueFrom('?1')}) AS has_overdue,
  EXISTS (SELECT 1 FROM _jobs INDEXED BY _jobs_owed WHERE ${isOwed()} AND finished < ${fromNow('-1000')}) AS has_owed, ${scanTiming}`;

/** pending → cancelled for up to ?1 jobs that have not started by their expiry. */
export const EXPIRE = `
UPDATE _jobs ${byId} SET status = 'cancelled', last_error = '${EXPIRED}', ended_by = 'expiry', finished = ${now}, updated = ${now}
WHERE id IN (SELECT id FROM ${overdueFrom('?2')} ORDER BY expires_at LIMIT ?1) RETURNING id, topic, attempt, ${isOwed()} AS owes`;

/** Whether the job was claimed but its handler was never called. markStarted clears the expiry. */
const isUnstarted = '(unstarted_attempt IS attempt OR expires_at IS NOT NULL)';
const isLost = `(retries >= max_retries AND NOT ${isUnstarted})`;

/**
 * processing with an expired lease → pending, failed or cancelled. Handles leases that ended at ?2 or later. An attempt that
 * never started goes back to its position in the queue, without an error.
 */
export const RESCUE = `
UPDATE _jobs AS j ${byId} SET
  status = CASE WHEN cancel_requested THEN 'cancelled' WHEN ${isLost} THEN 'failed' ELSE 'pending' END,
  retries = retries + (NOT cancel_requested AND retries < max_retries),
  run_at = CASE WHEN cancel_requested OR retries >= max_retries THEN run_at ELSE ${now} END,
  rescued_attempt = iif(${isUnstarted}, rescued_attempt, attempt), last_error = iif(${isUnstarted}, last_error, ${LEASE_LOST}),
  errors = iif(${isUnstarted}, errors, ${appendError(LEASE_LOST, 'NULL')}), locked_until = NULL, locked_by = NULL,
  watched = CASE WHEN watched IS NULL AND ${isLost} AND NOT cancel_requested THEN ${watchedAtFailure('j')} ELSE watched END,
  flow_key = NULL, finished = CASE WHEN cancel_requested OR ${isLost} THEN ${now} END, updated = ${now}
WHERE id IN (
  SELECT id FROM ${expiredFrom('?2')} ORDER BY locked_until LIMIT ?1)
RETURNING id, topic, attempt, status, retries, last_error AS message, ${isOwed()} AS owes`;

const page = `(SELECT id, topic, status, finished, created, idempotency_key, unique_until, watched FROM _jobs ${byId} WHERE id > ?1 ORDER BY id LIMIT ?2)`;

/** NULL as ?3 prunes nothing, whatever topics declare. */
const own = `(SELECT * FROM ${ownAges} WHERE ?3 IS NOT NULL)`;

/** The jobs of the page that are over the age of their topic and status, or of their status in ?3, except those in ?4. */
const aged = `
  SELECT p.id FROM ${page} AS p LEFT JOIN ${own} AS o ON o.topic = p.topic AND o.status = p.status
  LEFT JOIN json_each(?3) AS a ON a.value ->> 'status' = p.status
  WHERE ${isAged('p.finished')}
    AND (p.idempotency_key IS NULL OR p.created <= ${keptSince}) AND NOT ${isKeptUnique}
    AND p.id NOT IN (SELECT value FROM json_each(?4))
    AND (p.watched IS NULL OR NOT (${isOwed('p.')}) AND NOT ${hasUnfinishedChild('p')})`;

/** The shortest of all ages, in milliseconds; 0 if there is none. */
const youngestMs = `(SELECT coalesce(min(age_ms), 0) FROM (SELECT ?5 AS age_ms UNION ALL SELECT age_ms FROM ${own}))`;

/** The lowest UUID v7 of the time `ageMs` ago; a time before 1970 counts as 1970. */
const idBefore = (ageMs: string): string => {
  const hex = `printf('%012x', max(0, ${ms(now)} - ${ageMs}))`;
  return `substr(${hex}, 1, 8) || '-' || substr(${hex}, 9)`;
};

/**
 * Finds the end of a page, whether it has jobs to delete, and whether a page follows. The shortest age is that in ?5 or of a topic. A page
 * follows if any row of this one is older than the shortest age, or if all its ids are: the clock that made an id may be late.
 */
export const PRUNE_PAGE = `
SELECT max(id) AS last, count(*) = ?2 AND (min(created) <= ${fromNow(`-${youngestMs}`)} OR max(id) < ${idBefore(youngestMs)}) AS has_more, EXISTS (${aged}) AS has_aged,
  EXISTS (${aged} AND p.watched IS NOT NULL) AS has_parents
FROM ${page}`;

/** Deletes the aged jobs of a page. Takes the parameters of `PRUNE_PAGE` except ?5. */
export const PRUNE = `DELETE FROM _jobs ${byId} WHERE id IN (${aged}) RETURNING id`;

/** Keeps in links how the jobs have ended that `PRUNE` is about to delete. Takes the same parameters. */
export const KEEP_OUTCOMES_OF_PRUNED = `
UPDATE _jobs_links AS l SET outcome = j.status FROM _jobs AS j ${byId}
WHERE j.id IN (${aged} AND p.watched IS NOT NULL) AND l.parent_id = j.id`;
