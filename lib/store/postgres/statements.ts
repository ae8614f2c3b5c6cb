import { IDEMPOTENCY_MS } from '../job-store.js';
import { USUAL_CLAIM as usual } from '../row-mapper.js';
import { JOBS_CHANNEL } from './notification-statements.js';

/*
 * Every statement of the PostgreSQL store. Sets travel as one jsonb array in $1. `statement_timestamp()` is the clock:
 * `now()` stands still inside a transaction, and `clock_timestamp()` is volatile, so no index can serve it.
 */

/** A time as milliseconds since 1970: no client-side type parser has a say in it. */
export const ms = (column: string): string => `(extract(epoch FROM ${column}) * 1000)::float8`;

/** The same for times of which there are many at once: three times as quick, and exact until the year 2255. */
const msOfMany = (column: string): string => `(date_part('epoch', ${column}) * 1000)`;

/** A time as ISO 8601 text in UTC, for the entries of `errors`. */
const iso = (column: string): string => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

const columnsOf = (row: string): string => {
  const plain = ['id', 'topic', 'status', 'locked_by', 'attempt', 'retries', 'max_retries', 'priority', 'timeout_ms'];
  const others = ['last_error', 'unique_key', 'cancel_requested'].map((name) => `${row}.${name}`);
  const json = ['payload', 'errors', 'result', 'progress', 'metadata'].map((name) => `${row}.${name}::text AS ${name}`);
  const times = ['run_at', 'locked_until', 'started', 'finished', 'created', 'updated'];
  const moments = times.map((name) => `${ms(`${row}.${name}`)} AS ${name}`);
  return [...plain.map((name) => `${row}.${name}`), ...others, ...json, ...moments].join(', ');
};

export const jobColumns = columnsOf('_jobs');

export const finalStatuses = `('completed', 'failed', 'cancelled')`;

/** Appends a failure to the last 19: `j` is the row, the arguments are SQL for the new entry's message and stack. */
export const errorsWith = (message: string, stack: string): string => `
  CASE WHEN jsonb_array_length(coalesce(j.errors, '[]')) >= 20 THEN j.errors - 0 ELSE coalesce(j.errors, '[]') END
  || jsonb_build_object('attempt', j.attempt, 'started', ${iso('j.started')},
    'finished', ${iso('statement_timestamp()')}, 'message', ${message}, 'stack', ${stack}, 'worker', j.locked_by)`;

/** One process migrates at a time; the lock goes with the transaction. The number is this package's own. */
export const LOCK_MIGRATIONS = 'SELECT pg_advisory_xact_lock(7305808102)';

/** Which migrations have run, in the table TypeORM would make. */
export const CREATE_MIGRATIONS_TABLE = `CREATE TABLE IF NOT EXISTS _jobs_migrations (
  id serial NOT NULL PRIMARY KEY, timestamp bigint NOT NULL, name character varying NOT NULL)`;
export const LIST_MIGRATIONS = 'SELECT name FROM _jobs_migrations';
export const RECORD_MIGRATION = 'INSERT INTO _jobs_migrations (timestamp, name) VALUES ($1, $2)';

/** The schema in which the queue's own connections find the table, quoted where it must be. */
export const SCHEMA_OF_JOBS = `
SELECT quote_ident(n.nspname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = '_jobs'::regclass`;

/** Fails unless every column that this version needs is there. */
export const CHECK_TABLE = `SELECT ${jobColumns}, backoff, idempotency_key, body_hash FROM _jobs LIMIT 0`;

const insertInput = `jsonb_to_recordset($1::jsonb) AS n(ord int, id uuid, topic text, payload jsonb, run_at timestamptz,
  delay_ms float8, max_retries int, priority int, timeout_ms bigint, backoff jsonb, unique_key text, metadata jsonb,
  idempotency_key text, body_hash text)`;

const insertColumns = `id, topic, payload, run_at, max_retries, priority, timeout_ms, backoff, unique_key, metadata,
  idempotency_key, body_hash`;

/** When a job is due that names no time: `delayMs` is SQL. */
const fromNow = (delayMs = 'delay_ms'): string => `statement_timestamp() + make_interval(secs => ${delayMs} / 1000.0)`;

/** A JSON null comes out of a recordset as an SQL null, also where the column is jsonb. */
const insertValues = `id, topic, coalesce(payload, 'null'),
  coalesce(run_at, ${fromNow()}),
  max_retries, priority, timeout_ms, backoff, unique_key, metadata, idempotency_key, body_hash`;

