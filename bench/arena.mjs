import pg from 'pg';
import { Actor } from './actor.mjs';
import { finishedRowsSql } from './stages/finished-rows.mjs';

/** A measurement without progress for this long is given up. */
const STALLED_MS = 60_000;

/**
 * @typedef {import('./contenders/index.mjs').Contender} Contender
 * @typedef {import('./child/fill.mjs').FillInput & { kept?: number }} Filling
 * @typedef {(sql: string) => Promise<any[]>} Query
 * @typedef {(address: string, query: Query) => Promise<void>} Fill
 * @typedef {{ address: string, serverSeconds: () => Promise<number>, walBytes: () => Promise<number>, query: Query, close: () => Promise<void> }} Place
 * @typedef {object} Stage
 * @property {(key: string, fill: Fill, options: any) => Promise<Place>} place
 * @property {() => Promise<void>} forgetTemplates
 * @property {() => Promise<Record<string, unknown>>} facts
 * @property {() => Promise<void>} stop
 */

/** Where one measurement happens: a contender, a fresh database, and fresh processes. */
export class Arena {
  /** @type {Actor[]} */
  #actors = [];
  /** @type {pg.Client | undefined} */
  #holder;
  /** @type {Record<string, unknown>} */
  facts = {};

  /** @param {Contender} contender @param {Place} place @param {string | undefined} profiles */
  constructor(contender, place, profiles) {
    this.contender = contender;
    this.place = place;
    this.profiles = profiles;
  }

  /** @param {Contender} contender @param {Stage} stage @param {Filling} filling @param {string} [profiles] a folder */
  static async open(contender, stage, filling, profiles) {
    /** @type {Fill} */
    const fill = (address, query) => Arena.#fill(contender, address, filling, query);
    const key = JSON.stringify([contender.base, filling, contender.options.queue]);
    const place = await stage.place(key, fill, contender.options);
    return new Arena(contender, place, profiles);
  }

  /** A process with the contender's queue open. */
  async start() {
    const { contender, place, profiles } = this;
    const execArgv = profiles ? ['--cpu-prof', `--cpu-prof-dir=${profiles}`] : [];
    const actor = await Actor.start(contender, place.address, execArgv);
    this.#actors.push(actor);
    this.facts = await actor.ask('open');
    return actor;
  }

  /** Opens a session that holds a snapshot until it is released or the arena is closed. PostgreSQL only. */
  async holdSnapshot() {
    const client = new pg.Client({ connectionString: this.place.address });
    await client.connect();
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    await client.query('SELECT count(*) FROM pg_class');
    this.#holder = client;
  }

  async releaseSnapshot() {
    await this.#holder?.end();
    this.#holder = undefined;
  }

  /** Resolves when these processes together have started `count` jobs. @param {Actor[]} workers @param {number} count */
  untilSeen(workers, count) {
    return new Promise((resolve, reject) => {
      const seen = () => workers.reduce((all, worker) => all + worker.seen, 0);
      let last = 0;
      const watch = setInterval(() => {
        if (seen() > last) last = seen();
        else end(new Error(`stalled after ${last} of ${count} jobs`));
      }, STALLED_MS);
      const end = (/** @type {Error | undefined} */ error) => {
        clearInterval(watch);
        if (error) reject(error);
        else resolve(undefined);
      };
      const look = () => seen() >= count && end(undefined);
      workers.forEach((worker) => {
        worker.onSeen = look;
        worker.child.once('exit', () => end(new Error('a worker ended')));
      });
      look();
    });
  }

  /** Ends all processes, and takes the database away. */
  async close() {
    await Promise.all(this.#actors.map((actor) => actor.end(this.profiles !== undefined)));
    await this.releaseSnapshot();
    await this.place.close();
  }

  /** @param {Contender} contender @param {string} address @param {Filling} filling @param {Query} query */
  static async #fill(contender, address, { kept = 0, ...filling }, query) {
    const actor = await Actor.start(contender, address);
    try {
      await actor.ask('prepare');
      if (kept > 0) await query(finishedRowsSql(contender, kept));
      await actor.ask('open');
      await actor.ask('fill', filling);
      await actor.ask('close');
    } finally {
      await actor.end();
    }
  }
}
