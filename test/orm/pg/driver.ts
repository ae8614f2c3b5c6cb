import { fromPg } from 'nestjs-jobs/orm';
import { openPool } from '../support/open-pool.js';
import type { OrmDriver } from '../support/orm-driver.js';

export const driver: OrmDriver = {
  databases: ['postgres'],
  knowsEnd: true,
  async open(_database, url) {
    const pool = openPool(url);
    return {
      async transact(work, isRolledBack = false) {
        const client = await pool.connect();
        try {
          await client.query('BEGIN');
          const value = await work({ adapt: () => fromPg(client), run: (sql) => client.query(sql) });
          await client.query(isRolledBack ? 'ROLLBACK' : 'COMMIT');
          return value;
        } catch (error) {
          await client.query('ROLLBACK');
          throw error;
        } finally {
          client.release();
        }
      },
      adaptClient: () => fromPg(pool),
      close: () => pool.end(),
    };
  },
};
