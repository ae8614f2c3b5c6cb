import { KEY_LIMIT_MAX, LIMIT_MAX } from '../../core/topic-limits.js';
import { ms, now } from '../jobs/job-row.sqlite.js';
import { HAND_OVER_MS, SLICES } from './limited-claim.js';
import { isLive } from '../definitions/live-definition.sqlite.js';
import { inWindow, sliceEnd } from './limited-claim.sqlite.js';

/*
 * Limits of topics: their definitions, and what they allow now. The definition of an operator wins over that of the code. The columns
 * `limit_total` to `is_limited` repeat the one that applies, because each claim reads them.
 */

/** Columns of the limits that apply, and their values from JSON text. */
const effective = (limits: string): Readonly<Record<string, string>> => ({
  limit_total: `${limits} ->> '$.concurrency'`,
  limit_key: `${limits} ->> '$.perKey'`,
  rate_limit: `${limits} ->> '$.rate.limit'`,
  rate_ms: `${limits} ->> '$.rate.per'`,
  rate_by_key: `coalesce(${limits} ->> '$.rate.perKey', 0)`,
  rate_spread: `coalesce(${limits} ->> '$.rate.spread', 0)`,
  is_limited: `coalesce(${limits}, '{}') <> '{}'`,
});

/** Inserts or changes the row of each topic in ${given}, which has its `topic` and `limits`. */
export const storeTopics = (
  own: 'code_limits' | 'operator_limits',
  given: string,
  applied: string,
  others: readonly string[] = [],
): string => `
INSERT INTO _jobs_topics AS t (topic, ${[own, ...others, ...Object.keys(effective(''))].join(', ')})
SELECT topic, ${['limits', ...others, ...Object.values(effective('limits'))].join(', ')} FROM (${given}) WHERE true
ON CONFLICT (topic) DO UPDATE SET
  ${[own, ...others].map((column) => `${column} = excluded.${column}`).join(', ')},
  ${Object.entries(effective(applied))
    .map(([column, value]) => `${column} = ${value}`)
    .join(',\n  ')}
RETURNING topic`;

/** Stores the operator's setting ?2 of topic ?1; NULL removes it. */
export const SET_LIMITS = storeTopics(
  'operator_limits',
  `SELECT ?1 AS topic, ?2 AS limits WHERE ?2 IS NOT NULL OR EXISTS (SELECT 1 FROM _jobs_topics WHERE topic = ?1)`,
  '(coalesce(excluded.operator_limits, t.code_limits))',
);

/** Lists the topics that have limits or a declaration, or only ?1, and counts their live definitions of each kind. */
export const LIST_LIMITS = `
SELECT t.topic, t.code_limits, t.operator_limits, t.retention, t.dead_letters, (
  SELECT json_group_object(kind, live) FROM (
    SELECT d.kind, count(*) AS live FROM _jobs_definitions AS d
    WHERE d.kind IN ('limits', 'retention', 'dead_letters') AND d.name = t.topic AND ${isLive('d')} GROUP BY d.kind)) AS live
FROM _jobs_topics AS t
WHERE coalesce(t.code_limits, t.operator_limits, t.retention, t.dead_letters) IS NOT NULL AND (?1 IS NULL OR t.topic = ?1)
ORDER BY t.topic`;

/**
 * When the rate allows the next start of a key, in milliseconds since 1970. NULL: now. Spread starts also keep their distance from the
 * last one.
 */
const nextStart = (topic: string, key: string): string => `
  (SELECT nullif(max(
      coalesce((SELECT ${sliceEnd('min(u.slice)', 't.rate_ms')} FROM (
        SELECT w.slice, sum(w.starts) OVER () AS total, sum(w.starts) OVER () - sum(w.starts) OVER (ORDER BY w.slice) AS later
        FROM _jobs_starts AS w WHERE ${inWindow(topic, key, 't.rate_ms')}) AS u
      WHERE u.total >= t.rate_limit AND u.later < t.rate_limit), n.now_ms),
      coalesce(iif(t.rate_spread, (
        SELECT CAST(max(w.latest) + (t.rate_ms * ${SLICES + 1}.0 / ${SLICES} + ${HAND_OVER_MS}) / t.rate_limit AS INTEGER)
        FROM _jobs_starts AS w WHERE ${inWindow(topic, key, 't.rate_ms')}), NULL), n.now_ms),
      n.now_ms), n.now_ms) FROM (SELECT ${ms(now)} AS now_ms) AS n)`;

