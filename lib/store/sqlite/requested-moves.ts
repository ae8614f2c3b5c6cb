import type { Moved } from '../job-store.js';
import { movedOf } from '../row-mapper.js';
import { leftAlone } from '../set-answers.js';
import { SqlError } from '../sql-error.js';
import type { SqlScript } from '../sql-runner.js';
import type { MoveStatements } from './move-statements.js';
import { moveScript } from './scripts.js';

/** Moves jobs by request. */
export class RequestedMoves {
  constructor(private readonly write: <T>(script: () => SqlScript<T>) => Promise<T>) {}

  /** In one script, or where the database refuses one of several, in halves, until those that it refuses stand alone. */
  async move(statements: MoveStatements, ids: readonly string[], params: readonly unknown[] = []): Promise<Moved[]> {
    try {
      return await this.write(() => moveScript(statements, ids, params));
    } catch (error) {
      if (!(error instanceof SqlError)) {
        throw error;
      }
      return ids.length === 1 ? [movedOf(leftAlone(ids[0]!, error))] : this.moveHalves(statements, ids, params);
    }
  }

  private async moveHalves(
    statements: MoveStatements,
    ids: readonly string[],
    params: readonly unknown[],
  ): Promise<Moved[]> {
    const middle = Math.ceil(ids.length / 2);
    const moved = [
      ...(await this.move(statements, ids.slice(0, middle), params)),
      ...(await this.move(statements, ids.slice(middle), params)),
    ];
    // Alone a job is answered whole; of several none is, whichever way they went.
    return moved.map((each) => ({ ...each, job: null }));
  }
}
