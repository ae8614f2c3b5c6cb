import { AsyncLocalStorage } from 'node:async_hooks';
import { Injectable } from '@nestjs/common';
import { DataSource, EntityManager } from 'typeorm';

/**
 * Runs the app's transactions. On PostgreSQL each has a connection of its own. On SQLite a TypeORM DataSource is one
 * connection, which cannot hold two transactions, so they run one after another.
 */
@Injectable()
export class Transactions {
  private readonly open = new AsyncLocalStorage<{ isOpen: boolean }>();
  private last: Promise<unknown> = Promise.resolve();

  constructor(private readonly dataSource: DataSource) {}

  /** Runs `work` in a transaction. @throws Error inside another transaction, for which it would wait for ever */
  async run<T>(work: (manager: EntityManager) => Promise<T>): Promise<T> {
    if (this.dataSource.options.type === 'postgres') {
      return this.dataSource.transaction(work);
    }
    if (this.open.getStore()?.isOpen) {
      throw new Error('a transaction is already open here; pass its manager on');
    }
    const result = this.last.then(() => this.runAlone(work));
    this.last = result.catch(() => undefined);
    return result;
  }

  private async runAlone<T>(work: (manager: EntityManager) => Promise<T>): Promise<T> {
    const own = { isOpen: true };
    try {
      return await this.open.run(own, () => this.dataSource.transaction(work));
    } finally {
      own.isOpen = false;
    }
  }
}
