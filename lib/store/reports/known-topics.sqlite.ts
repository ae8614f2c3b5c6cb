import { isListed } from '../lists/list.sqlite.js';
import { SERVED_TOPICS } from './reports.sqlite.js';

/**
 * Lists topics, up to ?2 of each kind: those with a handler in a worker that was alive ?1 milliseconds ago, with jobs, with settings or
 * with a schedule. It skips from one topic to the next, however many jobs each has.
 */
export const KNOWN_TOPICS = `
SELECT topic FROM (${SERVED_TOPICS} LIMIT ?2)
UNION SELECT topic FROM (
  WITH RECURSIVE t(topic) AS (
    SELECT ''
    UNION ALL
    SELECT (SELECT topic FROM _jobs INDEXED BY _jobs_listed WHERE ${isListed} AND topic > t.topic ORDER BY topic LIMIT 1)
    FROM t WHERE t.topic IS NOT NULL LIMIT ?2 + 1)
  SELECT topic FROM t WHERE topic <> '')
UNION SELECT topic FROM (SELECT DISTINCT topic FROM _jobs WHERE status = 'processing' LIMIT ?2)
UNION SELECT topic FROM (SELECT topic FROM _jobs_topics LIMIT ?2)
UNION SELECT topic FROM (SELECT definition ->> 'topic' AS topic FROM _jobs_schedules LIMIT ?2)`;

/** Selects those of the topics in ?2 that are among these. A running job alone does not count: a live worker handles its topic. */
export const EXISTING_TOPICS = `
SELECT n.value AS topic FROM json_each(?2) AS n
WHERE n.value IN (${SERVED_TOPICS})
  OR EXISTS (SELECT 1 FROM _jobs INDEXED BY _jobs_listed WHERE ${isListed} AND topic = n.value)
  OR EXISTS (SELECT 1 FROM _jobs_topics WHERE topic = n.value)
  OR EXISTS (SELECT 1 FROM _jobs_schedules WHERE definition ->> 'topic' = n.value)`;
