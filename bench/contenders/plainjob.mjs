const silent = { error: console.error, warn: console.error, info() {}, debug() {} };

/** @param {string} address */
async function connect(address) {
  const { default: Database } = await import('better-sqlite3');
  const { better, defineQueue } = await import('plainjob');
  const database = new Database(address);
  return { database, queue: defineQueue({ connection: better(database), logger: silent }) };
}

/** @type {(address: string, options: any) => Promise<void>} */
export async function prepare(address) {
  (await connect(address)).queue.close();
}

/** @type {(address: string, options: any) => Promise<import('./index.mjs').Queue>} */
export async function open(address, options) {
  const { defineWorker } = await import('plainjob');
  const { database, queue } = await connect(address);
  /** @type {import('plainjob').Worker[]} */
  let workers = [];
  /** @param {string[]} topics @param {string} condition */
  const count = (topics, condition) => {
    const marks = topics.map(() => '?').join(', ');
    const sql = `SELECT count(*) AS jobs FROM plainjob_jobs WHERE type IN (${marks}) AND ${condition}`;
    return /** @type {{ jobs: number }} */ (database.prepare(sql).get(...topics)).jobs;
  };

  return {
    enqueue: async (payload) => queue.add('work', payload),
    enqueueMany: async (payloads, { topic = 'work', delayMs } = {}) =>
      queue.addMany(topic, payloads, { delay: delayMs }),
    work: async (topics, run) => {
      workers = topics.map((topic) =>
        defineWorker(topic, ({ data }) => run(JSON.parse(data)), { queue, logger: silent, ...options }),
      );
      workers.forEach((worker) => void worker.start());
    },
    isDrained: async (topics) => count(topics, 'status < 2') === 0,
    tally: async (topics) => ({
      finished: count(topics, 'status = 2'),
      unfinished: count(topics, 'status <> 2'),
      repeated: 0,
    }),
    facts: async () => ({
      journal_mode: database.pragma('journal_mode', { simple: true }),
      synchronous: ['off', 'normal', 'full', 'extra'][Number(database.pragma('synchronous', { simple: true }))],
    }),
    close: async () => {
      await Promise.all(workers.map((worker) => worker.stop()));
      queue.close();
    },
  };
}
