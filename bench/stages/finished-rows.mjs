/**
 * Rows of jobs that finished over the last day, as SQL for `_jobs`: no verb can enqueue them.
 *
 * @param {import('../contenders/index.mjs').Contender} contender
 * @param {number} count
 */
export function finishedRowsSql({ base }, count) {
  if (base === 'ours') {
    return `INSERT INTO _jobs (id, topic, payload, status, attempt, run_at, created, updated, started, finished)
      SELECT (lpad(to_hex((extract(epoch FROM t) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0') || '8'
          || lpad(to_hex(n), 15, '0'))::uuid, 'kept', '{"n":0}', 'completed', 1, t, t, t, t, t
      FROM (SELECT n, now() - interval '1 day' * (${count} - n) / ${count} AS t FROM generate_series(1, ${count}) n) rows`;
  }
  if (base === 'ours-sqlite') {
    return `INSERT INTO _jobs (id, topic, payload, status, attempt, run_at, created, updated, started, finished)
      WITH RECURSIVE rows(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM rows WHERE n < ${count}),
        times AS (SELECT n, strftime('%Y-%m-%d %H:%M:%f', 'now', -(86400.0 * (${count} - n) / ${count}) || ' seconds') AS t
          FROM rows)
      SELECT printf('%08x-%04x-7%03x-8%03x-%012x', n / 65536, n % 65536, n % 4096, n % 4096, n), 'kept', '{"n":0}',
        'completed', 1, t, t, t, t, t FROM times`;
  }
  throw new Error(`no contender but ours keeps finished rows in a table that can be filled, got '${base}'`);
}
