import { KEY_LIMIT_MAX, LIMIT_MAX } from '../../core/topic-limits.js';
import { PRIORITY_MIN } from '../../core/bounds.js';
import { ms } from '../jobs/job-row.postgres.js';
import { HAND_OVER_MS } from './limited-claim.js';
import { isLive } from '../definitions/live-definition.postgres.js';
import { countRunning, gapMs, inWindow, sliceEnd } from './limited-claim.postgres.js';

/*
 * Limits of topics: their definitions, and what they allow now. The definition of an operator wins over that of the code. The columns
 * `limit_total` to `is_limited` repeat the one that applies, because each claim reads them.
 */

/** Columns of the limits that apply, and their values from a jsonb expression. */
const effective = (limits: string): Readonly<Record<string, string>> => ({
  limit_total: `(${limits} ->> 'concurrency')::int`,
  limit_key: `(${limits} ->> 'perKey')::int`,
  rate_limit: `(${limits} #>> '{rate,limit}')::int`,
  rate_ms: `(${limits} #>> '{rate,per}')::bigint`,
  rate_by_key: `coalesce((${limits} #>> '{rate,perKey}')::boolean, false)`,
  rate_spread: `coalesce((${limits} #>> '{rate,spread}')::boolean, false)`,
  is_limited: `coalesce(${limits}, '{}') <> '{}'`,
});

const columns = Object.keys(effective('')).join(', ');

/**
 * Inserts or changes rows of the set `given`, in the order of topics: processes that start together would deadlock otherwise. Returns the
 * topics.
 */
export const storeTopics = (
  own: 'code_limits' | 'operator_limits',
  applied: string,
  others: readonly string[] = [],
): string => `
  INSERT INTO _jobs_topics AS t (topic, ${[own, ...others].join(', ')}, ${columns})
  SELECT topic, ${['limits', ...others, ...Object.values(effective('limits'))].join(', ')} FROM given ORDER BY topic
  ON CONFLICT (topic) DO UPDATE SET
    ${[own, ...others].map((column) => `${column} = excluded.${column}`).join(', ')},
    ${Object.entries(effective(applied))
      .map(([column, value]) => `${column} = ${value}`)
      .join(',\n    ')}
  RETURNING topic`;

/** Stores the operator's setting $2 of topic $1; NULL removes it. */
export const SET_LIMITS = `
WITH given AS MATERIALIZED (
  SELECT g.topic, g.limits
  FROM (SELECT $1::text, $2::jsonb) AS g(topic, limits) LEFT JOIN _jobs_topics t ON t.topic = g.topic
  WHERE g.limits IS NOT NULL OR t.topic IS NOT NULL)
${storeTopics('operator_limits', 'coalesce(excluded.operator_limits, t.code_limits)')}`;

/** Lists the topics that have limits or a declaration, or only $1, and counts their live definitions of each kind. */
export const LIST_LIMITS = `
SELECT t.topic, t.code_limits::text, t.operator_limits::text, t.retention::text, t.dead_letters::text, (
  SELECT json_object_agg(kind, live)::text FROM (
    SELECT d.kind, count(*) AS live FROM _jobs_definitions d
    WHERE d.kind IN ('limits', 'retention', 'dead_letters') AND d.name = t.topic AND ${isLive('d')} GROUP BY d.kind) n) AS live
FROM _jobs_topics t
WHERE coalesce(t.code_limits, t.operator_limits, t.retention, t.dead_letters) IS NOT NULL AND ($1::text IS NULL OR t.topic = $1)
ORDER BY t.topic`;

/**
 * When the rate allows the next start of a key, in milliseconds since 1970. NULL: now. Spread starts also keep their distance from the
 * last one.
 */
const nextStart = (topic: string, key: string): string => `
  (SELECT nullif(greatest(
      (SELECT ${sliceEnd('min(u.slice)', 't.rate_ms')} FROM (
        SELECT w.slice, sum(w.starts) OVER () AS total, sum(w.starts) OVER () - sum(w.starts) OVER (ORDER BY w.slice) AS later
        FROM _jobs_starts w WHERE ${inWindow(topic, key, 't.rate_ms')}) u
      WHERE u.total >= t.rate_limit AND u.later < t.rate_limit),
      CASE WHEN t.rate_spread THEN (
        SELECT max(w.latest) + ${gapMs(String(HAND_OVER_MS))} FROM _jobs_starts w WHERE ${inWindow(topic, key, 't.rate_ms')}) END,
      n.now_ms)::bigint, n.now_ms) FROM (SELECT ${ms('statement_timestamp()')}::bigint AS now_ms) n)`;

