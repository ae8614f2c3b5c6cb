/** One after another: a TypeORM DataSource on SQLite is one connection, on which two transactions would get into each other. */
export class Turns {
  private last: Promise<unknown> = Promise.resolve();

  constructor(private readonly areNeeded: boolean) {}

  take<T>(work: () => Promise<T>): Promise<T> {
    if (!this.areNeeded) return work();
    const turn = this.last.then(work);
    this.last = turn.catch(() => undefined);
    return turn;
  }
}
