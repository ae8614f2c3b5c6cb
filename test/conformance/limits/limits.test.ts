import { declareTopics, handleTopics, orphanDefinitions } from '../../support/declared.js';
import { insertMany, insertOne, TOPIC } from '../../support/job-rows.js';
import type { StoreFixture } from '../../support/stores.js';
import { storeKinds, useStore } from '../../support/stores.js';

const rate = { limit: 2, per: 64_000, perKey: false };
/** The gap of spread starts that a claim keeps: the window, one more slice and the hand-over, for two starts. */
const GAP_MS = 32_550;
const SLICE_MS = 1_000;

/** The columns that claims read. */
async function effective(fixture: StoreFixture, topic = TOPIC): Promise<object | undefined> {
  const [row] = await fixture.sql<Record<string, unknown>>(
    `SELECT limit_total, limit_key, rate_limit, rate_ms, rate_by_key, rate_spread, is_limited FROM _jobs_topics WHERE topic = '${topic}'`,
  );
  return (
    row && {
      ...row,
      rate_ms: row.rate_ms === null ? null : Number(row.rate_ms),
      rate_by_key: Boolean(row.rate_by_key),
      rate_spread: Boolean(row.rate_spread),
      is_limited: Boolean(row.is_limited),
    }
  );
}

const none = {
  limit_total: null,
  limit_key: null,
  rate_limit: null,
  rate_ms: null,
  rate_by_key: false,
  rate_spread: false,
  is_limited: false,
};

