import {
  appendAction,
  isBlocked,
  holdsKey,
  holdsWaitingKey,
  isUnchangedSince,
  matchesId,
  jobColumns,
  ms,
} from './job-row.postgres.js';
import { DELETED, isOwed, WATCHED } from './job-row.js';

/**
 * A requested action in two forms. For several jobs it skips locked rows and returns them as `busy`: it holds locks itself, so
 * it must not wait for those of a worker. For one job it waits.
 */
export interface ActionStatement {
  readonly several: string;
  readonly one: string;
}

/**
 * Acts on the jobs in $1 whose status is in $2 and that have not changed since $3; NULL means any. `l` is the locked row, `j` the row as
 * the statement first read it. Columns that a CHECK reads are written from `l`: PostgreSQL checks the row that is built from `j` before it
 * notices that another transaction has changed it.
 */
function actionStatement(
  action: string,
  { holder = 'NULL::uuid', strength = 'NO KEY UPDATE', name = 'm' } = {},
): ActionStatement {
  const statement = (wait: string, columns: string): string => `
WITH l AS (SELECT * FROM _jobs WHERE id = ANY ($1::uuid[]) ORDER BY id FOR ${strength} ${wait}),
${name} AS (${action}${columns})
SELECT m.*, r.id, m.id IS NOT NULL AS changed, coalesce(m.status, l.status) AS status, l.topic, l.attempt,
  l.id IS NULL AND EXISTS (SELECT FROM _jobs j WHERE j.id = r.id) AS busy, ${holder} AS holder_id,
  coalesce(m.owes, ${isOwed('l.')}) AS owes,
  NOT ${isUnchangedSince('$3', 'l.')} AS is_newer
FROM unnest($1::uuid[]) WITH ORDINALITY AS r(id, ord)
LEFT JOIN m ON m.id = r.id LEFT JOIN l ON l.id = r.id
ORDER BY r.ord`;
  // A deletion returns its rows itself.
  const returning = (columns: string): string => (name === 'm' ? ` RETURNING ${columns}, ${isOwed('j.')} AS owes` : '');
  return {
    several: statement('SKIP LOCKED', returning('j.id, j.status')),
    one: statement('', returning(jobColumns('j'))),
  };
}

/** The other job that holds the unique key of a job. A job that has started before needs no waiting key to wait again. */
export const keyHolder = (l: string): string => `
  SELECT k.id FROM _jobs k
  WHERE k.topic = ${l}.topic AND k.unique_key = ${l}.unique_key AND ${l}.waiting_key IS NULL AND k.id <> ${l}.id AND ${holdsKey('k')}
  UNION ALL
  SELECT k.id FROM _jobs k
  WHERE k.topic = ${l}.topic AND k.waiting_key = ${l}.waiting_key AND ${l}.attempt = 0 AND k.id <> ${l}.id AND ${holdsWaitingKey('k')}
  LIMIT 1`;

/** The job may have changed since the user selected it. */
const isExpected = `($2::text[] IS NULL OR l.status = ANY ($2::text[])) AND ${isUnchangedSince('$3', 'l.')}`;

/** A job that owes a follow-up is followed up first: its dead letters are not lost. */
const isRequeued = `${isExpected} AND l.status IN ('failed', 'cancelled') AND NOT coalesce(${isOwed('l.')}, false) AND NOT EXISTS (${keyHolder('l')})`;

const requeue = (source: string, runAt: string): ActionStatement =>
  actionStatement(
    `
  UPDATE _jobs j SET status = 'pending', retries = 0, watched = CASE WHEN l.watched = ${WATCHED.done} THEN ${WATCHED.always} ELSE l.watched END, cancel_requested = false, finished = NULL, result = NULL,
    progress = NULL, steps = CASE WHEN $4::jsonb IS NULL THEN l.steps END, locked_until = NULL, locked_by = NULL, flow_key = NULL,
    ended_by = NULL, expires_at = NULL, payload = coalesce($4::jsonb, l.payload), run_at = ${runAt}, max_retries = coalesce($6::int, l.max_retries),
    actions = ${appendAction('$7::jsonb')}, updated = statement_timestamp()
  FROM ${source} WHERE ${matchesId('l')} AND ${isRequeued}`,
    { holder: `CASE WHEN m.id IS NULL AND l.status IN ('failed', 'cancelled') THEN (${keyHolder('l')}) END` },
  );

