import { types } from 'pg';
import { claimOne, LEASE_MS, outcomes, settlement } from '../support/job-rows.js';
import { storeKinds, useStore } from '../support/stores.js';

const { BOOL, INT2, INT4, INT8, FLOAT8, TEXT, JSON, JSONB, UUID, TIMESTAMPTZ } = types.builtins;
const TYPES = [BOOL, INT2, INT4, INT8, FLOAT8, TEXT, JSON, JSONB, UUID, TIMESTAMPTZ];
type Parser = (text: string) => unknown;

const kinds = storeKinds().filter(({ hasNotifications }) => hasNotifications);

describe.each(kinds)('parsers that the application has set on its driver, on $label', (kind) => {
  const fixture = useStore(kind);
  let before: Map<number, Parser>;

  beforeEach(() => {
    before = new Map(TYPES.map((type) => [type, types.getTypeParser(type) as Parser]));
    TYPES.forEach((type) => types.setTypeParser(type, (text: string) => `not ${text}`));
  });
  afterEach(() => before.forEach((parser, type) => types.setTypeParser(type, parser)));

  it('change nothing in what the queue reads on its own connections', async () => {
    const unusual = { priority: -7, maxRetries: 9, timeoutMs: 5_000 };
    const more = { ...unusual, payload: '{"n":[1,null]}', metadata: '{"by":"me"}' };
    const plain = await claimOne(fixture.store);
    const other = await claimOne(fixture.store, more);
    expect(plain).toMatchObject({ payload: {}, attempt: 1, retries: 0, maxRetries: 3, priority: 0, timeoutMs: null });
    expect(other).toMatchObject({ ...unusual, payload: { n: [1, null] }, metadata: { by: 'me' } });

    const isRenewed = { state: 'renewed', cancelRequested: false };
    expect(await fixture.store.renew([plain, other], LEASE_MS)).toEqual([isRenewed, isRenewed]);
    expect(await fixture.store.cancel([other.id])).toMatchObject([{ moved: true, status: 'processing' }]);
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
