import {
  appendAction,
  byId,
  holdsKey,
  isBlocked,
  holdsWaitingKey,
  isUnchangedSince,
  jobColumns,
  ms,
  now,
  timeAfter,
} from './job-row.sqlite.js';
import { DELETED, isOwed, WATCHED } from './job-row.js';

/**
 * The statements of one action. Each takes the ids as ?1, the statuses that it may change as ?2, and the time since which the jobs have not
 * changed as ?3; NULL means any.
 */
export interface ActionStatements {
  /** Changes a single job, and returns all of it. */
  readonly one: string;
  /** Changes several jobs, and returns what their results need. */
  readonly several: string;
  /** Runs before it, and changes other jobs. */
  readonly before?: string;
  /** Reads the state of unchanged jobs. Takes the ids, and the time of the last change as ?2. */
  readonly unchanged: string;
}

const ids = '(SELECT value FROM json_each(?1))';

/** Guards against a job that has changed since the user chose it. @param row a prefix of the columns, such as `j.`. */
const isExpected = (row = ''): string =>
  `(?2 IS NULL OR ${row}status IN (SELECT value FROM json_each(?2))) AND ${isUnchangedSince('?3', row)}`;

const resultColumns = `id, status, topic, attempt, ${isOwed()} AS owes`;
const wholeJob = `${jobColumns}, ${isOwed()} AS owes`;

/** The other job that holds the unique key of a job. A job that has started before needs no waiting key to wait again. */
export const keyHolder = (j: string): string => `
    SELECT k.id FROM _jobs AS k
    WHERE k.topic = ${j}.topic AND k.unique_key = ${j}.unique_key AND ${j}.waiting_key IS NULL AND k.id <> ${j}.id AND ${holdsKey('k')}
    UNION ALL
    SELECT k.id FROM _jobs AS k
    WHERE k.topic = ${j}.topic AND k.waiting_key = ${j}.waiting_key AND ${j}.attempt = 0 AND k.id <> ${j}.id AND ${holdsWaitingKey('k')}`;

/** A key that two jobs of a set cannot both take; NULL: none. */
const takenKey = `iif(j.waiting_key IS NULL OR j.attempt = 0, j.unique_key, NULL)`;

/** The jobs that a re-queue changes: the first of several jobs with one key. */
const requeued = `
  SELECT id FROM (
    SELECT j.id, row_number() OVER (
      PARTITION BY j.topic, ${takenKey}, j.waiting_key IS NULL, iif(${takenKey} IS NULL, j.id, NULL) ORDER BY asked.key) AS key_order
    FROM json_each(?1) AS asked CROSS JOIN _jobs AS j ${byId} ON j.id = asked.value
    WHERE j.status IN ('failed', 'cancelled') AND NOT coalesce(${isOwed('j.')}, 0) AND ${isExpected('j.')} AND (${keyHolder('j')}) IS NULL)
  WHERE key_order = 1`;

const asRequeued = (runAt: string): string => `
UPDATE _jobs ${byId} SET status = 'pending', retries = 0, watched = iif(watched = ${WATCHED.done}, ${WATCHED.always}, watched), cancel_requested = 0, finished = NULL, result = NULL, progress = NULL,
  steps = iif(?4 IS NULL, steps, NULL), flow_key = NULL, ended_by = NULL, expires_at = NULL, payload = coalesce(?4, payload), run_at = ${runAt},
  max_retries = coalesce(?6, max_retries), actions = ${appendAction('?7')}, updated = ${now}`;

const requeue = (columns: string): string =>
  `${asRequeued(`coalesce(?5, ${now})`)} WHERE id IN (${requeued}) RETURNING ${columns}`;

const requeuePaced = (columns: string): string => `${asRequeued(timeAfter('?5', '(?8 + slot) * ?9'))}
FROM (SELECT id AS paced_id, row_number() OVER (ORDER BY id DESC) - 1 AS slot FROM (${requeued})) WHERE id = paced_id RETURNING ${columns}`;

