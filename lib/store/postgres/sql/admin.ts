import { byIdOf, columnsOf } from './statement-parts.js';

/**
 * A verb by request, in two forms. For several jobs it skips rows that somebody has locked and answers them as `busy`:
 * it holds locks, so it must not wait for those of a settlement. For one job it waits.
 */
export interface MoveStatement {
  readonly several: string;
  readonly one: string;
}

/**
 * Of the jobs in $1 it moves those that stand in a status of $2, unless that is NULL. `l` is the row as locked, `j` as the
 * statement first saw it: whatever a CHECK reads is written from `l`, since PostgreSQL checks the row built from `j` before it
 * notices that somebody changed it meanwhile.
 */
function moveStatement(
  moved: string,
  { holder = 'NULL::uuid', row = columnsOf('j'), strength = 'NO KEY UPDATE' } = {},
): MoveStatement {
  const statement = (wait: string, columns: string): string => `
WITH l AS (SELECT * FROM _jobs WHERE id = ANY ($1::uuid[]) ORDER BY id FOR ${strength} ${wait}),
m AS (${moved} RETURNING ${columns})
SELECT m.*, r.id, m.id IS NOT NULL AS moved, coalesce(m.status, l.status) AS status, l.topic, l.attempt,
  l.id IS NULL AND EXISTS (SELECT FROM _jobs j WHERE j.id = r.id) AS busy, ${holder} AS holder_id
FROM unnest($1::uuid[]) WITH ORDINALITY AS r(id, ord)
LEFT JOIN m ON m.id = r.id LEFT JOIN l ON l.id = r.id
ORDER BY r.ord`;
  return { several: statement('SKIP LOCKED', 'j.id, j.status'), one: statement('', row) };
}

const holderOfKey = `
  SELECT k.id FROM _jobs k
  WHERE k.topic = l.topic AND k.unique_key = l.unique_key AND k.status IN ('pending', 'processing')`;

/** Its status may have changed since somebody meant it for what it was. */
const isMeant = '($2::text[] IS NULL OR l.status = ANY ($2::text[]))';

/** failed, cancelled → pending. A job whose key is taken stays; the answer names the holder. */
export const REQUEUE = moveStatement(
  `
  UPDATE _jobs j SET status = 'pending', retries = 0, cancel_requested = false, finished = NULL, result = NULL,
    progress = NULL, locked_until = NULL, locked_by = NULL, payload = coalesce($3::jsonb, l.payload),
    run_at = coalesce($4::timestamptz, statement_timestamp()), max_retries = coalesce($5::int, l.max_retries),
    updated = statement_timestamp()
  FROM l WHERE ${byIdOf('l')} AND ${isMeant} AND l.status IN ('failed', 'cancelled') AND NOT EXISTS (${holderOfKey})`,
  { holder: `CASE WHEN m.id IS NULL AND l.status IN ('failed', 'cancelled') THEN (${holderOfKey}) END` },
);

/** pending → pending, due now; a job that is due keeps its place. */
export const PROMOTE = moveStatement(`
  UPDATE _jobs j SET run_at = least(l.run_at, statement_timestamp()), updated = statement_timestamp()
  FROM l WHERE ${byIdOf('l')} AND ${isMeant} AND l.status = 'pending'`);

/** pending → cancelled; processing is marked. */
export const CANCEL = moveStatement(`
  UPDATE _jobs j SET cancel_requested = true, updated = statement_timestamp(),
    status = CASE WHEN l.status = 'pending' THEN 'cancelled' ELSE l.status END,
    finished = CASE WHEN l.status = 'pending' THEN statement_timestamp() END,
    locked_until = CASE WHEN l.status = 'processing' THEN l.locked_until END,
    locked_by = CASE WHEN l.status = 'processing' THEN l.locked_by END
  FROM l WHERE ${byIdOf('l')} AND ${isMeant} AND l.status IN ('pending', 'processing')`);

/** any but processing → gone. */
export const DELETE = moveStatement(
  `DELETE FROM _jobs j USING l WHERE ${byIdOf('l')} AND ${isMeant} AND l.status <> 'processing'`,
  { row: 'j.id, j.status', strength: 'UPDATE' },
);