const runningOfTopic = (topic: string): string => countRunning(topic, 'j.flow_key IS NOT NULL', String(LIMIT_MAX));
const runningOfKey = (topic: string, key: string): string =>
  countRunning(topic, `j.flow_key = ${key}`, String(KEY_LIMIT_MAX));

const states = `${ms('t.paused_since')} AS paused_since, coalesce(t.is_limited, false) AS is_limited, t.limit_total, t.limit_key, t.rate_limit,
  t.rate_ms, coalesce(t.rate_by_key, false) AS rate_by_key`;

/**
 * Reads what the limits allow now, for the topics and keys in $1; a member without a key stands for its topic. The first row has the
 * database's time.
 */
export const LIMIT_STATES = `
SELECT NULL AS topic, NULL AS key, ${ms('statement_timestamp()')} AS paused_since, false AS is_limited, NULL::int AS limit_total,
  NULL::int AS limit_key, NULL::int AS rate_limit, NULL::bigint AS rate_ms, false AS rate_by_key, 0 AS running, NULL::bigint AS next_start
UNION ALL
SELECT g.topic, g.key, ${states},
  CASE WHEN g.key IS NULL THEN CASE WHEN t.limit_total IS NOT NULL THEN ${runningOfTopic('t.topic')} ELSE 0 END
    ELSE CASE WHEN t.limit_key IS NOT NULL THEN ${runningOfKey('t.topic', 'g.key')} ELSE 0 END END,
  CASE WHEN t.rate_by_key = (g.key IS NOT NULL) THEN ${nextStart('t.topic', `coalesce(g.key, '')`)} END
FROM jsonb_to_recordset($1::jsonb) AS g(topic text, key text) LEFT JOIN _jobs_topics t ON t.topic = g.topic`;

const keyed = `j.status = 'pending' AND j.concurrency_key IS NOT NULL`;

/**
 * Counts, for each topic of $1 that is limited: its running jobs, its keys with due jobs, up to $2 of each priority, and those of them that
 * may start a job. Walks from key to key, as claims do.
 */
export const LIMITED_TOPICS = `
WITH RECURSIVE lane AS (
  SELECT g.topic, (SELECT min(j.priority) FROM _jobs j WHERE ${keyed} AND j.topic = g.topic AND j.priority > ${PRIORITY_MIN - 1}) AS priority
  FROM jsonb_array_elements_text($1::jsonb) AS g(topic)
  UNION ALL
  SELECT lane.topic, (SELECT min(j.priority) FROM _jobs j WHERE ${keyed} AND j.topic = lane.topic AND j.priority > lane.priority)
  FROM lane WHERE lane.priority IS NOT NULL),
walk AS (
  SELECT lane.topic, lane.priority, ''::text COLLATE "C" AS key, 0 AS n FROM lane WHERE lane.priority IS NOT NULL
  UNION ALL
  SELECT walk.topic, walk.priority, f.flow_key, walk.n + 1
  FROM walk CROSS JOIN LATERAL (
    SELECT j.flow_key FROM _jobs j
    WHERE ${keyed} AND j.topic = walk.topic AND j.priority = walk.priority AND j.flow_key > walk.key ORDER BY j.flow_key LIMIT 1) f
  WHERE walk.n < $2::int),
waiting AS (
  SELECT k.topic, coalesce(t.limit_key <= ${runningOfKey('k.topic', 'k.key')}, false) AS is_full,
    CASE WHEN t.rate_by_key THEN ${nextStart('k.topic', 'k.key')} END IS NOT NULL AS is_late
  FROM (SELECT DISTINCT topic, key FROM walk WHERE n > 0) k JOIN _jobs_topics t ON t.topic = k.topic)
SELECT t.topic, ${states}, ${runningOfTopic('t.topic')} AS running,
  CASE WHEN NOT t.rate_by_key THEN ${nextStart('t.topic', `''`)} END AS next_start, k.waiting_keys, k.full_keys, k.open_keys
FROM jsonb_array_elements_text($1::jsonb) AS g(topic) JOIN _jobs_topics t ON t.topic = g.topic CROSS JOIN LATERAL (
  SELECT count(*) AS waiting_keys, count(*) FILTER (WHERE w.is_full) AS full_keys,
    count(*) FILTER (WHERE NOT w.is_full AND NOT w.is_late) AS open_keys
  FROM waiting w WHERE w.topic = t.topic) k
WHERE t.is_limited`;
