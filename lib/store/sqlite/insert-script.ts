import { InvalidOptionsError } from '../../core/errors.js';
import { toInsertJson } from '../batch-json.js';
import { INSERT_PASSES_MAX, toNeverStoredError, recordInserted } from '../batch-results.js';
import type { InsertedJob, JobInsert } from '../store-records.js';
import type { SqlScript } from '../sql-runner.js';
import { toSqliteTime } from './sql/job-row.js';
import { FIND_HOLDER, INSERT_JOBS, RELEASE_KEYS } from './sql/insert.js';

/**
 * Inserts jobs, then finds the holders of keys that were taken. One statement inserts the whole set, so that a failure in
 * the caller's transaction stores nothing.
 *
 * @throws InvalidOptionsError before the first write when the set exceeds the longest string of JavaScript.
 */
export function* insertScript(jobs: readonly JobInsert[]): SqlScript<InsertedJob[]> {
  const inserted = new Map<string, InsertedJob>();
  const keys = jobs.flatMap(({ idempotency }) => (idempotency ? [idempotency.key] : []));
  if (keys.length > 0) {
    yield { sql: RELEASE_KEYS, params: [JSON.stringify(keys)] };
  }
  let open = jobs;
  // A holder can end between the insert and the search for it. Then the insert is repeated.
  for (let tries = 1; open.length > 0; tries += 1) {
    if (tries > INSERT_PASSES_MAX) {
      throw toNeverStoredError(open[0]!);
    }
    const rows = yield { sql: INSERT_JOBS, params: [toJson(open)] };
    for (const { id, topic, uniqueKey, idempotency } of recordInserted(inserted, open, rows)) {
      const params = [id, topic, uniqueKey, idempotency?.key ?? null];
      recordInserted(inserted, [], yield { sql: FIND_HOLDER, params, isRead: true });
    }
    open = recordInserted(inserted, open, []);
  }
  return jobs.map(({ id }) => inserted.get(id)!);
}

function toJson(jobs: readonly JobInsert[]): string {
  try {
    return toInsertJson(jobs, toSqliteTime);
  } catch (error) {
    const reason = `${jobs.length} jobs are more text than one statement can hold; enqueue them in smaller sets`;
    throw new InvalidOptionsError('jobs', reason, { cause: error });
  }
}
