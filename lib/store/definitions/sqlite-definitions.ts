import type { Definition } from './definition-records.js';
import type { ApplyBounds } from './definition-table.js';
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
    declare: async (definitions, bounds) => {
      const [row] = await read(sql.COUNT_DECLARED, [toRefsJson(definitions)]);
      const isDeclared = Number(row!.declared) === definitions.length;
      // A read first, which takes no lock.
      return isDeclared && (await read(sql.PENDING_TOPICS, [bounds.liveMs, bounds.aheadMs])).length === 0
        ? []
        : transact(() => declareScript(definitions, bounds));
    },
    apply: (bounds) => transact(() => applyScript(bounds)),
  });
}

function* declareScript(definitions: readonly Definition[], bounds: ApplyBounds): SqlScript<readonly SqlRow[]> {
  const json = definitions.map(({ json: definition, ...ref }) => ({ ...ref, definition }));
  yield { sql: sql.DECLARE_DEFINITIONS, params: [JSON.stringify(json)] };
  return yield* applyScript(bounds);
}

function* applyScript({ liveMs, aheadMs, ageMs }: ApplyBounds): SqlScript<readonly SqlRow[]> {
  yield { sql: sql.PRUNE_DEFINITIONS, params: [ageMs, liveMs, aheadMs] };
  yield { sql: sql.PRUNE_SCHEDULES, params: [] };
  return yield { sql: sql.APPLY_TO_TOPICS, params: [liveMs, aheadMs] };
}
