import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { openDataSource } from './ours-data-source.mjs';
import { tableOf } from './ours-table.mjs';
export { prepare } from './ours.mjs';

const CLAIM = `
UPDATE _jobs SET status = 'processing', attempt = attempt + 1, started = now(), updated = now(), locked_by = 'raw',
  locked_until = now() + interval '30 seconds'
WHERE id IN (SELECT id FROM _jobs WHERE status = 'pending' AND topic = $1 AND priority = 0 AND run_at <= now()
  ORDER BY run_at LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING id, attempt, payload`;

const COMPLETE = `
UPDATE _jobs SET status = 'completed', finished = now(), updated = now(), locked_until = NULL, locked_by = NULL
WHERE id = ANY ($1)`;

/**
 * The limit: the driver alone, on the same table with the same rows kept. Claim a batch, run it, complete it; no fence,
 * no renewal, no retry, no answer for each job. `loops` of them at once keep Node and the server busy.
 *
 * @type {(address: string, options: any) => Promise<import('./index.mjs').Queue>}
 */
export async function open(address, { batch, loops }) {
  const pool = new pg.Pool({ connectionString: address, max: loops });
  const app = await openDataSource(address);
  let isWorking = true;
  /** @type {Promise<void>[]} */
  let working = [];

  /** @param {string} topic @param {(payload: any) => Promise<void>} run */
  const loop = async (topic, run) => {
    while (isWorking) {
      const { rows } = await pool.query({ name: 'claim', text: CLAIM, values: [topic, batch] });
      if (rows.length === 0) {
        await sleep(5);
        continue;
      }
      await Promise.all(rows.map(({ payload }) => run(payload)));
      await pool.query({ name: 'complete', text: COMPLETE, values: [rows.map(({ id }) => id)] });
    }
  };

  const insert = 'INSERT INTO _jobs (id, topic, payload, run_at) SELECT ';
  return {
    enqueue: (payload, { topic = 'work', delayMs = 0 } = {}) =>
      pool.query({
        name: 'insert',
        text: `${insert} gen_random_uuid(), $1, $2, now() + $3 * interval '1 ms'`,
        values: [topic, JSON.stringify(payload), delayMs],
      }),
    enqueueMany: (payloads, { topic = 'work', delayMs = 0 } = {}) =>
      pool.query({
        name: 'insert many',
        text: `${insert} gen_random_uuid(), $1, p, now() + $3 * interval '1 ms' FROM jsonb_array_elements($2::jsonb) p`,
        values: [topic, JSON.stringify(payloads), delayMs],
      }),
    work: async (topics, run) => {
      working = Array.from({ length: loops }, (_, index) => loop(topics[index % topics.length], run));
    },
    ...tableOf(app, app),
    close: async () => {
      isWorking = false;
      await Promise.all(working);
      await pool.end();
      await app.destroy();
    },
  };
}
