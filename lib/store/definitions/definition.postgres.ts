import {
  DEAD_DEFINITIONS_MAX,
  DECLARED_RECENTLY_MS,
  DEFINITION_AGE_MS,
  HANDLER_SEEN_MS,
} from './definition-records.js';
import { storeTopics } from '../limits/limit.postgres.js';
import { isLive, isRecent, seconds } from './live-definition.postgres.js';

/*
 * Definitions that processes declare in their code, and which of them apply: of each kind and name the one that was first seen last,
 * among those that a live process declares.
 *
 * A definition is applied by copying it to where it is read: to a column of `_jobs_topics`, or to the row of the schedule. Transactions
 * that copy take `LOCK_DEFINITIONS` first, so that each of them knows the definitions of those before it.
 */

const wasDeclaredRecently = isRecent('d.declared', DECLARED_RECENTLY_MS);

/** Serializes transactions that apply definitions. $1 stands for the schema. */
export const LOCK_DEFINITIONS = 'SELECT pg_advisory_xact_lock(1785946996, $1::int)';

/**
 * Adds the definitions in $1, and records that a live process declares them. One that is new for its name is first seen after the others,
 * whatever the clock says. In the order of their keys: processes that start together would deadlock otherwise.
 */
export const DECLARE_DEFINITIONS = `
INSERT INTO _jobs_definitions AS d (kind, name, hash, definition, first_seen, declared)
SELECT g.kind, g.name, g.hash, g.definition,
  greatest(statement_timestamp(), (
    SELECT max(o.first_seen) + interval '1 millisecond' FROM _jobs_definitions o WHERE o.kind = g.kind AND o.name = g.name)),
  statement_timestamp()
FROM jsonb_to_recordset($1::jsonb) AS g(kind text, name text, hash text, definition jsonb)
ORDER BY g.kind, g.name, g.hash
ON CONFLICT (kind, name, hash) DO UPDATE SET declared = statement_timestamp() WHERE NOT (${wasDeclaredRecently})`;

/** The first part of a statement that records that a live process declares the definitions in `refs`. */
export const refreshDefinitions = (refs: string): string => `
held AS MATERIALIZED (
  SELECT d.kind, d.name, d.hash FROM jsonb_to_recordset(${refs}::jsonb) AS o(kind text, name text, hash text)
  JOIN _jobs_definitions d ON d.kind = o.kind AND d.name = o.name AND d.hash = o.hash
  WHERE NOT (${wasDeclaredRecently}) ORDER BY d.kind, d.name, d.hash FOR NO KEY UPDATE OF d),
refreshed AS (
  UPDATE _jobs_definitions d SET declared = statement_timestamp()
  FROM held h WHERE d.kind = h.kind AND d.name = h.name AND d.hash = h.hash AND NOT (${wasDeclaredRecently}))`;

/**
 * Whether a definition counts as declared by a live process. While a process settles, the one in the row of the topic or schedule does: the
 * process that declares it may be unable to renew it yet.
 */
const counts = (row: string, isSettling: string): string => `
  (${isLive(row)} OR (${isSettling}::boolean AND CASE ${row}.kind
    WHEN 'schedule' THEN EXISTS (
      SELECT FROM _jobs_schedules a WHERE a.name = ${row}.name AND a.source = 'code' AND a.definition = ${row}.definition)
    ELSE EXISTS (
      SELECT FROM _jobs_topics a WHERE a.topic = ${row}.name AND ${row}.definition = CASE ${row}.kind
        WHEN 'limits' THEN a.code_limits WHEN 'retention' THEN a.retention ELSE a.dead_letters END) END))`;

const isOld = (row: string): string => `${row}.declared < statement_timestamp() - ${seconds(DEFINITION_AGE_MS)}`;

/**
 * Deletes old definitions, unless the process settles, which $1 says: after a long outage all look old. Deletes the oldest ones of a name
 * that no live process declares.
 */
export const PRUNE_DEFINITIONS = `
DELETE FROM _jobs_definitions d WHERE (NOT $1::boolean AND ${isOld('d')})
OR (d.kind, d.name, d.hash) IN (
  SELECT o.kind, o.name, o.hash FROM (
    SELECT kind, name, hash, definition, declared, row_number() OVER (PARTITION BY kind, name ORDER BY declared DESC, hash) AS n
    FROM _jobs_definitions) o
  WHERE o.n > ${DEAD_DEFINITIONS_MAX} AND NOT ${counts('o', '$1')})`;

/** Deletes the schedules of the code whose definitions are all deleted. */
export const PRUNE_SCHEDULES = `
DELETE FROM _jobs_schedules s WHERE s.source = 'code'
AND NOT EXISTS (SELECT FROM _jobs_definitions d WHERE d.kind = 'schedule' AND d.name = s.name)`;

