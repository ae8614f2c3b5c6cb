/*
 * What the campaign keeps in the database beside `_jobs`: tables of the application's own, and a ledger that the database
 * itself keeps by a trigger, so that no code of the queue has a say in it.
 */
import { isOwed } from '../../../lib/store/jobs/job-row.js';
import { limitedTopics, VERSIONED } from '../protocol.js';

/* A finished job that a child begins to wait for is written, and has not moved. */
const columns =
  'job_id, topic, key, started, was, now, was_attempt, attempt, was_locked_until, locked_until, was_retries, retries, max_retries, run_at';

const rowOf = (was: boolean, now: boolean): string =>
  [
    ...['id', 'topic', 'concurrency_key', 'started'].map((column) => `${now ? 'NEW' : 'OLD'}.${column}`),
    was ? 'OLD.status' : 'NULL',
    now ? 'NEW.status' : 'NULL',
    was ? 'OLD.attempt' : 'NULL',
    now ? 'NEW.attempt' : 'NULL',
    was ? 'OLD.locked_until' : 'NULL',
    now ? 'NEW.locked_until' : 'NULL',
    was ? 'OLD.retries' : 'NULL',
    now ? 'NEW.retries' : 'NULL',
    now ? 'NEW.max_retries' : 'NULL',
    now ? 'NEW.run_at' : 'NULL',
  ].join(', ');

export const postgresTables = `
CREATE TABLE effects (id bigserial PRIMARY KEY, job_id text NOT NULL, attempt int NOT NULL, worker text NOT NULL);
CREATE TABLE orders (n text PRIMARY KEY, job_id text NOT NULL);
CREATE TABLE ledger (seq bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(), job_id uuid, topic text, key text,
  started timestamptz, was text, now text,
  was_attempt int, attempt int, was_locked_until timestamptz, locked_until timestamptz, was_retries int, retries int,
  max_retries int, run_at timestamptz);
CREATE FUNCTION keep_ledger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF TG_OP = 'INSERT' THEN INSERT INTO ledger (${columns}) VALUES (${rowOf(false, true)});
  ELSIF TG_OP = 'DELETE' THEN INSERT INTO ledger (${columns}) VALUES (${rowOf(true, false)});
  ELSIF NEW.finished IS NULL OR NEW.finished IS DISTINCT FROM OLD.finished THEN
    INSERT INTO ledger (${columns}) VALUES (${rowOf(true, true)});
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER ledger AFTER INSERT OR UPDATE OR DELETE ON _jobs FOR EACH ROW EXECUTE FUNCTION keep_ledger();
CREATE TABLE cursor_moves (seq bigserial PRIMARY KEY, name text NOT NULL, was bigint, now bigint);
CREATE FUNCTION keep_cursor() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO cursor_moves (name, was, now)
  VALUES (NEW.name, extract(epoch FROM OLD.next_tick) * 1000, extract(epoch FROM NEW.next_tick) * 1000);
  RETURN NULL;
END $$;
CREATE TRIGGER cursor_moves AFTER UPDATE OF next_tick ON _jobs_schedules FOR EACH ROW EXECUTE FUNCTION keep_cursor();`;

const sqliteTrigger = (event: string, was: boolean, now: boolean, condition = ''): string => `
CREATE TRIGGER ledger_${event} AFTER ${event} ON _jobs ${condition} BEGIN
  INSERT INTO ledger (${columns}) VALUES (${rowOf(was, now)});
END;`;

export const sqliteTables = `
CREATE TABLE effects (id integer PRIMARY KEY AUTOINCREMENT, job_id text NOT NULL, attempt int NOT NULL, worker text NOT NULL);
CREATE TABLE orders (n text PRIMARY KEY, job_id text NOT NULL);
CREATE TABLE noise (at text);
CREATE TABLE ledger (seq integer PRIMARY KEY AUTOINCREMENT, at text NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')),
  job_id text, topic text, key text, started text, was text, now text, was_attempt int, attempt int, was_locked_until text, locked_until text,
  was_retries int, retries int, max_retries int, run_at text);
${sqliteTrigger('insert', false, true)}${sqliteTrigger('update', true, true, 'WHEN NEW.finished IS NULL OR NEW.finished IS NOT OLD.finished')}${sqliteTrigger('delete', true, false)}
CREATE TABLE cursor_moves (seq integer PRIMARY KEY AUTOINCREMENT, name text NOT NULL, was int, now int);
CREATE TRIGGER cursor_moves AFTER UPDATE OF next_tick ON _jobs_schedules BEGIN
  INSERT INTO cursor_moves (name, was, now)
  VALUES (NEW.name, round(unixepoch(OLD.next_tick, 'subsec') * 1000), round(unixepoch(NEW.next_tick, 'subsec') * 1000));
END;`;

/** A time as milliseconds since 1970, fractions included. */
const postgresMs = (column: string): string => `(extract(epoch FROM ${column}) * 1000)::float8 AS ${column}`;
const sqliteMs = (column: string): string => `unixepoch(${column}, 'subsec') * 1000.0 AS ${column}`;

