import type { DataSource, EntityManager } from 'typeorm';
import type { PostgresTransactions } from '../store/transactions/application-transactions.js';
import {
  getApplicationPool,
  handleConnectionErrors,
  handlePoolErrors,
  transactionsAtOnce,
} from './application-pool.js';
import { CallerTransactions } from './caller-transactions.js';
import { toSqlRunner } from './query-runner.js';

/** How many transactions of handlers may run at once on the pool of an initialized DataSource. */
export function countTransactions(app: DataSource): number {
  return transactionsAtOnce(getApplicationPool(app).options.max);
}

/** Opens the transactions of an application on PostgreSQL. @param own the DataSource of the repository of `Job`. */
export async function openPostgresTransactions(app: DataSource, own: DataSource): Promise<PostgresTransactions> {
  await own.initialize();
  const transactions = new CallerTransactions([app, own]);
  transactions.startWatching();
  const stopHandlingErrors = handlePoolErrors(getApplicationPool(app));
  return {
    atOnce: countTransactions(app),
    async createRunner(tx) {
      const queryRunner = transactions.getQueryRunner(tx);
      await handleConnectionErrors(queryRunner);
      return toSqlRunner(queryRunner);
    },
    join: (tx, onEnd) => transactions.join(tx, onEnd),
    run: (work) =>
      // The heartbeat updates this row during the transaction. Under REPEATABLE READ its completion would fail.
      app.transaction('READ COMMITTED', async (manager: EntityManager) => {
        await handleConnectionErrors(manager.queryRunner!);
        return work(manager);
      }),
    async close() {
      transactions.close();
      stopHandlingErrors();
      await own.destroy();
    },
  };
}
