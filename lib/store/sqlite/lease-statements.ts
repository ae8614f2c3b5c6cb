import { byId, fromNow, now, owned, ownedTokens } from './statement-parts.js';

/** processing → processing. */
export const RENEW = `
UPDATE _jobs ${byId} SET locked_until = ${fromNow('?2')} WHERE ${ownedTokens}
RETURNING id, attempt, cancel_requested`;

/** Claimed jobs that somebody asked to cancel. */
export const CANCEL_REQUESTS = `
SELECT id, attempt FROM _jobs ${byId} WHERE ${ownedTokens} AND cancel_requested`;

/** Keeps progress values, fenced; answers the rows it reached. */
export const RECORD_PROGRESS = `
WITH o AS MATERIALIZED (
  SELECT value ->> 'id' AS id, value ->> 'attempt' AS attempt, nullif(value -> 'progress', 'null') AS progress
  FROM json_each(?1))
UPDATE _jobs AS j SET progress = o.progress, updated = ${now} FROM o WHERE ${owned} RETURNING id, attempt`;
