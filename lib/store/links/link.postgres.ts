import { PARENTS_MAX } from '../../core/dependencies.js';
import { SEARCH_LIMITS } from './link-script.js';
import { appendAction, blockedUntil, holdsKey, isBlocked, matchesId, waitBriefly } from '../jobs/job-row.postgres.js';
export { SETTLE_WATCHED, SETTLED_STATE } from '../jobs/settle.postgres.js';
export { TAKE_BACK_STARTS } from '../limits/limited-claim.postgres.js';
export { INSERT_DEAD_LETTERS, LINK_DEAD_LETTERS } from './dead-letter.postgres.js';
export { FINISH_GROUPS, INSERT_GROUP, LOCK_GROUPS } from './group.postgres.js';
export { RELEASE_KEYS_OF_FAMILY } from '../jobs/unique.postgres.js';

/* Links between jobs: `_jobs_links`. A link without an outcome is open, and its child waits. Sets are JSON arrays in $1. */

const ids = 'ARRAY(SELECT jsonb_array_elements_text($1::jsonb)::uuid)';

/**
 * Marks parents as watched and returns their statuses. The lock orders it with the end of each parent: either that comes later and
 * sees the links, or the returned status is final.
 */
export const WATCH_PARENTS = `
WITH p AS (SELECT id, status, watched FROM _jobs WHERE id = ANY (${ids}) ORDER BY id FOR NO KEY UPDATE),
marked AS (UPDATE _jobs j SET watched = 1 FROM p WHERE ${matchesId('p')} AND p.watched IS NULL)
SELECT id, status FROM p`;

/** Inserts links. A repeated insert, after a lost response, finds them. */
export const INSERT_LINKS = `
INSERT INTO _jobs_links (parent_id, child_id, mode, position, ref, run_at)
SELECT parent_id, child_id, mode, position, ref,
  coalesce(run_at, statement_timestamp() + make_interval(secs => nullif(delay_ms, 0) / 1000.0))
FROM jsonb_to_recordset($1::jsonb)
  AS n(parent_id uuid, child_id uuid, mode text, position int, ref text, run_at timestamptz, delay_ms float8)
ORDER BY parent_id, child_id
ON CONFLICT (parent_id, child_id) DO NOTHING`;

/*
 * `coalesce` hides these conditions from the planner. Otherwise it reads all open links, or all pending jobs, for each member of a set: the
 * end of 10,000 members took 12 s.
 */
const isOpen = 'coalesce(l.outcome IS NULL, false)';
const isWaiting = `coalesce(j.status = 'pending' AND j.run_at = ${blockedUntil}, false)`;

/** Up to $2 open links of the parents in $1 that fulfil a condition. The arrays prevent joins that read whole tables. */
const openLinks = (condition: string): string => `(
    SELECT o.parent_id, o.child_id FROM unnest(${ids}) AS e(id)
    CROSS JOIN LATERAL (SELECT * FROM _jobs_links l WHERE l.parent_id = ANY (ARRAY[e.id]) AND ${isOpen}${condition} OFFSET 0) o LIMIT $2::int)`;
const isMemberOf = (set: string): string =>
  `l.parent_id = ANY (ARRAY[${set}.parent_id]) AND l.child_id = ANY (ARRAY[${set}.child_id]) AND ${isOpen}`;

/**
 * Closes up to $2 open links of parents that have ended with the status $3. A child that waits for a re-queue keeps the link to a failed
 * parent. A failing group ends only the link to its \`onFailure\` job.
 */
const closeLinks = (guard: string): string => `
UPDATE _jobs_links l SET outcome = $3::text
FROM ${openLinks(` AND (l.mode <> 'wait' OR $3::text IN ('completed', 'deleted')) AND ($3::text <> 'failing' OR l.mode = 'failure')`)} o
WHERE ${guard}${isMemberOf('o')}
RETURNING l.parent_id, l.child_id, l.mode, l.outcome`;

export const CLOSE_LINKS = closeLinks(`${waitBriefly} AND `);
/** Closes up to $2 open links of completed jobs. Returns each child once for each mode, and the number of links. */
const closeLinksOfCompleted = (guard: string): string => `
WITH closed AS (
  UPDATE _jobs_links l SET outcome = 'completed' FROM ${openLinks('')} o WHERE ${guard}${isMemberOf('o')} RETURNING l.child_id, l.mode)
SELECT DISTINCT child_id, mode, 'completed' AS outcome, (SELECT count(*) FROM closed) AS closed FROM closed`;

export const CLOSE_LINKS_OF_COMPLETED = closeLinksOfCompleted(`${waitBriefly} AND `);

