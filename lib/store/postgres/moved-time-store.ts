import type { StoreTransaction } from '../job-store.js';
import type { MovedTime } from '../moved-time.js';
import type { SqlRow, SqlStatement } from '../sql-runner.js';
import type { PostgresStoreOptions } from './postgres-store.js';
import { PostgresStore } from './postgres-store.js';
import { moveTime } from './sql/moved-time.js';

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
