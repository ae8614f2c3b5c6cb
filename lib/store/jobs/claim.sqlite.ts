import { PRIORITY_MIN } from '../../core/bounds.js';
import type { ColumnName } from './columns.js';
import { COLUMNS, SELDOM_CLAIMED, USUAL_CLAIM } from './columns.js';
import { byId, fromNow, isUnexpired, ms, now, scanTiming } from './job-row.sqlite.js';

/** NULL for a topic that is neither paused nor limited. */
const stateOf = (topic: string): string => `(
  SELECT CASE WHEN p.paused_since IS NOT NULL THEN 'paused' WHEN p.is_limited THEN 'limited' END
  FROM _jobs_topics AS p WHERE p.topic = ${topic})`;

/** Whether the topic is neither paused nor limited. */
const isClaimable = (topic: string): string => `(${stateOf(topic)} IS NULL)`;

/** Jobs without a concurrency key. Limited topics and jobs with a key have a claim of their own: see limited-claim.ts. */
const isUnkeyed = `status = 'pending' AND concurrency_key IS NULL`;

/** Finds the lanes in ?1 that have a due job, by their index. Takes no lock. Paused and limited topics have none. */
export const DUE_LANES = `
SELECT lane.key AS lane_index FROM json_each(?1) AS lane WHERE ${isClaimable(`lane.value ->> 'topic'`)} AND EXISTS (
  SELECT 1 FROM _jobs WHERE ${isUnkeyed} AND topic = lane.value ->> 'topic'
    AND priority = lane.value ->> 'priority' AND run_at >= lane.value ->> 'from' AND run_at <= ${now} AND ${isUnexpired})`;

const usual = Object.entries(USUAL_CLAIM);

/** Whether a job has only the usual values of a first attempt. */
const isUsual = `${usual.map(([name, value]) => `${name} = ${value}`).join(' AND ')} AND coalesce(${SELDOM_CLAIMED.join(', ')}) IS NULL`;

const toMember = (name: ColumnName): string => {
  const { type } = COLUMNS[name];
  return type === 'time' ? ms(name) : type === 'json' ? `CAST(${name} AS text)` : name;
};

const unusual = `json_object(${[
  ...SELDOM_CLAIMED.map((name) => [name, toMember(name)]),
  ...usual.map(([name]) => [name, name]),
]
  .map(([name, value]) => `'${name}', ${value}`)
  .join(', ')})`;

/** What a claim returns of each job. */
export const claimedColumns = `id, topic, payload, ${ms('run_at')} AS run_at, iif(created = run_at, NULL, ${ms('created')}) AS created,
  ${ms(now)} AS at, iif(${isUsual}, NULL, ${unusual}) AS unusual`;

/**
 * pending → processing, lane by lane until ?2 jobs are found. Skips topics that were paused or limited after `DUE_LANES`, and jobs
 * with a concurrency key.
 *
 * PostgreSQL limits each lane by a LATERAL join. SQLite has none, but an array made by a subquery can have a limit: ?3 is the
 * highest of all lanes. Each value of each row costs 0.05 µs, so usual values are NULL and the others are one column.
 */
export const CLAIM = `
UPDATE _jobs ${byId} SET status = 'processing', attempt = attempt + 1, locked_by = ?4, locked_until = ${fromNow('?5')},
  unstarted_attempt = iif(retries >= max_retries, attempt + 1, NULL), started = ${now}, updated = ${now}
WHERE id IN (
  SELECT due.value FROM json_each(?1) AS lane CROSS JOIN json_each(iif(${isClaimable(`lane.value ->> 'topic'`)}, (
    SELECT json_group_array(id) FROM (
      SELECT id FROM _jobs WHERE ${isUnkeyed} AND topic = lane.value ->> 'topic'
        AND priority = lane.value ->> 'priority' AND run_at >= lane.value ->> 'from' AND run_at <= ${now}
        AND ${isUnexpired}
      ORDER BY run_at LIMIT ?3)), '[]')) AS due
  WHERE due.key < lane.value ->> 'limit' LIMIT ?2)
RETURNING ${claimedColumns}`;

