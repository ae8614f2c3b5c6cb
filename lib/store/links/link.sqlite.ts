import { isOwed, WATCHED } from '../jobs/job-row.js';
import { appendAction, blockedUntil, byId, fromNow, holdsKey, isBlocked, now } from '../jobs/job-row.sqlite.js';
export * from './follow-up.sqlite.js';
export { INSERT_GROUP, LOCK_GROUPS } from './group.sqlite.js';
export { RELEASE_KEYS_OF_FAMILY } from '../jobs/insert.sqlite.js';

/*
 * Links between jobs: `_jobs_links`. A link is as open as its parent; `outcome` keeps how a parent has ended whose row is deleted. Sets are
 * JSON arrays in ?1.
 */

const ids = '(SELECT value FROM json_each(?1))';

/** Marks parents that have not ended as holders of tokens, and returns their statuses. */
export const WATCH_PARENTS = `
UPDATE _jobs ${byId} SET watched = iif(watched IS NULL OR watched = ${WATCHED.unlessCompleted} AND finished IS NULL, iif(finished IS NULL, ${WATCHED.always}, ${WATCHED.done}), watched)
WHERE id IN ${ids} RETURNING id, status, watched`;

/** Inserts links. A repeated insert finds them. `WHERE true` ends the SELECT for SQLite's parser. */
export const INSERT_LINKS = `
INSERT INTO _jobs_links (parent_id, child_id, mode, position, ref, holds, run_at)
SELECT value ->> 'parent_id', value ->> 'child_id', value ->> 'mode', value ->> 'position', value ->> 'ref', value ->> 'holds',
  coalesce(value ->> 'run_at', iif(value ->> 'delay_ms' > 0, ${fromNow(`value ->> 'delay_ms'`)}, NULL))
FROM json_each(?1) WHERE true
ON CONFLICT (parent_id, child_id) DO NOTHING`;

/** Lists the parents of job ?1. */
export const LIST_PARENTS = `
SELECT l.parent_id AS id, l.ref, j.topic, j.status, j.result, j.last_error
FROM _jobs_links AS l LEFT JOIN _jobs AS j ON j.id = l.parent_id
WHERE l.child_id = ?1 AND NOT EXISTS (SELECT 1 FROM _jobs_groups AS g WHERE g.id = l.parent_id)
ORDER BY l.position`;

/** Whether the child of link `l` waits for its parent, a job or a group. */
const isOpen = `(EXISTS (
    SELECT 1 FROM _jobs AS p ${byId} WHERE p.id = l.parent_id AND p.watched IS NOT ${WATCHED.deleted}
      AND (p.finished IS NULL OR l.mode = 'wait' AND p.status IN ('failed', 'cancelled')))
  OR EXISTS (SELECT 1 FROM _jobs_groups AS g WHERE g.id = l.parent_id AND g.finished IS NULL))`;

/** The links of jobs to their parents and children, without groups and their callbacks. */
const linksBy = (end: string): string => `
SELECT * FROM (
  SELECT l.parent_id, l.child_id, l.mode, ${isOpen} AS is_open FROM _jobs_links AS l
  WHERE l.${end} IN ${ids} AND l.mode <> 'member' AND NOT EXISTS (SELECT 1 FROM _jobs_groups AS g WHERE g.id = l.parent_id)
  LIMIT ?2) AS ${end}_links`;

export const LINKS_OF = `${linksBy('parent_id')} UNION ${linksBy('child_id')}`;

/** Counts the open links of each blocked job. */
export const COUNT_OPEN_LINKS = `
SELECT j.id, (SELECT count(*) FROM _jobs_links AS l WHERE l.child_id = j.id AND ${isOpen}) AS open
FROM _jobs AS j ${byId} WHERE j.id IN ${ids} AND j.status = 'pending' AND ${isBlocked('j')}`;

/** Reads the next ?3 links after the child ?1 and its parent ?2, with the states of both ends. A group has no status. */
export const LINKS_PAGE = `
SELECT p.*, j.status AS parent_status, c.status AS child_status,
  EXISTS (SELECT 1 FROM _jobs_groups AS g WHERE g.id = p.parent_id) AS parent_is_group,
  EXISTS (SELECT 1 FROM _jobs_groups AS g WHERE g.id = p.child_id) AS child_is_group,
  coalesce(c.status = 'pending' AND c.run_at = ${blockedUntil}, false)
    OR EXISTS (SELECT 1 FROM _jobs_groups AS g WHERE g.id = p.child_id AND g.finished IS NULL) AS is_waiting
FROM (
  SELECT parent_id, child_id, mode, outcome, holds FROM _jobs_links
  WHERE (child_id, parent_id) > (?1, ?2) ORDER BY child_id, parent_id LIMIT ?3) AS p
LEFT JOIN _jobs AS j ON j.id = p.parent_id LEFT JOIN _jobs AS c ON c.id = p.child_id
ORDER BY p.child_id, p.parent_id`;