/** $2, a hint for other processes, is sent with the commit; NULL is none. */
const hint = `CASE WHEN $2::text IS NOT NULL THEN pg_notify('${JOBS_CHANNEL}', $2) END`;

/**
 * Inserts jobs. Left out are jobs that are there already, from a first try whose answer was lost, and those of which a key is
 * taken. One row: when that was, how many went in, and which, as a JSON array, unless it is all of them. The hint is sent
 * when a job went in.
 */
export const INSERT_JOBS = `
WITH stored AS (
  INSERT INTO _jobs (${insertColumns})
  SELECT ${insertValues} FROM ${insertInput} ORDER BY topic, unique_key, idempotency_key, ord
  ON CONFLICT DO NOTHING RETURNING id)
SELECT ${ms('statement_timestamp()')} AS created, count(*),
  CASE WHEN count(*) < jsonb_array_length($1::jsonb) THEN array_to_json(array_agg(id))::text END AS ids,
  CASE WHEN count(*) > 0 THEN ${hint} END AS told
FROM stored`;

const plainColumns = 'id, topic, payload, run_at, max_retries, priority, timeout_ms, backoff, metadata';

/**
 * Inserts jobs without keys, all of them: it fails when one is there already, and then `INSERT_JOBS` is the one to ask. As
 * arrays, and without a look for conflicts, it takes two thirds of that one's time.
 */
export const INSERT_PLAIN_JOBS = `
WITH stored AS (
  INSERT INTO _jobs (${plainColumns})
  SELECT id, topic, payload, coalesce(run_at, ${fromNow()}), max_retries, priority, timeout_ms, backoff, metadata
  FROM ROWS FROM (unnest($1::uuid[]), unnest($3::text[]), jsonb_array_elements($4::jsonb), unnest($5::timestamptz[]),
      unnest($6::float8[]), unnest($7::int[]), unnest($8::int[]), unnest($9::bigint[]), unnest($10::jsonb[]),
      unnest($11::jsonb[]))
    AS n(id, topic, payload, run_at, delay_ms, max_retries, priority, timeout_ms, backoff, metadata))
SELECT ${ms('statement_timestamp()')} AS created, cardinality($1::uuid[]) AS count, ${hint} AS told`;

/** The same for one job, in seven tenths of the time: most requests store one. */
export const INSERT_PLAIN_JOB = `
INSERT INTO _jobs (${plainColumns})
VALUES ($1::uuid, $3::text, $4::jsonb, coalesce($5::timestamptz, ${fromNow('$6::float8')}), $7::int, $8::int, $9::bigint,
  $10::jsonb, $11::jsonb)
RETURNING ${ms('statement_timestamp()')} AS created, 1 AS count, ${hint} AS told`;

/** Whether a repeated request is still known by its key. */
const isKeyKept = `(j.created > statement_timestamp() - make_interval(secs => ${IDEMPOTENCY_MS / 1_000}))`;

/** The rows that stand for jobs that were left out: themselves, those of a first request, or unfinished ones of the same key. */
export const FIND_HOLDERS = `
SELECT n.id AS asked_id, x.id, x.deduplicated, x.replay_of, ${ms('x.run_at')} AS run_at, ${ms('x.created')} AS created
FROM jsonb_to_recordset($1::jsonb) AS n(id uuid, topic text, unique_key text, idempotency_key text)
CROSS JOIN LATERAL (
  SELECT j.id, j.run_at, j.created, false AS deduplicated, NULL AS replay_of FROM _jobs j WHERE j.id = n.id
  UNION ALL
  SELECT j.id, j.run_at, j.created, false, j.body_hash FROM _jobs j
  WHERE j.idempotency_key = n.idempotency_key AND ${isKeyKept}
  UNION ALL
  SELECT j.id, j.run_at, j.created, true, NULL FROM _jobs j
  WHERE j.topic = n.topic AND j.unique_key = n.unique_key AND j.status IN ('pending', 'processing')
  LIMIT 1) x`;

/** Frees the idempotency keys of jobs that are older than those are kept. */
export const RELEASE_KEYS = `
UPDATE _jobs j SET idempotency_key = NULL, body_hash = NULL
FROM jsonb_to_recordset($1::jsonb) AS n(idempotency_key text)
WHERE j.idempotency_key = n.idempotency_key AND NOT ${isKeyKept}`;