const countRunning = (condition: string, max: number): string => `
  (SELECT count(*) FROM (
    SELECT 1 FROM _jobs AS j INDEXED BY _jobs_running WHERE ${condition} AND j.locked_until IS NOT NULL LIMIT ${max}))`;

const runningOfTopic = (topic: string): string => countRunning(`j.topic = ${topic} AND j.flow_key >= ''`, LIMIT_MAX);
const runningOfKey = (topic: string, key: string): string =>
  countRunning(`j.topic = ${topic} AND j.flow_key = ${key}`, KEY_LIMIT_MAX);

const states = `${ms('t.paused_since')} AS paused_since, coalesce(t.is_limited, 0) AS is_limited, t.limit_total, t.limit_key, t.rate_limit,
  t.rate_ms, coalesce(t.rate_by_key, 0) AS rate_by_key`;

/**
 * Reads what the limits allow now, for the topics and keys in ?1; a member without a key stands for its topic. The first row has the
 * database's time.
 */
export const LIMIT_STATES = `
SELECT NULL AS topic, NULL AS key, ${ms(now)} AS paused_since, 0 AS is_limited, NULL AS limit_total, NULL AS limit_key,
  NULL AS rate_limit, NULL AS rate_ms, 0 AS rate_by_key, 0 AS running, NULL AS next_start
UNION ALL
SELECT g.value ->> 'topic', g.value ->> 'key', ${states},
  CASE WHEN g.value ->> 'key' IS NULL THEN iif(t.limit_total IS NULL, 0, ${runningOfTopic('t.topic')})
    ELSE iif(t.limit_key IS NULL, 0, ${runningOfKey('t.topic', `g.value ->> 'key'`)}) END,
  CASE WHEN t.rate_by_key = (g.value ->> 'key' IS NOT NULL) THEN ${nextStart('t.topic', `coalesce(g.value ->> 'key', '')`)} END
FROM json_each(?1) AS g LEFT JOIN _jobs_topics AS t ON t.topic = g.value ->> 'topic'`;

const keyed = `_jobs AS j INDEXED BY _jobs_keyed WHERE j.status = 'pending' AND j.concurrency_key IS NOT NULL`;

/**
 * Counts, for each topic of ?1 that is limited: its running jobs, its keys with due jobs, up to ?2 of each priority, and those of them that
 * may start a job. Walks from key to key, as claims do.
 */
export const LIMITED_TOPICS = `
WITH RECURSIVE lane (topic, priority) AS (
  SELECT g.value, (SELECT min(j.priority) FROM ${keyed} AND j.topic = g.value) FROM json_each(?1) AS g
  UNION ALL
  SELECT lane.topic, (SELECT min(j.priority) FROM ${keyed} AND j.topic = lane.topic AND j.priority > lane.priority)
  FROM lane WHERE lane.priority IS NOT NULL),
walk (topic, priority, key, n) AS (
  SELECT topic, priority, '', 0 FROM lane WHERE priority IS NOT NULL
  UNION ALL
  SELECT walk.topic, walk.priority, (
    SELECT min(j.flow_key) FROM ${keyed} AND j.topic = walk.topic AND j.priority = walk.priority AND j.flow_key > walk.key), walk.n + 1
  FROM walk WHERE walk.key IS NOT NULL AND walk.n < ?2),
waiting AS MATERIALIZED (
  SELECT due.topic, coalesce(t.limit_key <= ${runningOfKey('due.topic', 'due.key')}, 0) AS is_full,
    iif(t.rate_by_key, ${nextStart('due.topic', 'due.key')}, NULL) IS NOT NULL AS is_late
  FROM (SELECT DISTINCT topic, key FROM walk WHERE n > 0 AND key IS NOT NULL) AS due CROSS JOIN _jobs_topics AS t ON t.topic = due.topic)
SELECT t.topic, ${states}, ${runningOfTopic('t.topic')} AS running, iif(t.rate_by_key, NULL, ${nextStart('t.topic', `''`)}) AS next_start,
  (SELECT count(*) FROM waiting AS w WHERE w.topic = t.topic) AS waiting_keys,
  (SELECT count(*) FROM waiting AS w WHERE w.topic = t.topic AND w.is_full) AS full_keys,
  (SELECT count(*) FROM waiting AS w WHERE w.topic = t.topic AND NOT w.is_full AND NOT w.is_late) AS open_keys
FROM json_each(?1) AS g CROSS JOIN _jobs_topics AS t ON t.topic = g.value WHERE t.is_limited`;
