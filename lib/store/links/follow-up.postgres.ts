import { keyHolder } from '../jobs/actions.postgres.js';
import { DELETED, FIRST_ID, isOwed, WATCHED } from '../jobs/job-row.js';
import { blockedUntil, matchesId } from '../jobs/job-row.postgres.js';
import { DESCENDANT_LINKS_MAX } from './follow-up-script.js';
import { LATEST_START } from './link-store.js';
export { INSERT_DEAD_LETTERS, LINK_DEAD_LETTERS } from './dead-letter.postgres.js';

/* The follow-up of ended jobs: see follow-up-script.ts. Sets are JSON arrays in $1. */

const now = 'statement_timestamp()';
const ids = 'ARRAY(SELECT jsonb_array_elements_text($1::jsonb)::uuid)';
const set = (columns: string, name: string): string => `jsonb_to_recordset($1::jsonb) AS ${name}(${columns})`;

/*
 * `coalesce` hides these conditions from the planner. Otherwise it reads all pending jobs for each member of a set: the end of 10,000
 * members took 12 s.
 */
const isWaiting = `coalesce(j.status = 'pending' AND j.run_at = ${blockedUntil}, false)`;
const owes = `coalesce(${isOwed('j.')}, false)`;
/** Which end of the job this is. */
const version = `concat_ws(' ', j.status, j.watched, j.attempt, extract(epoch FROM j.finished))`;
/**
 * Whether the parent still holds the token of the child. The planner expects that such an equation is true for one member of a set, and then
 * looks up the rows of each member, also where the statistics of a table are wrong. An `EXISTS` could become a join that reads the whole table.
 */
const holdsToken = (parent: string, child: string): string =>
  `${child} = (SELECT h.child_id FROM _jobs_links h WHERE h.parent_id = ${parent} AND h.child_id = ${child} AND coalesce(h.holds, false))`;
const holds = (member: string): string => holdsToken(`${member}.parent_id`, `${member}.child_id`);

/**
 * No wait for the disk: when the server loses the transaction, it loses the mark with it, and the follow-up is repeated. A later commit
 * that waits makes it durable. No long wait for a lock. The condition is always true.
 */
const isRepeatable = `(SELECT set_config('lock_timeout', '150ms', true) || set_config('synchronous_commit', 'off', true)) <> ''`;

/** Finds up to $1 jobs that have owed a follow-up for $2 milliseconds, after the job $4 that ended at $3. NULL as $3: from the first one. */
export const FIND_OWED = `
SELECT id, finished::text AS finished FROM _jobs WHERE ${isOwed()} AND finished < ${now} - make_interval(secs => $2::float8 / 1000)
  AND (finished, id) > (coalesce($3::timestamptz, '-infinity'), $4::uuid) ORDER BY _jobs.finished, id LIMIT $1::int`;

/** The last child that was followed up, of this end of the job. */
const after = `CASE WHEN coalesce(e.version = ${version}, true) THEN e.after ELSE '${FIRST_ID}' END`;

/**
 * Reads up to $2 links of the jobs in $1 that owe a follow-up, each after a child of that end. A completed job affects only
 * the children whose tokens it holds.
 */
export const FIND = `
SELECT e.id, j.status, j.watched, ${version} AS version, CASE WHEN j.ended_by = 'parent' THEN j.last_error END AS error, l.parent_id, l.child_id, l.mode, l.holds,
  (SELECT true FROM _jobs j WHERE j.id = l.child_id AND ${isWaiting}) AS is_waiting
FROM ${set('id uuid, after uuid, version text', 'e')}
JOIN _jobs j ON j.id = ANY (ARRAY[e.id]) AND ${owes}
LEFT JOIN LATERAL (
  SELECT * FROM (
    SELECT parent_id, child_id, mode, holds FROM _jobs_links
    WHERE parent_id = e.id AND child_id > ${after} AND (j.status <> 'completed' OR j.watched = ${WATCHED.deleted}) ORDER BY child_id LIMIT $2::int) a
  UNION ALL
  SELECT * FROM (
    SELECT parent_id, child_id, mode, holds FROM _jobs_links
    WHERE parent_id = e.id AND child_id > ${after} AND holds AND j.status = 'completed' AND j.watched <> ${WATCHED.deleted} ORDER BY child_id LIMIT $2::int) b) l ON true
LIMIT $2::int`;

/** How a parent has ended; NULL: it has not. `l` is the link, `j` the row of the parent. */
const end = `CASE WHEN j.id IS NULL THEN coalesce(l.outcome, 'deleted') WHEN j.watched = ${WATCHED.deleted} AND j.status <> 'completed' THEN 'deleted'
      WHEN j.finished IS NULL THEN NULL ELSE j.status END`;

/**
 * For each child in $1, reads the next $2 parents before an id, in falling order: the open one with the highest id, and whether another one
 * has failed.
 */