/** Whole jobs by id. */
export const FIND_JOBS = `SELECT ${jobColumns} FROM _jobs WHERE id = ANY($1::uuid[])`;

/**
 * pending → processing. One index range per lane, in the order of the lanes, so that the cost does not depend on what
 * else waits; by ctid, since a join on id would let the planner start from the wrong side. What is usual is sent as NULL:
 * that saves a twentieth of what a claim costs both sides.
 */
const claimWith = (json: (column: string) => string): string => `
UPDATE _jobs j SET status = 'processing', attempt = attempt + 1, locked_by = $3,
  locked_until = statement_timestamp() + make_interval(secs => $4::float8 / 1000.0),
  started = statement_timestamp(), updated = statement_timestamp()
WHERE j.ctid = ANY (ARRAY(
  SELECT c.tid
  FROM jsonb_to_recordset($1::jsonb) AS l(topic text, priority int, lower_bound timestamptz, lane_limit int)
  CROSS JOIN LATERAL (
    SELECT ctid AS tid FROM _jobs
    WHERE status = 'pending' AND topic = l.topic AND priority = l.priority
      AND run_at >= l.lower_bound AND run_at <= statement_timestamp()
    ORDER BY run_at LIMIT l.lane_limit FOR UPDATE SKIP LOCKED) c
  LIMIT $2::int))
RETURNING j.ctid AS place, j.id, j.topic, j.timeout_ms, ${['payload', 'backoff', 'metadata'].map(json).join(', ')},
  ${Object.entries(usual)
    .map(([column, value]) => `nullif(j.${column}, ${value}) AS ${column}`)
    .join(', ')},
  ${msOfMany('j.run_at')} AS run_at, CASE WHEN j.created <> j.run_at THEN ${msOfMany('j.created')} END AS created,
  ${msOfMany('(j.started - j.run_at)')} AS waited_ms`;

export const CLAIM = claimWith((column) => `j.${column}`);

/** The same, for a driver that would read JSON itself. */
export const CLAIM_AS_TEXT = claimWith((column) => `j.${column}::text AS ${column}`);

/** The first waiting job between two priorities, `from` and `to` being SQL. */
const firstBetween = (topic: string, from: string, to: string): string => `
  SELECT priority, run_at FROM _jobs
  WHERE status = 'pending' AND topic = ${topic} AND priority > ${from} AND priority < ${to}
  ORDER BY priority, run_at LIMIT 1`;

/** The last row of a look: its time, and how long the database took. What stands before it in a UNION ALL is done by then. */
const look = `${ms('statement_timestamp()')} AS at, ${ms('(clock_timestamp() - statement_timestamp())')} AS took_ms`;

/**
 * The first waiting job, due or not, of each priority in each gap, and of each lane from its lower bound on. A loose index
 * scan: from one priority to the next, so that the cost is that of the lanes, however many jobs wait in them.
 */
export const SURVEY = `
WITH RECURSIVE w AS (
  SELECT g.topic, g.before, f.priority, f.run_at
  FROM jsonb_to_recordset($1::jsonb) AS g(topic text, after int, before int)
  CROSS JOIN LATERAL (${firstBetween('g.topic', 'g.after', 'g.before')}) f
  UNION ALL
  SELECT w.topic, w.before, f.priority, f.run_at
  FROM w CROSS JOIN LATERAL (${firstBetween('w.topic', 'w.priority', 'w.before')}) f)
SELECT topic, priority, ${ms('(run_at - statement_timestamp())')} AS due_in_ms, NULL::float8 AS at, NULL::float8 AS took_ms FROM w
UNION ALL
SELECT l.topic, l.priority, ${ms('(f.run_at - statement_timestamp())')}, NULL, NULL
FROM jsonb_to_recordset($2::jsonb) AS l(topic text, priority int, lower_bound timestamptz)
CROSS JOIN LATERAL (
  SELECT run_at FROM _jobs
  WHERE status = 'pending' AND topic = l.topic AND priority = l.priority AND run_at >= l.lower_bound
  ORDER BY run_at LIMIT 1) f
UNION ALL
SELECT NULL, NULL, NULL, ${look}`;

/**
 * The row of a member of the set. Written like this it can only be looked up: with a plain `=` a plan that was made while the
 * table was empty, and is kept, may begin with the table and read all of it.
 */
const byIdOf = (member: string): string => `j.id = ANY (ARRAY[${member}.id])`;

