import { keyHolder } from '../jobs/actions.sqlite.js';
import { DELETED, FIRST_ID, isOwed, WATCHED } from '../jobs/job-row.js';
import { blockedUntil, byId, fromNow, now, toSqliteTime } from '../jobs/job-row.sqlite.js';
import { DESCENDANT_LINKS_MAX } from './follow-up-script.js';
import { LATEST_START } from './link-store.js';
export { INSERT_DEAD_LETTERS, LINK_DEAD_LETTERS } from './dead-letter.sqlite.js';

/* The follow-up of ended jobs: see follow-up-script.ts. Sets are JSON arrays in ?1. The one writer of the file needs no locks. */

const ids = '(SELECT value FROM json_each(?1))';
const set = (...columns: string[]): string =>
  `(SELECT ${columns.map((name) => `value ->> '${name}' AS ${name}`).join(', ')} FROM json_each(?1))`;
const isWaiting = (row = ''): string => `${row}status = 'pending' AND ${row}run_at = ${blockedUntil}`;
const owes = (row = ''): string => `(${isOwed(row)})`;
/** Which end of job `j` this is. */
const version = `(j.status || ' ' || j.watched || ' ' || j.attempt || ' ' || j.finished)`;
/** Whether the parent still holds the token of the child. */
const holdsToken = (parent: string, child: string): string =>
  `EXISTS (SELECT 1 FROM _jobs_links AS h WHERE h.parent_id = ${parent} AND h.child_id = ${child} AND h.holds)`;
const holds = (member: string): string => holdsToken(`${member}.parent_id`, `${member}.child_id`);

/** Finds up to ?1 jobs that have owed a follow-up for ?2 milliseconds, after the job ?4 that ended at ?3. NULL as ?3: from the first one. */
export const FIND_OWED = `
SELECT id, finished FROM _jobs INDEXED BY _jobs_owed WHERE ${isOwed()} AND finished < ${fromNow('-?2')}
  AND (finished, id) > (coalesce(?3, ''), ?4) ORDER BY _jobs.finished, id LIMIT ?1`;

/** The last child that was followed up, of this end of the job. */
const after = `iif(coalesce(e.version = ${version}, 1), e.after, '${FIRST_ID}')`;

const find = (links: string, condition: string): string => `
SELECT e.id, j.status, j.watched, ${version} AS version, iif(j.ended_by = 'parent', j.last_error, NULL) AS error, l.parent_id, l.child_id, l.mode, l.holds,
  (SELECT 1 FROM _jobs AS c ${byId} WHERE c.id = l.child_id AND ${isWaiting('c.')}) AS is_waiting
FROM ${set('id', 'after', 'version')} AS e CROSS JOIN _jobs AS j ${byId} ON j.id = e.id AND ${owes('j.')}
LEFT JOIN _jobs_links AS l ${links} WHERE ${condition}`;

/**
 * Reads up to ?2 links of the jobs in ?1 that owe a follow-up, each after a child of that end. A completed job affects only the children
 * whose tokens it holds.
 */
export const FIND = `${find(`ON l.parent_id = e.id AND l.child_id > ${after}`, `(j.status <> 'completed' OR j.watched = ${WATCHED.deleted})`)}
UNION ALL${find(`INDEXED BY _jobs_links_holds ON l.parent_id = e.id AND l.child_id > ${after} AND l.holds`, `j.status = 'completed' AND j.watched <> ${WATCHED.deleted}`)}
LIMIT ?2`;

/** How a parent has ended; NULL: it has not. `l` is the link, `j` the row of the parent. */
const end = `CASE WHEN j.id IS NULL THEN coalesce(l.outcome, 'deleted') WHEN j.watched = ${WATCHED.deleted} AND j.status <> 'completed' THEN 'deleted'
  WHEN j.finished IS NULL THEN NULL ELSE j.status END`;

/** What a page of parents shows. The arguments are SQL for the parent, how it has ended, and the mode of its link. */
const page = (parent: string, ended: string, mode: string): string => `
  count(*) AS seen, min(${parent}) AS last, max(iif(${ended} IS NULL, ${parent}, NULL)) AS next,
  max(iif(${mode} = 'wait' AND ${ended} IN ('failed', 'cancelled'), ${parent}, NULL)) AS next_failed,
  min(iif((${mode} = 'cancel' AND ${ended} <> 'completed') OR (${mode} = 'wait' AND ${ended} = 'deleted'), ${parent}, NULL)) AS bad,
  max(coalesce(${ended}, '') = 'failed') AS has_failed, max(coalesce(${ended}, 'completed') NOT IN ('completed', 'failed')) AS has_other`;

/**
 * For each child in ?1, reads the next ?2 parents before an id, in falling order: the open one with the highest id, and whether another one
 * has failed.
 */
