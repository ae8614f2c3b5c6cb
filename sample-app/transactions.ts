import { AsyncLocalStorage } from 'node:async_hooks';
import { Injectable } from '@nestjs/common';
import { DataSource, EntityManager } from 'typeorm';

/**
 * The app's transactions. On PostgreSQL each has a connection of its own. On SQLite a TypeORM DataSource is one
 * connection, and two transactions at once would get into each other; so there they take turns.
 */
@Injectable()
export class Transactions {
  private readonly open = new AsyncLocalStorage<{ isOpen: boolean }>();
  private last: Promise<unknown> = Promise.resolve();

  constructor(private readonly dataSource: DataSource) {}

  /** @throws Error inside another one, for which it would wait for ever: that one's manager is to be handed on. */
  async run<T>(work: (manager: EntityManager) => Promise<T>): Promise<T> {
    if (this.dataSource.options.type === 'postgres') {
      return this.dataSource.transaction(work);
    }
    if (this.open.getStore()?.isOpen) {
      throw new Error('a transaction is open here already: hand its manager on');
    }
    const turn = this.last.then(() => this.inTurn(work));
    this.last = turn.catch(() => undefined);
    return turn;
  }

  private async inTurn<T>(work: (manager: EntityManager) => Promise<T>): Promise<T> {
    const own = { isOpen: true };
    try {
      return await this.open.run(own, () => this.dataSource.transaction(work));
    } finally {
      own.isOpen = false;
    }
  }
}
