import { Batcher } from '../../../lib/engine/runtime/batcher.js';
import type { Signal } from '../../support/wait.js';
import { signal } from '../../support/wait.js';
import { Doubler } from '../../support/unit/doubler.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

/** Runs everything that does not wait for a timer. */
const settle = (): Promise<void> => new VirtualClock().settle();

describe('a batcher with two batches in flight', () => {
  const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
  const sizes = ({ batches }: Doubler): number[] => batches.map(({ length }) => length);

  it('splits the waiting calls into two batches when both are large enough', async () => {
    const doubler = new Doubler({ concurrency: () => ({ atOnce: 2, minJobsForAnother: 16 }) });
    doubler.gate = signal();
    const answers = doubler.add(...numbers(65));
    await settle();
    expect(sizes(doubler)).toEqual([33, 32]);
    expect(doubler.batches.flat()).toEqual(numbers(65));
    doubler.gate.resolve();
    expect(await answers).toEqual(numbers(65).map((item) => ({ status: 'fulfilled', value: 2 * item })));
  });

  it('sends a second batch only when it reaches the minimum size', async () => {
    const doubler = new Doubler({ concurrency: () => ({ atOnce: 2, minJobsForAnother: 16 }) });
    const gate = (doubler.gate = signal());
    const answers = [doubler.add(...numbers(16))];
    await settle();
    answers.push(doubler.add(...numbers(15)));
    await settle();
    expect(sizes(doubler)).toEqual([16]);
    answers.push(doubler.add(1));
    await settle();
    expect(sizes(doubler)).toEqual([16, 16]);
    answers.push(doubler.add(...numbers(40)));
    await settle();
    expect(sizes(doubler)).toEqual([16, 16]);
    gate.resolve();
    await Promise.all(answers);
    expect(sizes(doubler)).toEqual([16, 16, 20, 20]);
  });

  it('is idle when neither batch is in flight', async () => {
    const gates: Signal<void>[] = [];
    const batcher = new Batcher<number, number>({
      concurrency: () => ({ atOnce: 2, minJobsForAnother: 16 }),
      run: async (items) => {
        gates.push(signal());
        await gates.at(-1)!.promise;
        return items;
      },
    });
    expect(batcher.isIdle).toBe(true);
    const calls = numbers(32).map((item) => batcher.add(item));
    expect(batcher.isIdle).toBe(false);
    await settle();
    let isIdle = false;
    const idle = batcher.idle().then(() => (isIdle = true));
    gates[1]!.resolve();
    await settle();
    expect({ isIdle, is: batcher.isIdle }).toEqual({ isIdle: false, is: false });
    gates[0]!.resolve();
    await Promise.all([idle, ...calls]);
    expect(batcher.isIdle).toBe(true);
  });
});
