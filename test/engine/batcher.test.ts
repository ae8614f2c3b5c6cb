import fc from 'fast-check';
import { QueueUnavailableError, RowLockedError } from '../../lib/core/errors.js';
import { Batcher } from '../../lib/engine/batcher.js';
import { signal } from '../support/wait.js';
import { Doubler } from '../support/unit/doubler.js';
import { VirtualClock } from '../support/unit/virtual-clock.js';

const MIB = 1_048_576;

/** What became of each call: its answer, or the message of its error. */
function answersOf(results: readonly PromiseSettledResult<number>[]): unknown[] {
  return results.map((result) => (result.status === 'fulfilled' ? result.value : (result.reason as Error).message));
}

const refusing =
  (bad: (item: number) => boolean) =>
  (items: readonly number[]): void => {
    if (items.some(bad)) throw new Error(`refused: ${items.find(bad)}`);
  };

/** Lets everything run that waits for no time. */
const settle = (): Promise<void> => new VirtualClock().settle();

describe('a batcher', () => {
  it('sends a call that comes alone at once, without a timer', async () => {
    const doubler = new Doubler();
    const answer = doubler.batcher.add(1);
    await settle();

    expect(doubler.batches).toEqual([[1]]);
    await expect(answer).resolves.toBe(2);
  });

  it('sends calls of one turn of the event loop together, and answers each with its own', async () => {
    const doubler = new Doubler();

    expect(answersOf(await doubler.add(3, 1, 2))).toEqual([6, 2, 4]);
    expect(doubler.batches).toEqual([[3, 1, 2]]);
  });

  it('keeps calls that come while a batch is under way, and sends them together after it', async () => {
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
    expect(answersOf((await Promise.all([first, ...meanwhile, last])).flat())).toEqual([2, 4, 6, 8]);
    expect(doubler.batches).toEqual([[1], [2, 3, 4]]);
  });

  it('never has two batches under way', async () => {
    let underWay = 0;
    let most = 0;
    const batcher = new Batcher<number, number>({
      run: async (items) => {
        most = Math.max(most, (underWay += 1));
        await settle();
        underWay -= 1;
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

  it('takes at most 1,000 calls into a batch, in the order they came', async () => {
    const doubler = new Doubler();
    const items = Array.from({ length: 2_001 }, (_, index) => index);
    await doubler.add(...items);

    expect(doubler.batches.map(({ length }) => length)).toEqual([1_000, 1_000, 1]);
    expect(doubler.batches.flat()).toEqual(items);
  });

  it('ends a batch before the call that would bring it over 4 MiB', async () => {
    const doubler = new Doubler({ lengthOf: (mib) => mib * MIB });
    await doubler.add(1, 1, 1, 1, 1, 3, 2, 5, 1);

    expect(doubler.batches).toEqual([[1, 1, 1, 1], [1, 3], [2], [5], [1]]);
  });

  it('sends a call larger than any batch by itself', async () => {
    const doubler = new Doubler({ lengthOf: (mib) => mib * MIB });

    expect(answersOf(await doubler.add(9, 9))).toEqual([18, 18]);
    expect(doubler.batches).toEqual([[9], [9]]);
  });
});

describe('a batch that is refused', () => {
  it('is tried one by one, so that the bad ones fail alone', async () => {
    const doubler = new Doubler();
    doubler.judge = refusing((item) => item < 0);

    expect(answersOf(await doubler.add(1, -2, 3, -4))).toEqual([2, 'refused: -2', 6, 'refused: -4']);
    expect(doubler.batches).toEqual([[1, -2, 3, -4], [1], [-2], [3], [-4]]);
  });

  it('of one call has had its own try already', async () => {
    const doubler = new Doubler();
    doubler.judge = refusing(() => true);

    expect(answersOf(await doubler.add(1))).toEqual(['refused: 1']);
    expect(doubler.batches).toEqual([[1]]);
  });

  it('keeps later calls waiting until all of it has been tried, in order', async () => {
    const doubler = new Doubler();
    doubler.judge = refusing((item) => item < 0);
    doubler.gate = signal();
    const refused = doubler.add(5, -1);
    await settle();
    const later = doubler.add(4);
    doubler.gate.resolve();

    await Promise.all([refused, later]);
    expect(doubler.batches).toEqual([[5, -1], [5], [-1], [4]]);
  });

  it('does not harm those that come after it', async () => {
    const doubler = new Doubler();
    doubler.judge = refusing(() => true);
    await doubler.add(1, 2);
    doubler.judge = () => undefined;

    expect(answersOf(await doubler.add(3))).toEqual([6]);
  });

  it.each<[string, unknown]>([
    ['without an error', undefined],
    ['for null', null],
    ['with text', 'no'],
  ])('is refused %s, too', async (_name, reason) => {
    const doubler = new Doubler();
    doubler.judge = () => {
      throw reason;
    };

    expect((await doubler.add(1, 2)).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(doubler.batches).toEqual([[1, 2], [1], [2]]);
    await doubler.batcher.idle();
  });

  it('may be refused before a promise is given', async () => {
    const batcher = new Batcher<number, number>({
      run: () => {
        throw new Error('at once');
      },
    });

    await expect(batcher.add(1)).rejects.toThrow('at once');
    await batcher.idle();
  });
});

describe('a batch without an answer', () => {
  const away = (): never => {
    throw new QueueUnavailableError('database away');
  };

  it('is rejected as a whole, at once: there is nothing to tell apart', async () => {
    const doubler = new Doubler();
    doubler.judge = away;

    expect(answersOf(await doubler.add(1, 2, 3))).toEqual(['database away', 'database away', 'database away']);
    expect(doubler.batches).toEqual([[1, 2, 3]]);
  });

  it.each([
    { keyOf: undefined, batches: [[1, 2, 3]], title: 'as a whole: each of its members would wait for it again' },
    {
      keyOf: (item: number) => (item < 3 ? 'small' : 'large'),
      batches: [[1, 2, 3], [1], [3]],
      title: 'key by key, where it may be the key of a member',
    },
  ])('since a lock did not come in time is rejected $title', async ({ keyOf, batches }) => {
    const doubler = new Doubler(keyOf && { keyOf });
    doubler.judge = () => {
      throw new RowLockedError('locked');
    };
    expect(answersOf(await doubler.add(1, 2, 3))).toEqual(['locked', 'locked', 'locked']);
    expect(doubler.batches).toEqual(batches);
  });

  it('does not take those with it that came while it was under way', async () => {
    const doubler = new Doubler();
    doubler.gate = signal();
    doubler.judge = (items) => items.includes(1) && away();
    const first = doubler.add(1);
    await settle();
    const later = doubler.add(2);
    doubler.gate.resolve();

    expect(answersOf([...(await first), ...(await later)])).toEqual(['database away', 4]);
  });

  it('takes the rest with it when the database goes away while its members are tried one by one', async () => {
    const doubler = new Doubler();
    doubler.judge = (items) => {
      refusing((item) => item < 0)(items);
      if (items.includes(2)) away();
    };

    expect(answersOf(await doubler.add(1, -1, 2, 3))).toEqual([2, 'refused: -1', 'database away', 'database away']);
    expect(doubler.batches).toEqual([[1, -1, 2, 3], [1], [-1], [2]]);
  });
});

describe('a batcher that is idle', () => {
  it('says so, before its first call and after its last', async () => {
    const { batcher } = new Doubler();
    expect(batcher.isIdle).toBe(true);
    await batcher.idle();

    const answer = batcher.add(1);
    expect(batcher.isIdle).toBe(false);
    await answer;
    await batcher.idle();
    expect(batcher.isIdle).toBe(true);
  });

  it('has sent all calls that waited, whoever asked and whatever became of them', async () => {
    const doubler = new Doubler();
    doubler.judge = refusing((item) => item < 0);
    doubler.gate = signal();
    const all = [doubler.add(1)];
    await settle();
    all.push(doubler.add(2, -3));
    const idle = Promise.all([doubler.batcher.idle(), doubler.batcher.idle()]);
    doubler.gate.resolve();
    await idle;

    expect(doubler.batches).toEqual([[1], [2, -3], [2], [-3]]);
    expect(answersOf((await Promise.all(all)).flat())).toEqual([2, 4, 'refused: -3']);
  });
});

describe('calls at any time', () => {
  it('are each answered once with their own, refused ones alone, whatever comes when', async () => {
    const ticks = fc.array(fc.array(fc.integer({ min: -3, max: 20 }), { maxLength: 6 }), { maxLength: 8 });

    await fc.assert(
      fc.asyncProperty(ticks, async (calls) => {
        const doubler = new Doubler();
        doubler.judge = refusing((item) => item < 0);
        const results: Promise<PromiseSettledResult<number>[]>[] = [];
        for (const items of calls) {
          results.push(doubler.add(...items));
          await Promise.resolve();
        }

        const expected = calls.flat().map((item) => (item < 0 ? `refused: ${item}` : 2 * item));
        expect(answersOf((await Promise.all(results)).flat())).toEqual(expected);
        await doubler.batcher.idle();
        expect(doubler.batcher.isIdle).toBe(true);
      }),
    );
  });
});
