import { ms } from '../jobs/job-row.postgres.js';

/* Groups of jobs: `_jobs_groups`. A member has a link to its group, and the group has links to its callbacks. Sets are JSON arrays in $1. */

const ids = 'ARRAY(SELECT jsonb_array_elements_text($1::jsonb)::uuid)';

/** Locks groups, and writes them: under REPEATABLE READ a transaction that does not see their end must fail. */
export const LOCK_GROUPS = `
WITH g AS (SELECT id FROM _jobs_groups WHERE id = ANY (${ids}) ORDER BY id FOR NO KEY UPDATE)
UPDATE _jobs_groups j SET updated = statement_timestamp() FROM g WHERE j.id = g.id RETURNING j.id, j.finished`;

/** Inserts group $1 with the name $2, created by $3. A repeated insert, after a lost response, finds it. */
export const INSERT_GROUP = `
INSERT INTO _jobs_groups (id, name, created_by) VALUES ($1::uuid, $2, $3) ON CONFLICT (id) DO NOTHING`;

/** Reads who has created group $1. */
export const GROUP_CREATOR = 'SELECT created_by FROM _jobs_groups WHERE id = $1::uuid';

/** Whether a group has finished, and no member and no callback is left. */
const isAbandoned = `g.finished IS NOT NULL
  AND NOT EXISTS (SELECT FROM _jobs_links l JOIN _jobs j ON j.id = l.parent_id WHERE l.child_id = g.id)
  AND NOT EXISTS (SELECT FROM _jobs_links l JOIN _jobs j ON j.id = l.child_id WHERE l.parent_id = g.id)`;

/** Reads the next $2 groups after group $1, and which of them have no jobs left. */
export const GROUPS_PAGE = `
SELECT g.id, ${isAbandoned} AS is_abandoned FROM (SELECT * FROM _jobs_groups WHERE id > $1::uuid ORDER BY id LIMIT $2::int) g ORDER BY g.id`;

/** Deletes the groups that have no jobs left. The repair then deletes their links. */
export const DELETE_GROUPS = `DELETE FROM _jobs_groups g WHERE g.id = ANY (${ids}) AND ${isAbandoned}`;

const groupState = `g.id, g.name, ${ms('g.created')} AS created, ${ms('g.finished')} AS finished, s.status, s.jobs`;

/** The members by status. A member that was deleted or pruned has the status in which it ended. */
const membersByStatus = `LATERAL (
    SELECT coalesce(j.status, l.outcome, 'deleted') AS status, count(*) AS jobs
    FROM _jobs_links l LEFT JOIN _jobs j ON j.id = l.parent_id WHERE l.child_id = g.id GROUP BY 1) s`;

/** Counts the members of group $1 by status. */
export const GET_GROUP = `
SELECT ${groupState} FROM _jobs_groups g LEFT JOIN ${membersByStatus} ON true WHERE g.id = $1::uuid`;

const listGroups = (condition: string): string => `
SELECT ${groupState} FROM (
  SELECT * FROM _jobs_groups WHERE id < coalesce($1::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')${condition}
  ORDER BY id DESC LIMIT $2::int) g
LEFT JOIN ${membersByStatus} ON true ORDER BY g.id DESC`;

/** The same for the $2 newest groups before group $1; NULL: the newest of all. */
export const LIST_GROUPS = listGroups('');
export const LIST_FINISHED_GROUPS = listGroups(' AND finished IS NOT NULL');
/** An index has only these: finished groups may be many. */
export const LIST_UNFINISHED_GROUPS = listGroups(' AND finished IS NULL');

/** Lists the jobs that wait for group $1, in the order in which they were stored. */
export const LIST_CALLBACKS = `
SELECT l.mode, l.child_id AS id, j.topic, j.status FROM _jobs_links l LEFT JOIN _jobs j ON j.id = l.child_id
WHERE l.parent_id = $1::uuid ORDER BY l.child_id`;

/** Lists the next $3 unfinished members of group $1 after $2. */
export const UNFINISHED_MEMBERS = `
SELECT j.id FROM _jobs_links l JOIN _jobs j ON j.id = l.parent_id
WHERE l.child_id = $1::uuid AND l.parent_id > $2::uuid AND j.status IN ('pending', 'processing')
ORDER BY l.parent_id LIMIT $3::int`;

/** Lists the topics of the members and callbacks of group $1. */
export const GROUP_TOPICS = `
SELECT l.child_id AS group_id, j.topic, count(*) AS members FROM _jobs_links l JOIN _jobs j ON j.id = l.parent_id
WHERE l.child_id = ANY (${ids}) GROUP BY l.child_id, j.topic
UNION
SELECT l.parent_id, j.topic, 0 FROM _jobs_links l JOIN _jobs j ON j.id = l.child_id WHERE l.parent_id = ANY (${ids})`;
