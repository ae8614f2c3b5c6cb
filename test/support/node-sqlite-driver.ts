import { loadNodeSqlite } from '../../lib/store/drivers.cjs';
import { createDatabaseClass } from '../../lib/store/sqlite/node-sqlite.js';

/* What TypeORM and the queue get as `better-sqlite3` when the tests run on `node:sqlite`: test/compat/node-sqlite.test.ts. */

const NodeSqliteDatabase = createDatabaseClass(loadNodeSqlite() as Parameters<typeof createDatabaseClass>[0]);

class Database extends NodeSqliteDatabase {
  /** Only TypeORM calls it. */
  exec(sql: string): void {
    this.prepare(sql).run();
  }
}

module.exports = Database;