export const tokens = `jsonb_to_recordset($1::jsonb) AS o(id uuid, attempt int)`;

/**
 * The guard of a worker's write. `coalesce` hides the status from the planner, which knows of no way to estimate or to index
 * that. With a plain `=` it takes the partial index of running rows (183 ms against 15 ms for 1,000 rows). With any
 * condition that it can estimate, statistics of a moment at which nothing ran make it believe that one row is running: in
 * a table of 5,000 rows it then begins with the table, and compares each of its rows with each of the input
 * (180 ms; test/conformance/set-plans.test.ts).
 */
export const owned = `${byIdOf('o')} AND j.attempt = o.attempt AND coalesce(j.status = 'processing', false)`;

/**
 * The same, where the claim left the row: to look there takes 3 µs less than to look for the id. The comparison of ids is
 * hidden as well, or the planner would look for the id in a small table.
 */
export const ownedInPlace = `j.ctid = o.place
  AND coalesce(j.id = o.id AND j.attempt = o.attempt AND j.status = 'processing', false)`;

/** processing → processing. Answers the rows it renewed; those that a transaction holds locked are skipped. */
export const RENEW = `
WITH free AS (SELECT j.id FROM ${tokens} JOIN _jobs j ON ${owned} ORDER BY o.id FOR UPDATE OF j SKIP LOCKED)
UPDATE _jobs j SET locked_until = statement_timestamp() + make_interval(secs => $2::float8 / 1000.0)
FROM free WHERE ${byIdOf('free')} RETURNING j.id, j.attempt, j.cancel_requested`;

/** Those claims that are still owned, for leases that were not renewed. */
export const STILL_OWNED = `SELECT j.id, j.attempt, j.cancel_requested FROM ${tokens} JOIN _jobs j ON ${owned}`;

/** Claimed jobs that somebody asked to cancel. */
export const CANCEL_REQUESTS = `
SELECT j.id, j.attempt FROM ${tokens} JOIN _jobs j ON ${owned} WHERE j.cancel_requested`;

/** Keeps progress values, fenced; answers the rows it reached. Rows that somebody has locked are skipped. */
export const RECORD_PROGRESS = `
WITH o AS MATERIALIZED (SELECT * FROM jsonb_to_recordset($1::jsonb) AS s(id uuid, attempt int, progress jsonb)),
free AS (SELECT o.* FROM o JOIN _jobs j ON ${owned} ORDER BY o.id FOR UPDATE OF j SKIP LOCKED)
UPDATE _jobs j SET progress = o.progress, updated = statement_timestamp()
FROM free o WHERE ${owned} RETURNING j.id, j.attempt`;

const leaseLost = `'lease of attempt ' || j.attempt || ' lost: worker ' || coalesce(j.locked_by, '?') || ' stopped renewing it'`;

/**
 * processing with an expired lease → pending, failed or cancelled. Rows locked by a completion in flight are skipped, and
 * so is what ended before $2.
 */
export const RESCUE = `
WITH expired AS (
  SELECT id FROM _jobs
  WHERE status = 'processing' AND locked_until >= $2::timestamptz AND locked_until < statement_timestamp()
  ORDER BY locked_until LIMIT $1::int FOR UPDATE SKIP LOCKED),
rescued AS (UPDATE _jobs j SET
  status = CASE WHEN j.cancel_requested THEN 'cancelled' WHEN j.retries >= j.max_retries THEN 'failed' ELSE 'pending' END,
  retries = j.retries + (NOT j.cancel_requested AND j.retries < j.max_retries)::int,
  run_at = CASE WHEN j.cancel_requested OR j.retries >= j.max_retries THEN j.run_at ELSE statement_timestamp() END,
  last_error = ${leaseLost}, errors = ${errorsWith(leaseLost, 'NULL::text')},
  locked_until = NULL, locked_by = NULL,
  finished = CASE WHEN j.cancel_requested OR j.retries >= j.max_retries THEN statement_timestamp() END,
  updated = statement_timestamp()
FROM expired WHERE ${byIdOf('expired')}
RETURNING j.id, j.topic, j.attempt, j.status, j.retries, j.last_error AS message)
SELECT *, NULL::float8 AS at, NULL::float8 AS took_ms FROM rescued
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, ${look}`;

