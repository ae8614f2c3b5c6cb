import { SEARCH_LIMITS } from './link-script.js';
import { appendAction, blockedUntil, byId, fromNow, holdsKey, isBlocked, now } from '../jobs/job-row.sqlite.js';
export { SETTLE_WATCHED, SETTLED_STATE } from '../jobs/settle.sqlite.js';
export { TAKE_BACK_STARTS } from '../limits/limited-claim.sqlite.js';
export { INSERT_DEAD_LETTERS, LINK_DEAD_LETTERS } from './dead-letter.sqlite.js';
export { FINISH_GROUPS, INSERT_GROUP, LOCK_GROUPS } from './group.sqlite.js';
export { RELEASE_KEYS_OF_FAMILY } from '../jobs/insert.sqlite.js';

/* Links between jobs: `_jobs_links`. A link without an outcome is open, and its child waits. Sets are JSON arrays in ?1. */

const ids = '(SELECT value FROM json_each(?1))';

/** Marks parents as watched and returns their statuses. */
export const WATCH_PARENTS = `UPDATE _jobs ${byId} SET watched = 1 WHERE id IN ${ids} RETURNING id, status`;

/** Inserts links. A repeated insert finds them. `WHERE true` ends the SELECT for SQLite's parser. */
export const INSERT_LINKS = `
INSERT INTO _jobs_links (parent_id, child_id, mode, position, ref, run_at)
SELECT value ->> 'parent_id', value ->> 'child_id', value ->> 'mode', value ->> 'position', value ->> 'ref',
  coalesce(value ->> 'run_at', iif(value ->> 'delay_ms' > 0, ${fromNow(`value ->> 'delay_ms'`)}, NULL))
FROM json_each(?1) WHERE true
ON CONFLICT (parent_id, child_id) DO NOTHING`;

/** Closes up to ?2 open links of the parents in ?1 that fulfil a condition. `l` is the link. */
const closeLinks = (outcome: string, condition: string): string => `
UPDATE _jobs_links SET outcome = ${outcome}
WHERE (parent_id, child_id) IN (
  SELECT l.parent_id, l.child_id FROM json_each(?1) AS e
  CROSS JOIN _jobs_links AS l ON l.parent_id = e.value AND l.outcome IS NULL${condition} LIMIT ?2)
RETURNING parent_id, child_id, mode, outcome`;

/**
 * Closes up to ?2 open links of parents that have ended with the status ?3. A child that waits for a re-queue keeps the link to a failed
 * parent. A failing group ends only the link to its \`onFailure\` job.
 */
export const CLOSE_LINKS = closeLinks(
  '?3',
  ` AND (l.mode <> 'wait' OR ?3 IN ('completed', 'deleted')) AND (?3 <> 'failing' OR l.mode = 'failure')`,
);
export const CLOSE_LINKS_IN_TX = CLOSE_LINKS;

/** Closes up to ?2 open links of completed jobs. */
export const CLOSE_LINKS_OF_COMPLETED = closeLinks("'completed'", '');
export const CLOSE_LINKS_OF_COMPLETED_IN_TX = CLOSE_LINKS_OF_COMPLETED;

/** Reads the children that wait: the one writer of the file needs no lock. */
export const LOCK_CHILDREN = `
SELECT id FROM _jobs ${byId} WHERE id IN ${ids} AND status = 'pending' AND run_at = ${blockedUntil}`;

/**
 * Finds the waiting children in ?1, and descendants of those with an error. A descendant gets the error of its ancestor. The statement
 * visits each job once, however many paths lead to it.
 */
export const LOCK_DESCENDANTS = `
WITH RECURSIVE d(id, error) AS (
  SELECT value ->> 'id', value ->> 'error' FROM json_each(?1)
  UNION
  SELECT l.child_id, d.error
  FROM d CROSS JOIN _jobs AS j ${byId} ON j.id = d.id AND j.status = 'pending' AND j.run_at = ${blockedUntil}
  CROSS JOIN _jobs_links AS l ON l.parent_id = d.id AND l.child_id IN (
    SELECT o.child_id FROM _jobs_links AS o WHERE o.parent_id = d.id AND o.mode = 'cancel' AND o.outcome IS NULL
    LIMIT ${SEARCH_LIMITS.linksOfJob})
  WHERE d.error IS NOT NULL
  LIMIT json_array_length(?1) + ${SEARCH_LIMITS.jobs})
SELECT j.id, n.error FROM (SELECT id, max(error) AS error FROM d GROUP BY id) AS n
CROSS JOIN _jobs AS j ${byId} ON j.id = n.id WHERE j.status = 'pending' AND j.run_at = ${blockedUntil}`;

/**
 * pending → pending, due, for children without an open link; pending → cancelled for those with an error. Each link of a child stores the
 * time at which the child may start; the latest of them counts. Without MATERIALIZED, SQLite reads the whole set for each of its members:
 * 10,000 children took 70 s.
 */
export const RELEASE_CHILDREN = `
WITH c AS MATERIALIZED (SELECT value ->> 'id' AS id, value ->> 'error' AS error FROM json_each(?1))
UPDATE _jobs AS j ${byId} SET
  status = iif(c.error IS NULL, 'pending', 'cancelled'),
  run_at = iif(c.error IS NULL, max(coalesce((SELECT max(l.run_at) FROM _jobs_links AS l WHERE l.child_id = c.id), ${now}), ${now}), ${now}),
  finished = iif(c.error IS NULL, NULL, ${now}),
  last_error = iif(c.error IS NULL, j.last_error, c.error), ended_by = iif(c.error IS NULL, j.ended_by, 'parent'),
  updated = ${now}
FROM c
WHERE j.id IN (SELECT id FROM c) AND j.id = c.id AND j.status = 'pending' AND j.run_at = ${blockedUntil}
  AND (c.error IS NOT NULL OR NOT EXISTS (SELECT 1 FROM _jobs_links AS l WHERE l.child_id = c.id AND l.outcome IS NULL))
RETURNING id, topic, attempt, status, watched`;

