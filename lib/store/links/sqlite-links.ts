import type { StoreTransaction } from '../transactions/application-transactions.js';
import { oneByOne } from './batch-script.js';
import type { InsertSteps } from './link-table.js';
import { LinkTable } from './link-table.js';
import type { SqlQuery, SqlScript } from '../runtime/sql-runner.js';
import { actionScript, toGuardParams, toRequeueParams } from '../jobs/sqlite-action-writer.js';
import type { Caller } from '../jobs/sqlite-insert-script.js';
import { insertScript } from '../jobs/sqlite-insert-script.js';
import { REQUEUE } from '../jobs/actions.sqlite.js';
import { toSqliteTime } from '../jobs/job-row.sqlite.js';
import * as statements from './link.sqlite.js';

interface SqliteLinkParts {
  readonly read: SqlQuery;
  /** Runs a script in one transaction of the queue's connection. */
  readonly transact: <T>(script: () => SqlScript<T>) => Promise<T>;
  /** The same, and the commit does not wait for the disk. */
  readonly transactRelaxed: <T>(script: () => SqlScript<T>) => Promise<T>;
  readonly runIn: <T>(tx: StoreTransaction, script: SqlScript<T>) => Promise<T>;
  readonly toCaller: (tx: StoreTransaction) => Caller;
}

/** Links that one transaction of a follow-up changes. It blocks the event loop for its length. */
const FOLLOWED_MAX = 250;

/** Links between jobs on SQLite, which has one writer: no script has to lock a row. */
export function createSqliteLinks({ read, transact, transactRelaxed, runIn, toCaller }: SqliteLinkParts): LinkTable {
  return new LinkTable({
    statements,
    read,
    transact,
    transactFollowUp: (script) => transactRelaxed(() => oneByOne(script())),
    followedMax: FOLLOWED_MAX,
    insertBetween: (steps, tx) =>
      tx ? runIn(tx, insertBetween(steps, toCaller(tx))) : transact(() => insertBetween(steps)),
    timeText: toSqliteTime,
    requeueScript: (ids, changes, request) =>
      actionScript(REQUEUE, ids, [...toGuardParams(request), ...toRequeueParams(changes, request)]),
  });
}

function* insertBetween<T>({ before, jobs, after }: InsertSteps<T>, caller?: Caller): SqlScript<T> {
  yield* before();
  return yield* after(yield* insertScript(jobs, caller));
}
