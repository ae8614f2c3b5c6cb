import type { Definition } from './definition-records.js';
import { DefinitionTable } from './definition-table.js';
import type { RunTransactions, SqlQuery, SqlRow, SqlStatement } from '../runtime/sql-runner.js';
import { toLockNumber } from '../limits/postgres-limited-claimer.js';
import * as sql from './definition.postgres.js';

/** @param schema the schema of the tables. */
export function createDefinitionTable(
  read: SqlQuery,
  transact: RunTransactions,
  schema: () => string,
): DefinitionTable {
  const run = (isSettling: boolean, ...before: readonly SqlStatement[]): Promise<readonly SqlRow[]> => {
    const params = [Number(isSettling)];
    return transact([
      [
        { sql: sql.LOCK_DEFINITIONS, params: [toLockNumber(schema(), '')] },
        ...before,
        { sql: sql.PRUNE_DEFINITIONS, params },
        { sql: sql.PRUNE_SCHEDULES, params: [] },
        { sql: sql.APPLY_TO_TOPICS, params },
      ],
    ]);
  };
  return new DefinitionTable({
    statements: sql,
    read,
    declare: (definitions, isSettling) =>
      run(isSettling, { sql: sql.DECLARE_DEFINITIONS, params: [toDefinitionsJson(definitions)] }),
    apply: (isSettling) => run(isSettling),
  });
}

function toDefinitionsJson(definitions: readonly Definition[]): string {
  const members = definitions.map(({ json, ...ref }) => `${JSON.stringify(ref).slice(0, -1)},"definition":${json}}`);
  return `[${members.join(',')}]`;
}
