import Database from 'better-sqlite3';
import { Client } from 'pg';

/** The unavoidable work of a queue without a queue: measures the speed of this machine. */
export interface BareRoundTrip {
  /** Runs one and returns its duration in milliseconds. */
  run(): Promise<number>;
  close(): Promise<void>;
}

/** Runs a committed insert, a notification to another connection, and a committed update there. */
export async function barePostgres(url: string): Promise<BareRoundTrip> {
  const sender = new Client({ connectionString: url });
  const listener = new Client({ connectionString: url });
  await Promise.all([sender.connect(), listener.connect()]);
  await sender.query('CREATE TABLE bare (id serial PRIMARY KEY, done boolean)');
  await listener.query('LISTEN bare');
  return {
    async run() {
      const sinceMs = performance.now();
      const notified = new Promise((resolve) => listener.once('notification', resolve));
      await sender.query('INSERT INTO bare (done) VALUES (false)');
      await sender.query('NOTIFY bare');
      await notified;
      await listener.query('UPDATE bare SET done = true WHERE id = (SELECT max(id) FROM bare)');
      return performance.now() - sinceMs;
    },
    close: async () => {
      await Promise.all([sender.end(), listener.end()]);
    },
  };
}

/** Runs two commits that reach the disk, like an enqueue and a claim. */
export function bareSqlite(path: string): BareRoundTrip {
  const database = new Database(path);
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = FULL');
  database.exec('CREATE TABLE bare (id integer PRIMARY KEY, done integer)');
  const insert = database.prepare('INSERT INTO bare (done) VALUES (0)');
  const update = database.prepare('UPDATE bare SET done = 1 WHERE id = (SELECT max(id) FROM bare)');
  return {
    async run() {
      const sinceMs = performance.now();
      insert.run();
      update.run();
      return performance.now() - sinceMs;
    },
    close: async () => void database.close(),
  };
}
