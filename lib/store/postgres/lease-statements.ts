import { byIdOf, owned, tokens, unlessLocked, waitsAtMost } from './statement-parts.js';

/** processing → processing. Answers the rows it renewed; those that a transaction holds locked are skipped. */
export const RENEW = `
WITH free AS (SELECT j.id FROM ${tokens} JOIN _jobs j ON ${owned} ORDER BY o.id ${unlessLocked})
UPDATE _jobs j SET locked_until = statement_timestamp() + make_interval(secs => $2::float8 / 1000.0)
FROM free WHERE ${byIdOf('free')} RETURNING j.id, j.attempt, j.cancel_requested`;

/** Those claims that are still owned, for leases that were not renewed. */
export const STILL_OWNED = `SELECT j.id, j.attempt, j.cancel_requested FROM ${tokens} JOIN _jobs j ON ${owned}`;

/** Claimed jobs that somebody asked to cancel. */
export const CANCEL_REQUESTS = `
SELECT j.id, j.attempt FROM ${tokens} JOIN _jobs j ON ${owned} WHERE j.cancel_requested`;

const recordProgress = (free: string): string => `
WITH o AS MATERIALIZED (SELECT * FROM jsonb_to_recordset($1::jsonb) AS s(id uuid, attempt int, progress jsonb)),
free AS (SELECT o.* FROM o JOIN _jobs j ON ${free})
UPDATE _jobs j SET progress = o.progress, updated = statement_timestamp()
FROM free o WHERE ${owned} RETURNING j.id, j.attempt`;

/** Keeps progress values, fenced; answers the rows it reached. Rows that somebody has locked are skipped. */
export const RECORD_PROGRESS = recordProgress(`${owned} ORDER BY o.id ${unlessLocked}`);

/** The same, but it waits for those: for as long as a renewal takes on a busy machine, and then it fails with a lock timeout. */
export const RECORD_HELD_PROGRESS = recordProgress(
  `${owned} WHERE ${waitsAtMost(50)} ORDER BY o.id FOR NO KEY UPDATE OF j`,
);
