import { QueryCache } from '../../../lib/engine/admin/query-cache.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

describe('a shared answer', () => {
  const isLarge = (): boolean => true;

  /** One that takes so long to make, and counts how often it was made. */
  function bench(
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

  async function ask({ clock, shared }: ReturnType<typeof bench>, costMs: number): Promise<number> {
    const answer = shared.get(null);
    await clock.advance(costMs);
    return answer;
  }

  describe('that is cheap', () => {
    it('is made anew for each who asks', async () => {
      const it = bench(5);
      expect([await ask(it, 5), await ask(it, 5), await ask(it, 5)]).toEqual([1, 2, 3]);
      expect(it.shared.has(null)).toBe(false);
    });

    it('is never one that was begun before somebody asked, and one for all who wait', async () => {
      const { clock, shared, made } = bench(5);
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

  it('is made anew for each who asks when it is small, however long it takes', async () => {
    const it = bench(100, () => false);
    expect([await ask(it, 100), await ask(it, 100)]).toEqual([1, 2]);
  });

  describe('that is dear', () => {
    it('is shown again for two seconds from when it was begun', async () => {
      const it = bench(100);
      expect(await ask(it, 100)).toBe(1);
      await it.clock.advance(899);
      expect(await it.shared.get(null)).toBe(1);
      expect(it.shared.has(null)).toBe(true);
      expect(it.made()).toBe(1);
    });

    it('is renewed beside those who ask again and again, so that nobody waits', async () => {
      const it = bench(100);
      await ask(it, 100);
      const shown = [];
      for (let ms = 0; ms < 10_000; ms += 250) {
        await it.clock.advance(250);
        // Answered without any time going by.
        shown.push(await it.shared.get(null));
      }
      expect(shown).toEqual(shown.toSorted((a, b) => a - b));
      expect(it.made()).toBeGreaterThanOrEqual(8);
      expect(it.made()).toBeLessThanOrEqual(11);
    });

    it('is made anew for who comes later', async () => {
      const it = bench(100);
      await ask(it, 100);
      await it.clock.advance(1_900);
      expect(it.shared.has(null)).toBe(false);
      expect(await ask(it, 100)).toBe(2);
    });

    it('is made once for all who wait for it', async () => {
      const { clock, shared, made } = bench(100);
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

  it('rejects when it cannot be made, and is made anew for the next', async () => {
    const clock = new VirtualClock();
    const answers = [Promise.reject(new Error('away')), Promise.resolve(7)];
    const shared = new QueryCache(clock, () => answers.shift()!, isLarge);
    await expect(shared.get(null)).rejects.toThrow('away');
    expect(await shared.get(null)).toBe(7);
  });

  it('is made for those who came meanwhile though the one before failed', async () => {
    const clock = new VirtualClock();
    const answers = [Promise.reject(new Error('away')), Promise.resolve(7)];
    const shared = new QueryCache(clock, () => answers.shift()!, isLarge);
    const [first, second] = [shared.get(null), shared.get(null)];
    await expect(first).rejects.toThrow('away');
    expect(await second).toBe(7);
  });

  it('is shown on while it cannot be renewed, until it is too old', async () => {
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