/**
 * failed, cancelled → pending, without expiry. A new payload deletes the steps. A job whose unique key is taken stays; the result names the
 * holder.
 */
export const REQUEUE = requeue('l', 'coalesce($5::timestamptz, statement_timestamp())');

/** The same, newest first, one job each $9 milliseconds. The first becomes due $8 intervals after $5. */
export const REQUEUE_PACED = requeue(
  `(SELECT l.*, row_number() OVER (ORDER BY l.id DESC) - 1 AS slot FROM l WHERE ${isRequeued}) l`,
  `$5::timestamptz + ($8::int + l.slot) * make_interval(secs => $9::float8 / 1000)`,
);

/** pending → pending, due now; a job that is due keeps its `run_at`. A job that waits for its parents is unchanged. */
export const PROMOTE = actionStatement(`
  UPDATE _jobs j SET run_at = least(l.run_at, statement_timestamp()), flow_key = NULL, actions = ${appendAction('$4::jsonb')},
    updated = statement_timestamp()
  FROM l WHERE ${matchesId('l')} AND ${isExpected} AND l.status = 'pending' AND NOT ${isBlocked('l')}`);

/** pending → cancelled; a processing job is marked. */
export const CANCEL = actionStatement(`
  UPDATE _jobs j SET cancel_requested = true, actions = ${appendAction('$4::jsonb')}, updated = statement_timestamp(),
    status = CASE WHEN l.status = 'pending' THEN 'cancelled' ELSE l.status END,
    finished = CASE WHEN l.status = 'pending' THEN statement_timestamp() END,
    locked_until = CASE WHEN l.status = 'processing' THEN l.locked_until END,
    locked_by = CASE WHEN l.status = 'processing' THEN l.locked_by END
  FROM l WHERE ${matchesId('l')} AND ${isExpected} AND l.status IN ('pending', 'processing')`);

/**
 * Any status but processing → deleted. A job on which others depend ends, and its follow-up deletes the row; one that owes a follow-up is
 * followed up first.
 */
export const DELETE = actionStatement(
  `DELETE FROM _jobs j USING l WHERE ${matchesId('l')} AND ${isExpected} AND l.status <> 'processing' AND l.watched IS NULL
  RETURNING j.id, j.status, false AS owes),
marked AS (
  UPDATE _jobs j SET watched = ${WATCHED.deleted}, status = CASE WHEN l.status = 'pending' THEN 'cancelled' ELSE l.status END,
    ended_by = CASE WHEN l.status = 'pending' THEN '${DELETED}' ELSE l.ended_by END,
    finished = coalesce(l.finished, statement_timestamp()), updated = statement_timestamp()
  FROM l WHERE ${matchesId('l')} AND ${isExpected} AND l.status <> 'processing' AND l.watched IS NOT NULL AND NOT coalesce(${isOwed('l.')}, false)
  RETURNING j.id, j.status, true AS owes),
m AS (SELECT * FROM deleted UNION ALL SELECT * FROM marked`,
  { name: 'deleted', strength: 'UPDATE' },
);

/** Pauses the topics of the JSON array $1. A topic that is paused already keeps its time. */
export const PAUSE = `
INSERT INTO _jobs_topics AS t (topic, paused_since)
SELECT a.topic, statement_timestamp() FROM jsonb_array_elements_text($1::jsonb) AS a(topic) ORDER BY a.topic
ON CONFLICT (topic) DO UPDATE SET paused_since = excluded.paused_since WHERE t.paused_since IS NULL`;

/** Resumes the topics of the JSON array $1. Their rows stay: they hold more than the pause. */
export const RESUME = `
UPDATE _jobs_topics SET paused_since = NULL
WHERE topic = ANY (ARRAY(SELECT jsonb_array_elements_text($1::jsonb))) AND paused_since IS NOT NULL`;

/** Lists the paused topics. */
export const PAUSED_TOPICS = `
SELECT topic, ${ms('paused_since')} AS since FROM _jobs_topics WHERE paused_since IS NOT NULL ORDER BY topic`;
