import type { StoreTransaction } from '../transactions/application-transactions.js';
import type { InsertSteps } from './link-table.js';
import { LinkTable } from './link-table.js';
import type { SqlQuery, SqlRow, SqlScript } from '../runtime/sql-runner.js';
import { runScript } from '../runtime/sql-runner.js';
import { actionScript, toEntryParams, toGuardParams, toRequeueParams } from '../jobs/postgres-action-writer.js';
import type { JobInserter } from '../jobs/postgres-inserter.js';
import { completeWatchedScript } from '../jobs/postgres-outcome-writer.js';
import { CANCEL_WATCHED, DELETE_WATCHED, REQUEUE } from '../jobs/actions.postgres.js';
import * as statements from './link.postgres.js';

interface PostgresLinkParts {
  readonly read: SqlQuery;
  readonly query: (text: string, params: readonly unknown[], tx: StoreTransaction) => Promise<readonly SqlRow[]>;
  /** Runs work in a transaction on the queue's own connections, one at a time. */
  readonly transaction: <T>(work: (tx: StoreTransaction) => Promise<T>) => Promise<T>;
  /** Runs a script of outcomes in a transaction. */
  readonly transactOutcomes: <T>(script: () => SqlScript<T>) => Promise<T>;
  readonly inserter: () => JobInserter;
}

/** Links between jobs on PostgreSQL: each script is a transaction. */
export function createPostgresLinks({
  read,
  query,
  transaction,
  transactOutcomes,
  inserter,
}: PostgresLinkParts): LinkTable {
  const run = <T>(tx: StoreTransaction, script: SqlScript<T>): Promise<T> =>
    runScript({ query: (text, params) => query(text, params, tx) }, script);
  const insertIn = async <T>(tx: StoreTransaction, { before, jobs, after }: InsertSteps<T>): Promise<T> => {
    await run(tx, before());
    return run(tx, after(await inserter().insertIn(tx, jobs)));
  };
  const actions = { cancel: CANCEL_WATCHED, delete: DELETE_WATCHED };
  return new LinkTable({
    statements,
    read,
    runIn: run,
    transact: (script) => transaction((tx) => run(tx, script())),
    transactOutcomes,
    completeWatched: completeWatchedScript,
    insertBetween: (steps, tx) => (tx ? insertIn(tx, steps) : transaction((own) => insertIn(own, steps))),
    timeText: (moment) => moment.toISOString(),
    actScript: (action, ids, request) => {
      const values = action === 'cancel' ? toEntryParams(request) : [];
      return actionScript(actions[action], ids, [...toGuardParams(request), ...values]);
    },
    requeueScript: (ids, changes, request) =>
      actionScript(REQUEUE, ids, [...toGuardParams(request), ...toRequeueParams(changes, request)]),
  });
}
