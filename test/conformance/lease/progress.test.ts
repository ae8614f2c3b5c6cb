import { v7 as uuidv7 } from 'uuid';
import type { ClaimToken } from '../../../lib/core/job.js';
import type { ClaimState } from '../../../lib/store/jobs/job-records.js';
import { claim, claimMany, claimOne, insertOne, outcomes, settlement } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

describe.each(storeKinds())('recordProgress on $label', (kind) => {
  const fixture = useStore(kind);

  const record = async (token: ClaimToken, progress: string): Promise<ClaimState['state']> =>
    (await fixture.store.recordProgress([{ token, progress }]))[0]!.state;

  it.each(['42', '"half"', '{"done":[1,2],"of":"日本"}', 'false', '0', '[]', '""'])(
    'stores the progress %s of a running job',
    async (text) => {
      const token = await claimOne(fixture.store);
      const { lockedUntil } = await fixture.job(token.id);
      expect(await record(token, text)).toBe('held');
      const job = await fixture.job(token.id);
      expect(job.progress).toEqual(JSON.parse(text));
      expect(job).toMatchObject({ status: 'processing', attempt: 1, lockedUntil });
    },
  );

  it('replaces earlier progress, also by null', async () => {
    const token = await claimOne(fixture.store);
    await record(token, '1');
    await record(token, '2');
    expect((await fixture.job(token.id)).progress).toBe(2);
    expect(await record(token, 'null')).toBe('held');
    expect((await fixture.job(token.id)).progress).toBeNull();
  });

  it('stores a thousand values in one call and returns in order which leases were lost', async () => {
    const claims = await claimMany(fixture.store, 1_000);
    const lost = claims.filter((_, index) => index % 3 === 0);
    await fixture.store.settle(lost.map((token) => settlement(token, outcomes.completed())));
    const entries = claims.toReversed().map((token) => ({ token, progress: JSON.stringify(token.id) }));
    const states = await fixture.store.recordProgress(entries);
    expect(states.map(({ state }) => state)).toEqual(
      entries.map(({ token }) => (lost.includes(token) ? 'lost' : 'held')),
    );
    const jobs = await fixture.store.find(claims.map(({ id }) => id));
    expect(jobs.filter(({ progress, id }) => progress === id)).toHaveLength(1_000 - lost.length);
    expect(await fixture.store.recordProgress([])).toEqual([]);
  });

  it('returns the cancel request of a running job', async () => {
    const token = await claimOne(fixture.store);
    await fixture.store.cancel([token.id]);
    expect(await fixture.store.recordProgress([{ token, progress: '1' }])).toMatchObject([
      { state: 'held', cancelRequested: true },
    ]);
  });

  it('distinguishes two attempts of one job in one batch, in any order', async () => {
    const stale = await claimOne(fixture.store);
    await fixture.store.settle([settlement(stale, outcomes.release())]);
    const [current] = await claim(fixture.store);
    const late = { token: stale, progress: '"stale"' };
    const inTime = { token: current!, progress: '"current"' };
    expect(await fixture.store.recordProgress([late, inTime])).toMatchObject([{ state: 'lost' }, { state: 'held' }]);
    expect(await fixture.store.recordProgress([inTime, late])).toMatchObject([{ state: 'held' }, { state: 'lost' }]);
    expect((await fixture.job(stale.id)).progress).toBe('current');
  });

  it.each([
    ['completed', outcomes.completed()],
    ['failed', outcomes.failed()],
    ['cancelled', outcomes.cancelled()],
    ['waiting again', outcomes.snooze()],
  ])('rejects the progress of an attempt whose job is %s', async (_state, outcome) => {
    const token = await claimOne(fixture.store);
    await fixture.store.settle([settlement(token, outcome)]);
    const before = await fixture.job(token.id);
    expect(await record(token, '1')).toBe('lost');
    expect(await fixture.job(token.id)).toEqual(before);
  });

  it('rejects the progress of a job that was never claimed and of a missing job', async () => {
    const id = await insertOne(fixture.store);
    expect(await record({ id, attempt: 0 }, '1')).toBe('lost');
    expect(await record({ id: uuidv7(), attempt: 1 }, '1')).toBe('lost');
    expect((await fixture.job(id)).progress).toBeNull();
  });
});

describe.each(storeKinds().filter(({ locksRows }) => locksRows))('progress of a locked row on $label', (kind) => {
  const fixture = useStore(kind);
  let token: ClaimToken;
  let transaction: Awaited<ReturnType<typeof fixture.begin>>;

  beforeEach(async () => {
    token = await claimOne(fixture.store);
    transaction = await fixture.begin();
    await transaction.manager.query('SELECT id FROM _jobs WHERE id = $1 FOR UPDATE', [token.id]);
  });

  it('is skipped without a wait, and other progress is stored', async () => {
    const other = await claimOne(fixture.store);
    const entries = [token, other].map((each) => ({ token: each, progress: '100' }));
    expect(await fixture.store.recordProgress(entries)).toMatchObject([{ state: 'locked' }, { state: 'held' }]);
    expect((await fixture.job(other.id)).progress).toBe(100);
    expect((await fixture.job(token.id)).progress).toBeNull();
    await transaction.rollback();
    expect(await fixture.store.recordProgress([entries[0]!])).toMatchObject([{ state: 'held' }]);
    expect((await fixture.job(token.id)).progress).toBe(100);
  });
});
