import pg from 'pg';
import { Bell } from './bell.mjs';
import { openDataSource } from './ours-data-source.mjs';
import { tableOf } from './ours-table.mjs';
import { Singles } from './singles.mjs';
import { enqueueOurs } from './ours.mjs';
export { prepare } from './ours.mjs';

const CLAIM = `
UPDATE _jobs SET status = 'processing', attempt = attempt + 1, started = now(), updated = now(), locked_by = 'raw',
  locked_until = now() + interval '30 seconds'
WHERE id IN (SELECT id FROM _jobs WHERE status = 'pending' AND topic = $1 AND priority = 0 AND run_at <= now()
  ORDER BY run_at LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING id, attempt, payload, watched`;

const COMPLETE = `
UPDATE _jobs SET status = 'completed', finished = now(), updated = now(), locked_until = NULL, locked_by = NULL
WHERE id = ANY ($1)`;

/** The end of a member costs at least a write that the ends of others see, and a query under a lock that finds the last member. */
const END_MEMBERS = `
WITH ended AS (DELETE FROM _jobs_links WHERE parent_id = ANY ($1) RETURNING child_id) SELECT DISTINCT child_id AS group_id FROM ended`;
const LOCK_GROUP = 'SELECT FROM _jobs_groups WHERE id = $1 FOR NO KEY UPDATE';
const RELEASE_CALLBACK = `
UPDATE _jobs SET run_at = now(), updated = now() WHERE id IN (SELECT child_id FROM _jobs_links WHERE parent_id = $1)
  AND NOT EXISTS (SELECT FROM _jobs_links WHERE child_id = $1 AND outcome IS NULL)`;

const INSERT = `
INSERT INTO _jobs (id, topic, payload, run_at)
SELECT gen_random_uuid(), $1, p, now() + $3 * interval '1 ms' FROM jsonb_array_elements($2::jsonb) p`;

const TOLD_INSERT = `WITH stored AS (${INSERT} RETURNING 1) SELECT pg_notify('raw', '') FROM (SELECT 1 FROM stored LIMIT 1) s`;

/** The poll interval of a worker without notifications. */
const LOOK_MS = 5;

/**
 * The limit: the driver alone, on the same table with the same rows kept. Claim a batch, run it, complete it; no fence,
 * no renewal, no retry, no answer for each job. `loops` of them at once keep Node and the server busy. One that `listens` is
 * told of jobs by notifications, and looks no more often than once a second.
 *
 * @type {(address: string, options: any) => Promise<import('./index.mjs').Queue>}
 */
export async function open(address, { batch, loops, listens = false }) {
  const pool = new pg.Pool({ connectionString: address, max: loops });
  const app = await openDataSource(address);
  const bell = new Bell(listens ? 1_000 : LOOK_MS);
  /** @type {pg.Client | undefined} */
  let listener;
  let isWorking = true;
  /** @type {Promise<void>[]} */
  let working = [];

  /** @param {string} topic @param {(payload: any) => Promise<void>} run */
  const loop = async (topic, run) => {
    while (isWorking) {
      const { rings } = bell;
      const { rows } = await pool.query({ name: 'claim', text: CLAIM, values: [topic, batch] });
      if (rows.length === 0) {
        await bell.rungSince(rings);
        continue;
      }
      await Promise.all(rows.map(({ payload }) => run(payload)));
      const ids = rows.map(({ id }) => id);
      await (rows.some(({ watched }) => watched) ? completeMembers(ids) : complete(pool, ids));
    }
  };
  /** @param {pg.Pool | pg.PoolClient} where @param {string[]} ids */
  const complete = (where, ids) => where.query({ name: 'complete', text: COMPLETE, values: [ids] });
  /** All are members of one group. @param {string[]} ids */
  const completeMembers = async (ids) => {
    const client = await pool.connect();
    await client.query('BEGIN');
    await complete(client, ids);
    const { rows } = await client.query({ name: 'end', text: END_MEMBERS, values: [ids] });
    const group = rows.map(({ group_id }) => group_id);
    await client.query({ name: 'lock', text: LOCK_GROUP, values: group });
    await client.query({ name: 'release', text: RELEASE_CALLBACK, values: group });
    await client.query('COMMIT');
    client.release();
  };

  const text = listens ? TOLD_INSERT : INSERT;
  /** @type {import('./index.mjs').Queue['enqueueMany']} */
  const insert = async (payloads, { topic = 'work', delayMs = 0 } = {}) =>
    pool.query({ name: 'insert', text, values: [topic, JSON.stringify(payloads), delayMs] });
  const singles = new Singles(insert, loops);
  return {
    // Of a single job no measure says where.
    enqueue: (payload) => singles.add(payload),
    enqueueMany: insert,
    enqueueFlow: (payloads, flow) => enqueueOurs(address, payloads, flow),
    work: async (topics, run) => {
      if (listens) listener = await listenerOn(address, bell);
      working = Array.from({ length: loops }, (_, index) => loop(topics[index % topics.length], run));
    },
    ...tableOf(app, app),
    close: async () => {
      isWorking = false;
      bell.ring();
      await Promise.all(working);
      await listener?.end();
      await pool.end();
      await app.destroy();
    },
  };
}

/** @param {string} address @param {Bell} bell */
async function listenerOn(address, bell) {
  const client = new pg.Client({ connectionString: address });
  await client.connect();
  client.on('notification', () => bell.ring());
  await client.query('LISTEN raw');
  return client;
}
