import pg from 'pg';
import { Sidequest } from 'sidequest';
import { acceptCalls } from './sidequest-calls.mjs';
import { handleWith, Other, Work } from './sidequest-job.mjs';

/**
 * @param {string} address
 * @param {any} options
 * @returns {any}
 */
function buildConfig(address, { pragmas, ...options }) {
  const isPostgres = address.startsWith('postgres:');
  const backend = isPostgres
    ? { driver: '@sidequest/postgres-backend', config: address }
    : {
        driver: '@sidequest/sqlite-backend',
        config: {
          connection: { filename: address },
          pool: { min: 1, max: 1, afterCreate: buildPragmaSetter(pragmas) },
        },
      };
  return { ...options, backend, logger: { level: 'error' }, dashboard: { enabled: false }, gracefulShutdown: false };
}

/** @param {string[]} pragmas */
const buildPragmaSetter = (pragmas) => (/** @type {any} */ connection, /** @type {any} */ done) => {
  pragmas.forEach((pragma) => connection.pragma(pragma));
  done();
};

/** @type {(address: string, options: any) => Promise<void>} */
export async function prepare(address, options) {
  await Sidequest.configure(buildConfig(address, options));
  await Sidequest.stop();
}

/** @type {(address: string, options: any) => Promise<import('./index.mjs').Queue>} */
export async function open(address, options) {
  const config = { ...buildConfig(address, options), skipMigration: true };
  await Sidequest.configure(config);
  const table = await tableAt(address);
  // By default a child process claims the jobs, and its threads run them.
  const runsElsewhere = config.fork !== false;

  return {
    enqueue: (payload) => Sidequest.build(Work).enqueue(payload),
    // Sidequest has no call for many jobs.
    enqueueMany: (payloads, { topic = 'work' } = {}) => {
      const type = topic === 'work' ? Work : Other;
      return Promise.all(payloads.map((payload) => Sidequest.build(type).enqueue(payload)));
    },
    work: async (_topics, run) => {
      if (runsElsewhere) await acceptCalls(run);
      else handleWith(run);
      await Sidequest.start(config);
    },
    ...table,
    runsElsewhere,
    close: async () => {
      await Sidequest.stop();
      await table.end();
    },
  };
}

const OPEN = `SELECT EXISTS (SELECT 1 FROM sidequest_jobs WHERE class = 'Work' AND state IN ('waiting', 'claimed', 'running')) AS open`;
const TALLY = `
SELECT count(CASE WHEN state = 'completed' THEN 1 END) AS finished, count(CASE WHEN state <> 'completed' THEN 1 END) AS unfinished,
  count(CASE WHEN attempt > 1 THEN 1 END) AS repeated FROM sidequest_jobs WHERE class = 'Work'`;

/** Reads the table of jobs on a separate connection. @param {string} address */
async function tableAt(address) {
  const { query, end } = await connect(address);
  return {
    isDrained: async () => !(await query(OPEN)).open,
    tally: async () => {
      const { finished, unfinished, repeated } = await query(TALLY);
      return { finished: Number(finished), unfinished: Number(unfinished), repeated: Number(repeated) };
    },
    facts: async () => ({}),
    end,
  };
}

/** @param {string} address @returns {Promise<{ query: (sql: string) => Promise<any>, end: () => Promise<void> }>} */
async function connect(address) {
  if (address.startsWith('postgres:')) {
    const pool = new pg.Pool({ connectionString: address, max: 1 });
    return { query: async (sql) => (await pool.query(sql)).rows[0], end: () => pool.end() };
  }
  const { default: Database } = await import('better-sqlite3');
  const database = new Database(address);
  return { query: async (sql) => database.prepare(sql).get(), end: async () => void database.close() };
}
