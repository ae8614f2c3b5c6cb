/**
 * Lets at most so many pieces of work in at once; the others wait their turn. Requests of people and of the application
 * pass here, since they may take long or wait for locks: with two connections or more, one is left for claims, renewals
 * and settlements, which share it with inserts that wait for nobody.
 */
export class Gate {
  private inside = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(private readonly max: number) {}

  async pass<T>(work: () => Promise<T>): Promise<T> {
    if (this.inside >= this.max) {
      // Whoever leaves hands over his place.
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    } else {
      this.inside += 1;
    }
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next) {
        next();
      } else {
        this.inside -= 1;
      }
    }
  }
}
