import { until } from '../../support/wait.js';
import type { Handler } from './apps.js';

/** A handler whose runs wait for `release`. Counts the concurrent runs. */
export class HandlerGate {
  /** The highest number of concurrent runs so far. */
  most = 0;
  private readonly waiting: (() => void)[] = [];

  readonly handler: Handler = async () => {
    const released = new Promise<void>((resolve) => this.waiting.push(resolve));
    this.most = Math.max(this.most, this.waiting.length);
    await released;
  };

  get size(): number {
    return this.waiting.length;
  }

  /** Waits until this number of handlers runs. */
  async waitFor(size: number): Promise<void> {
    await until(() => this.waiting.length >= size, { message: `${size} handlers at once` });
  }

  release(): void {
    this.waiting.shift()?.();
  }
}
