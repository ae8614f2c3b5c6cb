import type { FinalStatus } from '../../core/job-state.js';
import type { Completion } from '../completion.js';
import { completed, isCompletion } from '../completion.js';
import type * as Seam from '../job-store.js';
import {
  INSERT_ROUNDS_MAX,
  movedInOrder,
  neverStored,
  noteInserted,
  settledInOrder,
  unanswered,
  unmovedOf,
} from '../set-answers.js';
import { completionJson, insertJson, settlementJson, tokenJson } from '../set-json.js';
import type { SqlRow, SqlScript } from '../sql-runner.js';
import type { MoveStatements } from './statements.js';
import * as sql from './statements.js';

/** A script of one statement. */
export function* one(text: string, params: readonly unknown[]): SqlScript<readonly SqlRow[]> {
  return yield { sql: text, params };
}

/** Inserts, then looks up the holders of keys that were taken. */
export function* insertScript(jobs: readonly Seam.JobInsert[]): SqlScript<Seam.InsertedJob[]> {
  const inserted = new Map<string, Seam.InsertedJob>();
  const keys = jobs.flatMap(({ idempotency }) => (idempotency ? [idempotency.key] : []));
  if (keys.length > 0) {
    yield { sql: sql.RELEASE_KEYS, params: [JSON.stringify(keys)] };
  }
  let open = jobs;
  for (let round = 1; open.length > 0; round += 1) {
    if (round > INSERT_ROUNDS_MAX) {
      throw neverStored(open[0]!);
    }
    const rows = yield { sql: sql.INSERT_JOBS, params: [insertJson(open, sqliteTime)] };
    for (const { id, topic, uniqueKey, idempotency } of noteInserted(inserted, open, rows)) {
      const params = [id, topic, uniqueKey, idempotency?.key ?? null];
      noteInserted(inserted, [], yield { sql: sql.FIND_HOLDER, params, isRead: true });
    }
    open = noteInserted(inserted, open, []);
  }
  return jobs.map(({ id }) => inserted.get(id)!);
}

/** Completes the quick way, settles what that left and all others, and deletes what is not to be kept. */
export function* settleScript(
  settlements: readonly Seam.Settlement[],
  unkept: readonly FinalStatus[],
): SqlScript<Seam.Settled[]> {
  const answers = yield* completeScript(settlements.filter(isCompletion));
  const others = settlements.filter((settlement) => !answers.has(settlement));
  if (others.length > 0) {
    const settled = yield* settleWithCareScript(others);
    others.forEach((settlement, index) => answers.set(settlement, settled[index]!));
  }
  if (unkept.length > 0) {
    yield { sql: sql.DISCARD, params: [tokenJson(settlements.map(({ token }) => token)), JSON.stringify(unkept)] };
  }
  return settlements.map((settlement) => answers.get(settlement)!);
}

/** Answers those that were completed. */
function* completeScript(completions: readonly Completion[]): SqlScript<Map<Seam.Settlement, Seam.Settled>> {
  if (completions.length === 0) {
    return new Map();
  }
  const tokens = completions.map(({ token }) => token);
  const others = new Set(unanswered(tokens, yield { sql: sql.COMPLETE, params: [completionJson(completions)] }));
  const done = completions.filter(({ token }) => !others.has(token));
  return new Map(done.map((completion) => [completion, completed(completion.token)]));
}

/** Settles, and reads how the rows stand that did not move. */
function* settleWithCareScript(settlements: readonly Seam.Settlement[]): SqlScript<Seam.Settled[]> {
  const tokens = settlements.map(({ token }) => token);
  const rows = yield { sql: sql.SETTLE, params: [settlementJson(settlements)] };
  const others = unanswered(tokens, rows);
  const states = others.length === 0 ? [] : yield { sql: sql.SETTLED_STATE, params: [tokenJson(others)], isRead: true };
  return settledInOrder(tokens, rows, states);
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