/** One page of the table in the order of creation: deletes what is over its age, and says whether to go on. */
export const PRUNE = `
WITH page AS (
  SELECT id, status, finished, created FROM _jobs
  WHERE id > coalesce($1::uuid, '00000000-0000-0000-0000-000000000000') ORDER BY id LIMIT $2::int),
aged AS (
  SELECT p.id FROM page p JOIN jsonb_to_recordset($3::jsonb) AS a(status text, age_ms float8) ON a.status = p.status
  WHERE p.finished <= statement_timestamp() - make_interval(secs => a.age_ms / 1000.0)),
free AS (
  SELECT j.id FROM _jobs j JOIN aged ON aged.id = j.id
  WHERE j.status IN ${finalStatuses} AND (j.idempotency_key IS NULL OR NOT ${isKeyKept}) FOR UPDATE OF j SKIP LOCKED),
gone AS (DELETE FROM _jobs j USING free WHERE j.id = free.id RETURNING 1)
SELECT (SELECT count(*) FROM gone) AS removed,
  (SELECT max(id::text) FROM page
   HAVING count(*) = $2::int AND max(created) <= statement_timestamp() - make_interval(secs => $4::float8 / 1000.0)) AS next`;

/**
 * A verb by request, in two forms. For several jobs it skips rows that somebody has locked and answers them as `busy`:
 * it holds locks, so it must not wait for those of a settlement. For one job it waits.
 */
export interface MoveStatement {
  readonly several: string;
  readonly one: string;
}

/**
 * `l` is the row as locked, `j` as the statement first saw it: whatever a CHECK reads is written from `l`, since
 * PostgreSQL checks the row built from `j` before it notices that somebody changed it meanwhile.
 */
function moveStatement(moved: string, holder = 'NULL::uuid', row = columnsOf('j')): MoveStatement {
  const statement = (lock: string, columns: string): string => `
WITH l AS (SELECT * FROM _jobs WHERE id = ANY ($1::uuid[]) ORDER BY id FOR UPDATE ${lock}),
m AS (${moved} RETURNING ${columns})
SELECT m.*, r.id, m.id IS NOT NULL AS moved, coalesce(m.status, l.status) AS status, l.topic, l.attempt,
  l.id IS NULL AND j.id IS NOT NULL AS busy, ${holder} AS holder_id
FROM unnest($1::uuid[]) WITH ORDINALITY AS r(id, ord)
LEFT JOIN m ON m.id = r.id LEFT JOIN l ON l.id = r.id LEFT JOIN _jobs j ON l.id IS NULL AND j.id = r.id
ORDER BY r.ord`;
  return { several: statement('SKIP LOCKED', 'j.id, j.status'), one: statement('', row) };
}

const holderOfKey = `
  SELECT k.id FROM _jobs k
  WHERE k.topic = l.topic AND k.unique_key = l.unique_key AND k.status IN ('pending', 'processing')`;

/** failed, cancelled → pending. A job whose key is taken stays; the answer names the holder. */
export const REQUEUE = moveStatement(
  `
  UPDATE _jobs j SET status = 'pending', retries = 0, cancel_requested = false, finished = NULL, result = NULL,
    progress = NULL, locked_until = NULL, locked_by = NULL, payload = coalesce($2::jsonb, l.payload),
    run_at = coalesce($3::timestamptz, statement_timestamp()), max_retries = coalesce($4::int, l.max_retries),
    updated = statement_timestamp()
  FROM l WHERE j.id = l.id AND l.status IN ('failed', 'cancelled') AND NOT EXISTS (${holderOfKey})`,
  `CASE WHEN m.id IS NULL AND l.status IN ('failed', 'cancelled') THEN (${holderOfKey}) END`,
);

/** pending → cancelled; processing is marked. */
export const CANCEL = moveStatement(`
  UPDATE _jobs j SET cancel_requested = true, updated = statement_timestamp(),
    status = CASE WHEN l.status = 'pending' THEN 'cancelled' ELSE l.status END,
    finished = CASE WHEN l.status = 'pending' THEN statement_timestamp() END,
    locked_until = CASE WHEN l.status = 'processing' THEN l.locked_until END,
    locked_by = CASE WHEN l.status = 'processing' THEN l.locked_by END
  FROM l WHERE j.id = l.id AND l.status IN ('pending', 'processing')`);

/** any but processing → gone. */
export const DELETE = moveStatement(
  `DELETE FROM _jobs j USING l WHERE j.id = l.id AND l.status <> 'processing'`,
  'NULL::uuid',
  'j.id, j.status',
);
