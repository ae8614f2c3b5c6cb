import type { StoreTransaction } from '../transactions/application-transactions.js';
import type { InsertSteps } from './link-table.js';
import { LinkTable } from './link-table.js';
import type { SqlQuery, SqlScript } from '../runtime/sql-runner.js';
import { actionScript, toEntryParams, toGuardParams, toRequeueParams } from '../jobs/sqlite-action-writer.js';
import type { Caller } from '../jobs/sqlite-insert-script.js';
import { insertScript } from '../jobs/sqlite-insert-script.js';
import { completeWatchedScript } from '../jobs/sqlite-settle-script.js';
import { CANCEL_WATCHED, DELETE_WATCHED, REQUEUE } from '../jobs/actions.sqlite.js';
import { toSqliteTime } from '../jobs/job-row.sqlite.js';
import * as statements from './link.sqlite.js';

interface SqliteLinkParts {
  readonly read: SqlQuery;
  /** Runs a script in one transaction of the queue's connection. */
  readonly transact: <T>(script: () => SqlScript<T>) => Promise<T>;
  readonly runIn: <T>(tx: StoreTransaction, script: SqlScript<T>) => Promise<T>;
  readonly toCaller: (tx: StoreTransaction) => Caller;
}

/** Links between jobs on SQLite, which has one writer: no script has to lock a row. */
export function createSqliteLinks({ read, transact, runIn, toCaller }: SqliteLinkParts): LinkTable {
  const actions = { cancel: CANCEL_WATCHED, delete: DELETE_WATCHED };
  return new LinkTable({
    statements,
    read,
    transact,
    transactOutcomes: transact,
    runIn,
    completeWatched: completeWatchedScript,
    insertBetween: (steps, tx) =>
      tx ? runIn(tx, insertBetween(steps, toCaller(tx))) : transact(() => insertBetween(steps)),
    timeText: toSqliteTime,
    actScript: (action, ids, request) => {
      const values = action === 'cancel' ? toEntryParams(request) : [];
      return actionScript(actions[action], ids, [...toGuardParams(request), ...values]);
    },
    requeueScript: (ids, changes, request) =>
      actionScript(REQUEUE, ids, [...toGuardParams(request), ...toRequeueParams(changes, request)]),
  });
}

function* insertBetween<T>({ before, jobs, after }: InsertSteps<T>, caller?: Caller): SqlScript<T> {
  yield* before();
  return yield* after(yield* insertScript(jobs, caller));
}
