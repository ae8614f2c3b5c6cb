import { randomUUID } from 'node:crypto';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { openDataSource } from './ours-data-source.mjs';
import { tableOf } from './ours-table.mjs';
import { enqueueOurs } from './ours.mjs';
export { prepare } from './ours.mjs';

const NOW = `strftime('%Y-%m-%d %H:%M:%f', 'now')`;

export const CLAIM = `
UPDATE _jobs SET status = 'processing', attempt = attempt + 1, started = ${NOW}, updated = ${NOW}, locked_by = 'raw',
  locked_until = strftime('%Y-%m-%d %H:%M:%f', 'now', '30 seconds')
WHERE id IN (SELECT id FROM _jobs WHERE status = 'pending' AND topic = ? AND priority = 0 AND run_at <= ${NOW}
  ORDER BY run_at LIMIT ?)
RETURNING id, payload, watched`;

export const COMPLETE = `
UPDATE _jobs SET status = 'completed', finished = ${NOW}, updated = ${NOW}, locked_until = NULL, locked_by = NULL
WHERE id IN (SELECT value FROM json_each(?))`;

export const INSERT = 'INSERT INTO _jobs (id, topic, payload, run_at) VALUES (?, ?, ?, ?)';

/** The end of a member costs at least a write that the ends of others see, and a query that finds the last member. */
const END_MEMBERS =
  'DELETE FROM _jobs_links WHERE parent_id IN (SELECT value FROM json_each(?)) RETURNING child_id AS group_id';
const RELEASE_CALLBACK = `
UPDATE _jobs SET run_at = ${NOW}, updated = ${NOW} WHERE id IN (SELECT child_id FROM _jobs_links WHERE parent_id = @group)
  AND NOT EXISTS (SELECT 1 FROM _jobs_links WHERE child_id = @group AND outcome IS NULL)`;

/** @param {number} delayMs */
export function timeAfter(delayMs) {
  return new Date(Date.now() + delayMs).toISOString().replace('T', ' ').slice(0, -1);
}

/**
 * The limit: the driver alone, on the same table with the same rows kept. Claim a batch, run it, complete it; no fence,
 * no renewal, no retry, no answer for each job.
 *
 * @type {(address: string, options: any) => Promise<import('./index.mjs').Queue>}
 */
export async function open(address, { batch, synchronous }) {
  const database = new Database(address);
  database.pragma('journal_mode = WAL');
  database.pragma(`synchronous = ${synchronous}`);
  const app = await openDataSource(address);
  const claim = database.prepare(CLAIM);
  const complete = database.prepare(COMPLETE);
  const insert = database.prepare(INSERT);
  const endMembers = database.prepare(END_MEMBERS);
  const releaseCallback = database.prepare(RELEASE_CALLBACK);
  const completeMembers = database.transaction((/** @type {string} */ ids) => {
    complete.run(ids);
    const groups = new Set(endMembers.pluck().all(ids));
    for (const group of groups) releaseCallback.run({ group });
  });
  let isWorking = true;
  let working = Promise.resolve();

  /** @param {string} topic @param {(payload: any) => Promise<void>} run */
  const loop = async (topic, run) => {
    while (isWorking) {
      const rows = /** @type {{ id: string, payload: string, watched: 1 | null }[]} */ (claim.all(topic, batch));
      await Promise.all(rows.map(({ payload }) => run(JSON.parse(payload))));
      const ids = JSON.stringify(rows.map(({ id }) => id));
      if (rows.some(({ watched }) => watched)) completeMembers(ids);
      else if (rows.length > 0) complete.run(ids);
      await (rows.length > 0 ? nextTurn() : sleep(5));
    }
  };
  /** @type {(payload: any, where?: import('./index.mjs').Where) => unknown} */
  const insertOne = (payload, { topic = 'work', delayMs = 0 } = {}) =>
    insert.run(randomUUID(), topic, JSON.stringify(payload), timeAfter(delayMs));
  const insertMany = database.transaction((/** @type {any[]} */ payloads, where) => {
    payloads.forEach((payload) => insertOne(payload, where));
  });

  return {
    enqueue: async (payload) => insertOne(payload),
    enqueueFlow: (payloads, flow) => enqueueOurs(address, payloads, flow),
    enqueueMany: async (payloads, where) => insertMany(payloads, where),
    work: async ([topic], run) => {
      working = loop(topic, run);
    },
    ...tableOf(app, app),
    facts: async () => ({
      ...(await tableOf(app, app).facts()),
      synchronous: ['off', 'normal', 'full', 'extra'][Number(database.pragma('synchronous', { simple: true }))],
    }),
    close: async () => {
      isWorking = false;
      await working;
      database.close();
      await app.destroy();
    },
  };
}
