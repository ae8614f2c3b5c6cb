import { USUAL_CLAIM } from '../../row-mapper.js';
import { isPaused } from './pause.js';
import { byId, fromNow, scanTiming, ms, now } from './statement-parts.js';

/**
 * Which lanes have a due job, by their place in the list: asked before the write lock is taken for them. Those of paused topics
 * have none.
 */
export const DUE_LANES = `
SELECT lane.key AS place FROM json_each(?1) AS lane WHERE NOT ${isPaused(`lane.value ->> 'topic'`)} AND EXISTS (
  SELECT 1 FROM _jobs WHERE status = 'pending' AND topic = lane.value ->> 'topic'
    AND priority = lane.value ->> 'priority' AND run_at >= lane.value ->> 'from' AND run_at <= ${now})`;

/** Whether a job has nothing but what most jobs have at their first attempt, and what it has. */
const isUsual = `${Object.entries(USUAL_CLAIM)
  .map(([column, value]) => `${column} = ${value}`)
  .join(' AND ')} AND coalesce(timeout_ms, backoff, metadata) IS NULL`;

const unusual = `json_object('timeout_ms', timeout_ms, 'backoff', CAST(backoff AS text), 'metadata', CAST(metadata AS text), ${Object.keys(
  USUAL_CLAIM,
)
  .map((column) => `'${column}', ${column}`)
  .join(', ')})`;

/**
 * pending → processing, lane by lane until ?2 jobs are found, but nothing of a topic that was paused since somebody looked.
 * A join cannot have a limit for each lane, an array made by a subquery can: ?3 is the highest of them. What is usual is
 * answered as NULL, since each value of each row costs a twentieth of a microsecond, and all else in one column.
 */
export const CLAIM = `
UPDATE _jobs ${byId} SET status = 'processing', attempt = attempt + 1, locked_by = ?4, locked_until = ${fromNow('?5')},
  unbegun_attempt = iif(retries >= max_retries, attempt + 1, NULL), started = ${now}, updated = ${now}
WHERE id IN (
  SELECT due.value FROM json_each(?1) AS lane CROSS JOIN json_each(iif(${isPaused(`lane.value ->> 'topic'`)}, '[]', (
    SELECT json_group_array(id) FROM (
      SELECT id FROM _jobs WHERE status = 'pending' AND topic = lane.value ->> 'topic'
        AND priority = lane.value ->> 'priority' AND run_at >= lane.value ->> 'from' AND run_at <= ${now}
      ORDER BY run_at LIMIT ?3)))) AS due
  WHERE due.key < lane.value ->> 'limit' LIMIT ?2)
RETURNING id, topic, payload, ${ms('run_at')} AS run_at, iif(created = run_at, NULL, ${ms('created')}) AS created,
  ${ms(now)} AS at, iif(${isUsual}, NULL, ${unusual}) AS unusual`;

/** The first waiting priority of a topic between two bounds, which are SQL. */
const nextPriority = (topic: string, after: string, before: string): string => `(
    SELECT min(priority) FROM _jobs
    WHERE status = 'pending' AND topic = ${topic} AND priority > ${after} AND priority < ${before})`;

/**
 * The first waiting job, due or not, of each priority in each gap, and of each lane of ?2 from its lower bound on. It looks from one priority to the next, so that the
 * cost is that of the lanes, however many jobs wait in them.
 */
export const SCAN = `
WITH RECURSIVE lane (topic, priority, before) AS (
  SELECT value ->> 'topic', ${nextPriority(`value ->> 'topic'`, `value ->> 'after'`, `value ->> 'before'`)},
    value ->> 'before' FROM json_each(?1)
  UNION ALL
  SELECT topic, ${nextPriority('lane.topic', 'lane.priority', 'lane.before')}, before FROM lane
  WHERE priority IS NOT NULL)
SELECT lane.topic, lane.priority, ${ms(`(
  SELECT min(run_at) FROM _jobs AS j
  WHERE j.status = 'pending' AND j.topic = lane.topic AND j.priority = lane.priority)`)} - ${ms(now)} AS due_in_ms,
  ${isPaused('lane.topic')} AS is_paused, NULL AS at, NULL AS took_ms
FROM lane WHERE lane.priority IS NOT NULL
UNION ALL
SELECT topic, priority, ${ms('first')} - ${ms(now)}, ${isPaused('lane.topic')}, NULL, NULL FROM (
  SELECT value ->> 'topic' AS topic, value ->> 'priority' AS priority, (
    SELECT min(run_at) FROM _jobs AS j
    WHERE j.status = 'pending' AND j.topic = value ->> 'topic' AND j.priority = value ->> 'priority'
      AND j.run_at >= value ->> 'from') AS first
  FROM json_each(?2)) AS lane WHERE first IS NOT NULL
UNION ALL
SELECT NULL, NULL, NULL, NULL, ${scanTiming}`;
