import { fromSequelize } from 'nestjs-jobs/orm';
import type { Transaction } from 'sequelize';
import { DataTypes, Sequelize } from 'sequelize';
import type { OrmDriver, OrmTransaction } from '../support/orm-driver.js';
import { POOL_SIZE, runAsync } from '../support/orm-driver.js';

export const driver: OrmDriver = {
  databases: ['postgres'],
  knowsEnd: true,
  reportsCommit: true,
  async open(_database, url) {
    const sequelize = new Sequelize(url, { dialect: 'postgres', logging: false, pool: { max: POOL_SIZE } });
    const attributes = { item: DataTypes.TEXT, status: { type: DataTypes.TEXT, defaultValue: 'new' } };
    const OrderModel = sequelize.define('Order', attributes, { tableName: 'orders', timestamps: false });
    return {
      guideNames: { sequelize, OrderModel },
      transact: (work, isRolledBack = false) => transact(sequelize, undefined, work, isRolledBack),
      adaptClient: () => fromSequelize(sequelize as never),
      close: () => sequelize.close(),
    };
  },
};

function transact<T>(
  sequelize: Sequelize,
  outer: Transaction | undefined,
  work: (tx: OrmTransaction) => Promise<T>,
  isRolledBack: boolean,
): Promise<T> {
  return runAsync(
    (run) =>
      sequelize.transaction({ transaction: outer }, (transaction) =>
        run({
          adapt: () => fromSequelize(transaction),
          run: (sql) => sequelize.query(sql, { transaction }),
          nest: (nested, isNestedRolledBack = false) => transact(sequelize, transaction, nested, isNestedRolledBack),
        }),
      ),
    work,
    isRolledBack,
  );
}
