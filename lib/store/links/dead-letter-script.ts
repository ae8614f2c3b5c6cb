import type { SqlRow, SqlScript } from '../runtime/sql-runner.js';

/** A job that was inserted because another one has failed for good. */
export interface StoredDeadLetter {
  readonly id: string;
  readonly topic: string;
  readonly runAt: Date;
}

/** The statements of a database that insert dead letters. Sets are JSON arrays. */
export interface DeadLetterStatements {
  readonly INSERT_DEAD_LETTERS: string;
  readonly LINK_DEAD_LETTERS: string;
}

/**
 * Inserts the dead letters of those jobs that have failed. The transaction also clears the mark of their failure, so each failure has
 * exactly one dead letter in each topic that its topic declares.
 *
 * @param ended rows with the id and the new status of jobs. The caller's transaction holds them.
 */
export function* insertDeadLettersScript(
  sql: DeadLetterStatements,
  ended: readonly SqlRow[],
): SqlScript<StoredDeadLetter[]> {
  const failed = ended.filter(({ status }) => status === 'failed').map(({ id }) => id as string);
  if (failed.length === 0) {
    return [];
  }
  const rows = yield { sql: sql.INSERT_DEAD_LETTERS, params: [JSON.stringify(failed.sort())] };
  if (rows.length > 0) {
    yield { sql: sql.LINK_DEAD_LETTERS, params: [JSON.stringify(toLinks(rows))] };
  }
  return rows.map((row) => ({
    id: row.id as string,
    topic: row.topic as string,
    runAt: new Date(Number(row.run_at)),
  }));
}

/** The dead letters of each failed job. */
function toLinks(rows: readonly SqlRow[]): readonly object[] {
  const letters = new Map<unknown, object[]>();
  for (const { failed_id, id, topic } of rows) {
    letters.set(failed_id, [...(letters.get(failed_id) ?? []), { id, topic }]);
  }
  return [...letters].map(([id, ofJob]) => ({ id, letters: ofJob }));
}