/** Deletes the links of deleted children. */
export const DELETE_LINKS = `
DELETE FROM _jobs_links WHERE child_id IN ${ids} AND NOT EXISTS (SELECT 1 FROM _jobs AS c WHERE c.id = child_id)
  AND NOT EXISTS (SELECT 1 FROM _jobs_groups AS g WHERE g.id = child_id)`;

/** Reads the next ?2 children of the jobs in ?1 that a parent has cancelled, each after a child, in the order of the set. */
export const FIND_CANCELLED = `
SELECT l.parent_id, l.child_id, ${isOwed('c.')} AS owes FROM json_each(?1) AS e
CROSS JOIN _jobs_links AS l ON l.parent_id = e.value ->> 'id' AND l.child_id > e.value ->> 'after' AND l.mode = 'cancel'
CROSS JOIN _jobs AS c ${byId} ON c.id = l.child_id AND c.status = 'cancelled' AND c.ended_by = 'parent' LIMIT ?2`;

/**
 * cancelled → pending, blocked, for jobs that a parent has cancelled. Leaves out those that another ended parent would cancel again, those
 * that owe a follow-up, and those whose unique key is taken. Of several with the same key it takes the newest.
 */
export const REQUEUE_CHILDREN = `
UPDATE _jobs ${byId} SET status = 'pending', run_at = ${blockedUntil}, finished = NULL, cancel_requested = 0, retries = 0, last_error = NULL,
  watched = iif(watched = ${WATCHED.done}, ${WATCHED.always}, watched), ended_by = NULL, flow_key = NULL, expires_at = NULL, actions = ${appendAction('?2')}, updated = ${now}
WHERE status = 'cancelled' AND NOT coalesce(${isOwed()}, 0) AND id IN (
  SELECT max(id) FROM (
    SELECT c.id, c.topic, c.unique_key FROM json_each(?1) AS e
    CROSS JOIN _jobs AS c ${byId} ON c.id = e.value AND c.status = 'cancelled' AND c.ended_by = 'parent'
    WHERE NOT EXISTS (
      SELECT 1 FROM _jobs_links AS o LEFT JOIN _jobs AS p ON p.id = o.parent_id
      WHERE o.child_id = c.id AND o.mode = 'cancel'
        AND coalesce(p.status IN ('failed', 'cancelled') OR p.watched = ${WATCHED.deleted}, coalesce(o.outcome, 'deleted') <> 'completed')
        AND NOT EXISTS (SELECT 1 FROM _jobs_groups AS g WHERE g.id = o.parent_id))
    AND NOT EXISTS (
      SELECT 1 FROM _jobs AS k WHERE k.topic = c.topic AND k.unique_key = c.unique_key AND k.id <> c.id AND ${holdsKey('k')}))
  GROUP BY topic, unique_key, iif(unique_key IS NULL, id, NULL))
RETURNING id, topic, unique_key, watched`;

/** Gives the tokens of children to the parents in ?1. */
export const GIVE_TOKENS = `
WITH t AS MATERIALIZED (SELECT value ->> 'child_id' AS child_id, value ->> 'parent_id' AS parent_id FROM json_each(?1))
UPDATE _jobs_links AS l SET holds = (l.parent_id = t.parent_id) FROM t
WHERE l.child_id = t.child_id AND (l.holds OR l.parent_id = t.parent_id)`;

/** Takes the token of group ?1 for its new member ?2, unless the first run of a repeated insert has given it to that one. */
export const TAKE_TOKEN = `
UPDATE _jobs_links SET holds = 0 WHERE child_id = ?1 AND holds
  AND NOT EXISTS (SELECT 1 FROM _jobs_links WHERE parent_id = ?2 AND child_id = ?1)`;

/** Finds the link of member ?2 to group ?1. */
export const FIND_MEMBER = 'SELECT 1 FROM _jobs_links WHERE parent_id = ?2 AND child_id = ?1';
