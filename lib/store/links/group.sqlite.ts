import { byId, ms } from '../jobs/job-row.sqlite.js';

/* Groups of jobs: `_jobs_groups`. A member has a link to its group, and the group has links to its callbacks. Sets are JSON arrays in ?1. */

const ids = '(SELECT value FROM json_each(?1))';

/** Reads groups: the one writer of the file needs no lock. */
export const LOCK_GROUPS = `SELECT id, finished FROM _jobs_groups WHERE id IN ${ids}`;

/** Inserts group ?1 with the name ?2, created by ?3. A repeated insert finds it. */
export const INSERT_GROUP =
  'INSERT INTO _jobs_groups (id, name, created_by) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING';

/** Reads who has created group ?1. */
export const GROUP_CREATOR = 'SELECT created_by FROM _jobs_groups WHERE id = ?1';

/** Whether a group has finished, and no member and no callback is left. */
const isAbandoned = `g.finished IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM _jobs_links AS l JOIN _jobs AS j ON j.id = l.parent_id WHERE l.child_id = g.id)
  AND NOT EXISTS (SELECT 1 FROM _jobs_links AS l JOIN _jobs AS j ON j.id = l.child_id WHERE l.parent_id = g.id)`;

/** Reads the next ?2 groups after group ?1, and which of them have no jobs left. */
export const GROUPS_PAGE = `SELECT g.id, ${isAbandoned} AS is_abandoned FROM _jobs_groups AS g WHERE g.id > ?1 ORDER BY g.id LIMIT ?2`;

/** Deletes the groups that have no jobs left. The repair then deletes their links. */
export const DELETE_GROUPS = `DELETE FROM _jobs_groups AS g WHERE g.id IN ${ids} AND ${isAbandoned}`;

/** The members of the groups by status. A member that was deleted or pruned has the status in which it ended. */
const groupStates = (groups: string): string => `
SELECT g.id, g.name, ${ms('g.created')} AS created, ${ms('g.finished')} AS finished, iif(l.parent_id IS NULL, NULL, coalesce(j.status, l.outcome, 'deleted')) AS status, count(l.parent_id) AS jobs
FROM (${groups}) AS g LEFT JOIN _jobs_links AS l ON l.child_id = g.id LEFT JOIN _jobs AS j ON j.id = l.parent_id
GROUP BY g.id, 5 ORDER BY g.id DESC`;

/** Counts the members of group ?1 by status. */
export const GET_GROUP = groupStates('SELECT * FROM _jobs_groups WHERE id = ?1');

const listGroups = (index: string, condition: string): string =>
  groupStates(`SELECT * FROM _jobs_groups ${index} WHERE id < coalesce(?1, 'g')${condition} ORDER BY id DESC LIMIT ?2`);

/** The same for the ?2 newest groups before group ?1; NULL: the newest of all. */
export const LIST_GROUPS = listGroups('', '');
export const LIST_FINISHED_GROUPS = listGroups('', ' AND finished IS NOT NULL');
/** An index has only these: finished groups may be many. */
export const LIST_UNFINISHED_GROUPS = listGroups('INDEXED BY _jobs_groups_unfinished', ' AND finished IS NULL');

/** Lists the jobs that wait for group ?1, in the order in which they were stored. */
export const LIST_CALLBACKS = `
SELECT l.mode, l.child_id AS id, j.topic, j.status FROM _jobs_links AS l LEFT JOIN _jobs AS j ON j.id = l.child_id
WHERE l.parent_id = ?1 ORDER BY l.child_id`;

/** Lists the next ?3 unfinished members of group ?1 after ?2. */
export const UNFINISHED_MEMBERS = `
SELECT j.id FROM _jobs_links AS l JOIN _jobs AS j ON j.id = l.parent_id
WHERE l.child_id = ?1 AND l.parent_id > ?2 AND j.status IN ('pending', 'processing')
ORDER BY l.parent_id LIMIT ?3`;

/** Lists the topics of the members and callbacks of group ?1. */
export const GROUP_TOPICS = `
SELECT l.child_id AS group_id, j.topic, count(*) AS members FROM json_each(?1) AS g
CROSS JOIN _jobs_links AS l ON l.child_id = g.value
CROSS JOIN _jobs AS j ${byId} ON j.id = l.parent_id
GROUP BY l.child_id, j.topic
UNION
SELECT l.parent_id, j.topic, 0 FROM json_each(?1) AS g CROSS JOIN _jobs_links AS l ON l.parent_id = g.value
CROSS JOIN _jobs AS j ${byId} ON j.id = l.child_id`;