export const FIND_NEXT = `
SELECT k.child_id, s.* FROM ${set('child_id uuid, before uuid', 'k')} CROSS JOIN LATERAL (
  SELECT CASE WHEN e.last IS NULL THEN 0 ELSE $2::int END AS seen, e.last, n.* FROM (
  SELECT max(CASE WHEN l.ended IS NULL THEN l.parent_id::text END COLLATE "C") AS next,
    max(CASE WHEN l.mode = 'wait' AND l.ended IN ('failed', 'cancelled') THEN l.parent_id::text END COLLATE "C") AS next_failed,
    min(CASE WHEN (l.mode = 'cancel' AND l.ended <> 'completed') OR (l.mode = 'wait' AND l.ended = 'deleted')
      THEN l.parent_id::text END COLLATE "C") AS bad,
    coalesce(bool_or(l.ended = 'failed'), false) AS has_failed, coalesce(bool_or(l.ended NOT IN ('completed', 'failed')), false) AS has_other
  FROM (SELECT l.parent_id, l.mode, ${end} AS ended
    FROM (SELECT parent_id, mode, outcome FROM _jobs_links WHERE child_id = k.child_id AND parent_id < k.before
      ORDER BY parent_id DESC LIMIT $2::int) l
    LEFT JOIN _jobs j ON j.id = ANY (ARRAY[l.parent_id])) l) n
  CROSS JOIN (SELECT (SELECT parent_id FROM _jobs_links WHERE child_id = k.child_id AND parent_id < k.before
    ORDER BY parent_id DESC OFFSET $2::int - 1 LIMIT 1) AS last) e) s`;

/**
 * Locks the jobs in $1 whose end is the one that was read. What another process holds is left to it. ORDER BY and LIMIT prevent a plan that
 * reads the whole table.
 */
const lockRead = `
SELECT j.* FROM ${set('id uuid, version text', 'm')} CROSS JOIN LATERAL (
  SELECT j.id, j.status, j.watched FROM _jobs j
  WHERE j.id = m.id AND ${isRepeatable} AND ${owes} AND ${version} = m.version ORDER BY j.id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED) j`;

/** Locks jobs, and clears their marks. Returns the marks that they had. */
export const CLEAR = `
WITH p AS (${lockRead})
UPDATE _jobs j SET watched = CASE WHEN j.watched = ${WATCHED.deleted} THEN j.watched ELSE ${WATCHED.done} END FROM p WHERE ${matchesId('p')}
RETURNING j.id, j.status, p.watched`;

/** Locks a job that has more links than one transaction follows up. It keeps its mark. */
export const LOCK_OWED = lockRead;

/** Gives jobs that have ended marks again. */
export const MARK_AGAIN = `
UPDATE _jobs j SET watched = m.watched FROM ${set('id uuid, watched smallint', 'm')} WHERE ${matchesId('m')} AND j.watched <> ${WATCHED.deleted}`;

/** The jobs in $1 and their waiting descendants, up to $2. It visits each job once, however many paths lead to it. */
export const FIND_DESCENDANTS = `
WITH RECURSIVE d(id) AS (
  SELECT id FROM ${set('id uuid', 'n')}
  UNION
  SELECT l.child_id FROM d, LATERAL (SELECT FROM _jobs j WHERE j.id = d.id AND ${isWaiting} OFFSET 0) j,
    LATERAL (SELECT child_id FROM _jobs_links l WHERE l.parent_id = d.id AND l.mode = 'cancel' LIMIT ${DESCENDANT_LINKS_MAX}) l)
SELECT id FROM d LIMIT $2::int`;

/** Locks the children that wait. */
export const LOCK_CHILDREN = `SELECT id FROM _jobs j WHERE id = ANY (${ids}) AND ${isWaiting} ORDER BY id FOR NO KEY UPDATE`;

/** Locks the groups that have not finished. */
export const LOCK_OPEN_GROUPS = `
SELECT id FROM _jobs_groups WHERE id = ANY (${ids}) AND finished IS NULL ORDER BY id FOR NO KEY UPDATE`;

/** Locks the next holders of tokens, and marks those that are open. The caller looks again for those that it does not return. */
export const MARK_HOLDERS = `
WITH w AS MATERIALIZED (
  SELECT id, status, watched FROM _jobs j WHERE id = ANY (${ids})
    AND coalesce(j.status IN ('pending', 'processing') OR (j.status IN ('failed', 'cancelled') AND j.watched <> ${WATCHED.deleted}), false)
  ORDER BY id FOR NO KEY UPDATE SKIP LOCKED),
m AS (
  UPDATE _jobs j SET watched = ${WATCHED.always} FROM w
  WHERE ${matchesId('w')} AND coalesce(w.watched, ${WATCHED.unlessCompleted}) = ${WATCHED.unlessCompleted} AND w.status IN ('pending', 'processing'))
SELECT id, status FROM w`;

/** Moves tokens to other parents. */
export const MOVE = `
UPDATE _jobs_links l SET holds = (l.parent_id = m.next_id) FROM ${set('parent_id uuid, child_id uuid, next_id uuid', 'm')}
WHERE l.parent_id = ANY (ARRAY[m.parent_id, m.next_id]) AND l.child_id = m.child_id AND ${holds('m')}`;

