import { InvalidOptionsError } from '../../core/errors.js';
import { toInsertJson } from './batch-json.js';
import { INSERT_PASSES_MAX, toNeverStoredError, recordInserted } from './batch-results.js';
import { toDebouncedJob } from './row-mapper.js';
import type { InsertedJob, JobInsert } from './job-records.js';
import type { SqlScript } from '../runtime/sql-runner.js';
import { IS_HERE } from '../migrate/schema.sqlite.js';
import type { StoreTransaction } from '../transactions/application-transactions.js';
import { assertQueueIsHere } from '../transactions/adapted-transactions.js';
import { isDebounced, matchByKey, reduceSet } from './unique-sets.js';
import { toSqliteTime } from './job-row.sqlite.js';
import { FIND_HOLDER, INSERT_DEBOUNCED_JOBS, INSERT_JOBS, RELEASE_KEYS, RELEASE_UNIQUE_KEYS } from './insert.sqlite.js';

/** A transaction of the application, and the id of the queue that must be in its database. */
export interface Caller {
  readonly tx: StoreTransaction;
  readonly queueId: string | null;
}

/**
 * Inserts jobs, then finds the holders of keys that were taken. One statement inserts the whole set, and one more its debounced jobs,
 * so that a failure in the caller's transaction stores nothing.
 *
 * @param caller whose transaction the statements run in; none for one of the queue.
 * @throws UnknownDataSourceError when that transaction is one of another database.
 * @throws InvalidOptionsError before the first write when the set exceeds the longest string of JavaScript.
 */
export function* insertScript(jobs: readonly JobInsert[], caller?: Caller): SqlScript<InsertedJob[]> {
  const keys = jobs.flatMap(({ idempotency }) => (idempotency ? [idempotency.key] : []));
  if (keys.length > 0) {
    yield { sql: RELEASE_KEYS, params: [JSON.stringify(keys)] };
  }
  const inserted = new Map<string, InsertedJob>();
  const { groups, expand } = reduceSet(jobs);
  for (const group of groups) {
    yield* insertGroupScript(group, inserted, caller);
  }
  return expand(inserted);
}

/** Inserts jobs of one kind. A holder can end between the insert and the search for it. Then the insert is repeated. */
function* insertGroupScript(
  jobs: readonly JobInsert[],
  inserted: Map<string, InsertedJob>,
  caller: Caller | undefined,
): SqlScript<void> {
  let open = jobs;
  const queueId = caller?.queueId ?? null;
  for (let tries = 1; open.length > 0; tries += 1) {
    if (tries > INSERT_PASSES_MAX) {
      throw toNeverStoredError(open[0]!);
    }
    const json = toJson(open);
    if (tries > 1 && open.some(({ uniqueKey }) => uniqueKey !== null)) {
      yield { sql: RELEASE_UNIQUE_KEYS, params: [json] };
    }
    if (isDebounced(open[0]!)) {
      yield* insertDebouncedScript(open, [json, queueId], inserted);
    } else {
      recordInserted(inserted, open, yield { sql: INSERT_JOBS, params: [json, queueId] });
    }
    open = recordInserted(inserted, open, []);
    if (open.length > 0) {
      yield* assertHereScript(caller);
    }
    yield* findHoldersScript(open, inserted);
    open = recordInserted(inserted, open, []);
  }
}

/** Searches the holder of the keys of each job. */
function* findHoldersScript(open: readonly JobInsert[], inserted: Map<string, InsertedJob>): SqlScript<void> {
  for (const { id, topic, uniqueKey, uniqueMode, idempotency } of open) {
    const isWaiting = uniqueMode?.untilStarted === true;
    const params = [id, topic, isWaiting ? null : uniqueKey, idempotency?.key ?? null, isWaiting ? uniqueKey : null];
    recordInserted(inserted, [], yield { sql: FIND_HOLDER, params, isRead: true });
  }
}

/** @throws UnknownDataSourceError for a transaction of another database: its queue has another id, so that nothing was inserted. */
function* assertHereScript(caller: Caller | undefined): SqlScript<void> {
  if (caller && caller.queueId !== null) {
    assertQueueIsHere(caller.tx, yield { sql: IS_HERE, params: [caller.queueId], isRead: true });
  }
}

/** Inserts debounced jobs, or replaces the payloads of those that wait. */
function* insertDebouncedScript(
  open: readonly JobInsert[],
  params: readonly unknown[],
  inserted: Map<string, InsertedJob>,
): SqlScript<void> {
  const rows = yield { sql: INSERT_DEBOUNCED_JOBS, params };
  matchByKey(open, rows).forEach((row, job) => inserted.set(job.id, toDebouncedJob(job, row)));
}

function toJson(jobs: readonly JobInsert[]): string {
  try {
    return toInsertJson(jobs, toSqliteTime);
  } catch (error) {
    const reason = `${jobs.length} jobs are more text than one statement can hold; enqueue them in smaller sets`;
    throw new InvalidOptionsError('jobs', reason, { cause: error });
  }
}
