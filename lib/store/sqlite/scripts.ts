import { InvalidOptionsError } from '../../core/errors.js';
import type * as Seam from '../job-store.js';
import { INSERT_ROUNDS_MAX, movedInOrder, neverStored, noteInserted, unmovedOf } from '../set-answers.js';
import { insertJson, insertLength } from '../set-json.js';
import type { SqlRow, SqlScript } from '../sql-runner.js';
import { FIND_HOLDER, INSERT_JOBS, RELEASE_KEYS } from './insert-statements.js';
import type { MoveStatements } from './move-statements.js';

/** A script of one statement. */
export function* one(text: string, params: readonly unknown[]): SqlScript<readonly SqlRow[]> {
  return yield { sql: text, params };
}

/**
 * A set is one statement, which stores all of it or nothing in a transaction of the application's, too. Its parameter is one text,
 * of which JavaScript makes half a billion characters at most.
 */
const SET_TEXT_MAX = 256 * 1024 * 1024;

/**
 * Inserts, then looks up the holders of keys that were taken.
 *
 * @throws InvalidOptionsError for more text than one statement takes; nothing was sent then.
 */
export function* insertScript(jobs: readonly Seam.JobInsert[]): SqlScript<Seam.InsertedJob[]> {
  const length = jobs.reduce((sum, job) => sum + insertLength(job), 0);
  if (length > SET_TEXT_MAX) {
    throw new InvalidOptionsError(
      'jobs',
      `expected at most ${SET_TEXT_MAX} characters of payloads and metadata in one call on SQLite, got ${length}; make several`,
    );
  }
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
    const rows = yield { sql: INSERT_JOBS, params: [insertJson(open, sqliteTime)] };
    for (const { id, topic, uniqueKey, idempotency } of noteInserted(inserted, open, rows)) {
      const params = [id, topic, uniqueKey, idempotency?.key ?? null];
      noteInserted(inserted, [], yield { sql: FIND_HOLDER, params, isRead: true });
    }
    open = noteInserted(inserted, open, []);
  }
  return jobs.map(({ id }) => inserted.get(id)!);
}

/** Moves jobs by request, then reads how those stand that did not move. */
export function* moveScript(
  statements: MoveStatements,
  ids: readonly string[],
  params: readonly unknown[] = [],
): SqlScript<Seam.Moved[]> {
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
