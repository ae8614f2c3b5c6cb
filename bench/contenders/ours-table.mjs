/**
 * What `_jobs` says, by SQL that both databases read, for every contender that works on it.
 *
 * @param {any} app the application's DataSource
 * @param {any} own the queue's
 * @param {boolean} [isRemoving] whether finished jobs are removed: then that is part of the work
 * @returns {Pick<import('./index.mjs').Queue, 'isDrained' | 'tally' | 'facts'>}
 */
export function tableOf(app, own, isRemoving = false) {
  const isPostgres = app.options.type === 'postgres';
  /** @param {string[]} topics */
  const list = (topics) => topics.map((topic) => `'${topic}'`).join(', ');
  const now = isPostgres ? 'statement_timestamp()' : `strftime('%Y-%m-%d %H:%M:%f', 'now')`;

  return {
    // Asked while the last jobs end, so it must not read the whole table: each part is as its index has it, those of all jobs
    // here with their one priority, and the newest leases come first, before what has left the index on PostgreSQL.
    isDrained: async (topics) => {
      const some = (/** @type {string} */ which) => `SELECT 1 FROM _jobs WHERE ${which} AND topic IN (${list(topics)})`;
      const unfinished = [
        `(${some(`status = 'processing'`)} ORDER BY locked_until DESC LIMIT 1) IS NOT NULL`,
        `EXISTS (${some(`status = 'pending' AND priority = 0 AND run_at <= ${now}`)})`,
        ...(isRemoving ? [`EXISTS (${some(`status <> 'processing' AND status = 'completed'`)})`] : []),
      ];
      const [row] = await app.query(`SELECT ${unfinished.join(' OR ')} AS open`);
      return !row.open;
    },
    tally: async (topics) => {
      const rows = await app.query(`SELECT status, sum(CASE WHEN attempt > 1 THEN 1 ELSE 0 END) AS repeated,
        count(*) AS jobs FROM _jobs WHERE topic IN (${list(topics)}) GROUP BY status`);
      const sum = (/** @type {(row: any) => unknown} */ of) =>
        rows.reduce((/** @type {number} */ all, /** @type {any} */ row) => all + Number(of(row)), 0);
      return {
        finished: sum((row) => (row.status === 'completed' ? row.jobs : 0)),
        unfinished: sum((row) => (row.status === 'completed' ? 0 : row.jobs)),
        repeated: sum((row) => row.repeated),
      };
    },
    facts: async () => {
      const sql = isPostgres
        ? `SELECT indexname AS name FROM pg_indexes WHERE tablename = '_jobs' ORDER BY 1`
        : `SELECT name FROM sqlite_master WHERE tbl_name = '_jobs' AND type = 'index' ORDER BY 1`;
      const indexes = (await app.query(sql)).map((/** @type {any} */ row) => row.name);
      return { indexes, ...(isPostgres ? await postgresFacts(own) : await sqliteFacts(own)) };
    },
  };
}

/** @param {any} own */
async function postgresFacts(own) {
  const [row] = await own.query(`SELECT current_setting('synchronous_commit') AS synchronous_commit`);
  return row;
}

/** @param {any} own */
async function sqliteFacts(own) {
  const [{ journal_mode: journal }] = await own.query('PRAGMA journal_mode');
  const [{ synchronous }] = await own.query('PRAGMA synchronous');
  return { journal_mode: journal, synchronous: ['off', 'normal', 'full', 'extra'][synchronous] };
}