export const FIND_NEXT = `
WITH m AS MATERIALIZED ${set('child_id', 'before')}
SELECT m.child_id, ${page('x.value ->> 0', 'x.value ->> 1', 'x.value ->> 2')}
FROM m CROSS JOIN json_each((
  SELECT json_group_array(json_array(l.parent_id, ${end}, l.mode))
  FROM (SELECT parent_id, mode, outcome FROM _jobs_links WHERE child_id = m.child_id AND parent_id < m.before ORDER BY parent_id DESC LIMIT ?2) AS l
  LEFT JOIN _jobs AS j ${byId} ON j.id = l.parent_id)) AS x
GROUP BY m.child_id`;

/** The same for child ?1 before ?2, ?3 parents at most, without JSON: a finished group reads all of its members. */
export const FIND_NEXT_OF_ONE = `
SELECT ?1 AS child_id, ${page('x.parent_id', 'x.ended', 'x.mode')}
FROM (SELECT l.parent_id, l.mode, ${end} AS ended
  FROM (SELECT parent_id, mode, outcome FROM _jobs_links WHERE child_id = ?1 AND parent_id < ?2 ORDER BY parent_id DESC LIMIT ?3) AS l
  LEFT JOIN _jobs AS j ${byId} ON j.id = l.parent_id) AS x`;

/** Reads a job that has more links than one transaction follows up, if its end is the one that was read. It keeps its mark. */
export const LOCK_OWED = `
SELECT j.id, j.status, j.watched FROM ${set('id', 'version')} AS m CROSS JOIN _jobs AS j ${byId}
ON j.id = m.id AND ${owes('j.')} AND ${version} = m.version`;

/** Reads jobs with their marks. `END_MARKS` follows: RETURNING would show the new ones. */
export const CLEAR = LOCK_OWED;

/** Clears the marks of these jobs. */
export const END_MARKS = `
WITH m AS MATERIALIZED ${set('id', 'version')}
UPDATE _jobs AS j ${byId} SET watched = ${WATCHED.done}
FROM m WHERE j.id IN (SELECT id FROM m) AND j.id = m.id AND watched <> ${WATCHED.deleted} AND ${owes('j.')} AND ${version} = m.version`;

/** Gives jobs that have ended marks again. */
export const MARK_AGAIN = `
WITH m AS MATERIALIZED ${set('id', 'watched')}
UPDATE _jobs AS j ${byId} SET watched = m.watched FROM m WHERE j.id IN (SELECT id FROM m) AND j.id = m.id AND j.watched <> ${WATCHED.deleted}`;

/** The jobs in ?1 and their waiting descendants, up to ?2. It visits each job once, however many paths lead to it. */
export const FIND_DESCENDANTS = `
WITH RECURSIVE d(id) AS (
  SELECT value ->> 'id' FROM json_each(?1)
  UNION
  SELECT l.child_id FROM d CROSS JOIN _jobs AS j ${byId} ON j.id = d.id AND ${isWaiting('j.')}
  CROSS JOIN _jobs_links AS l ON l.parent_id = d.id AND l.child_id IN (
    SELECT c.child_id FROM _jobs_links AS c WHERE c.parent_id = d.id AND c.mode = 'cancel' LIMIT ${DESCENDANT_LINKS_MAX})
  LIMIT ?2)
SELECT id FROM d`;

/** Reads the children that wait. */
export const LOCK_CHILDREN = `SELECT id FROM _jobs ${byId} WHERE id IN ${ids} AND ${isWaiting()}`;

/** Reads the groups that have not finished. */
export const LOCK_OPEN_GROUPS = `SELECT id FROM _jobs_groups WHERE id IN ${ids} AND finished IS NULL`;

/** Marks the next holders of tokens that are open. The caller looks again for those that it does not return. */
export const MARK_HOLDERS = `
UPDATE _jobs ${byId} SET watched = iif(coalesce(watched, ${WATCHED.unlessCompleted}) = ${WATCHED.unlessCompleted} AND finished IS NULL, ${WATCHED.always}, watched)
WHERE id IN ${ids} AND (status IN ('pending', 'processing') OR (status IN ('failed', 'cancelled') AND watched <> ${WATCHED.deleted})) RETURNING id, status`;

/** Moves tokens to other parents. */
export const MOVE = `
WITH m AS MATERIALIZED (SELECT m.* FROM ${set('parent_id', 'child_id', 'next_id')} AS m WHERE ${holds('m')})
UPDATE _jobs_links AS l SET holds = (l.parent_id = m.next_id) FROM m, json_each(json_array(m.parent_id, m.next_id)) AS e
WHERE l.parent_id = e.value AND l.child_id = m.child_id`;

/** When a child may start. All links of a child store the same time. */
const startTime = (id: string): string => `min(max(coalesce((
  SELECT l.run_at FROM _jobs_links AS l WHERE l.child_id = ${id} ORDER BY l.parent_id LIMIT 1), ${now}), ${now}), '${toSqliteTime(LATEST_START)}')`;

