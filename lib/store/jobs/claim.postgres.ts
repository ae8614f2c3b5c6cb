import { PRIORITY_MIN } from '../../core/bounds.js';
import type { ColumnName } from './columns.js';
import { COLUMNS, columnsWith, USUAL_CLAIM } from './columns.js';
import { isUnexpired, ms, msOfMany, scanTiming, skipLocked } from './job-row.postgres.js';

/** The columns in `numbers`, in this order. `numbers` is NULL for most first attempts: each column costs both sides. */
export const NUMBERS: readonly ColumnName[] = columnsWith('claim')
  .filter(([, { type, claim }]) => claim !== 'always' && type !== 'json')
  .map(([name]) => name);

const toNumber = (name: ColumnName): string => (COLUMNS[name].type === 'time' ? ms(`j.${name}`) : `j.${name}`);

const isUsual = NUMBERS.map((name) =>
  name in USUAL_CLAIM ? `j.${name} = ${USUAL_CLAIM[name as keyof typeof USUAL_CLAIM]}` : `j.${name} IS NULL`,
).join(' AND ');

/** The columns that a claim returns as they are. */
const plain = columnsWith('claim')
  .filter(([, { type, claim }]) => (claim === 'always' || type === 'json') && type !== 'time')
  .map(([name]) => `j.${name}`)
  .join(', ');

/** NULL for a topic that is neither paused nor limited. */
const stateOf = (topic: string): string => `
  (SELECT CASE WHEN p.paused_since IS NOT NULL THEN 'paused' WHEN p.is_limited THEN 'limited' END
  FROM _jobs_topics p WHERE p.topic = ${topic})`;

/**
 * Whether the topic is neither paused nor limited; a claim checks it once for each lane. With EXISTS the planner may read all topics
 * first.
 */
const isClaimable = (topic: string): string =>
  `((SELECT true FROM _jobs_topics p WHERE p.topic = ${topic} AND (p.paused_since IS NOT NULL OR p.is_limited)) IS NULL)`;

/** Jobs without a concurrency key. Limited topics and jobs with a key have a claim of their own: see limited-claim.ts. */
const isUnkeyed = `status = 'pending' AND concurrency_key IS NULL`;

/** What a claim writes: $3 worker, $4 lease in milliseconds. */
export const asClaimed = `status = 'processing', attempt = attempt + 1, locked_by = $3,
  locked_until = (SELECT statement_timestamp() + make_interval(secs => $4::float8 / 1000.0)),
  unstarted_attempt = CASE WHEN retries >= max_retries THEN attempt + 1 END,
  started = statement_timestamp(), updated = statement_timestamp()`;

/** What a claim returns of each job. */
export const claimedColumns = `
  j.ctid AS row_ref, ${plain},
  CASE WHEN NOT (${isUsual}) THEN ARRAY[${NUMBERS.map(toNumber).join(', ')}] END AS numbers,
  ${msOfMany('j.run_at')} AS run_at, CASE WHEN j.created <> j.run_at THEN ${msOfMany('j.created')} END AS created,
  (SELECT ${ms('statement_timestamp()')}) AS at`;

/**
 * pending → processing, except expired jobs, jobs of paused and limited topics, and jobs with a concurrency key. Reads one index range
 * for each lane, in the order of the lanes, so that the cost does not depend on what else waits. Writes by ctid: a join on id would let the
 * planner start from the wrong side. Values that are the same for all rows are subqueries, which run once: computed for each row, two of
 * them took 3 % of a claim. $1 lanes, $2 limit, $3 worker, $4 lease in milliseconds.
 */
export const CLAIM = `
UPDATE _jobs j SET ${asClaimed}
WHERE j.ctid = ANY (ARRAY(
  SELECT c.tid
  FROM jsonb_to_recordset($1::jsonb) AS l(topic text, priority int, lower_bound timestamptz, lane_limit int)
  CROSS JOIN LATERAL (
    SELECT ctid AS tid FROM _jobs
    WHERE ${isUnkeyed} AND topic = l.topic AND priority = l.priority
      AND run_at >= l.lower_bound AND run_at <= statement_timestamp() AND ${isClaimable('l.topic')} AND ${isUnexpired('_jobs')}
    ORDER BY run_at LIMIT l.lane_limit ${skipLocked}) c
  LIMIT $2::int))
RETURNING ${claimedColumns}`;

