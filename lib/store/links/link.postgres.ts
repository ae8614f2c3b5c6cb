import { isOwed, WATCHED } from '../jobs/job-row.js';
import { appendAction, blockedUntil, holdsKey, isBlocked, matchesId } from '../jobs/job-row.postgres.js';
export * from './follow-up.postgres.js';
export { INSERT_GROUP, LOCK_GROUPS } from './group.postgres.js';
export { RELEASE_KEYS_OF_FAMILY } from '../jobs/unique.postgres.js';

/*
 * Links between jobs: `_jobs_links`. A link is as open as its parent; `outcome` keeps how a parent has ended whose row is deleted. Sets are
 * JSON arrays in $1.
 */

const ids = 'ARRAY(SELECT jsonb_array_elements_text($1::jsonb)::uuid)';

/**
 * Marks parents that have not ended as holders of tokens, and returns their statuses. The lock orders it with the end of each parent: either
 * that comes later and sees the mark, or the returned status is final.
 */
export const WATCH_PARENTS = `
WITH p AS MATERIALIZED (SELECT id, status, watched FROM _jobs WHERE id = ANY (${ids}) ORDER BY id FOR NO KEY UPDATE),
marked AS (
  UPDATE _jobs j SET watched = CASE WHEN p.status IN ('pending', 'processing') THEN ${WATCHED.always} ELSE ${WATCHED.done} END FROM p
  WHERE ${matchesId('p')} AND (p.watched IS NULL OR p.watched = ${WATCHED.unlessCompleted} AND p.status IN ('pending', 'processing')))
SELECT id, status, watched FROM p`;

/** Inserts links. A repeated insert, after a lost response, finds them. */
export const INSERT_LINKS = `
INSERT INTO _jobs_links (parent_id, child_id, mode, position, ref, holds, run_at)
SELECT parent_id, child_id, mode, position, ref, holds,
  coalesce(run_at, statement_timestamp() + make_interval(secs => nullif(delay_ms, 0) / 1000.0))
FROM jsonb_to_recordset($1::jsonb)
  AS n(parent_id uuid, child_id uuid, mode text, position int, ref text, holds boolean, run_at timestamptz, delay_ms float8)
ORDER BY parent_id, child_id
ON CONFLICT (parent_id, child_id) DO NOTHING`;

/** Lists the parents of job $1. */
export const LIST_PARENTS = `
SELECT l.parent_id AS id, l.ref, j.topic, j.status, j.result::text AS result, j.last_error
FROM _jobs_links l LEFT JOIN _jobs j ON j.id = l.parent_id
WHERE l.child_id = $1::uuid AND NOT EXISTS (SELECT FROM _jobs_groups g WHERE g.id = l.parent_id)
ORDER BY l.position`;

/** Whether the child of link `l` waits for its parent, a job or a group. */
const isOpen = `(EXISTS (
    SELECT FROM _jobs p WHERE p.id = l.parent_id AND p.watched IS DISTINCT FROM ${WATCHED.deleted}
      AND (p.finished IS NULL OR l.mode = 'wait' AND p.status IN ('failed', 'cancelled')))
  OR EXISTS (SELECT FROM _jobs_groups g WHERE g.id = l.parent_id AND g.finished IS NULL))`;

/** The links of jobs to their parents and children, without groups and their callbacks. */
const linksBy = (end: string): string => `
SELECT * FROM (
  SELECT l.parent_id, l.child_id, l.mode, ${isOpen} AS is_open FROM _jobs_links l
  WHERE l.${end} = ANY (${ids}) AND l.mode <> 'member' AND NOT EXISTS (SELECT FROM _jobs_groups g WHERE g.id = l.parent_id)
  LIMIT $2::int) ${end}_links`;

export const LINKS_OF = `${linksBy('parent_id')} UNION ${linksBy('child_id')}`;

/** Counts the open links of each blocked job. */
export const COUNT_OPEN_LINKS = `
SELECT j.id, (SELECT count(*) FROM _jobs_links l WHERE l.child_id = j.id AND ${isOpen}) AS open
FROM _jobs j WHERE j.id = ANY (${ids}) AND j.status = 'pending' AND ${isBlocked('j')}`;

/**
 * Reads the next $3 links after the child $1 and its parent $2, with the states of both ends. A group has no status.
 */
export const LINKS_PAGE = `
WITH page AS (
  SELECT parent_id, child_id, mode, outcome, holds FROM _jobs_links
  WHERE (child_id, parent_id) > ($1::uuid, $2::uuid) ORDER BY child_id, parent_id LIMIT $3::int)
SELECT p.*, j.status AS parent_status, c.status AS child_status,
  EXISTS (SELECT FROM _jobs_groups g WHERE g.id = p.parent_id) AS parent_is_group,
  EXISTS (SELECT FROM _jobs_groups g WHERE g.id = p.child_id) AS child_is_group,
  coalesce(c.status = 'pending' AND c.run_at = ${blockedUntil}, false)
    OR EXISTS (SELECT FROM _jobs_groups g WHERE g.id = p.child_id AND g.finished IS NULL) AS is_waiting
FROM page p
LEFT JOIN LATERAL (SELECT status FROM _jobs WHERE id = p.parent_id LIMIT 1) j ON true
LEFT JOIN LATERAL (SELECT status, run_at FROM _jobs WHERE id = p.child_id LIMIT 1) c ON true
ORDER BY p.child_id, p.parent_id`;