/** pending → pending, due, for children whose token has come to its end. `END_TOKENS` follows. */
export const RELEASE = `
WITH r AS MATERIALIZED (SELECT m.* FROM ${set('parent_id', 'child_id')} AS m WHERE ${holds('m')})
UPDATE _jobs AS j ${byId} SET run_at = ${startTime('r.child_id')}, updated = ${now}
FROM r WHERE j.id IN (SELECT child_id FROM r) AND j.id = r.child_id AND ${isWaiting('j.')} RETURNING id, topic, attempt`;

/** Ends the tokens of released children. */
export const END_TOKENS = `UPDATE _jobs_links SET holds = 0 WHERE (parent_id, child_id) IN ${set('parent_id', 'child_id')}`;

/** pending → cancelled for waiting children. With a `holder`, only for those whose token it has. */
export const CANCEL_WAITING = `
WITH c AS MATERIALIZED ${set('id', 'error', 'holder')}
UPDATE _jobs AS j ${byId} SET status = 'cancelled', run_at = ${now}, finished = ${now}, last_error = c.error, ended_by = 'parent', updated = ${now}
FROM c WHERE j.id IN (SELECT id FROM c) AND j.id = c.id AND ${isWaiting('j.')}
  AND (c.holder IS NULL OR ${holdsToken('c.holder', 'c.id')})
RETURNING id, topic, attempt, watched`;

/** Marks groups with a failed member. Returns those that had none before. */
export const MARK_FAILING = `
UPDATE _jobs_groups SET is_failing = 1, updated = ${now} WHERE id IN ${ids} AND NOT is_failing AND finished IS NULL RETURNING id`;

/** Finishes groups whose token has come to its end. */
export const FINISH_GROUPS = `
UPDATE _jobs_groups AS g SET finished = ${now}, updated = ${now} FROM ${set('child_id', 'parent_id')} AS m
WHERE g.id = m.child_id AND g.finished IS NULL AND ${holds('m')} RETURNING id, is_failing`;

/** Finishes a group whose members have all ended before it was stored. */
export const FINISH_NEW_GROUP = `UPDATE _jobs_groups SET finished = ${now} WHERE id IN ${ids} AND finished IS NULL RETURNING id`;

/** Finds the jobs that wait for groups. */
export const FIND_CALLBACKS = `SELECT parent_id, child_id, mode FROM _jobs_links WHERE parent_id IN ${ids} ORDER BY child_id`;

/** pending → pending, due, for waiting jobs. */
export const START = `
UPDATE _jobs ${byId} SET run_at = ${startTime('_jobs.id')}, updated = ${now} WHERE id IN ${ids} AND ${isWaiting()} RETURNING id, topic, attempt`;

/** Keeps in links how a parent has ended whose row is about to be deleted. */
export const KEEP_OUTCOMES = `
WITH m AS MATERIALIZED ${set('parent_id', 'child_id', 'outcome')}
UPDATE _jobs_links AS l SET outcome = m.outcome FROM m WHERE l.parent_id = m.parent_id AND l.child_id = m.child_id`;

/** Deletes jobs whose deletion was requested. */
export const DELETE_MARKED = `DELETE FROM _jobs ${byId} WHERE id IN ${ids} AND watched = ${WATCHED.deleted}`;

/**
 * The parents of jobs whose rows the database refuses to delete may have ended meanwhile, and their follow-ups have passed over these
 * jobs: they are followed up again.
 */
export const MARK_HOLDERS_OF_KEPT = `
UPDATE _jobs ${byId} SET watched = ${WATCHED.again} WHERE watched = ${WATCHED.done} AND id IN (
  SELECT l.parent_id FROM _jobs AS k ${byId} CROSS JOIN _jobs_links AS l ON l.child_id = k.id AND l.holds
  WHERE k.id IN ${ids} AND k.watched = ${WATCHED.deleted})`;

/** The deletion found the job pending, and no other job has taken its unique key meanwhile. */
const mayWait = `(ended_by = '${DELETED}' AND NOT EXISTS (${keyHolder('_jobs')}))`;

/**
 * Keeps jobs whose rows the database refuses to delete. One that was pending is pending again; if its unique key is taken, it stays
 * cancelled, and its children are followed up. Returns them.
 */
export const KEEP_MARKED = `
UPDATE _jobs ${byId} SET watched = CASE WHEN ${mayWait} THEN ${WATCHED.always} WHEN ended_by = '${DELETED}' THEN ${WATCHED.again} ELSE ${WATCHED.done} END,
  status = CASE WHEN ${mayWait} THEN 'pending' ELSE status END, finished = CASE WHEN ${mayWait} THEN NULL ELSE finished END,
  ended_by = nullif(ended_by, '${DELETED}')
WHERE id IN ${ids} AND watched = ${WATCHED.deleted} RETURNING id`;
