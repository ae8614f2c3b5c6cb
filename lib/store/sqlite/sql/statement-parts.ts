import { IDEMPOTENCY_MS } from '../../job-store.js';

/*
 * Parts of statements. Sets travel as one JSON array in ?1. Times are text of one fixed width, so that text order is time order;
 * 'now' stands still within one statement.
 */

const form = `'%Y-%m-%d %H:%M:%f'`;

export const now = `strftime(${form}, 'now')`;

/** `sql` milliseconds from now; negative ones lie in the past. */
export const fromNow = (sql: string): string => `strftime(${form}, 'now', printf('%+.3f seconds', (${sql}) / 1000.0))`;

/** A time as milliseconds since 1970. */
export const ms = (column: string): string => `CAST(round(unixepoch(${column}, 'subsec') * 1000) AS INTEGER)`;

const iso = (column: string): string => `replace(${column}, ' ', 'T') || 'Z'`;

/**
 * For the table in statements about jobs by their id. After an ANALYZE of a small table SQLite would read all of it for each
 * such statement, however large it has become since: 60 ms instead of 5 for a thousand of 200,000 rows.
 */
export const byId = 'INDEXED BY sqlite_autoindex__jobs_1';

export const jobColumns = `id, topic, payload, status, ${ms('run_at')} AS run_at, ${ms('locked_until')} AS locked_until,
  locked_by, attempt, retries, max_retries, priority, timeout_ms, last_error, errors, result, progress, unique_key,
  metadata, cancel_requested, ${ms('started')} AS started, ${ms('finished')} AS finished, ${ms('created')} AS created,
  ${ms('updated')} AS updated`;

/** Idempotency keys of older jobs are not known any more. */
export const keptSince = fromNow(`-${IDEMPOTENCY_MS}`);

/** Appends a failure to the last 19 of row `j`: the arguments are SQL for the new entry's message and stack. */
export const errorsWith = (message: string, stack: string, started = 'j.started'): string => `json_insert(
  CASE WHEN json_array_length(coalesce(j.errors, '[]')) >= 20 THEN json_remove(j.errors, '$[0]') ELSE coalesce(j.errors, '[]') END,
  '$[#]', json_object('attempt', j.attempt, 'started', ${iso(started)}, 'finished', ${iso(now)},
    'message', ${message}, 'stack', ${stack}, 'worker', j.locked_by))`;

/** The last row of a scan. SQLite removes changed entries from its indexes at once, so a scan does not slow down. */
export const scanTiming = `${ms(now)} AS at, 0 AS took_ms`;

/** What a worker claimed, as pairs of id and attempt. */
export const tokens = `(SELECT value ->> 'id' AS id, value ->> 'attempt' AS attempt FROM json_each(?1))`;

/** Jobs that a worker still owns. */
export const ownedTokens = `(id, attempt) IN ${tokens} AND +status = 'processing'`;

/** The guard of a worker's write; + keeps the planner from the index of processing rows, which an update would move. */
export const owned = `j.id = o.id AND j.attempt = o.attempt AND +j.status = 'processing'`;
