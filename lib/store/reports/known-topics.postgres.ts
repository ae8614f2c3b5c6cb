import { isListed, withListedTopics } from '../lists/list.postgres.js';
import { SERVED_TOPICS } from './reports.postgres.js';

/**
 * Lists topics, up to $2 of each kind: those with a handler in a worker that was alive $1 milliseconds ago, with jobs, with settings or
 * with a schedule.
 */
export const KNOWN_TOPICS = withListedTopics(`(${SERVED_TOPICS} LIMIT $2::int)
UNION (SELECT topic FROM t WHERE topic IS NOT NULL LIMIT $2::int)
UNION (SELECT DISTINCT topic FROM _jobs WHERE status = 'processing' LIMIT $2::int)
UNION (SELECT topic FROM _jobs_topics LIMIT $2::int)
UNION (SELECT definition ->> 'topic' FROM _jobs_schedules LIMIT $2::int)`);

/** Selects those of the topics in $2 that are among these. A running job alone does not count: a live worker handles its topic. */
export const EXISTING_TOPICS = `
SELECT topic FROM (${SERVED_TOPICS}) s WHERE topic = ANY ($2::text[])
UNION
SELECT n.topic FROM unnest($2::text[]) AS n(topic) CROSS JOIN LATERAL (
  SELECT FROM _jobs j WHERE ${isListed} AND j.topic = n.topic LIMIT 1) j
UNION
SELECT topic FROM _jobs_topics WHERE topic = ANY ($2::text[])
UNION
SELECT definition ->> 'topic' FROM _jobs_schedules WHERE definition ->> 'topic' = ANY ($2::text[])`;
