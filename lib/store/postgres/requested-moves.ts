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
   * of `ids`.
   */
  async move(statement: MoveStatement, ids: readonly string[], params: readonly unknown[] = []): Promise<Moved[]> {
    if (ids.length === 1) {
      return [movedOf(await this.one(statement, ids[0]!, params))];
    }
    const rows = await this.several(statement, ids, params);
    const moved: Moved[] = [];
    for (const row of rows) {
      const answer = movedOf(row.busy ? await this.one(statement, row.id as string, params) : row);
      // Alone a job is answered whole; of several none is, whichever way they went.
      moved.push({ ...answer, job: null });
    }
    return moved;
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

function isKeyTaken(error: unknown): boolean {
  return error instanceof SqlError && error.kind === 'unique';
}
