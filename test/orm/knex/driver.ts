import type { Knex } from 'knex';
import knex from 'knex';
import { fromKnex } from 'nestjs-jobs/orm';
import type { OrmDriver, OrmTransaction } from '../support/orm-driver.js';
import { POOL_SIZE, runAsync } from '../support/orm-driver.js';

export const driver: OrmDriver = {
  databases: ['postgres', 'sqlite'],
  knowsEnd: true,
  reportsCommit: true,
  async open(database, url) {
    const db =
      database === 'postgres'
        ? knex({ client: 'pg', connection: url, pool: { max: POOL_SIZE } })
        : knex({ client: 'better-sqlite3', connection: { filename: url }, useNullAsDefault: true });
    return {
      transact: (work, isRolledBack = false) => transact(db, work, isRolledBack),
      adaptClient: () => fromKnex(db as never),
      guideNames: { knex: db },
      close: () => db.destroy(),
    };
  },
};

function transact<T>(db: Knex, work: (tx: OrmTransaction) => Promise<T>, isRolledBack: boolean): Promise<T> {
  return runAsync(
    (run) =>
      db.transaction((trx) =>
        run({
          adapt: () => fromKnex(trx),
          run: async (sql) => (await trx.raw(sql)) as unknown,
          nest: (nested, isNestedRolledBack = false) => transact(trx, nested, isNestedRolledBack),
        }),
      ),
    work,
    isRolledBack,
  );
}
