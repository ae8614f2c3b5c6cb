import fc from 'fast-check';
import { QueueUnavailableError, RowLockedError, WriteLockError } from '../../../lib/core/errors.js';
import { Batcher } from '../../../lib/engine/runtime/batcher.js';
import { signal } from '../../support/wait.js';
import { Doubler } from '../../support/unit/doubler.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

const MIB = 1_048_576;

/** The result of each call, or the message of its error. */
function toAnswers(results: readonly PromiseSettledResult<number>[]): unknown[] {
  return results.map((result) => (result.status === 'fulfilled' ? result.value : (result.reason as Error).message));
}

const refusing =
  (bad: (item: number) => boolean) =>
  (items: readonly number[]): void => {
    if (items.some(bad)) throw new Error(`refused: ${items.find(bad)}`);
  };

/** Runs everything that does not wait for a timer. */
const settle = (): Promise<void> => new VirtualClock().settle();

describe('a batcher', () => {
  it('sends a single call at once, without a timer', async () => {
    const doubler = new Doubler();
    const answer = doubler.batcher.add(1);
    await settle();

    expect(doubler.batches).toEqual([[1]]);
    await expect(answer).resolves.toBe(2);
  });

  it('sends calls of one turn of the event loop together and returns its own result to each', async () => {
    const doubler = new Doubler();

    expect(toAnswers(await doubler.add(3, 1, 2))).toEqual([6, 2, 4]);
    expect(doubler.batches).toEqual([[3, 1, 2]]);
  });

  it('keeps calls that arrive during a batch and sends them together after it', async () => {
    const doubler = new Doubler();
    doubler.gate = signal();
    const first = doubler.add(1);
    await settle();
    const meanwhile = [doubler.add(2), doubler.add(3)];
    await settle();
    const last = doubler.add(4);
    await settle();
    expect(doubler.batches).toEqual([[1]]);

    doubler.gate.resolve();
    expect(toAnswers((await Promise.all([first, ...meanwhile, last])).flat())).toEqual([2, 4, 6, 8]);
    expect(doubler.batches).toEqual([[1], [2, 3, 4]]);
  });

  it('rejects each call when it has waited for the lock timeout itself, and not its batch', async () => {
    const clock = new VirtualClock();
    const endedAfterMs = new Map<number, number>();
    const batcher = new Batcher<number, number>({
      clock,
      // As SQLite's write queue does: the wait counts from the oldest call.
      run: (_, sinceMs) =>
        new Promise((_resolve, reject) => {
          clock.schedule(Math.max(0, sinceMs! + 1_000 - clock.now()), () =>
            reject(new WriteLockError('locked', 1_000)),
          );
        }),
    });
    const add = (item: number): void => {
      const startMs = clock.now();
      void batcher.add(item).catch(() => endedAfterMs.set(item, clock.now() - startMs));
    };
    add(0);
    await clock.advance(100);
    for (let item = 1; item <= 8; item += 1) {
      add(item);
      await clock.advance(100);
    }
    while (endedAfterMs.size < 9) {
      // The batcher sends at the end of a turn of the event loop.
      await clock.settle();
      await clock.settle();
      await clock.advance(10);
    }
    expect([...endedAfterMs.keys()]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(Math.min(...endedAfterMs.values())).toBe(1_000);
    expect(Math.max(...endedAfterMs.values())).toBeLessThanOrEqual(1_020);
  });

  it('has one batch in flight by default', async () => {
    let inFlight = 0;
    let most = 0;
    const batcher = new Batcher<number, number>({
      run: async (items) => {
        most = Math.max(most, (inFlight += 1));
        await settle();
        inFlight -= 1;
        return items;
      },
    });
    const calls: Promise<number>[] = [];
    for (let call = 0; call < 50; call += 1) {
      calls.push(batcher.add(call));
      await Promise.resolve();
    }

    await Promise.all(calls);
    expect(most).toBe(1);
  });

  it('puts at most 1,000 calls into a batch, in order of arrival', async () => {
    const doubler = new Doubler();
    const items = Array.from({ length: 2_001 }, (_, index) => index);
    await doubler.add(...items);

    expect(doubler.batches.map(({ length }) => length)).toEqual([1_000, 1_000, 1]);
    expect(doubler.batches.flat()).toEqual(items);
  });

  it('ends a batch before the call that would bring it over 4 MiB', async () => {
    const doubler = new Doubler({ measureLength: (mib) => mib * MIB });
    await doubler.add(1, 1, 1, 1, 1, 3, 2, 5, 1);

    expect(doubler.batches).toEqual([[1, 1, 1, 1], [1, 3], [2], [5], [1]]);
  });

  it('sends a call larger than 4 MiB alone', async () => {
    const doubler = new Doubler({ measureLength: (mib) => mib * MIB });

    expect(toAnswers(await doubler.add(9, 9))).toEqual([18, 18]);
    expect(doubler.batches).toEqual([[9], [9]]);
  });
});

describe('a batch that fails', () => {
  it('is retried item by item, so that only bad items fail', async () => {
    const doubler = new Doubler();
    doubler.onBatch = refusing((item) => item < 0);

    expect(toAnswers(await doubler.add(1, -2, 3, -4))).toEqual([2, 'refused: -2', 6, 'refused: -4']);
    expect(doubler.batches).toEqual([[1, -2, 3, -4], [1], [-2], [3], [-4]]);
  });

  it('is not retried when it has one item', async () => {
    const doubler = new Doubler();
    doubler.onBatch = refusing(() => true);

    expect(toAnswers(await doubler.add(1))).toEqual(['refused: 1']);
    expect(doubler.batches).toEqual([[1]]);
  });

  it('delays later calls until each item has been tried, in order', async () => {
    const doubler = new Doubler();
    doubler.onBatch = refusing((item) => item < 0);
    doubler.gate = signal();
    const refused = doubler.add(5, -1);
    await settle();
    const later = doubler.add(4);
    doubler.gate.resolve();

    await Promise.all([refused, later]);
    expect(doubler.batches).toEqual([[5, -1], [5], [-1], [4]]);
  });

  it('does not affect later calls', async () => {
    const doubler = new Doubler();
    doubler.onBatch = refusing(() => true);
    await doubler.add(1, 2);
    doubler.onBatch = () => undefined;

    expect(toAnswers(await doubler.add(3))).toEqual([6]);
  });

  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['null', null],
    ['a string', 'no'],
  ])('rejects its calls when run rejects with %s', async (_name, reason) => {
    const doubler = new Doubler();
    doubler.onBatch = () => {
      throw reason;
    };

    expect((await doubler.add(1, 2)).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(doubler.batches).toEqual([[1, 2], [1], [2]]);
    await doubler.batcher.idle();
  });

  it('rejects its calls when run throws synchronously', async () => {
    const batcher = new Batcher<number, number>({
      run: () => {
        throw new Error('at once');
      },
    });

    await expect(batcher.add(1)).rejects.toThrow('at once');
    await batcher.idle();
  });
});

