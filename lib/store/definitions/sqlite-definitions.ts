import type { Definition } from './definition-records.js';
import { DefinitionTable, toRefsJson } from './definition-table.js';
import type { SqlQuery, SqlRow, SqlScript } from '../runtime/sql-runner.js';
import * as sql from './definition.sqlite.js';

/** @param transact runs the statements of a script in one transaction. */
export function createDefinitionTable(
  read: SqlQuery,
  transact: <T>(script: () => SqlScript<T>) => Promise<T>,
): DefinitionTable {
  return new DefinitionTable({
    statements: sql,
    read,
    declare: async (definitions, isSettling) => {
      const [row] = await read(sql.COUNT_DECLARED, [toRefsJson(definitions)]);
      const isDeclared = Number(row!.declared) === definitions.length;
      // A read first, which takes no lock.
      return isDeclared && (await read(sql.PENDING_TOPICS, [Number(isSettling)])).length === 0
        ? []
        : transact(() => declareScript(definitions, isSettling));
    },
    apply: (isSettling) => transact(() => applyScript(isSettling)),
  });
}

function* declareScript(definitions: readonly Definition[], isSettling: boolean): SqlScript<readonly SqlRow[]> {
  const json = definitions.map(({ json: definition, ...ref }) => ({ ...ref, definition }));
  yield { sql: sql.DECLARE_DEFINITIONS, params: [JSON.stringify(json)] };
  return yield* applyScript(isSettling);
}

function* applyScript(isSettling: boolean): SqlScript<readonly SqlRow[]> {
  const params = [Number(isSettling)];
  yield { sql: sql.PRUNE_DEFINITIONS, params };
  yield { sql: sql.PRUNE_SCHEDULES, params: [] };
  return yield { sql: sql.APPLY_TO_TOPICS, params };
}