const notRequeued = `
SELECT j.id, j.status, j.topic, j.attempt, ${isOwed('j.')} AS owes, NOT ${isUnchangedSince('?2', 'j.')} AS is_newer, iif(j.status IN ('failed', 'cancelled'), (${keyHolder('j')}), NULL) AS holder_id
FROM _jobs AS j ${byId} WHERE j.id IN ${ids}`;

/**
 * failed, cancelled → pending without expiry, unless another job holds the unique key. A new payload deletes the steps. Requeues the first
 * of several jobs with one key.
 */
export const REQUEUE: ActionStatements = {
  one: requeue(wholeJob),
  several: requeue(resultColumns),
  unchanged: notRequeued,
};

/** The same, newest first, one job each ?9 milliseconds. The first becomes due ?8 intervals after ?5. */
export const REQUEUE_PACED: ActionStatements = {
  one: requeuePaced(wholeJob),
  several: requeuePaced(resultColumns),
  unchanged: notRequeued,
};

const unchanged = `
SELECT ${resultColumns}, NOT ${isUnchangedSince('?2')} AS is_newer FROM _jobs ${byId} WHERE id IN ${ids}`;

const promote = (columns: string): string => `
UPDATE _jobs ${byId} SET run_at = min(run_at, ${now}), flow_key = NULL, actions = ${appendAction('?4')}, updated = ${now}
WHERE id IN ${ids} AND status = 'pending' AND ${isExpected()} AND NOT ${isBlocked('_jobs')} RETURNING ${columns}`;

/**
 * pending → pending, due now. A job that is due already keeps its position in the queue. A job that waits for its parents is unchanged.
 */
export const PROMOTE: ActionStatements = { one: promote(wholeJob), several: promote(resultColumns), unchanged };

const cancel = (columns: string): string => `
UPDATE _jobs ${byId} SET status = iif(status = 'pending', 'cancelled', status), finished = iif(status = 'pending', ${now}, NULL),
  cancel_requested = 1, actions = ${appendAction('?4')}, updated = ${now}
WHERE id IN ${ids} AND status IN ('pending', 'processing') AND ${isExpected()} RETURNING ${columns}`;

/** pending → cancelled. A processing job is marked; its worker cancels it. */
export const CANCEL: ActionStatements = { one: cancel(wholeJob), several: cancel(resultColumns), unchanged };

const remove = `
DELETE FROM _jobs ${byId} WHERE id IN ${ids} AND status <> 'processing' AND watched IS NULL AND ${isExpected()} RETURNING ${resultColumns}`;

/**
 * Deletes jobs in any status but processing. A job on which others depend ends, and its follow-up deletes the row; one that owes a follow-up
 * is followed up first.
 */
export const DELETE: ActionStatements = {
  before: `
UPDATE _jobs ${byId} SET watched = ${WATCHED.deleted}, status = iif(status = 'pending', 'cancelled', status), ended_by = iif(status = 'pending', '${DELETED}', ended_by), finished = coalesce(finished, ${now}), updated = ${now}
WHERE id IN ${ids} AND status <> 'processing' AND watched IS NOT NULL AND NOT coalesce(${isOwed()}, 0) AND ${isExpected()}
RETURNING ${resultColumns}`,
  one: remove,
  several: remove,
  unchanged,
};

/** Pauses the topics in ?1. A topic that is paused already keeps its time. `WHERE true` ends the SELECT for SQLite's parser. */
export const PAUSE = `
INSERT INTO _jobs_topics AS t (topic, paused_since) SELECT value, ${now} FROM json_each(?1) WHERE true
ON CONFLICT (topic) DO UPDATE SET paused_since = excluded.paused_since WHERE t.paused_since IS NULL`;

/** Resumes the topics in ?1. Their rows stay: they hold more than the pause. */
export const RESUME = `
UPDATE _jobs_topics SET paused_since = NULL WHERE topic IN (SELECT value FROM json_each(?1)) AND paused_since IS NOT NULL`;

/** Lists the paused topics. */
export const PAUSED_TOPICS = `
SELECT topic, ${ms('paused_since')} AS since FROM _jobs_topics WHERE paused_since IS NOT NULL ORDER BY topic`;