/** In a transaction of the application, which keeps its own lock timeout. */
export const CLOSE_LINKS_IN_TX = closeLinks('');
export const CLOSE_LINKS_OF_COMPLETED_IN_TX = closeLinksOfCompleted('');

/**
 * Locks the children that wait, and writes them: under REPEATABLE READ a transaction that does not see the links that another one has
 * closed must fail.
 */
export const LOCK_CHILDREN = `
WITH c AS (
  SELECT id FROM _jobs j WHERE id = ANY (${ids}) AND ${isWaiting} ORDER BY id FOR NO KEY UPDATE)
UPDATE _jobs j SET updated = statement_timestamp() FROM c WHERE ${matchesId('c')} RETURNING j.id`;

/**
 * Locks the waiting children in $1, and descendants of those with an error. A descendant gets the error of its ancestor. The statement
 * visits each job once, however many paths lead to it, and locks the jobs in the order in which it finds them: the ancestors first, like
 * a transaction that ends one of them. OFFSET, LIMIT and the arrays prevent joins that read whole tables.
 */
export const LOCK_DESCENDANTS = `
WITH RECURSIVE d(id, error) AS (
  SELECT id, error FROM jsonb_to_recordset($1::jsonb) AS n(id uuid, error text)
  UNION
  SELECT l.child_id, d.error
  FROM d, LATERAL (SELECT FROM _jobs j WHERE j.id = d.id AND ${isWaiting} OFFSET 0) j,
    LATERAL (
      SELECT child_id FROM _jobs_links l WHERE l.parent_id = d.id AND l.mode = 'cancel' AND ${isOpen}
      LIMIT ${SEARCH_LIMITS.linksOfJob}) l
  WHERE d.error IS NOT NULL),
p AS (SELECT id, error, row_number() OVER () AS place FROM d LIMIT jsonb_array_length($1::jsonb) + ${SEARCH_LIMITS.jobs}),
n AS (SELECT id, (array_agg(error ORDER BY error IS NULL, place))[1] AS error, min(place) AS place FROM p GROUP BY id),
c AS (
  SELECT j.id, n.error FROM n JOIN _jobs j ON j.id = ANY (ARRAY[n.id]) AND ${isWaiting} ORDER BY n.place, j.id FOR NO KEY UPDATE OF j)
UPDATE _jobs j SET updated = statement_timestamp() FROM c WHERE ${matchesId('c')} RETURNING j.id, c.error`;

/**
 * pending → pending, due, for children without an open link; pending → cancelled for those with an error. Each link of a child stores the
 * time at which the child may start; the latest of them counts. ORDER BY and LIMIT prevent a plan that reads the whole table.
 */
export const RELEASE_CHILDREN = `
UPDATE _jobs j SET
  status = CASE WHEN c.error IS NULL THEN 'pending' ELSE 'cancelled' END,
  run_at = CASE WHEN c.error IS NULL
    THEN greatest((SELECT max(p.run_at) FROM (
      SELECT l.run_at FROM _jobs_links l WHERE l.child_id = c.id ORDER BY l.parent_id LIMIT ${PARENTS_MAX}) p), statement_timestamp())
    ELSE statement_timestamp() END,
  finished = CASE WHEN c.error IS NOT NULL THEN statement_timestamp() END,
  last_error = CASE WHEN c.error IS NULL THEN j.last_error ELSE c.error END,
  ended_by = CASE WHEN c.error IS NULL THEN j.ended_by ELSE 'parent' END,
  updated = statement_timestamp()
FROM jsonb_to_recordset($1::jsonb) AS c(id uuid, error text)
WHERE ${matchesId('c')} AND ${isWaiting}
  AND (c.error IS NOT NULL OR NOT EXISTS (SELECT FROM _jobs_links l WHERE l.child_id = c.id AND l.outcome IS NULL))
RETURNING j.id, j.topic, j.attempt, j.status, j.watched`;

/** Lists the parents of job $1. */
export const LIST_PARENTS = `
SELECT l.parent_id AS id, l.ref, j.topic, j.status, j.result::text AS result, j.last_error
FROM _jobs_links l LEFT JOIN _jobs j ON j.id = l.parent_id
WHERE l.child_id = $1::uuid AND NOT EXISTS (SELECT FROM _jobs_groups g WHERE g.id = l.parent_id)
ORDER BY l.position`;

