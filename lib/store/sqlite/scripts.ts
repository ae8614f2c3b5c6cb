import { InvalidOptionsError } from '../../core/errors.js';
import type * as Seam from '../job-store.js';
import { INSERT_ROUNDS_MAX, movedInOrder, neverStored, noteInserted, unmovedOf } from '../batch-results.js';
import { insertJson } from '../batch-json.js';
import type { SqlRow, SqlScript } from '../sql-runner.js';
import { FIND_HOLDER, INSERT_JOBS, RELEASE_KEYS } from './sql/insert.js';
import type { MoveStatements } from './sql/admin.js';

/** A script of one statement. */
export function* one(text: string, params: readonly unknown[]): SqlScript<readonly SqlRow[]> {
  return yield { sql: text, params };
}

/**
 * Inserts, then looks up the holders of keys that were taken. A set is one statement, which stores all of it or nothing in a
 * transaction of the application's, too.
 *
 * @throws InvalidOptionsError for more text than JavaScript can put together for it; nothing was sent then.
 */
export function* insertScript(jobs: readonly Seam.JobInsert[]): SqlScript<Seam.InsertedJob[]> {
  const inserted = new Map<string, Seam.InsertedJob>();
  const keys = jobs.flatMap(({ idempotency }) => (idempotency ? [idempotency.key] : []));
  if (keys.length > 0) {
    yield { sql: RELEASE_KEYS, params: [JSON.stringify(keys)] };
  }
  let open = jobs;
  for (let round = 1; open.length > 0; round += 1) {
    if (round > INSERT_ROUNDS_MAX) {
      throw neverStored(open[0]!);
    }
    const rows = yield { sql: INSERT_JOBS, params: [textOf(open)] };
    for (const { id, topic, uniqueKey, idempotency } of noteInserted(inserted, open, rows)) {
      const params = [id, topic, uniqueKey, idempotency?.key ?? null];
      noteInserted(inserted, [], yield { sql: FIND_HOLDER, params, isRead: true });
    }
    open = noteInserted(inserted, open, []);
  }
  return jobs.map(({ id }) => inserted.get(id)!);
}

function textOf(jobs: readonly Seam.JobInsert[]): string {
  try {
    return insertJson(jobs, sqliteTime);
  } catch (error) {
    const reason = `${jobs.length} jobs are more text than one statement can carry; store them in several sets`;
    throw new InvalidOptionsError('jobs', reason, { cause: error });
  }
}

/** Moves jobs by request, then reads how those stand that did not move. */
export function* moveScript(
  statements: MoveStatements,
  ids: readonly string[],
  params: readonly unknown[],
): SqlScript<Seam.ActionResult[]> {
  // Alone, a job is answered whole, as it stands now: it may be gone in a moment.
  const move = ids.length === 1 ? statements.one : statements.several;
  const rows = yield { sql: move, params: [JSON.stringify(ids), ...params] };
  const others = unmovedOf(ids, rows);
  const states =
    others.length === 0 ? [] : yield { sql: statements.unmoved, params: [JSON.stringify(others)], isRead: true };
  return movedInOrder(ids, rows, states);
}

/** A moment in the one form of the tables. */
export function sqliteTime(moment: Date | string): string {
  return (typeof moment === 'string' ? moment : moment.toISOString()).replace('T', ' ').replace('Z', '');
}

/** A lane as statements read it. */
export function startOf({ topic, priority, lowerBound }: Seam.LaneStart): {
  topic: string;
  priority: number;
  from: string;
} {
  return { topic, priority, from: lowerBound === null ? '' : sqliteTime(lowerBound) };
}
