import pg from 'pg';

/** Logs errors only, and no error of a handler: a line for each job would change the figures. */
async function quiet() {
  const { Logger } = await import('graphile-worker');
  return new Logger(() => (level, message) => {
    if (level === 'error' && !message.startsWith('Failed task')) console.error(message);
  });
}

/** @type {(address: string, options: any) => Promise<void>} */
export async function prepare(address) {
  const { makeWorkerUtils } = await import('graphile-worker');
  const utils = await makeWorkerUtils({ connectionString: address, logger: await quiet() });
  await utils.migrate();
  await utils.release();
}

/**
 * graphile-worker keeps failed jobs until the application deletes them. `removeFailedMs` is the interval.
 *
 * @type {(address: string, options: any) => Promise<import('./index.mjs').Queue>}
 */
export async function open(address, { maxAttempts, removeFailedMs, ...options }) {
  const { makeWorkerUtils, run: runWorker } = await import('graphile-worker');
  const logger = await quiet();
  const utils = await makeWorkerUtils({ connectionString: address, logger });
  const pool = new pg.Pool({ connectionString: address, max: 1 });
  /** @type {any} */
  let runner;
  /** @type {NodeJS.Timeout | undefined} */
  let removing;

  /** @param {number | undefined} delayMs */
  const runAt = (delayMs) => (delayMs === undefined ? undefined : new Date(Date.now() + delayMs));
  /** @param {string[]} topics */
  const open = (topics) => [
    `FROM graphile_worker._private_jobs j JOIN graphile_worker._private_tasks t ON t.id = j.task_id
     WHERE t.identifier = ANY ($1)`,
    [topics],
  ];

  return {
    enqueue: (payload) => utils.addJob('work', payload),
    enqueueMany: (payloads, { topic = 'work', delayMs } = {}) =>
      utils.addJobs(payloads.map((payload) => ({ identifier: topic, payload, runAt: runAt(delayMs), maxAttempts }))),
    work: async (topics, run) => {
      const remove = () => utils.cleanup({ tasks: ['DELETE_PERMAFAILED_JOBS'] }).catch(console.error);
      if (removeFailedMs) removing = setInterval(remove, removeFailedMs);
      runner = await runWorker({
        preset: { worker: { connectionString: address, logger, ...options } },
        taskList: Object.fromEntries(topics.map((topic) => [topic, (/** @type {any} */ payload) => run(payload)])),
        noHandleSignals: true,
      });
    },
    isDrained: async (topics) => {
      const [from, values] = open(topics);
      const { rows } = await pool.query(`SELECT EXISTS (SELECT ${from} AND j.run_at <= now()) AS open`, [...values]);
      return !rows[0].open;
    },
    tally: async (topics) => {
      const [from, values] = open(topics);
      const { rows } = await pool.query(`SELECT count(*)::int AS jobs ${from}`, [...values]);
      return { finished: 0, unfinished: rows[0].jobs, repeated: 0 };
    },
    facts: async () => ({}),
    close: async () => {
      clearInterval(removing);
      await runner?.stop();
      await utils.release();
      await pool.end();
    },
  };
}