/** The links of jobs to their parents and children, without groups and their callbacks. */
const linksBy = (end: string): string => `
SELECT * FROM (
  SELECT l.parent_id, l.child_id, l.mode, l.outcome FROM _jobs_links l
  WHERE l.${end} = ANY (${ids}) AND l.mode <> 'member' AND NOT EXISTS (SELECT FROM _jobs_groups g WHERE g.id = l.parent_id)
  LIMIT $2::int) ${end}_links`;

export const LINKS_OF = `${linksBy('parent_id')} UNION ${linksBy('child_id')}`;

/** Counts the open links of each blocked job. */
export const COUNT_OPEN_LINKS = `
SELECT j.id, (SELECT count(*) FROM _jobs_links l WHERE l.child_id = j.id AND l.outcome IS NULL) AS open
FROM _jobs j WHERE j.id = ANY (${ids}) AND j.status = 'pending' AND ${isBlocked('j')}`;

/**
 * Reads the next $3 links after the child $1 and its parent $2, with the states of both ends. A group has no status.
 */
export const LINKS_PAGE = `
WITH page AS (
  SELECT parent_id, child_id, mode, outcome FROM _jobs_links
  WHERE (child_id, parent_id) > ($1::uuid, $2::uuid) ORDER BY child_id, parent_id LIMIT $3::int)
SELECT p.*, j.status AS parent_status, c.status AS child_status,
  EXISTS (SELECT FROM _jobs_groups g WHERE g.id = p.parent_id) AS parent_is_group,
  EXISTS (SELECT FROM _jobs_groups g WHERE g.id = p.child_id) AS child_is_group,
  coalesce(c.status = 'pending' AND c.run_at = ${blockedUntil}, false) AS is_blocked
FROM page p LEFT JOIN _jobs j ON j.id = p.parent_id LEFT JOIN _jobs c ON c.id = p.child_id
ORDER BY p.child_id, p.parent_id`;

/** Deletes the links of deleted children. */
export const DELETE_LINKS = `
DELETE FROM _jobs_links WHERE child_id = ANY (${ids}) AND NOT EXISTS (SELECT FROM _jobs c WHERE c.id = child_id)
  AND NOT EXISTS (SELECT FROM _jobs_groups g WHERE g.id = child_id)`;

/**
 * cancelled → pending, blocked, for up to $3 children of the parents in $1 that a parent has cancelled. Leaves out children that another
 * ended parent would cancel again, and those whose unique key is taken. Of several with the same key it takes the newest.
 */
export const REQUEUE_CHILDREN = `
WITH n AS (
  SELECT c.id, c.topic, c.unique_key FROM _jobs c
  WHERE c.id = ANY (ARRAY(SELECT l.child_id FROM _jobs_links l WHERE l.parent_id = ANY (${ids}) AND l.mode = 'cancel' AND l.outcome <> 'completed'))
  AND c.status = 'cancelled' AND c.ended_by = 'parent'
  AND NOT EXISTS (
    SELECT FROM _jobs_links o LEFT JOIN _jobs p ON p.id = o.parent_id
    WHERE o.child_id = c.id AND o.mode = 'cancel' AND o.outcome <> 'completed' AND coalesce(p.status IN ('failed', 'cancelled'), true))
  AND NOT EXISTS (
    SELECT FROM _jobs k WHERE k.topic = c.topic AND k.unique_key = c.unique_key AND k.id <> c.id AND ${holdsKey('k')})
  LIMIT $3::int),
one AS (
  SELECT DISTINCT ON (topic, unique_key, CASE WHEN unique_key IS NULL THEN id END) id FROM n
  ORDER BY topic, unique_key, CASE WHEN unique_key IS NULL THEN id END, id DESC),
c AS (SELECT j.id, j.actions FROM one JOIN _jobs j ON ${matchesId('one')} ORDER BY j.id FOR NO KEY UPDATE OF j)
UPDATE _jobs j SET status = 'pending', run_at = ${blockedUntil}, finished = NULL, cancel_requested = false, retries = 0, last_error = NULL,
  ended_by = NULL, flow_key = NULL, expires_at = NULL, actions = ${appendAction('$2::jsonb', 'c')}, updated = statement_timestamp()
FROM c WHERE ${matchesId('c')} AND j.status = 'cancelled'
RETURNING j.id, j.topic, j.unique_key, j.watched`;

/** Opens the links of children to parents that have not ended. A parent that has failed once may have completed since. */
export const REOPEN_LINKS = `
UPDATE _jobs_links l SET outcome = CASE WHEN p.status = 'completed' THEN 'completed' END FROM _jobs p
WHERE l.child_id = ANY (${ids}) AND l.outcome IS NOT NULL AND p.id = l.parent_id AND p.status IN ('pending', 'processing', 'completed')`;