describe.each(storeKinds())('limits on $label', (kind) => {
  const fixture = useStore(kind);

  afterEach(async () => {
    await fixture.sql('DELETE FROM _jobs_topics');
    await fixture.sql('DELETE FROM _jobs_starts');
  });

  const start = async (members: { topic?: string; key?: string; ago: number; starts?: number }): Promise<void> => {
    const { topic = TOPIC, key = '', ago, starts = 1 } = members;
    const nowMs = (await fixture.now()).getTime();
    const slice = Math.floor(nowMs / SLICE_MS) - ago;
    await fixture.sql(`
      INSERT INTO _jobs_starts (topic, key, rate_ms, slice, starts, latest)
      VALUES ('${topic}', '${key}', ${rate.per}, ${slice}, ${starts}, ${nowMs - ago * SLICE_MS})`);
  };

  /** Makes jobs running, as a claim of a limited topic does. */
  const run = async (ids: readonly string[], key = ''): Promise<void> =>
    fixture.set(ids, { status: 'processing', locked_until: { msFromNow: 60_000 }, flow_key: key });

  it('are those of the code, until an operator sets others, and again after that', async () => {
    const { limits } = fixture.store;
    const code = { concurrency: 5, perKey: 2, rate: { limit: 100, per: 60_000, perKey: true, spread: true } as const };
    const ofCode = {
      limit_total: 5,
      limit_key: 2,
      rate_limit: 100,
      rate_ms: 60_000,
      rate_by_key: true,
      rate_spread: true,
      is_limited: true,
    };
    expect(await declareTopics(fixture.store, [{ topic: TOPIC, limits: code }])).toEqual([TOPIC]);
    expect(await effective(fixture)).toEqual(ofCode);

    await limits.set(TOPIC, { concurrency: 7 });
    expect(await effective(fixture)).toEqual({ ...none, limit_total: 7, is_limited: true });
    expect(await limits.list()).toMatchObject([{ topic: TOPIC, code, operator: { concurrency: 7 } }]);
    expect(await declareTopics(fixture.store, [{ topic: TOPIC, limits: { perKey: 1 } }])).toEqual([TOPIC]);
    expect(await effective(fixture)).toEqual({ ...none, limit_total: 7, is_limited: true });

    await limits.set(TOPIC, {});
    expect(await effective(fixture)).toEqual(none);
    await limits.set(TOPIC, null);
    expect(await effective(fixture)).toEqual({ ...none, limit_key: 1, is_limited: true });
    await orphanDefinitions(fixture);
    expect(await handleTopics(fixture.store, TOPIC)).toEqual([TOPIC]);
    expect(await effective(fixture)).toEqual(none);
    expect(await limits.list()).toEqual([]);
  });

  it('declared again write nothing, and topics without any get no row', async () => {
    const { limits } = fixture.store;
    const given = [{ topic: TOPIC, limits: { rate } }, { topic: 'sms' }];
    expect(await declareTopics(fixture.store, given)).toEqual([TOPIC]);
    expect(await declareTopics(fixture.store, given)).toEqual([]);
    expect(await declareTopics(fixture.store, [])).toEqual([]);
    await limits.set('sms', null);
    expect(await effective(fixture, 'sms')).toBeUndefined();
  });

  it('keep the pause of the topic, and a handler without limits keeps the mark of keyed jobs', async () => {
    await fixture.store.pauses.pause([TOPIC]);
    await fixture.store.limits.set(TOPIC, { concurrency: 1 });
    expect(await fixture.store.pauses.list()).toMatchObject([{ topic: TOPIC }]);
    await fixture.store.limits.set(TOPIC, null);
    await fixture.sql('UPDATE _jobs_topics SET is_limited = true');
    expect(await handleTopics(fixture.store, TOPIC)).toEqual([]);
    expect(await effective(fixture)).toMatchObject({ is_limited: true });
    expect(await fixture.store.pauses.list()).toMatchObject([{ topic: TOPIC }]);
  });

  it('count the starts of a window only in windows of the same length', async () => {
    const { limits } = fixture.store;
    const isFull = async (): Promise<boolean> =>
      (await limits.states([{ topic: TOPIC }])).states[0]!.nextStart !== null;
    await limits.set(TOPIC, { rate });
    await start({ ago: 0, starts: 2 });
    expect(await isFull()).toBe(true);
    await limits.set(TOPIC, { rate: { ...rate, per: 60_000 } });
    expect(await isFull()).toBe(false);
    await limits.set(TOPIC, { rate });
    expect(await isFull()).toBe(true);
  });

  it('of many processes that start together are declared without a deadlock', async () => {
    const names = Array.from({ length: 50 }, (_, index) => `topic-${index}`);
    const others = kind.canHaveTwoConnections ? [await fixture.openAnother(), await fixture.openAnother()] : [];
    const stores = [fixture.store, ...others.map(({ store }) => store)];
    for (let round = 1; round <= 5; round += 1) {
      const declare = (index: number): Promise<string[]> => {
        const declared = names.map((topic) => ({ topic, limits: { concurrency: round * 10 + index } }));
        return declareTopics(stores[index]!, index % 2 === 0 ? declared : declared.reverse());
      };
      await Promise.all(stores.map((_, index) => declare(index)));
      const listed = await fixture.store.limits.list();
      expect(listed).toHaveLength(50);
      listed.forEach(({ code }) => expect(Math.floor(code!.concurrency! / 10)).toBe(round));
    }
  });

  it('report how many jobs of the topic and of a key run', async () => {
    await fixture.store.limits.set(TOPIC, { concurrency: 4, perKey: 2 });
    await run(await insertMany(fixture.store, 3));
    await run(await insertMany(fixture.store, 2, { concurrencyKey: 'a' }), 'a');
    await insertMany(fixture.store, 5, { concurrencyKey: 'a' });
    const selection = [{ topic: TOPIC }, { topic: TOPIC, key: 'a' }, { topic: TOPIC, key: 'b' }, { topic: 'sms' }];
    const { now, states } = await fixture.store.limits.states(selection);
    expect(Math.abs(now.getTime() - (await fixture.now()).getTime())).toBeLessThan(5_000);
    expect(states).toMatchObject([
      { topic: TOPIC, key: null, limitTotal: 4, running: 5, nextStart: null, isLimited: true },
      { topic: TOPIC, key: 'a', limitKey: 2, running: 2 },
      { topic: TOPIC, key: 'b', running: 0 },
      { topic: 'sms', isLimited: false, isPaused: false, limitTotal: null, running: 0, nextStart: null },
    ]);
  });

  it('report when a rate allows the next start: at the end of the window of the oldest start that counts', async () => {
    await fixture.store.limits.set(TOPIC, { rate });
    const nextIn = async (): Promise<number | null> => {
      const { now, states } = await fixture.store.limits.states([{ topic: TOPIC }]);
      const { nextStart } = states[0]!;
      return nextStart && Math.ceil((nextStart.getTime() - now.getTime()) / SLICE_MS);
    };
    await start({ ago: 70, starts: 5 });
    await start({ ago: 40 });
    expect(await nextIn()).toBeNull();
    await start({ ago: 10 });
    expect([24, 25]).toContain(await nextIn());
    await start({ ago: 5, starts: 2 });
    // Two of four have to leave the window, and one more for the next start.
    expect([59, 60]).toContain(await nextIn());
  });

  it('report when spread starts allow the next one', async () => {
    await fixture.store.limits.set(TOPIC, { rate: { ...rate, spread: true } });
    await start({ ago: 10 });
    const { now, states } = await fixture.store.limits.states([{ topic: TOPIC }]);
    const nextInMs = states[0]!.nextStart!.getTime() - now.getTime();
    expect(nextInMs).toBeGreaterThan(GAP_MS - 10 * SLICE_MS - 5_000);
    expect(nextInMs).toBeLessThanOrEqual(GAP_MS - 10 * SLICE_MS);
  });

  it('report the rate of each key', async () => {
    await fixture.store.limits.set(TOPIC, { rate: { ...rate, perKey: true } });
    await start({ key: 'a', ago: 3, starts: 2 });
    await start({ key: 'b', ago: 3 });
    const selection = [{ topic: TOPIC }, { topic: TOPIC, key: 'a' }, { topic: TOPIC, key: 'b' }];
    const { states } = await fixture.store.limits.states(selection);
    expect(states.map(({ nextStart }) => nextStart !== null)).toEqual([false, true, false]);
  });

  it('report which keys wait, and how many of them may start a job', async () => {
    await fixture.store.limits.set(TOPIC, { perKey: 1, rate: { ...rate, perKey: true } });
    await fixture.store.limits.set('sms', { concurrency: 3 });
    await run([await insertOne(fixture.store, { concurrencyKey: 'full' })], 'full');
    for (const concurrencyKey of ['full', 'late', 'open']) {
      await insertMany(fixture.store, 2, { concurrencyKey });
      await insertOne(fixture.store, { concurrencyKey, priority: 5 });
    }
    await insertOne(fixture.store, { concurrencyKey: 'delayed', delayMs: 60_000, priority: 3 });
    await start({ key: 'late', ago: 1, starts: 2 });
    const limited = await fixture.store.limits.limited([TOPIC, 'sms', 'none'], 100);
    expect(limited).toMatchObject([
      { topic: TOPIC, running: 1, waitingKeys: 3, fullKeys: 1, openKeys: 1, nextStart: null },
      { topic: 'sms', running: 0, waitingKeys: 0, fullKeys: 0, openKeys: 0 },
    ]);
    expect(await fixture.store.limits.limited([TOPIC], 2)).toMatchObject([{ waitingKeys: 2 }]);
  });
});