describe('a batch that finds the database unavailable', () => {
  const away = (): never => {
    throw new QueueUnavailableError('database away');
  };

  it('rejects all calls without trying them one by one', async () => {
    const doubler = new Doubler();
    doubler.onBatch = away;

    expect(toAnswers(await doubler.add(1, 2, 3))).toEqual(['database away', 'database away', 'database away']);
    expect(doubler.batches).toEqual([[1, 2, 3]]);
  });

  it.each([
    { keyOf: undefined, batches: [[1, 2, 3]], title: 'the whole batch when there are no keys' },
    {
      keyOf: (item: number) => (item < 3 ? 'small' : 'large'),
      batches: [[1, 2, 3], [1], [3]],
      title: 'the items with the same key, and tries the others',
    },
  ])('after a lock timeout rejects $title', async ({ keyOf, batches }) => {
    const doubler = new Doubler(keyOf && { lockKey: keyOf });
    doubler.onBatch = () => {
      throw new RowLockedError('locked');
    };
    expect(toAnswers(await doubler.add(1, 2, 3))).toEqual(['locked', 'locked', 'locked']);
    expect(doubler.batches).toEqual(batches);
  });

  it('does not reject calls that arrived during the batch', async () => {
    const doubler = new Doubler();
    doubler.gate = signal();
    doubler.onBatch = (items) => items.includes(1) && away();
    const first = doubler.add(1);
    await settle();
    const later = doubler.add(2);
    doubler.gate.resolve();

    expect(toAnswers([...(await first), ...(await later)])).toEqual(['database away', 4]);
  });

  it('rejects the rest when the database goes away during the one-by-one tries', async () => {
    const doubler = new Doubler();
    doubler.onBatch = (items) => {
      refusing((item) => item < 0)(items);
      if (items.includes(2)) away();
    };

    expect(toAnswers(await doubler.add(1, -1, 2, 3))).toEqual([2, 'refused: -1', 'database away', 'database away']);
    expect(doubler.batches).toEqual([[1, -1, 2, 3], [1], [-1], [2]]);
  });
});

describe('idle', () => {
  it('is true before the first call and after the last result', async () => {
    const { batcher } = new Doubler();
    expect(batcher.isIdle).toBe(true);
    await batcher.idle();

    const answer = batcher.add(1);
    expect(batcher.isIdle).toBe(false);
    await answer;
    await batcher.idle();
    expect(batcher.isIdle).toBe(true);
  });

  it('resolves after all waiting calls are resolved or rejected', async () => {
    const doubler = new Doubler();
    doubler.onBatch = refusing((item) => item < 0);
    doubler.gate = signal();
    const all = [doubler.add(1)];
    await settle();
    all.push(doubler.add(2, -3));
    const idle = Promise.all([doubler.batcher.idle(), doubler.batcher.idle()]);
    doubler.gate.resolve();
    await idle;

    expect(doubler.batches).toEqual([[1], [2, -3], [2], [-3]]);
    expect(toAnswers((await Promise.all(all)).flat())).toEqual([2, 4, 'refused: -3']);
  });
});

describe('calls that arrive at random', () => {
  it('each get their own result once, and only bad ones are rejected', async () => {
    const ticks = fc.array(fc.array(fc.integer({ min: -3, max: 20 }), { maxLength: 6 }), { maxLength: 8 });

    await fc.assert(
      fc.asyncProperty(ticks, async (calls) => {
        const doubler = new Doubler();
        doubler.onBatch = refusing((item) => item < 0);
        const results: Promise<PromiseSettledResult<number>[]>[] = [];
        for (const items of calls) {
          results.push(doubler.add(...items));
          await Promise.resolve();
        }

        const expected = calls.flat().map((item) => (item < 0 ? `refused: ${item}` : 2 * item));
        expect(toAnswers((await Promise.all(results)).flat())).toEqual(expected);
        await doubler.batcher.idle();
        expect(doubler.batcher.isIdle).toBe(true);
      }),
    );
  });
});
