import * as postgresStatements from '../../lib/store/links/link.postgres.js';
import * as sqliteStatements from '../../lib/store/links/link.sqlite.js';
import type { SqlRow, SqlScript } from '../../lib/store/runtime/sql-runner.js';
import type { StoreFixture, StoreKind } from './stores.js';

/** Runs the scripts of the queue step by step, each statement in a transaction of its own. */
export class LinkScripts {
  readonly statements: typeof postgresStatements | typeof sqliteStatements;
  private readonly bindsNames: boolean;

  constructor(
    private readonly fixture: StoreFixture,
    private readonly kind: StoreKind,
  ) {
    this.statements = kind.locksRows ? postgresStatements : sqliteStatements;
    // better-sqlite3 takes numbered parameters as an object.
    this.bindsNames = !kind.locksRows && !kind.label.endsWith('sqlite3');
  }

  readonly query = async (sql: string, params: readonly unknown[] = []): Promise<readonly SqlRow[]> => {
    const values = this.bindsNames ? [Object.fromEntries(params.map((value, at) => [at + 1, value]))] : [...params];
    const result: unknown[] = await this.fixture.app.query(sql, values);
    // TypeORM returns the rows of an UPDATE on PostgreSQL together with their number.
    const isPair = this.kind.locksRows && result.length === 2 && Array.isArray(result[0]);
    return (isPair ? result[0] : result) as SqlRow[];
  };

  async run<T>(script: SqlScript<T>): Promise<T> {
    let step = script.next();
    while (!step.done) {
      step = script.next(await this.query(step.value.sql, step.value.params));
    }
    return step.value;
  }
}
