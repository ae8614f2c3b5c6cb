import { fromPg } from 'nestjs-jobs/orm';
import type { PoolClient } from 'pg';
import { openPool } from '../support/open-pool.js';
import type { OrmDriver } from '../support/orm-driver.js';

export const driver: OrmDriver = {
  databases: ['postgres'],
  knowsEnd: true,
  async open(_database, url) {
    const pool = openPool(url);
    const transact = async <T>(work: (client: PoolClient) => Promise<T>, end = 'COMMIT'): Promise<T> => {
      const client = await pool.connect();
      try {
        await client.query('BEGIN');
        const value = await work(client);
        await client.query(end);
        return value;
      } catch (error) {
        await client.query('ROLLBACK');
        throw error;
      } finally {
        client.release();
      }
    };
    return {
      guideNames: { transact },
      transact: (work, isRolledBack = false) =>
        transact(
          (client) => work({ adapt: () => fromPg(client), run: (sql) => client.query(sql) }),
          isRolledBack ? 'ROLLBACK' : 'COMMIT',
        ),
      adaptClient: () => fromPg(pool),
      close: () => pool.end(),
    };
  },
};
