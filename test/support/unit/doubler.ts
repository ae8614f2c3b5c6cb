import type { BatcherOptions } from '../../../lib/engine/runtime/batcher.js';
import { Batcher } from '../../../lib/engine/runtime/batcher.js';
import type { Signal } from '../wait.js';

/** Doubles numbers, records its batches, and can wait for the test. */
export class Doubler {
  readonly batches: number[][] = [];
  readonly batcher: Batcher<number, number>;
  /** While set, no batch ends before it does. */
  gate: Signal<void> | undefined;
  /** Throws to reject a batch. */
  onBatch: (items: readonly number[]) => void = () => undefined;

  constructor(options: Omit<BatcherOptions<number, number>, 'run'> = {}) {
    this.batcher = new Batcher<number, number>({
      ...options,
      run: async (items) => {
        this.batches.push([...items]);
        await this.gate?.promise;
        this.onBatch(items);
        return items.map((item) => 2 * item);
      },
    });
  }

  add(...items: number[]): Promise<PromiseSettledResult<number>[]> {
    return Promise.allSettled(items.map((item) => this.batcher.add(item)));
  }
}