/** When a child may start. All links of a child store the same time. ORDER BY and LIMIT prevent a plan that reads the whole table. */
const startTime = (id: string): string => `least(greatest((
      SELECT l.run_at FROM _jobs_links l WHERE l.child_id = ${id} ORDER BY l.parent_id LIMIT 1), ${now}), '${LATEST_START.toISOString()}')`;

/** pending → pending, due, for children whose token has come to its end. */
export const RELEASE = `
WITH k AS MATERIALIZED (SELECT m.* FROM ${set('parent_id uuid, child_id uuid', 'm')} WHERE ${holds('m')}),
t AS (UPDATE _jobs_links l SET holds = false FROM k WHERE l.parent_id = ANY (ARRAY[k.parent_id]) AND l.child_id = k.child_id)
UPDATE _jobs j SET run_at = ${startTime('k.child_id')}, updated = ${now}
FROM k WHERE j.id = ANY (ARRAY[k.child_id]) AND ${isWaiting} RETURNING j.id, j.topic, j.attempt`;

/** pending → cancelled for waiting children. With a `holder`, only for those whose token it has. */
export const CANCEL_WAITING = `
UPDATE _jobs j SET status = 'cancelled', run_at = ${now}, finished = ${now}, last_error = c.error, ended_by = 'parent', updated = ${now}
FROM ${set('id uuid, error text, holder uuid', 'c')} WHERE ${matchesId('c')} AND ${isWaiting}
  AND (c.holder IS NULL OR ${holdsToken('c.holder', 'c.id')})
RETURNING j.id, j.topic, j.attempt, j.watched`;

/** Marks groups with a failed member. Returns those that had none before. */
export const MARK_FAILING = `
UPDATE _jobs_groups SET is_failing = true, updated = ${now} WHERE id = ANY (${ids}) AND NOT is_failing AND finished IS NULL RETURNING id`;

/** Finishes groups whose token has come to its end. */
export const FINISH_GROUPS = `
UPDATE _jobs_groups g SET finished = ${now}, updated = ${now} FROM ${set('child_id uuid, parent_id uuid', 'm')}
WHERE g.id = m.child_id AND g.finished IS NULL AND ${holds('m')} RETURNING g.id, g.is_failing`;

/** Finishes a group whose members have all ended before it was stored. */
export const FINISH_NEW_GROUP = `UPDATE _jobs_groups SET finished = ${now} WHERE id = ANY (${ids}) AND finished IS NULL RETURNING id`;

/** Finds the jobs that wait for groups. */
export const FIND_CALLBACKS = `SELECT parent_id, child_id, mode FROM _jobs_links WHERE parent_id = ANY (${ids}) ORDER BY child_id`;

/** pending → pending, due, for waiting jobs. */
export const START = `
UPDATE _jobs j SET run_at = ${startTime('j.id')}, updated = ${now} WHERE id = ANY (${ids}) AND ${isWaiting} RETURNING j.id, j.topic, j.attempt`;

/** Keeps in links how a parent has ended whose row is about to be deleted. */
export const KEEP_OUTCOMES = `
UPDATE _jobs_links l SET outcome = m.outcome FROM ${set('parent_id uuid, child_id uuid, outcome text', 'm')}
WHERE l.parent_id = ANY (ARRAY[m.parent_id]) AND l.child_id = m.child_id`;

/** Deletes jobs whose deletion was requested. */
export const DELETE_MARKED = `DELETE FROM _jobs WHERE id = ANY (${ids}) AND watched = ${WATCHED.deleted}`;

/**
 * The parents of jobs whose rows the database refuses to delete may have ended meanwhile, and their follow-ups have passed over these
 * jobs: they are followed up again.
 */
export const MARK_HOLDERS_OF_KEPT = `
UPDATE _jobs j SET watched = ${WATCHED.again} WHERE watched = ${WATCHED.done} AND id IN (
  SELECT l.parent_id FROM _jobs_links l JOIN _jobs k ON k.id = l.child_id WHERE l.child_id = ANY (${ids}) AND l.holds AND k.watched = ${WATCHED.deleted})`;

/** The deletion found the job pending, and no other job has taken its unique key meanwhile. */
const mayWait = `(ended_by = '${DELETED}' AND NOT EXISTS (${keyHolder('j')}))`;

/**
 * Keeps jobs whose rows the database refuses to delete. One that was pending is pending again; if its unique key is taken, it stays
 * cancelled, and its children are followed up. Returns them.
 */
export const KEEP_MARKED = `
UPDATE _jobs j SET watched = CASE WHEN ${mayWait} THEN ${WATCHED.always} WHEN ended_by = '${DELETED}' THEN ${WATCHED.again} ELSE ${WATCHED.done} END,
  status = CASE WHEN ${mayWait} THEN 'pending' ELSE status END, finished = CASE WHEN ${mayWait} THEN NULL ELSE finished END,
  ended_by = nullif(ended_by, '${DELETED}')
WHERE id = ANY (${ids}) AND watched = ${WATCHED.deleted} RETURNING id`;
