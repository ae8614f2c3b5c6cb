import {
  DEAD_DEFINITIONS_MAX,
  DECLARED_RECENTLY_MS,
  DEFINITION_AGE_MS,
  HANDLER_SEEN_MS,
} from './definition-records.js';
import { fromNow, now, timeAfter } from '../jobs/job-row.sqlite.js';
import { storeTopics } from '../limits/limit.sqlite.js';
import { isLive, isRecent } from './live-definition.sqlite.js';

/*
 * Definitions that processes declare in their code, and which of them apply: of each kind and name the one that was first seen last,
 * among those that a live process declares.
 *
 * A definition is applied by copying it to where it is read: to a column of `_jobs_topics`, or to the row of the schedule.
 */

const wasDeclaredRecently = (row: string): string => isRecent(`${row}.declared`, DECLARED_RECENTLY_MS);

/** The definitions that a process names in ?1. */
const own = `(SELECT value ->> 'kind' AS kind, value ->> 'name' AS name, value ->> 'hash' AS hash FROM json_each(?1))`;

/** Counts the definitions in ?1 that were declared recently. Takes no lock. */
export const COUNT_DECLARED = `
SELECT count(*) AS declared FROM ${own} AS o
JOIN _jobs_definitions AS d ON d.kind = o.kind AND d.name = o.name AND d.hash = o.hash WHERE ${wasDeclaredRecently('d')}`;

/**
 * Adds the definitions in ?1, and records that a live process declares them. One that is new for its name is first seen after the others,
 * whatever the clock says.
 */
export const DECLARE_DEFINITIONS = `
INSERT INTO _jobs_definitions AS d (kind, name, hash, definition, first_seen, declared)
SELECT g.value ->> 'kind', g.value ->> 'name', g.value ->> 'hash', g.value ->> 'definition',
  max(${now}, coalesce((
    SELECT ${timeAfter('max(o.first_seen)', '1')} FROM _jobs_definitions AS o
    WHERE o.kind = g.value ->> 'kind' AND o.name = g.value ->> 'name'), '')),
  ${now}
FROM json_each(?1) AS g WHERE true
ON CONFLICT (kind, name, hash) DO UPDATE SET declared = ${now} WHERE NOT (${wasDeclaredRecently('d')})`;

/** Records that a live process declares the definitions in ?1. */
export const REFRESH_DEFINITIONS = `
UPDATE _jobs_definitions SET declared = ${now}
WHERE (kind, name, hash) IN ${own} AND NOT (${wasDeclaredRecently('_jobs_definitions')})`;

/**
 * Whether a definition counts as declared by a live process. While a process settles, the one in the row of the topic or schedule does: the
 * process that declares it may be unable to renew it yet.
 */
const counts = (row: string, isSettling: string): string => `
  (${isLive(row)} OR (${isSettling} AND CASE ${row}.kind
    WHEN 'schedule' THEN EXISTS (
      SELECT 1 FROM _jobs_schedules AS a WHERE a.name = ${row}.name AND a.source = 'code' AND a.definition = ${row}.definition)
    ELSE EXISTS (
      SELECT 1 FROM _jobs_topics AS a WHERE a.topic = ${row}.name AND ${row}.definition = CASE ${row}.kind
        WHEN 'limits' THEN a.code_limits WHEN 'retention' THEN a.retention ELSE a.dead_letters END) END))`;

const isOld = `declared < ${fromNow(`-${DEFINITION_AGE_MS}`)}`;

/**
 * Deletes old definitions, unless the process settles, which ?1 says: after a long outage all look old. Deletes the oldest ones of a name
 * that no live process declares.
 */
export const PRUNE_DEFINITIONS = `
DELETE FROM _jobs_definitions WHERE (NOT ?1 AND ${isOld})
OR (kind, name, hash) IN (
  SELECT o.kind, o.name, o.hash FROM (
    SELECT kind, name, hash, definition, declared, row_number() OVER (PARTITION BY kind, name ORDER BY declared DESC, hash) AS n
    FROM _jobs_definitions) AS o
  WHERE o.n > ${DEAD_DEFINITIONS_MAX} AND NOT ${counts('o', '?1')})`;

/** Deletes the schedules of the code whose definitions are all deleted. */
export const PRUNE_SCHEDULES = `
DELETE FROM _jobs_schedules WHERE source = 'code'
AND NOT EXISTS (SELECT 1 FROM _jobs_definitions AS d WHERE d.kind = 'schedule' AND d.name = _jobs_schedules.name)`;

/** The definition of each kind and name that applies. */
const winners = (isSettling: string): string => `
winner AS MATERIALIZED (
  SELECT kind, name, hash, definition FROM (
    SELECT d.kind, d.name, d.hash, d.definition,
      row_number() OVER (PARTITION BY d.kind, d.name ORDER BY d.first_seen DESC, d.hash DESC) AS n
    FROM _jobs_definitions AS d WHERE ${counts('d', isSettling)})
  WHERE n = 1)`;

