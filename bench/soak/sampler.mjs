import { statSync } from 'node:fs';
import { nowMs } from '../child/clock.mjs';

/**
 * One sample. Counts are since the start, rates since the last sample. A quantity that the database does not have is absent.
 *
 * @typedef {object} Sample
 * @property {number} seconds since the first enqueue
 * @property {boolean} isHeld whether another session holds a snapshot
 * @property {number} stored jobs
 * @property {number} ended jobs that completed, or failed for good
 * @property {number} rejected
 * @property {number} waiting jobs that are stored and have not ended
 * @property {number} rate jobs that ended, a second
 * @property {number} [p50Ms] from the call that enqueues to the handler
 * @property {number} [p99Ms]
 * @property {number} [tableMb] with the values stored beside the rows
 * @property {number} [indexMb]
 * @property {number} [deadRows]
 * @property {number} [liveRows]
 * @property {number} [vacuums]
 * @property {number} [walMbPerSecond]
 * @property {number} [serverCores]
 * @property {number} [fileMb]
 * @property {number} [walFileMb]
 * @property {number} [freePages]
 * @property {number} workerMb resident
 * @property {number} workerHeapMb
 * @property {number} workerCores
 * @property {number} producerMb
 * @property {number} producerHeapMb
 * @property {number} producerCores
 * @property {Record<string, number[]>} [tables] MB of the table, MB of its indexes, live rows, dead rows
 * @property {Record<string, number>} [indexes] MB of each index of more than 1 MB
 */

const MB = 2 ** 20;

const TABLES = `SELECT relname AS name, pg_table_size(relid)::float8 AS table_bytes, pg_indexes_size(relid)::float8 AS index_bytes,
  n_live_tup::float8 AS live, n_dead_tup::float8 AS dead, autovacuum_count::int AS vacuums
  FROM pg_stat_user_tables WHERE pg_table_size(relid) IS NOT NULL ORDER BY 2 DESC`;

const INDEXES = `SELECT indexrelname AS name, pg_relation_size(indexrelid)::float8 AS bytes FROM pg_stat_user_indexes
  WHERE pg_relation_size(indexrelid) > 1e6 ORDER BY 2 DESC`;

/** Takes samples of one contender. Its database has no other tables. */
export class Sampler {
  #startMs = nowMs();
  /** @type {{ atMs: number, ended: number, wal: number, server: number, worker: number, producer: number } | undefined} */
  #last;

  /** @param {import('../arena.mjs').Arena} arena @param {import('../actor.mjs').Actor} worker @param {import('../actor.mjs').Actor} producer */
  constructor(arena, worker, producer) {
    this.arena = arena;
    this.worker = worker;
    this.producer = producer;
  }

  /** @param {boolean} isHeld @returns {Promise<Sample>} */
  async sample(isHeld) {
    const { place, contender } = this.arena;
    const [worker, producer] = await Promise.all([this.worker.ask('soakSample'), this.producer.ask('soakSample')]);
    const now = {
      atMs: nowMs(),
      ended: worker.ended,
      wal: await place.walBytes(),
      server: await place.serverSeconds(),
      worker: (worker.cpu.user + worker.cpu.system) / 1e6,
      producer: (producer.cpu.user + producer.cpu.system) / 1e6,
    };
    const last = this.#last ?? { ...now, atMs: this.#startMs, ended: 0 };
    this.#last = now;
    const seconds = (now.atMs - last.atMs) / 1_000;
    const isPostgres = contender.engine === 'postgres';
    return {
      seconds: Math.round((now.atMs - this.#startMs) / 1_000),
      isHeld,
      stored: producer.stored,
      ended: worker.ended,
      rejected: producer.rejected,
      waiting: producer.stored - worker.ended,
      rate: (now.ended - last.ended) / seconds,
      p50Ms: worker.p50Ms,
      p99Ms: worker.p99Ms,
      ...(isPostgres ? await this.#postgres() : await this.#sqlite()),
      walMbPerSecond: isPostgres ? (now.wal - last.wal) / MB / seconds : undefined,
      serverCores: isPostgres ? (now.server - last.server) / seconds : undefined,
      workerMb: worker.rss / MB,
      workerHeapMb: worker.heapUsed / MB,
      workerCores: (now.worker - last.worker) / seconds,
      producerMb: producer.rss / MB,
      producerHeapMb: producer.heapUsed / MB,
      producerCores: (now.producer - last.producer) / seconds,
    };
  }

  async #postgres() {
    const rows = await this.arena.place.query(TABLES);
    const indexes = await this.arena.place.query(INDEXES);
    const sum = (/** @type {string} */ key) => rows.reduce((all, row) => all + row[key], 0);
    const tables = rows.map((row) => [
      row.name,
      [rounded(row.table_bytes / MB), rounded(row.index_bytes / MB), row.live, row.dead],
    ]);
    return {
      tableMb: sum('table_bytes') / MB,
      indexMb: sum('index_bytes') / MB,
      liveRows: sum('live'),
      deadRows: sum('dead'),
      vacuums: sum('vacuums'),
      tables: Object.fromEntries(tables),
      indexes: Object.fromEntries(indexes.map((row) => [row.name, rounded(row.bytes / MB)])),
    };
  }

  async #sqlite() {
    const { address, query } = this.arena.place;
    const [{ live }] = await query('SELECT count(*) AS live FROM _jobs');
    const [{ freelist_count: freePages }] = await query('PRAGMA freelist_count');
    return { fileMb: readSizeMb(address), walFileMb: readSizeMb(`${address}-wal`), freePages, liveRows: live };
  }
}

/** @param {string} file */
function readSizeMb(file) {
  return Number(statSync(file, { throwIfNoEntry: false })?.size ?? 0) / MB;
}

/** @param {number} value */
function rounded(value) {
  return Math.round(value * 100) / 100;
}
