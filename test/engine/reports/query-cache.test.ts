import { QueryCache } from '../../../lib/engine/reports/query-cache.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

describe('QueryCache', () => {
  const isLarge = (): boolean => true;

  /** A cache of a query that takes `costMs`; `made()` counts its runs. */
  function createCache(
    costMs: number,
    isAnyLarge = isLarge,
  ): { clock: VirtualClock; shared: QueryCache<number>; made: () => number } {
    const clock = new VirtualClock();
    let made = 0;
    const shared = new QueryCache(
      clock,
      async () => {
        made += 1;
        const mine = made;
        await new Promise<void>((resolve) => clock.schedule(costMs, resolve));
        return mine;
      },
      isAnyLarge,
    );
    return { clock, shared, made: () => made };
  }

  async function get({ clock, shared }: ReturnType<typeof createCache>, costMs: number): Promise<number> {
    const answer = shared.get(null);
    await clock.advance(costMs);
    return answer;
  }

  describe('with a fast query', () => {
    it('runs it for every caller', async () => {
      const it = createCache(5);
      expect([await get(it, 5), await get(it, 5), await get(it, 5)]).toEqual([1, 2, 3]);
      expect(it.shared.has(null)).toBe(false);
    });

    it('returns no result that was started before the call, and one result to all waiting callers', async () => {
      const { clock, shared, made } = createCache(5);
      const first = shared.get(null);
      await clock.advance(2);
      const others = [shared.get(null), shared.get(null), shared.get(null)];
      await clock.advance(3);
      const last = shared.get(null);
      await clock.advance(20);
      expect(await first).toBe(1);
      expect(await Promise.all(others)).toEqual([2, 2, 2]);
      expect(await last).toBe(3);
      expect(made()).toBe(3);
    });
  });

  it('runs a slow query with a small result for every caller', async () => {
    const it = createCache(100, () => false);
    expect([await get(it, 100), await get(it, 100)]).toEqual([1, 2]);
  });

  describe('with a slow query', () => {
    it('returns its result for two seconds from the start of the query', async () => {
      const it = createCache(100);
      expect(await get(it, 100)).toBe(1);
      await it.clock.advance(899);
      expect(await it.shared.get(null)).toBe(1);
      expect(it.shared.has(null)).toBe(true);
      expect(it.made()).toBe(1);
    });

    it('refreshes the result in the background while callers keep asking, so that none of them waits', async () => {
      const it = createCache(100);
      await get(it, 100);
      const shown = [];
      for (let ms = 0; ms < 10_000; ms += 250) {
        await it.clock.advance(250);
        // Resolves without any time passing.
        shown.push(await it.shared.get(null));
      }
      expect(shown).toEqual(shown.toSorted((a, b) => a - b));
      expect(it.made()).toBeGreaterThanOrEqual(8);
      expect(it.made()).toBeLessThanOrEqual(11);
    });

    it('runs it again for a later caller', async () => {
      const it = createCache(100);
      await get(it, 100);
      await it.clock.advance(1_900);
      expect(it.shared.has(null)).toBe(false);
      expect(await get(it, 100)).toBe(2);
    });

    it('runs it once for all waiting callers', async () => {
      const { clock, shared, made } = createCache(100);
      void shared.get(null);
      await clock.advance(5_000);
      const waiting = [shared.get(null)];
      await clock.advance(50);
      waiting.push(shared.get(null));
      await clock.advance(50);
      expect(await Promise.all(waiting)).toEqual([2, 2]);
      expect(made()).toBe(2);
    });
  });

  it('rejects when the query fails, and runs it again for the next caller', async () => {
    const clock = new VirtualClock();
    const answers = [Promise.reject(new Error('away')), Promise.resolve(7)];
    const shared = new QueryCache(clock, () => answers.shift()!, isLarge);
    await expect(shared.get(null)).rejects.toThrow('away');
    expect(await shared.get(null)).toBe(7);
  });

  it('runs the query for callers that arrived during a failed one', async () => {
    const clock = new VirtualClock();
    const answers = [Promise.reject(new Error('away')), Promise.resolve(7)];
    const shared = new QueryCache(clock, () => answers.shift()!, isLarge);
    const [first, second] = [shared.get(null), shared.get(null)];
    await expect(first).rejects.toThrow('away');
    expect(await second).toBe(7);
  });

  it('returns the last result while refreshing fails, until it is too old', async () => {
    const clock = new VirtualClock();
    let isAway = false;
    const shared = new QueryCache(
      clock,
      async () => {
        await new Promise<void>((resolve) => clock.schedule(100, resolve));
        if (isAway) throw new Error('away');
        return 'here';
      },
      isLarge,
    );
    void shared.get(null);
    await clock.advance(1_500);
    isAway = true;
    expect(await shared.get(null)).toBe('here');
    await clock.advance(400);
    expect(await shared.get(null)).toBe('here');
    await clock.advance(300);
    const late = shared.get(null).catch((error: Error) => error.message);
    await clock.advance(100);
    expect(await late).toBe('away');
  });
});
