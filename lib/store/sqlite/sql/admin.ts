import { byId, jobColumns, now } from './statement-parts.js';

/** A verb by request: each statement takes the ids as ?1, and the statuses in which it moves them, or NULL for all, as ?2. */
export interface MoveStatements {
  /** Answers the whole job. */
  readonly one: string;
  /** Answers what there is to say of each of many. */
  readonly several: string;
  /** How jobs stand that did not move. It takes the ids alone. */
  readonly unmoved: string;
}

const asked = '(SELECT value FROM json_each(?1))';

/** Its status may have changed since somebody meant it for what it was. */
const isMeant = (status: string): string => `(?2 IS NULL OR ${status} IN (SELECT value FROM json_each(?2)))`;

const briefly = 'id, status, topic, attempt';

const requeue = (answer: string): string => `
UPDATE _jobs ${byId} SET status = 'pending', retries = 0, cancel_requested = 0, finished = NULL, result = NULL, progress = NULL,
  payload = coalesce(?3, payload), run_at = coalesce(?4, ${now}), max_retries = coalesce(?5, max_retries), updated = ${now}
WHERE id IN (
  SELECT id FROM (
    SELECT j.id, row_number() OVER (
      PARTITION BY j.topic, j.unique_key, iif(j.unique_key IS NULL, j.id, NULL) ORDER BY asked.key) AS place
    FROM json_each(?1) AS asked CROSS JOIN _jobs AS j ${byId} ON j.id = asked.value
    WHERE j.status IN ('failed', 'cancelled') AND ${isMeant('j.status')} AND NOT EXISTS (
      SELECT 1 FROM _jobs AS k
      WHERE k.topic = j.topic AND k.unique_key = j.unique_key AND k.status IN ('pending', 'processing')))
  WHERE place = 1)
RETURNING ${answer}`;

/** failed, cancelled → pending, when the key is free; of those that share one, the first in the list. */
export const REQUEUE: MoveStatements = {
  one: requeue(jobColumns),
  several: requeue(briefly),
  unmoved: `
SELECT j.id, j.status, j.topic, j.attempt, (
  SELECT k.id FROM _jobs AS k WHERE k.topic = j.topic AND k.unique_key = j.unique_key AND j.status IN ('failed', 'cancelled')
    AND k.status IN ('pending', 'processing')) AS holder_id
FROM _jobs AS j ${byId} WHERE j.id IN ${asked}`,
};

const unmoved = `SELECT ${briefly} FROM _jobs ${byId} WHERE id IN ${asked}`;

const promote = (answer: string): string => `
UPDATE _jobs ${byId} SET run_at = min(run_at, ${now}), updated = ${now}
WHERE id IN ${asked} AND status = 'pending' AND ${isMeant('status')} RETURNING ${answer}`;

/** pending → pending, due now; a job that is due keeps its place. */
export const PROMOTE: MoveStatements = { one: promote(jobColumns), several: promote(briefly), unmoved };

const cancel = (answer: string): string => `
UPDATE _jobs ${byId} SET status = iif(status = 'pending', 'cancelled', status), finished = iif(status = 'pending', ${now}, NULL),
  cancel_requested = 1, updated = ${now}
WHERE id IN ${asked} AND status IN ('pending', 'processing') AND ${isMeant('status')} RETURNING ${answer}`;

/** pending → cancelled; processing is marked. */
export const CANCEL: MoveStatements = { one: cancel(jobColumns), several: cancel(briefly), unmoved };

const remove = `
DELETE FROM _jobs ${byId} WHERE id IN ${asked} AND status <> 'processing' AND ${isMeant('status')} RETURNING ${briefly}`;

/** any but processing → gone. */
export const DELETE: MoveStatements = { one: remove, several: remove, unmoved };