const offer = (kind: string): string => `max(iif(kind = '${kind}', definition, NULL))`;

/**
 * The definition of a topic that applies. Without a live one it ends, if a live process handles the topic. While none does, the last one
 * stays until it is pruned.
 */
const applied = (kind: string, column: string): string => `
      coalesce(o.${kind}, iif(o.topic NOT IN (SELECT topic FROM handled)
        AND EXISTS (SELECT 1 FROM _jobs_definitions AS k WHERE k.kind = '${kind}' AND k.name = o.topic), t.${column}, NULL)) AS new_${kind}`;

/** The topics whose row has other definitions than those that apply. */
const changedTopics = `
handled AS MATERIALIZED (
  SELECT DISTINCT u.value AS topic FROM _jobs_workers AS w, json_each(w.topics) AS u
  WHERE ${isRecent('w.seen', HANDLER_SEEN_MS)}),
offered AS MATERIALIZED (
  SELECT topic, ${offer('limits')} AS limits, ${offer('retention')} AS retention, ${offer('dead_letters')} AS dead_letters
  FROM (
    SELECT name AS topic, kind, definition FROM winner WHERE kind <> 'schedule'
    UNION ALL
    SELECT topic, NULL, NULL FROM _jobs_topics WHERE coalesce(code_limits, retention, dead_letters) IS NOT NULL)
  GROUP BY topic),
given AS MATERIALIZED (
  SELECT topic, new_limits AS limits, new_retention AS retention, new_dead_letters AS dead_letters
  FROM (
    SELECT o.topic, t.code_limits, t.retention, t.dead_letters,
      ${applied('limits', 'code_limits')}, ${applied('retention', 'retention')}, ${applied('dead_letters', 'dead_letters')}
    FROM offered AS o LEFT JOIN _jobs_topics AS t ON t.topic = o.topic)
  WHERE code_limits IS NOT new_limits OR retention IS NOT new_retention OR dead_letters IS NOT new_dead_letters)`;

const changes = `WITH ${winners('?1')}, ${changedTopics}`;

/** Lists the topics whose row has other definitions than those that apply. ?1: whether the process settles. */
export const PENDING_TOPICS = `${changes} SELECT topic FROM given`;

/** Writes the definitions that apply to the rows of their topics. ?1: whether the process settles. Returns the topics that changed. */
export const APPLY_TO_TOPICS = `${changes}
${storeTopics('code_limits', 'SELECT * FROM given', '(coalesce(t.operator_limits, excluded.code_limits))', ['retention', 'dead_letters'])}`;

/** Whether the row of the schedule has another definition than the one that applies. */
const scheduleDiffers = `(s.name IS NULL OR s.source <> 'code' OR s.definition IS NOT w.definition)`;

/** Lists the schedules whose row has another definition than the one that applies. ?1: whether the process settles. */
export const PENDING_SCHEDULES = `
WITH ${winners('?1')}
SELECT w.name, w.definition FROM winner AS w LEFT JOIN _jobs_schedules AS s ON s.name = w.name
WHERE w.kind = 'schedule' AND ${scheduleDiffers} ORDER BY w.name`;

/**
 * Compares the definitions that a process declares, in ?1, with those that apply, and those with the rows of topics and schedules. ?2:
 * whether the process settles.
 */
export const DEFINITION_STATE = `
WITH own AS MATERIALIZED (SELECT * FROM ${own}),
${winners('?2')},
${changedTopics}
SELECT (SELECT count(*) FROM own AS o JOIN _jobs_definitions AS d ON d.kind = o.kind AND d.name = o.name AND d.hash = o.hash) AS known,
  (SELECT json_group_array(json_object('kind', kind, 'name', name)) FROM (
    SELECT d.kind, d.name FROM own AS o JOIN _jobs_definitions AS d ON d.kind = o.kind AND d.name = o.name AND d.hash = o.hash
    WHERE EXISTS (
      SELECT 1 FROM _jobs_definitions AS n WHERE n.kind = d.kind AND n.name = d.name AND ${isLive('n')}
        AND (n.first_seen, n.hash) > (d.first_seen, d.hash)) LIMIT 100)) AS superseded,
  EXISTS (SELECT 1 FROM given) AS are_topics_due,
  EXISTS (SELECT 1 FROM winner AS w LEFT JOIN _jobs_schedules AS s ON s.name = w.name WHERE w.kind = 'schedule' AND ${scheduleDiffers})
    AS are_schedules_due,
  EXISTS (SELECT 1 FROM _jobs_definitions WHERE NOT ?2 AND ${isOld}) AS is_prune_due`;
