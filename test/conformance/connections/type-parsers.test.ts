import * as pg from 'pg';
import { claimOne, LEASE_MS, newJobs, outcomes, settlement } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

const { types } = pg;
const { BOOL, INT2, INT4, INT8, FLOAT8, TEXT, JSON, JSONB, UUID, TIMESTAMPTZ } = types.builtins;
const TYPES = [BOOL, INT2, INT4, INT8, FLOAT8, TEXT, JSON, JSONB, UUID, TIMESTAMPTZ];
type Parser = (text: string) => unknown;

const kinds = storeKinds().filter(({ hasNotifications }) => hasNotifications);

describe.each(kinds)('type parsers that the application sets on pg, on $label', (kind) => {
  const fixture = useStore(kind);
  let before: Map<number, Parser>;

  beforeEach(() => {
    before = new Map(TYPES.map((type) => [type, types.getTypeParser(type) as Parser]));
    TYPES.forEach((type) => types.setTypeParser(type, (text: string) => `not ${text}`));
  });
  afterEach(() => before.forEach((parser, type) => types.setTypeParser(type, parser)));

  it("do not change results in the caller's transaction", async () => {
    const other = (text: string): unknown => ({ toString: () => text });
    const parsers: readonly [number, Parser][] = [
      [UUID, (text) => text.toUpperCase()],
      [BOOL, (text) => (text === 't' ? 'Y' : 'N')],
      ...[INT2, INT4, INT8].map((type): [number, Parser] => [type, BigInt]),
      ...[FLOAT8, JSON, JSONB, TIMESTAMPTZ].map((type): [number, Parser] => [type, other]),
      [TEXT, String],
    ];
    parsers.forEach(([type, parser]) => types.setTypeParser(type, parser));
    const [first, second] = newJobs(2, { uniqueKey: 'k' });
    const holder = { id: first!.id, replayedBodyHash: null };
    await fixture.app.transaction(async (tx) => {
      expect(await fixture.store.insert([first!], tx)).toMatchObject([{ ...holder, deduplicated: false }]);
      expect(await fixture.store.insert([second!], tx)).toMatchObject([{ ...holder, deduplicated: true }]);
      const again = await fixture.store.insert([first!], tx);
      expect(again).toMatchObject([{ ...holder, deduplicated: false }]);
      const [job] = await fixture.store.find([first!.id], tx);
      const standing = { status: 'pending', attempt: 0, maxRetries: 3, timeoutMs: null, cancelRequested: false };
      expect(job).toMatchObject({ id: first!.id, payload: {}, ...standing });
      expect(job!.created).toEqual(again[0]!.created);
    });
    // Several keyed jobs are inserted in a transaction of the queue.
    const many = await fixture.store.insert(newJobs(2, { uniqueKey: 'k' }));
    expect(many).toMatchObject([
      { ...holder, deduplicated: true },
      { ...holder, deduplicated: true },
    ]);
  });

  it('do not change results on the connections of the queue', async () => {
    const due = new Date(Date.now() - 60_000);
    const unusual = { priority: -7, maxRetries: 9, timeoutMs: 5_000 };
    const more = { ...unusual, runAt: due, payload: '{"n":[1,null]}', metadata: '{"by":"me"}' };
    const plain = await claimOne(fixture.store);
    const other = await claimOne(fixture.store, more);
    expect(plain).toMatchObject({ payload: {}, attempt: 1, retries: 0, maxRetries: 3, priority: 0, timeoutMs: null });
    expect(other).toMatchObject({ ...unusual, payload: { n: [1, null] }, metadata: { by: 'me' } });

    expect(other.runAt).toEqual(due);
    expect(other.created.getTime()).toBeGreaterThan(due.getTime());

    const isRenewed = { state: 'held', cancelRequested: false };
    expect(await fixture.store.renew([plain, other], LEASE_MS)).toMatchObject([isRenewed, isRenewed]);
    expect(await fixture.store.cancel([other.id])).toMatchObject([{ changed: true, status: 'processing' }]);
    const settlements = [plain, other].map((token) => settlement(token, outcomes.completed('{"a":1}')));
    expect(await fixture.store.settle(settlements)).toMatchObject([
      { applied: true, status: 'completed', attempt: 1 },
      { applied: true, status: 'cancelled', attempt: 1 },
    ]);
    const [job] = await fixture.store.find([plain.id]);
    expect(job).toMatchObject({ payload: {}, result: { a: 1 }, errors: [], cancelRequested: false });
    expect(job!.created.getTime()).toBe(plain.created.getTime());
  });
});
