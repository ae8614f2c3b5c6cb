import type { StoreTransaction } from '../transactions/application-transactions.js';
import type { MovedTime } from '../runtime/moved-time.js';
import type { SqlRow, SqlStatement } from '../runtime/sql-runner.js';
import type { PostgresStoreOptions } from './postgres-store.js';
import { PostgresStore } from './postgres-store.js';
import { moveTime } from '../runtime/moved-time.postgres.js';

/** A store whose statements read a moved time. For tests. */
export class MovedTimeStore extends PostgresStore {
  constructor(
    options: PostgresStoreOptions,
    private readonly time: MovedTime,
  ) {
    super(options);
  }

  protected override query(
    text: string,
    params: readonly unknown[],
    tx?: StoreTransaction,
  ): Promise<readonly SqlRow[]> {
    return super.query(moveTime(text, this.time.aheadMs), params, tx);
  }

  protected override transact(transactions: readonly (readonly SqlStatement[])[]): Promise<readonly SqlRow[]> {
    const move = ({ sql, params }: SqlStatement): SqlStatement => ({ sql: moveTime(sql, this.time.aheadMs), params });
    return super.transact(transactions.map((statements) => statements.map(move)));
  }
}
