/** Lets at most so many pieces of work in at once; the others wait their turn: what takes connections leaves some to others. */
export class Semaphore {
  private inside = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(private readonly max: number) {}

  async pass<T>(work: () => Promise<T>): Promise<T> {
    if (this.inside >= this.max) {
      // Whoever leaves hands over the place.
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
