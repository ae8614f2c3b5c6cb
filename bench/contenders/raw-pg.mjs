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

const INSERT = `
INSERT INTO _jobs (id, topic, payload, run_at)
SELECT gen_random_uuid(), $1, p, now() + $3 * interval '1 ms' FROM jsonb_array_elements($2::jsonb) p`;

const TOLD_INSERT = `WITH stored AS (${INSERT} RETURNING 1) SELECT pg_notify('raw', '') FROM (SELECT 1 FROM stored LIMIT 1) s`;

/** How often a worker looks that nobody tells of jobs. */
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
  const listener = listens ? await listenerOn(address, bell) : undefined;
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
      await pool.query({ name: 'complete', text: COMPLETE, values: [rows.map(({ id }) => id)] });
    }
  };

  const text = listens ? TOLD_INSERT : INSERT;
  /** @type {import('./index.mjs').Queue['enqueueMany']} */
  const insert = (payloads, { topic = 'work', delayMs = 0 } = {}) =>
    pool.query({ name: 'insert', text, values: [topic, JSON.stringify(payloads), delayMs] });
  const singles = new Singles(insert, loops);
  return {
    enqueue: (payload) => singles.add(payload),
    enqueueMany: insert,
    work: async (topics, run) => {
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

/** Jobs that come one by one: those that come in while all connections insert go together with the next statement. */
class Singles {
  /** @type {{ payload: unknown, resolve: (value?: unknown) => void, reject: (error: unknown) => void }[]} */
  #waiting = [];

  /** @param {(payloads: any[]) => Promise<unknown>} insert @param {number} connections */
  constructor(insert, connections) {
    this.insert = insert;
    this.free = connections;
  }

  /** @param {unknown} payload */
  add(payload) {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ payload, resolve, reject });
      if (this.free > 0) this.#send();
    });
  }

  #send() {
    const sent = this.#waiting.splice(0);
    this.free -= 1;
    this.insert(sent.map(({ payload }) => payload))
      .then(
        () => sent.forEach(({ resolve }) => resolve()),
        (error) => sent.forEach(({ reject }) => reject(error)),
      )
      .finally(() => {
        this.free += 1;
        if (this.#waiting.length > 0) this.#send();
      });
  }
}

/** Wakes whoever waits when it is rung, or after a while. */
class Bell {
  rings = 0;
  /** @type {Set<() => void>} */
  #waiting = new Set();

  /** @param {number} longestMs */
  constructor(longestMs) {
    this.longestMs = longestMs;
  }

  /** Resolves once it has been rung more often than that. @param {number} rings @returns {Promise<void>} */
  async rungSince(rings) {
    if (this.rings > rings) return;
    await new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve(undefined);
      };
      const timer = setTimeout(wake, this.longestMs);
      this.#waiting.add(wake);
    });
  }

  ring() {
    this.rings += 1;
    this.#waiting.forEach((wake) => wake());
  }
}

/** @param {string} address @param {Bell} bell */
async function listenerOn(address, bell) {
  const client = new pg.Client({ connectionString: address });
  await client.connect();
  client.on('notification', () => bell.ring());
  await client.query('LISTEN raw');
  return client;
}
