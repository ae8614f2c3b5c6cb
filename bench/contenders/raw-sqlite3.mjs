import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { openDataSource } from './ours-data-source.mjs';
import { tableOf } from './ours-table.mjs';
import { CLAIM, COMPLETE, INSERT, timeAfter } from './raw-sqlite.mjs';
export { prepare } from './ours.mjs';

const BUSY_TIMEOUT_MS = 5_000;

/**
 * The limit with the driver sqlite3: like `raw-sqlite`, one statement after the other.
 *
 * @type {(address: string, options: any) => Promise<import('./index.mjs').Queue>}
 */
export async function open(address, { batch, pollMs, synchronous }) {
  const { Database } = createRequire(new URL('../typeorm-0.3/package.json', import.meta.url))('sqlite3');
  const app = await openDataSource(address, 'sqlite3');
  const database = await new Promise((resolve, reject) => {
    const opened = new Database(address, (/** @type {unknown} */ error) => (error ? reject(error) : resolve(opened)));
  });
  database.configure('busyTimeout', BUSY_TIMEOUT_MS);
  const exec = promisify(database.exec.bind(database));
  await exec('PRAGMA journal_mode = WAL');
  await exec(`PRAGMA synchronous = ${synchronous}`);
  /** @param {string} sql @returns {(...values: unknown[]) => Promise<any[]>} */
  const prepare = (sql) => {
    const statement = database.prepare(sql);
    return promisify(statement.all.bind(statement));
  };
  const claim = prepare(CLAIM);
  const complete = prepare(COMPLETE);
  const insert = prepare(INSERT);
  let isWorking = true;
  let working = Promise.resolve();

  /** @param {string} topic @param {(payload: any) => Promise<void>} run */
  const loop = async (topic, run) => {
    while (isWorking) {
      const rows = await claim(topic, batch);
      await Promise.all(rows.map(({ payload }) => run(JSON.parse(payload))));
      if (rows.length > 0) await complete(JSON.stringify(rows.map(({ id }) => id)));
      await (rows.length > 0 ? nextTurn() : sleep(pollMs));
    }
  };
  /** @type {(payload: any, where?: import('./index.mjs').Where) => Promise<unknown>} */
  const enqueue = (payload, { topic = 'work', delayMs = 0 } = {}) =>
    insert(randomUUID(), topic, JSON.stringify(payload), timeAfter(delayMs));

  return {
    enqueue,
    enqueueMany: (payloads, where) => Promise.all(payloads.map((payload) => enqueue(payload, where))),
    work: async ([topic], run) => {
      working = loop(topic, run);
    },
    ...tableOf(app, app),
    close: async () => {
      isWorking = false;
      await working;
      await promisify(database.close.bind(database))();
      await app.destroy();
    },
  };
}
