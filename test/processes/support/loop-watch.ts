const TICK_MS = 5;

/**
 * Counts the passes of the event loop and measures how long it is blocked. The histogram of Node records nothing while
 * the loop is blocked, so the time since the last pass counts too.
 */
export class LoopWatch {
  /** The number of passes. */
  passes = 0;
  private lastMs = performance.now();
  private longestMs = 0;
  private readonly timer = setInterval(() => this.countPass(), TICK_MS).unref();

  /** The longest time between two passes, in milliseconds. */
  get longest(): number {
    return Math.max(this.longestMs, performance.now() - this.lastMs);
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private countPass(): void {
    this.passes += 1;
    this.longestMs = this.longest;
    this.lastMs = performance.now();
  }
}
