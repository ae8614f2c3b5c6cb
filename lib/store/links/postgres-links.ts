import type { StoreTransaction } from '../transactions/application-transactions.js';
import type { BatchScript } from './batch-script.js';
import type { InsertSteps } from './link-table.js';
import { LinkTable } from './link-table.js';
import type { SqlQuery, SqlRow, SqlScript } from '../runtime/sql-runner.js';
import { runScript } from '../runtime/sql-runner.js';
import { actionScript, toGuardParams, toRequeueParams } from '../jobs/postgres-action-writer.js';
import type { JobInserter } from '../jobs/postgres-inserter.js';
import { REQUEUE } from '../jobs/actions.postgres.js';
import * as statements from './link.postgres.js';

interface PostgresLinkParts {
  readonly read: SqlQuery;
  readonly query: (text: string, params: readonly unknown[], tx: StoreTransaction) => Promise<readonly SqlRow[]>;
  /** Runs work in a transaction on the queue's own connections, one at a time. */
  readonly transaction: <T>(work: (tx: StoreTransaction) => Promise<T>) => Promise<T>;
  readonly inserter: () => JobInserter;
}

/** Links that one transaction of a follow-up changes. */
const FOLLOWED_MAX = 500;

/** Links between jobs on PostgreSQL: each script is a transaction. */
export function createPostgresLinks({ read, query, transaction, inserter }: PostgresLinkParts): LinkTable {
  const run = <T>(tx: StoreTransaction, script: SqlScript<T>): Promise<T> =>
    runScript({ query: (text, params) => query(text, params, tx) }, script);
  const insertIn = async <T>(tx: StoreTransaction, { before, jobs, after }: InsertSteps<T>): Promise<T> => {
    await run(tx, before());
    return run(tx, after(await inserter().insertIn(tx, jobs)));
  };
  return new LinkTable({
    statements,
    read,
    transact: (script) => transaction((tx) => run(tx, script())),
    transactFollowUp: (script) => transaction((tx) => runBatches((text, params) => query(text, params, tx), script())),
    followedMax: FOLLOWED_MAX,
    insertBetween: (steps, tx) => (tx ? insertIn(tx, steps) : transaction((own) => insertIn(own, steps))),
    timeText: (moment) => moment.toISOString(),
    requeueScript: (ids, changes, request) =>
      actionScript(REQUEUE, ids, [...toGuardParams(request), ...toRequeueParams(changes, request)]),
  });
}

/** The statements of a set are sent together. */
async function runBatches<T>(query: SqlQuery, script: BatchScript<T>): Promise<T> {
  let step = script.next();
  while (!step.done) {
    step = script.next(await Promise.all(step.value.map(({ sql, params }) => query(sql, params))));
  }
  return step.value;
}
