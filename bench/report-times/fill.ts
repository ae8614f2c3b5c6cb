import type { DataSource } from 'typeorm';

/** What the table holds: a day's jobs of fifty topics in every status, and one topic that is rare. */
export const TOPICS = 50;
export const RARE_TOPIC = 'topic_rare';
/** One job of so many is of the rare topic. */
const RARE_EVERY = 20_000;
const DAY_MS = 86_400_000;

/** The numbers of finished and waiting jobs. */
export interface TableSize {
  readonly finished: number;
  readonly waiting: number;
}

/** Columns of the n-th of all jobs, as SQL that PostgreSQL and SQLite both read. `n` counts from 0, oldest first. */
function columnsOf(
  { finished, waiting }: TableSize,
  endMs: number,
): Record<'ms' | 'topic' | 'status' | 'error' | 'isRetrying', string> {
  const rows = finished + waiting;
  const step = DAY_MS / rows;
  const waitingShare = Math.round((1_000 * waiting) / rows);
  return {
    ms: `CAST(floor(${endMs - DAY_MS} + n * ${step}) AS bigint)`,
    topic: `CASE WHEN n % ${RARE_EVERY} = 7 THEN '${RARE_TOPIC}' ELSE 'topic_' || (n * 7919 % ${TOPICS - 1}) END`,
    // Of 90 finished jobs, 80 completed, 6 failed and 4 were cancelled. Some of the newest jobs run.
    status: `CASE WHEN n >= ${rows - 100} AND n % 2 = 0 THEN 'processing' WHEN n * 31 % 1000 < ${waitingShare} THEN 'pending'
      WHEN n * 31 % 90 < 80 THEN 'completed' WHEN n * 31 % 90 < 86 THEN 'failed' ELSE 'cancelled' END`,
    error: `'order ' || n || ': connect ECONNREFUSED 10.0.0.' || (n / 100 * 13 % 40) || ':25 while the message was on its way to the recipient'`,
    isRetrying: `status = 'pending' AND n % 7 = 0`,
  };
}

const finishedStatuses = `('completed', 'failed', 'cancelled')`;
const payload = `'{"to":"somebody@example.org","subject":"What happened while you were away","template":"digest","unread":17}'`;
const histogram = `'{"20":40,"24":12,"31":3,"40":1}'`;

/** Fills the table with so many jobs, and the rolled-up minutes of their day as two processes would have left them. */
export async function fill(app: DataSource, size: TableSize, endMs: number): Promise<void> {
  await (app.options.type === 'postgres' ? fillPostgres(app, size, endMs) : fillSqlite(app, size, endMs));
}

async function fillPostgres(app: DataSource, size: TableSize, endMs: number): Promise<void> {
  const { ms, topic, status, error, isRetrying } = columnsOf(size, endMs);
  await app.query(`
    INSERT INTO _jobs (id, topic, payload, status, attempt, created, updated, run_at, started, finished, locked_until,
      locked_by, last_error, retries)
    SELECT (lpad(to_hex(ms), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0') || '8' || lpad(to_hex(n * 7919 % 268435456), 15, '0'))::uuid,
      topic, ${payload}::jsonb, status, CASE WHEN status = 'pending' THEN 0 ELSE 1 END, t, t,
      CASE WHEN status = 'pending' AND n % 3 = 0 THEN t + interval '2 days' ELSE t END,
      CASE WHEN status <> 'pending' THEN t + interval '20 milliseconds' END,
      CASE WHEN status IN ${finishedStatuses} THEN t + (20 + n % 900) * interval '1 millisecond' END,
      CASE WHEN status = 'processing' THEN t + interval '1 day' END,
      CASE WHEN status = 'processing' THEN 'worker' END,
      CASE WHEN status = 'failed' OR ${isRetrying} THEN ${error} END, CASE WHEN ${isRetrying} THEN 1 ELSE 0 END
    FROM (SELECT n, ${ms} AS ms, to_timestamp(${ms} / 1000.0) AS t, ${topic} AS topic, ${status} AS status
          FROM generate_series(0::bigint, ${size.finished + size.waiting - 1}) AS n) AS jobs ORDER BY n`);
  await app.query(`
    INSERT INTO _jobs_rollup
    SELECT date_trunc('minute', to_timestamp(${endMs} / 1000.0)) - m * interval '1 minute', topic, 'worker_' || w,
      56, 4, 6, 60, 25000, 900, ${histogram}::jsonb
    FROM generate_series(0, 1439) AS m, generate_series(1, 2) AS w,
      (SELECT '' AS topic UNION ALL SELECT 'topic_' || t FROM generate_series(0, ${TOPICS - 2}) AS t) AS topics`);
  await app.query('VACUUM (ANALYZE) _jobs');
  await app.query('VACUUM (ANALYZE) _jobs_rollup');
  // What is left to write of all this is written now, and not beside what is measured.
  await app.query('CHECKPOINT');
}

async function fillSqlite(app: DataSource, size: TableSize, endMs: number): Promise<void> {
  const { ms, topic, status, error, isRetrying } = columnsOf(size, endMs);
  const series = (name: string, last: number): string =>
    `${name}s(${name}) AS (SELECT 0 UNION ALL SELECT ${name} + 1 FROM ${name}s WHERE ${name} < ${last})`;
  const time = (sql: string): string => `strftime('%Y-%m-%d %H:%M:%f', (${sql}) / 1000.0, 'unixepoch')`;
  await app.query('PRAGMA synchronous = OFF');
  await app.query(`
    INSERT INTO _jobs (id, topic, payload, status, attempt, created, updated, run_at, started, finished, locked_until,
      locked_by, last_error, retries)
    WITH ${series('n', size.finished + size.waiting - 1)}
    SELECT printf('%s-%s-7%03x-8%03x-%012x', substr(printf('%012x', ms), 1, 8), substr(printf('%012x', ms), 9), n % 4096,
        n % 4093 % 4096, n * 7919 % 268435456),
      topic, ${payload}, status, CASE WHEN status = 'pending' THEN 0 ELSE 1 END, ${time('ms')}, ${time('ms')},
      CASE WHEN status = 'pending' AND n % 3 = 0 THEN ${time('ms + 172800000')} ELSE ${time('ms')} END,
      CASE WHEN status <> 'pending' THEN ${time('ms + 20')} END,
      CASE WHEN status IN ${finishedStatuses} THEN ${time('ms + 20 + n % 900')} END,
      CASE WHEN status = 'processing' THEN ${time('ms + 86400000')} END,
      CASE WHEN status = 'processing' THEN 'worker' END,
      CASE WHEN status = 'failed' OR ${isRetrying} THEN ${error} END, CASE WHEN ${isRetrying} THEN 1 ELSE 0 END
    FROM (SELECT n, ${ms} AS ms, ${topic} AS topic, ${status} AS status FROM ns)`);
  await app.query(`
    INSERT INTO _jobs_rollup
    WITH ${series('m', 1_439)}, ${series('w', 1)}, ${series('t', TOPICS - 2)}
    SELECT strftime('%Y-%m-%d %H:%M:00.000', ${endMs} / 1000, 'unixepoch', '-' || m || ' minutes'), topic, 'worker_' || w,
      56, 4, 6, 60, 25000, 900, ${histogram}
    FROM ms, ws, (SELECT '' AS topic UNION ALL SELECT 'topic_' || t FROM ts)`);
}
