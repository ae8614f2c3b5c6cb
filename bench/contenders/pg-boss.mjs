import pg from 'pg';

/** @param {string} address @param {any} options */
async function start(address, options) {
  const { PgBoss } = await import('pg-boss');
  const boss = new PgBoss({ connectionString: address, useListenNotify: options.useListenNotify, ...options.boss });
  boss.on('error', (error) => console.error(error));
  await boss.start();
  return boss;
}

/** @type {(address: string, options: any) => Promise<void>} */
export async function prepare(address, options) {
  const boss = await start(address, options);
  await boss.createQueue('work', options.queue);
  await boss.stop({ graceful: false });
}

/** @type {(address: string, options: any) => Promise<import('./index.mjs').Queue>} */
export async function open(address, options) {
  const boss = await start(address, options);
  const pool = new pg.Pool({ connectionString: address, max: 1 });
  const known = new Set(['work']);

  /** @param {string} topic */
  const ensure = async (topic) => {
    if (!known.has(topic)) await boss.createQueue(topic, options.queue);
    known.add(topic);
  };
  /** @param {number | undefined} delayMs */
  const startAfter = (delayMs) => (delayMs === undefined ? undefined : Math.ceil(delayMs / 1_000));

  return {
    enqueue: async (payload) => {
      await ensure('work');
      return boss.send('work', payload);
    },
    enqueueMany: async (payloads, { topic = 'work', delayMs, keys } = {}) => {
      await ensure(topic);
      return boss.insert(
        topic,
        payloads.map((data) => ({
          data,
          startAfter: startAfter(delayMs),
          ...(keys ? { group: { id: `tenant ${data.n % keys}` } } : {}),
        })),
      );
    },
    work: async (topics, run) => {
      for (const topic of topics) {
        await ensure(topic);
        await boss.work(topic, options.work ?? {}, (/** @type {{ id: string, data: any }[]} */ jobs) =>
          Promise.all(
            jobs.map(({ id, data }) =>
              run(data).then(
                () => ({ id, status: 'completed' }),
                (error) => {
                  // Otherwise one failure fails all jobs of the call.
                  if (options.work?.perJobResults) return { id, status: 'failed', output: { message: error.message } };
                  throw error;
                },
              ),
            ),
          ),
        );
      }
    },
    isDrained: async (topics) => {
      const { rows } = await pool.query(
        `SELECT EXISTS (SELECT FROM pgboss.job WHERE name = ANY ($1) AND state < 'completed' AND start_after <= now())
         AS open`,
        [topics],
      );
      return !rows[0].open;
    },
    tally: async (topics) => {
      const { rows } = await pool.query(
        `SELECT count(*) FILTER (WHERE state = 'completed')::int AS finished,
           count(*) FILTER (WHERE state <> 'completed')::int AS unfinished,
           count(*) FILTER (WHERE retry_count > 0)::int AS repeated FROM pgboss.job WHERE name = ANY ($1)`,
        [topics],
      );
      return rows[0];
    },
    facts: async () => ({}),
    close: async () => {
      await boss.stop({ graceful: false });
      await pool.end();
    },
  };
}