/** Lists the parents of job ?1. */
export const LIST_PARENTS = `
SELECT l.parent_id AS id, l.ref, j.topic, j.status, j.result, j.last_error
FROM _jobs_links AS l LEFT JOIN _jobs AS j ON j.id = l.parent_id
WHERE l.child_id = ?1 AND NOT EXISTS (SELECT 1 FROM _jobs_groups AS g WHERE g.id = l.parent_id)
ORDER BY l.position`;

/** The links of jobs to their parents and children, without groups and their callbacks. */
const linksBy = (end: string): string => `
SELECT * FROM (
  SELECT l.parent_id, l.child_id, l.mode, l.outcome FROM _jobs_links AS l
  WHERE l.${end} IN ${ids} AND l.mode <> 'member' AND NOT EXISTS (SELECT 1 FROM _jobs_groups AS g WHERE g.id = l.parent_id)
  LIMIT ?2) AS ${end}_links`;

export const LINKS_OF = `${linksBy('parent_id')} UNION ${linksBy('child_id')}`;

/** Counts the open links of each blocked job. */
export const COUNT_OPEN_LINKS = `
SELECT j.id, (SELECT count(*) FROM _jobs_links AS l WHERE l.child_id = j.id AND l.outcome IS NULL) AS open
FROM _jobs AS j ${byId} WHERE j.id IN ${ids} AND j.status = 'pending' AND ${isBlocked('j')}`;

/** Reads the next ?3 links after the child ?1 and its parent ?2, with the states of both ends. A group has no status. */
export const LINKS_PAGE = `
SELECT p.*, j.status AS parent_status, c.status AS child_status,
  EXISTS (SELECT 1 FROM _jobs_groups AS g WHERE g.id = p.parent_id) AS parent_is_group,
  EXISTS (SELECT 1 FROM _jobs_groups AS g WHERE g.id = p.child_id) AS child_is_group,
  coalesce(c.status = 'pending' AND c.run_at = ${blockedUntil}, false) AS is_blocked
FROM (
  SELECT parent_id, child_id, mode, outcome FROM _jobs_links
  WHERE (child_id, parent_id) > (?1, ?2) ORDER BY child_id, parent_id LIMIT ?3) AS p
LEFT JOIN _jobs AS j ON j.id = p.parent_id LEFT JOIN _jobs AS c ON c.id = p.child_id
ORDER BY p.child_id, p.parent_id`;

/** Deletes the links of deleted children. */
export const DELETE_LINKS = `
DELETE FROM _jobs_links WHERE child_id IN ${ids} AND NOT EXISTS (SELECT 1 FROM _jobs AS c WHERE c.id = child_id)
  AND NOT EXISTS (SELECT 1 FROM _jobs_groups AS g WHERE g.id = child_id)`;

/**
 * cancelled → pending, blocked, for up to ?3 children of the parents in ?1 that a parent has cancelled. Leaves out children that another
 * ended parent would cancel again, and those whose unique key is taken. Of several with the same key it takes the newest.
 */
export const REQUEUE_CHILDREN = `
UPDATE _jobs ${byId} SET status = 'pending', run_at = ${blockedUntil}, finished = NULL, cancel_requested = 0, retries = 0, last_error = NULL,
  ended_by = NULL, flow_key = NULL, expires_at = NULL, actions = ${appendAction('?2')}, updated = ${now}
WHERE status = 'cancelled' AND id IN (
  SELECT max(id) FROM (
    SELECT DISTINCT c.id, c.topic, c.unique_key FROM json_each(?1) AS e
    CROSS JOIN _jobs_links AS l ON l.parent_id = e.value AND l.mode = 'cancel' AND l.outcome <> 'completed'
    CROSS JOIN _jobs AS c ON c.id = l.child_id AND c.status = 'cancelled' AND c.ended_by = 'parent'
    WHERE NOT EXISTS (
      SELECT 1 FROM _jobs_links AS o LEFT JOIN _jobs AS p ON p.id = o.parent_id
      WHERE o.child_id = c.id AND o.mode = 'cancel' AND o.outcome <> 'completed' AND coalesce(p.status IN ('failed', 'cancelled'), true))
    AND NOT EXISTS (
      SELECT 1 FROM _jobs AS k WHERE k.topic = c.topic AND k.unique_key = c.unique_key AND k.id <> c.id AND ${holdsKey('k')})
    LIMIT ?3)
  GROUP BY topic, unique_key, iif(unique_key IS NULL, id, NULL))
RETURNING id, topic, unique_key, watched`;

/** Opens the links of children to parents that have not ended. A parent that has failed once may have completed since. */
export const REOPEN_LINKS = `
UPDATE _jobs_links AS l SET outcome = iif(p.status = 'completed', 'completed', NULL) FROM _jobs AS p
WHERE l.child_id IN ${ids} AND l.outcome IS NOT NULL AND p.id = l.parent_id AND p.status IN ('pending', 'processing', 'completed')`;
