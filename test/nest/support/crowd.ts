import { until } from '../../support/wait.js';
import type { Handler } from './apps.js';

/** A handler whose runs stay until they are let go, and who counts how many there were at once. */
export class Crowd {
  /** Most runs at once so far. */
  most = 0;
  private readonly inside: (() => void)[] = [];

  readonly handler: Handler = async () => {
    const left = new Promise<void>((resolve) => this.inside.push(resolve));
    this.most = Math.max(this.most, this.inside.length);
    await left;
  };

  get size(): number {
    return this.inside.length;
  }

  /** Resolves when so many are inside. */
  async grows(size: number): Promise<void> {
    await until(() => this.inside.length >= size, { message: `${size} handlers at once` });
  }

  letOneGo(): void {
    this.inside.shift()?.();
  }
}
