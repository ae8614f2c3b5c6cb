import type { JobsTransaction } from '../core/jobs-transaction.js';
import { assertHandle, assertTransaction, toRows } from './adapter.js';

const KYSELY = { orm: 'Kysely', expected: 'the `trx` of db.transaction().execute(async (trx) => …)' };

/** The form of a statement that Kysely takes without building it. */
interface CompiledStatement {
  readonly sql: string;
  readonly parameters: readonly unknown[];
  readonly query: {
    readonly kind: 'RawNode';
    readonly sqlFragments: readonly string[];
    readonly parameters: readonly never[];
  };
  readonly queryId: { readonly queryId: string };
}

/** A `Transaction` or a `ControlledTransaction` of Kysely. */
interface KyselyTransaction {
  readonly isTransaction: boolean;
  withoutPlugins(): {
    executeQuery(query: CompiledStatement): Promise<{ readonly rows: readonly unknown[] }>;
  };
}

let statements = 0;

/** Returns a transaction of Kysely. @publicApi */
export function fromKysely(trx: KyselyTransaction): JobsTransaction {
  assertHandle(KYSELY, trx, 'withoutPlugins');
  assertTransaction(KYSELY, trx.isTransaction, 'the Kysely instance itself');
  // A plugin such as CamelCasePlugin would rename the columns.
  const executor = trx.withoutPlugins();
  return {
    ...KYSELY,
    handle: trx,
    async query(sql, parameters) {
      const query = { kind: 'RawNode', sqlFragments: [sql], parameters: [] } as const;
      statements += 1;
      return toRows(
        await executor.executeQuery({ sql, parameters, query, queryId: { queryId: `jobs-${statements}` } }),
      );
    },
  };
}
