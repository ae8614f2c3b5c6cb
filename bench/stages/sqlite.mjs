import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';

/** A file for each measurement, a copy of one that was filled once for all who share its tables. */
export class SqliteStage {
  #made = 0;
  /** @type {Map<string, string>} */
  #templates = new Map();

  /** @param {string} folder */
  constructor(folder) {
    this.folder = mkdtempSync(join(folder, 'sqlite-'));
  }

  /** @param {string} folder */
  static async start(folder) {
    return new SqliteStage(folder);
  }

  /** @param {string} key @param {import('../arena.mjs').Fill} fill */
  async place(key, fill) {
    const template = this.#templates.get(key) ?? (await this.#makeTemplate(key, fill));
    const file = this.#next();
    copyFileSync(template, file);
    return {
      address: file,
      serverSeconds: async () => 0,
      walBytes: async () => NaN,
      query: async (/** @type {string} */ sql) => this.#in(file, sql),
      close: async () => ['', '-wal', '-shm'].forEach((end) => rmSync(file + end, { force: true })),
    };
  }

  async forgetTemplates() {
    this.#templates.forEach((file) => rmSync(file, { force: true }));
    this.#templates.clear();
  }

  async facts() {
    const database = new Database(':memory:');
    const version = database.prepare('SELECT sqlite_version() AS version').get();
    database.close();
    return /** @type {Record<string, unknown>} */ (version);
  }

  async stop() {
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** @param {string} key @param {import('../arena.mjs').Fill} fill */
  async #makeTemplate(key, fill) {
    const file = this.#next();
    await fill(file, async (sql) => this.#in(file, sql));
    const database = new Database(file);
    database.pragma('wal_checkpoint(TRUNCATE)');
    database.close();
    this.#templates.set(key, file);
    return file;
  }

  #next() {
    this.#made += 1;
    return join(this.folder, `${this.#made}.sqlite`);
  }

  /** @param {string} file @param {string} sql */
  #in(file, sql) {
    const database = new Database(file);
    try {
      const statement = database.prepare(sql);
      return statement.reader ? statement.all() : [statement.run()];
    } finally {
      database.close();
    }
  }
}
