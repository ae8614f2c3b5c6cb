import { fromSequelize } from 'nestjs-jobs/orm';
import { Sequelize } from 'sequelize';
import type { OrmDriver } from '../support/orm-driver.js';
import { runAsync } from '../support/orm-driver.js';

export const driver: OrmDriver = {
  databases: ['postgres'],
  knowsEnd: true,
  async open(_database, url) {
    const sequelize = new Sequelize(url, { dialect: 'postgres', logging: false, pool: { max: 10 } });
    return {
      transact: (work, isRolledBack = false) =>
        runAsync(
          (run) =>
            sequelize.transaction((transaction) =>
              run({ adapt: () => fromSequelize(transaction), run: (sql) => sequelize.query(sql, { transaction }) }),
            ),
          work,
          isRolledBack,
        ),
      adaptClient: () => fromSequelize(sequelize as never),
      close: () => sequelize.close(),
    };
  },
};