/** The definition of each kind and name that applies. */
const winners = (isSettling: string): string => `
winner AS MATERIALIZED (
  SELECT DISTINCT ON (d.kind, d.name) d.kind, d.name, d.hash, d.definition FROM _jobs_definitions d
  WHERE ${counts('d', isSettling)} ORDER BY d.kind, d.name, d.first_seen DESC, d.hash DESC)`;

const offer = (kind: string): string => `(jsonb_agg(definition) FILTER (WHERE kind = '${kind}')) -> 0`;

/**
 * The definition of a topic that applies. Without a live one it ends, if a live process handles the topic. While none does, the last one
 * stays until it is pruned.
 */
const applied = (kind: string, column: string): string => `
      coalesce(o.${kind}, CASE WHEN o.topic NOT IN (SELECT topic FROM handled)
        AND EXISTS (SELECT FROM _jobs_definitions k WHERE k.kind = '${kind}' AND k.name = o.topic) THEN t.${column} END) AS new_${kind}`;

/** The topics whose row has other definitions than those that apply. */
const changedTopics = `
handled AS MATERIALIZED (
  SELECT DISTINCT u.topic FROM _jobs_workers w CROSS JOIN LATERAL jsonb_array_elements_text(w.topics) AS u(topic)
  WHERE ${isRecent('w.seen', HANDLER_SEEN_MS)}),
offered AS MATERIALIZED (
  SELECT topic, ${offer('limits')} AS limits, ${offer('retention')} AS retention, ${offer('dead_letters')} AS dead_letters
  FROM (
    SELECT name AS topic, kind, definition FROM winner WHERE kind <> 'schedule'
    UNION ALL
    SELECT topic, NULL, NULL FROM _jobs_topics WHERE coalesce(code_limits, retention, dead_letters) IS NOT NULL) n
  GROUP BY topic),
given AS MATERIALIZED (
  SELECT topic, new_limits AS limits, new_retention AS retention, new_dead_letters AS dead_letters
  FROM (
    SELECT o.topic, t.code_limits, t.retention, t.dead_letters,
      ${applied('limits', 'code_limits')}, ${applied('retention', 'retention')}, ${applied('dead_letters', 'dead_letters')}
    FROM offered o LEFT JOIN _jobs_topics t ON t.topic = o.topic) c
  WHERE code_limits IS DISTINCT FROM new_limits OR retention IS DISTINCT FROM new_retention
    OR dead_letters IS DISTINCT FROM new_dead_letters)`;

/** Writes the definitions that apply to the rows of their topics. $1: whether the process settles. Returns the topics that changed. */
export const APPLY_TO_TOPICS = `
WITH ${winners('$1')},
${changedTopics}
${storeTopics('code_limits', 'coalesce(t.operator_limits, excluded.code_limits)', ['retention', 'dead_letters'])}`;

/** Whether the row of the schedule has another definition than the one that applies. */
const scheduleDiffers = `(s.name IS NULL OR s.source <> 'code' OR s.definition IS DISTINCT FROM w.definition)`;

/** Lists the schedules whose row has another definition than the one that applies. $1: whether the process settles. */
export const PENDING_SCHEDULES = `
WITH ${winners('$1')}
SELECT w.name, w.definition::text AS definition FROM winner w LEFT JOIN _jobs_schedules s ON s.name = w.name
WHERE w.kind = 'schedule' AND ${scheduleDiffers} ORDER BY w.name`;

/**
 * Compares the definitions that a process declares, in $1, with those that apply, and those with the rows of topics and schedules. $2:
 * whether the process settles.
 */
export const DEFINITION_STATE = `
WITH own AS MATERIALIZED (SELECT kind, name, hash FROM jsonb_to_recordset($1::jsonb) AS o(kind text, name text, hash text)),
${winners('$2')},
${changedTopics}
SELECT (SELECT count(*) FROM own o JOIN _jobs_definitions d ON d.kind = o.kind AND d.name = o.name AND d.hash = o.hash) AS known,
  (SELECT json_agg(json_build_object('kind', s.kind, 'name', s.name))::text FROM (
    SELECT d.kind, d.name FROM own o JOIN _jobs_definitions d ON d.kind = o.kind AND d.name = o.name AND d.hash = o.hash
    WHERE EXISTS (
      SELECT FROM _jobs_definitions n WHERE n.kind = d.kind AND n.name = d.name AND ${isLive('n')}
        AND (n.first_seen, n.hash) > (d.first_seen, d.hash)) LIMIT 100) s) AS superseded,
  EXISTS (SELECT FROM given) AS are_topics_due,
  EXISTS (SELECT FROM winner w LEFT JOIN _jobs_schedules s ON s.name = w.name WHERE w.kind = 'schedule' AND ${scheduleDiffers})
    AS are_schedules_due,
  EXISTS (SELECT FROM _jobs_definitions d WHERE NOT $2::boolean AND ${isOld('d')}) AS is_prune_due`;
