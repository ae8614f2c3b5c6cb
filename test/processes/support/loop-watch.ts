const TICK_MS = 5;

/**
 * Watches how often the event loop gets a turn, and how long it stands still. A histogram of Node's own would show
 * nothing while there is no turn at all, so the time since the last turn counts too.
 */
export class LoopWatch {
  /** How many turns it has had. */
  turns = 0;
  private lastMs = performance.now();
  private longestMs = 0;
  private readonly timer = setInterval(() => this.turn(), TICK_MS).unref();

  /** The longest time between two turns, in milliseconds. */
  get longest(): number {
    return Math.max(this.longestMs, performance.now() - this.lastMs);
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private turn(): void {
    this.turns += 1;
    this.longestMs = this.longest;
    this.lastMs = performance.now();
  }
}
