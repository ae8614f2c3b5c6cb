import { RowLockedError } from '../../core/errors.js';
import type { Moved } from '../job-store.js';
import { movedOf } from '../row-mapper.js';
import type { SqlRow } from '../sql-runner.js';
import { SqlError } from '../sql-error.js';
import type { MoveStatement } from './move-statements.js';

type Query = (text: string, params: readonly unknown[]) => Promise<readonly SqlRow[]>;

/** Re-queues, cancels and deletes by request, which must never wait for a worker's settlement while they hold locks. */
export class RequestedMoves {
  constructor(private readonly query: Query) {}

  /**
   * Moves jobs in one statement where that is possible, and one by one where somebody is in the way. Answers in the order
   * of `ids`. Several are waited for until the first wait was in vain: those that are locked still are left alone.
   *
   * @throws RowLockedError when it is one that is locked.
   */
  async move(statement: MoveStatement, ids: readonly string[], params: readonly unknown[] = []): Promise<Moved[]> {
    if (ids.length === 1) {
      return [movedOf(await this.one(statement, ids[0]!, params))];
    }
    const rows = new Map((await this.several(statement, ids, params)).map((row) => [row.id as string, row]));
    const busy = [...rows.values()].filter((row) => row.busy).map(({ id }) => id as string);
    while (busy.length > 0) {
      const id = busy.shift()!;
      try {
        rows.set(id, await this.one(statement, id, params));
      } catch (error) {
        if (!(error instanceof RowLockedError)) {
          throw error;
        }
        rows.set(id, lockedRow(id));
        const others = busy.splice(0);
        const asked = others.length === 0 ? [] : await this.several(statement, others, params);
        asked.forEach((row) => rows.set(row.id as string, row.busy ? lockedRow(row.id as string) : row));
      }
    }
    // Alone a job is answered whole; of several none is, whichever way they went.
    return ids.map((id) => ({ ...movedOf(rows.get(id)!), job: null }));
  }

  private async several(
    statement: MoveStatement,
    ids: readonly string[],
    params: readonly unknown[],
  ): Promise<readonly SqlRow[]> {
    try {
      return await this.query(statement.several, [ids, ...params]);
    } catch (error) {
      if (isKeyTaken(error)) {
        // Two of them share a unique key, or somebody took one in this moment: only that one is to stay.
        return ids.map((id) => ({ id, busy: true }));
      }
      throw error;
    }
  }

  private async one(statement: MoveStatement, id: string, params: readonly unknown[]): Promise<SqlRow> {
    const ask = async (): Promise<SqlRow> => (await this.query(statement.one, [[id], ...params]))[0]!;
    try {
      return await ask();
    } catch (error) {
      if (isKeyTaken(error)) {
        // The key was taken after this statement looked: now it sees by whom.
        return ask();
      }
      throw error;
    }
  }
}

function lockedRow(id: string): SqlRow {
  return { id, moved: false, status: null, topic: null, attempt: 0, is_locked: true };
}

function isKeyTaken(error: unknown): boolean {
  return error instanceof SqlError && error.kind === 'unique';
}
