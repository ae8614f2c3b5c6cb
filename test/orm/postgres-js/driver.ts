import { fromPostgresJs } from 'nestjs-jobs/orm';
import postgres from 'postgres';
import type { OrmDriver } from '../support/orm-driver.js';
import { POOL_SIZE, runAsync } from '../support/orm-driver.js';

export const driver: OrmDriver = {
  databases: ['postgres'],
  knowsEnd: false,
  async open(_database, url) {
    const sql = postgres(url, { max: POOL_SIZE, onnotice: () => undefined });
    return {
      transact: (work, isRolledBack = false) =>
        runAsync(
          (run) =>
            sql.begin((tx) => run({ adapt: () => fromPostgresJs(tx), run: async (text) => await tx.unsafe(text) })),
          work,
          isRolledBack,
        ),
      adaptClient: () => fromPostgresJs(sql as never),
      guideNames: { postgres: sql },
      close: () => sql.end(),
    };
  },
};