/** The ledger in its order. `seq` is given while the row of the job is locked, so that of one job it is the order of moves. */
export const selectLedger = (kind: 'postgres' | 'sqlite'): string => {
  const times = ['at', 'started', 'was_locked_until', 'locked_until', 'run_at'].map(
    kind === 'postgres' ? postgresMs : sqliteMs,
  );
  return `SELECT seq, job_id, topic, key, was, now, was_attempt, attempt, was_retries, retries, max_retries, ${times.join(', ')}
    FROM ledger ORDER BY seq`;
};

export const selectJobs = (kind: 'postgres' | 'sqlite'): string =>
  kind === 'postgres'
    ? `SELECT id, topic, status, attempt, retries, payload ->> 'n' AS n, payload ->> 'link' AS link,
        concat_ws(' ', payload ->> 'id', payload ->> 'attempt') AS failed,
        metadata -> '$schedule' ->> 'name' AS schedule, metadata -> '$schedule' ->> 'tick' AS tick FROM _jobs`
    : `SELECT id, topic, status, attempt, retries, payload ->> '$.n' AS n, payload ->> '$.link' AS link,
        payload ->> '$.id' || ' ' || (payload ->> '$.attempt') AS failed,
        metadata ->> '$."$schedule".name' AS schedule, metadata ->> '$."$schedule".tick' AS tick FROM _jobs`;

export const CURSOR_MOVES = 'SELECT name, was, now FROM cursor_moves ORDER BY seq';

export const selectSchedules = (kind: 'postgres' | 'sqlite'): string => {
  const times = ['created', 'next_tick', 'paused_since'].map(kind === 'postgres' ? postgresMs : sqliteMs);
  return `SELECT name, ${times.join(', ')} FROM _jobs_schedules WHERE name <> '${VERSIONED}'`;
};

/** How far the campaign sets cursors back. */
export const SET_BACK_MS = 3_000;

/** Sets back the cursors of schedules that are older than that and whose names end with the digit. */
export const setBackSchedules = (kind: 'postgres' | 'sqlite', digit: number): string =>
  kind === 'postgres'
    ? `UPDATE _jobs_schedules SET next_tick = next_tick - interval '${SET_BACK_MS} ms'
        WHERE name LIKE '%${digit}' AND created < now() - interval '10 s' RETURNING name`
    : `UPDATE _jobs_schedules SET next_tick = strftime('%Y-%m-%d %H:%M:%f', next_tick, '-${SET_BACK_MS / 1_000} seconds')
        WHERE name LIKE '%${digit}' AND created < datetime('now', '-10 seconds') RETURNING name`;

export const pauseSchedules = (kind: 'postgres' | 'sqlite'): string =>
  `UPDATE _jobs_schedules SET paused_since = ${kind === 'postgres' ? 'clock_timestamp()' : `strftime('%Y-%m-%d %H:%M:%f', 'now')`}
    RETURNING name`;

const limitedNames = Object.keys(limitedTopics)
  .map((topic) => `'${topic}'`)
  .join(', ');

/** What runs of the limited topics at this moment. */
export const RUNNING_BY_KEY = `
SELECT topic, coalesce(concurrency_key, '') AS key, count(*) AS running FROM _jobs
WHERE status = 'processing' AND topic IN (${limitedNames}) GROUP BY topic, concurrency_key`;

export const CLAIMS = `SELECT count(*) AS count FROM ledger WHERE was = 'pending' AND now = 'processing'`;

export const LIMITED_CLAIMS = `
SELECT count(*) AS count FROM ledger WHERE was = 'pending' AND now = 'processing' AND topic IN (${limitedNames})`;

export const EFFECTS = 'SELECT job_id, attempt, worker FROM effects ORDER BY id';
export const ORDERS = 'SELECT n, job_id FROM orders';

/** How many jobs are not finished, or owe a follow-up. Those of the future will be in a moment. */
export const UNFINISHED = `SELECT count(*) AS count FROM _jobs WHERE status IN ('pending', 'processing') OR (${isOwed()})`;
/** Failed jobs that somebody will put back. */
export const TO_BE_REQUEUED = `SELECT count(*) AS count FROM _jobs WHERE status = 'failed' AND topic = 'fragile'`;

/** What applies of the versions of the application, as text. */
export const selectApplied = (kind: 'postgres' | 'sqlite'): string => {
  const text = (column: string, as: string): string =>
    kind === 'postgres' ? `${column}::text AS ${as}` : `${column} AS ${as}`;
  const schedule = kind === 'postgres' ? `s.definition ->> 'pattern'` : `s.definition ->> '$.pattern'`;
  return `SELECT t.limit_total AS limits, ${text('t.retention', 'retention')}, ${text('t.dead_letters', 'dead_letters')},
    (SELECT ${schedule} FROM _jobs_schedules s WHERE s.name = '${VERSIONED}') AS schedule
    FROM _jobs_topics t WHERE t.topic = '${VERSIONED}'`;
};
