import { byId, fromNow, now, owned, ownedTokens } from './statement-parts.js';

const write = (changes: string, guard = ownedTokens): string => `
UPDATE _jobs ${byId} SET ${changes} WHERE ${guard}
RETURNING id, attempt, cancel_requested`;

/** processing → processing. */
export const RENEW = write(`locked_until = ${fromNow('?2')}`);

/**
 * The same, of attempts that begin now and whose leases live: a rescue may be on its way to others, and would fail them if they
 * had begun.
 */
export const BEGIN_ATTEMPTS = write(
  `unbegun_attempt = NULL, started = ${now}, updated = ${now}`,
  `${ownedTokens} AND locked_until > ${now}`,
);

/** Claimed jobs that somebody asked to cancel. */
export const CANCEL_REQUESTS = `
SELECT id, attempt FROM _jobs ${byId} WHERE ${ownedTokens} AND cancel_requested`;

/** Keeps progress values, fenced; answers the rows it reached. */
export const RECORD_PROGRESS = `
WITH o AS MATERIALIZED (
  SELECT value ->> 'id' AS id, value ->> 'attempt' AS attempt, nullif(value -> 'progress', 'null') AS progress
  FROM json_each(?1))
UPDATE _jobs AS j SET progress = o.progress, updated = ${now} FROM o WHERE ${owned} RETURNING id, attempt`;