/** The first waiting priority of a topic between two bounds. The arguments are SQL. */
const nextPriority = (topic: string, after: string, before: string): string => `(
    SELECT min(priority) FROM _jobs
    WHERE ${isUnkeyed} AND topic = ${topic} AND priority > ${after} AND priority < ${before})`;

/** The first keyed job of `keyed_lane` with a condition, due or not. A due one has a flow key. */
const firstKeyed = (condition: string): string => `(
  SELECT run_at FROM _jobs AS j INDEXED BY _jobs_keyed WHERE j.status = 'pending' AND j.concurrency_key IS NOT NULL AND j.topic = keyed_lane.topic
    AND j.priority = keyed_lane.priority AND ${condition} ORDER BY flow_key, run_at LIMIT 1)`;

const keyedPriority = (topic: string, after: string): string => `(
    SELECT min(priority) FROM _jobs INDEXED BY _jobs_keyed
    WHERE status = 'pending' AND concurrency_key IS NOT NULL AND topic = ${topic} AND priority > ${after})`;

/**
 * Finds the first waiting job, due or not, of each priority in each gap of ?1, and of each lane of ?2 from its lower bound on.
 * It steps from one priority to the next: the cost grows with the number of lanes, not with the jobs that wait in them. The jobs
 * with a concurrency key follow, for each topic of a gap. Of those that are due it finds any, not the oldest.
 */
export const SCAN = `
WITH RECURSIVE lane (topic, priority, before) AS (
  SELECT value ->> 'topic', ${nextPriority(`value ->> 'topic'`, `value ->> 'after'`, `value ->> 'before'`)},
    value ->> 'before' FROM json_each(?1)
  UNION ALL
  SELECT topic, ${nextPriority('lane.topic', 'lane.priority', 'lane.before')}, before FROM lane
  WHERE priority IS NOT NULL),
keyed_lane (topic, priority) AS (
  SELECT topic, ${keyedPriority('topic', String(PRIORITY_MIN - 1))} FROM (SELECT DISTINCT value ->> 'topic' AS topic FROM json_each(?1))
  UNION ALL
  SELECT topic, ${keyedPriority('keyed_lane.topic', 'keyed_lane.priority')} FROM keyed_lane WHERE priority IS NOT NULL)
SELECT lane.topic, lane.priority, ${ms(`(
  SELECT min(run_at) FROM _jobs AS j
  WHERE j.status = 'pending' AND j.concurrency_key IS NULL AND j.topic = lane.topic AND j.priority = lane.priority)`)} - ${ms(now)} AS due_in_ms,
  false AS is_keyed, ${stateOf('lane.topic')} AS state, NULL AS at, NULL AS took_ms
FROM lane WHERE lane.priority IS NOT NULL
UNION ALL
SELECT topic, priority, ${ms('first')} - ${ms(now)}, false, ${stateOf('lane.topic')}, NULL, NULL FROM (
  SELECT value ->> 'topic' AS topic, value ->> 'priority' AS priority, (
    SELECT min(run_at) FROM _jobs AS j
    WHERE j.status = 'pending' AND j.concurrency_key IS NULL AND j.topic = value ->> 'topic' AND j.priority = value ->> 'priority'
      AND j.run_at >= value ->> 'from') AS first
  FROM json_each(?2)) AS lane WHERE first IS NOT NULL
UNION ALL
SELECT topic, priority, ${ms(`coalesce(${firstKeyed('flow_key IS NOT NULL')}, ${firstKeyed('flow_key IS NULL')})`)} - ${ms(now)}, true,
  ${stateOf('keyed_lane.topic')}, NULL, NULL
FROM keyed_lane WHERE priority IS NOT NULL
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, ${scanTiming}`;
