import type { Definition } from './definition-records.js';
import type { ApplyBounds } from './definition-table.js';
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
  const run = (bounds: ApplyBounds, ...before: readonly SqlStatement[]): Promise<readonly SqlRow[]> => {
    const { liveMs, aheadMs, ageMs } = bounds;
    return transact([
      [
        { sql: sql.LOCK_DEFINITIONS, params: [toLockNumber(schema(), '')] },
        ...before,
        { sql: sql.PRUNE_DEFINITIONS, params: [ageMs, liveMs, aheadMs] },
        { sql: sql.PRUNE_SCHEDULES, params: [] },
        { sql: sql.APPLY_TO_TOPICS, params: [liveMs, aheadMs] },
      ],
    ]);
  };
  return new DefinitionTable({
    statements: sql,
    read,
    declare: (definitions, bounds) =>
      run(bounds, { sql: sql.DECLARE_DEFINITIONS, params: [toDefinitionsJson(definitions)] }),
    apply: (bounds) => run(bounds),
  });
}

function toDefinitionsJson(definitions: readonly Definition[]): string {
  const members = definitions.map(({ json, ...ref }) => `${JSON.stringify(ref).slice(0, -1)},"definition":${json}}`);
  return `[${members.join(',')}]`;
}