/** The first waiting job between two priorities; `from` and `to` are SQL. */
const firstBetween = (topic: string, from: string, to: string): string => `
  SELECT priority, run_at FROM _jobs
  WHERE ${isUnkeyed} AND topic = ${topic} AND priority > ${from} AND priority < ${to}
  ORDER BY priority, run_at LIMIT 1`;

/** The first keyed job of a topic and priority, due or not. A due one has a flow key; `flow_key IS NULL` comes last in the index. */
const firstKeyed = (condition: string): string => `
  SELECT run_at FROM _jobs WHERE status = 'pending' AND concurrency_key IS NOT NULL AND topic = k.topic
    AND priority = k.priority AND ${condition} ORDER BY flow_key, run_at LIMIT 1`;

/** The first priority of a topic that has keyed jobs, after another one; the arguments are SQL. */
const keyedPriority = (topic: string, after: string): string => `
  SELECT priority FROM _jobs
  WHERE status = 'pending' AND concurrency_key IS NOT NULL AND topic = ${topic} AND priority > ${after}
  ORDER BY priority LIMIT 1`;

/**
 * Finds the first waiting job, due or not, of each priority in each gap ($1), and of each lane from its lower bound on ($2). A loose
 * index scan: it jumps from one priority to the next, so the cost is that of the lanes, however many jobs wait in them. The jobs with
 * a concurrency key follow, for each topic of a gap. Of those that are due it finds any, not the oldest.
 */
export const SCAN = `
WITH RECURSIVE w AS (
  SELECT g.topic, g.before, f.priority, f.run_at
  FROM jsonb_to_recordset($1::jsonb) AS g(topic text, after int, before int)
  CROSS JOIN LATERAL (${firstBetween('g.topic', 'g.after', 'g.before')}) f
  UNION ALL
  SELECT w.topic, w.before, f.priority, f.run_at
  FROM w CROSS JOIN LATERAL (${firstBetween('w.topic', 'w.priority', 'w.before')}) f),
k AS (
  SELECT t.topic, f.priority
  FROM (SELECT DISTINCT g.topic FROM jsonb_to_recordset($1::jsonb) AS g(topic text)) t
  CROSS JOIN LATERAL (${keyedPriority('t.topic', String(PRIORITY_MIN - 1))}) f
  UNION ALL
  SELECT k.topic, f.priority FROM k CROSS JOIN LATERAL (${keyedPriority('k.topic', 'k.priority')}) f)
SELECT topic, priority, ${ms('(run_at - statement_timestamp())')} AS due_in_ms, false AS is_keyed, ${stateOf('w.topic')} AS state,
  NULL::float8 AS at, NULL::float8 AS took_ms FROM w
UNION ALL
SELECT l.topic, l.priority, ${ms('(f.run_at - statement_timestamp())')}, false, ${stateOf('l.topic')}, NULL, NULL
FROM jsonb_to_recordset($2::jsonb) AS l(topic text, priority int, lower_bound timestamptz)
CROSS JOIN LATERAL (
  SELECT run_at FROM _jobs
  WHERE ${isUnkeyed} AND topic = l.topic AND priority = l.priority AND run_at >= l.lower_bound
  ORDER BY run_at LIMIT 1) f
UNION ALL
SELECT k.topic, k.priority, ${ms('(coalesce(due.run_at, later.run_at) - statement_timestamp())')}, true, ${stateOf('k.topic')}, NULL, NULL
FROM k LEFT JOIN LATERAL (${firstKeyed('flow_key IS NOT NULL')}) due ON true LEFT JOIN LATERAL (${firstKeyed('flow_key IS NULL')}) later ON true
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, ${scanTiming}`;
