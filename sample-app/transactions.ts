import { Injectable } from '@nestjs/common';
import { DataSource, EntityManager } from 'typeorm';

/**
 * The app's transactions. On PostgreSQL each has a connection of its own. On SQLite a TypeORM DataSource is one
 * connection, and two transactions at once would get into each other; so there they take turns.
 */
@Injectable()
export class Transactions {
  private last: Promise<unknown> = Promise.resolve();

  constructor(private readonly dataSource: DataSource) {}

  run<T>(work: (manager: EntityManager) => Promise<T>): Promise<T> {
    if (this.dataSource.options.type === 'postgres') {
      return this.dataSource.transaction(work);
    }
    const turn = this.last.then(() => this.dataSource.transaction(work));
    this.last = turn.catch(() => undefined);
    return turn;
  }
}
