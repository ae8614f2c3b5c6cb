import { byIdOf, owned, ownedInPlace, tokens, unlessLocked, waitsAtMost, waitsBriefly } from './statement-parts.js';

const write = (changes: string, guard = owned): string => `
WITH free AS (SELECT j.id FROM ${tokens} JOIN _jobs j ON ${guard} ORDER BY o.id ${unlessLocked})
UPDATE _jobs j SET ${changes}
FROM free WHERE ${byIdOf('free')} RETURNING j.id, j.attempt, j.cancel_requested, j.ctid AS place`;

/** processing → processing. Answers the rows it renewed; those that a transaction holds locked are skipped. */
export const RENEW = write(`locked_until = statement_timestamp() + make_interval(secs => $2::float8 / 1000.0)`);

const asBegun = 'unbegun_attempt = NULL, started = statement_timestamp(), updated = statement_timestamp()';
/** A rescue may be on its way to a job whose lease has ended, and would fail it if it had begun. */
const isLive = 'j.locked_until > statement_timestamp()';

/**
 * The same, of attempts that begin now and whose leases live, where the claim left their rows: $1 ids, $2 attempts, $3 places.
 * Fails with a lock timeout when somebody holds one of the rows.
 */
export const BEGIN_IN_PLACE = `
UPDATE _jobs j SET ${asBegun}
FROM ROWS FROM (unnest($1::uuid[]), unnest($2::int[]), unnest($3::tid[])) AS o(id, attempt, place)
WHERE ${waitsBriefly} AND ${ownedInPlace} AND ${isLive} RETURNING j.id, j.attempt, j.cancel_requested, j.ctid AS place`;

/** The same, wherever their rows are by now; those that a transaction holds locked are skipped. */
export const BEGIN_ATTEMPTS = write(asBegun, `${owned} AND ${isLive}`);

/** Those that have not begun, but could, since their leases live. */
export const MAY_BEGIN = `SELECT j.id, j.attempt, j.cancel_requested FROM ${tokens} JOIN _jobs j ON ${owned} AND ${isLive}`;

/** Those claims that are still owned, though their rows were not written. */
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