/** Deletes the links of deleted children. */
export const DELETE_LINKS = `
DELETE FROM _jobs_links WHERE child_id = ANY (${ids}) AND NOT EXISTS (SELECT FROM _jobs c WHERE c.id = child_id)
  AND NOT EXISTS (SELECT FROM _jobs_groups g WHERE g.id = child_id)`;

/** Reads the next $2 children of the jobs in $1 that a parent has cancelled, each after a child, in the order of the set. */
export const FIND_CANCELLED = `
SELECT e.id AS parent_id, l.child_id, (SELECT ${isOwed('c.')} FROM _jobs c WHERE c.id = l.child_id) AS owes
FROM ROWS FROM (jsonb_to_recordset($1::jsonb) AS (id uuid, after uuid)) WITH ORDINALITY AS e(id, after, ord)
CROSS JOIN LATERAL (
  SELECT l.child_id FROM _jobs_links l
  WHERE l.parent_id = e.id AND l.child_id > e.after AND l.mode = 'cancel'
    AND EXISTS (SELECT FROM _jobs c WHERE c.id = ANY (ARRAY[l.child_id]) AND coalesce(c.status = 'cancelled' AND c.ended_by = 'parent', false))
  ORDER BY l.child_id LIMIT $2::int) l
ORDER BY e.ord, l.child_id LIMIT $2::int`;

/**
 * cancelled → pending, blocked, for jobs that a parent has cancelled. Leaves out those that another ended parent would cancel again, those
 * that owe a follow-up, and those whose unique key is taken. Of several with the same key it takes the newest. A `NOT EXISTS` here could
 * become a join that reads the whole table for each job, where the statistics say that it is empty.
 */
export const REQUEUE_CHILDREN = `
WITH n AS (
  SELECT c.id, c.topic, c.unique_key FROM _jobs c
  WHERE c.id = ANY (${ids}) AND c.status = 'cancelled' AND c.ended_by = 'parent'
  AND (
    SELECT true FROM _jobs_links o LEFT JOIN LATERAL (SELECT status, watched FROM _jobs WHERE id = o.parent_id LIMIT 1) p ON true
    WHERE o.child_id = c.id AND o.mode = 'cancel'
      AND coalesce(p.status IN ('failed', 'cancelled') OR p.watched = ${WATCHED.deleted}, coalesce(o.outcome, 'deleted') <> 'completed')
      AND NOT EXISTS (SELECT FROM _jobs_groups g WHERE g.id = o.parent_id)
    LIMIT 1) IS NULL
  AND (
    SELECT true FROM _jobs k WHERE k.topic = c.topic AND k.unique_key = c.unique_key AND k.id <> c.id AND ${holdsKey('k')} LIMIT 1) IS NULL),
one AS MATERIALIZED (
  SELECT DISTINCT ON (topic, unique_key, CASE WHEN unique_key IS NULL THEN id END) id FROM n
  ORDER BY topic, unique_key, CASE WHEN unique_key IS NULL THEN id END, id DESC),
c AS (SELECT j.id, j.actions FROM _jobs j WHERE j.id = ANY (ARRAY(SELECT id FROM one)) ORDER BY j.id FOR NO KEY UPDATE)
UPDATE _jobs j SET status = 'pending', run_at = ${blockedUntil}, finished = NULL, cancel_requested = false, retries = 0, last_error = NULL,
  watched = CASE WHEN j.watched = ${WATCHED.done} THEN ${WATCHED.always} ELSE j.watched END, ended_by = NULL, flow_key = NULL, expires_at = NULL,
  actions = ${appendAction('$2::jsonb', 'c')}, updated = statement_timestamp()
FROM c WHERE ${matchesId('c')} AND j.status = 'cancelled' AND NOT coalesce(${isOwed('j.')}, false)
RETURNING j.id, j.topic, j.unique_key, j.watched`;

/** Gives the tokens of children to the parents in $1. */
export const GIVE_TOKENS = `
UPDATE _jobs_links l SET holds = (l.parent_id = t.parent_id) FROM jsonb_to_recordset($1::jsonb) AS t(child_id uuid, parent_id uuid)
WHERE l.child_id = t.child_id AND (l.holds OR l.parent_id = t.parent_id)`;

/** Takes the token of group $1 for its new member $2, unless the first run of a repeated insert has given it to that one. */
export const TAKE_TOKEN = `
UPDATE _jobs_links SET holds = false WHERE child_id = $1::uuid AND holds
  AND NOT EXISTS (SELECT FROM _jobs_links WHERE parent_id = $2::uuid AND child_id = $1::uuid)`;

/** Finds the link of member $2 to group $1. */
export const FIND_MEMBER = 'SELECT 1 FROM _jobs_links WHERE parent_id = $2::uuid AND child_id = $1::uuid';
