import type { ClaimToken } from '../../../lib/core/job.js';
import { claim, claimMany, claimOne, outcomes, settlement } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

const step = (name: string, result?: unknown): string => JSON.stringify({ name, result });

describe.each(storeKinds())('steps on $label', (kind) => {
  const fixture = useStore(kind);

  const record = async (token: ClaimToken, text: string): Promise<string> =>
    (await fixture.store.steps.record([{ token, step: text }]))[0]!.state;

  it('are added in their order, with the time of the database', async () => {
    const token = await claimOne(fixture.store);
    const before = await fixture.now();
    expect((await fixture.job(token.id)).steps).toEqual([]);
    await record(token, step('z', { id: 'ch_1' }));
    await record(token, step('a'));
    await record(token, step('null', null));
    const { steps } = await fixture.job(token.id);
    expect(steps).toMatchObject([{ name: 'z', result: { id: 'ch_1' } }, { name: 'a' }, { name: 'null', result: null }]);
    expect(steps[1]).not.toHaveProperty('result');
    for (const { finished } of steps) {
      expect(finished).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      expect(Date.parse(finished)).toBeGreaterThanOrEqual(before.getTime() - 1);
    }
  });

  it('are kept once when a write is repeated after a lost response', async () => {
    const token = await claimOne(fixture.store);
    await record(token, step('charge', 1));
    expect(await record(token, step('charge', 2))).toBe('held');
    expect((await fixture.job(token.id)).steps).toMatchObject([{ name: 'charge', result: 1 }]);
    expect((await fixture.job(token.id)).steps).toHaveLength(1);
  });

  it('of many jobs are written in one call, which returns in order which leases were lost', async () => {
    const claims = await claimMany(fixture.store, 100);
    const lost = claims.filter((_, index) => index % 3 === 0);
    await fixture.store.settle(lost.map((token) => settlement(token, outcomes.completed())));
    const entries = claims.toReversed().map((token) => ({ token, step: step(token.id) }));
    const states = await fixture.store.steps.record(entries);
    expect(states.map(({ state }) => state)).toEqual(
      entries.map(({ token }) => (lost.includes(token) ? 'lost' : 'held')),
    );
    const jobs = await fixture.store.find(claims.map(({ id }) => id));
    expect(jobs.filter(({ id, steps }) => steps[0]?.name === id)).toHaveLength(claims.length - lost.length);
  });

  it('are refused for an attempt that is over, and kept for the next one', async () => {
    const stale = await claimOne(fixture.store);
    await record(stale, step('first'));
    await fixture.store.settle([settlement(stale, outcomes.release())]);
    const [current] = await claim(fixture.store);
    expect(await record(stale, step('late'))).toBe('lost');
    expect(await record(current!, step('second'))).toBe('held');
    expect((await fixture.job(stale.id)).steps).toMatchObject([{ name: 'first' }, { name: 'second' }]);
  });

  it('leave the row where the completion finds it', async () => {
    const token = await claimOne(fixture.store);
    const [state] = await fixture.store.steps.record([{ token, step: step('first') }]);
    const moved = { ...token, rowRef: state!.rowRef };
    expect(await fixture.store.settle([settlement(moved, outcomes.completed())])).toMatchObject([{ applied: true }]);
    expect((await fixture.job(token.id)).steps).toHaveLength(1);
  });

  it('stay when a job is re-queued, and are deleted with a new payload', async () => {
    const token = await claimOne(fixture.store);
    await record(token, step('first'));
    await fixture.store.settle([settlement(token, outcomes.failed())]);
    const [kept] = await fixture.store.requeue([token.id]);
    expect(kept!.job!.steps).toHaveLength(1);
    await fixture.store.cancel([token.id]);
    await fixture.store.requeue([token.id], { payload: '{"other":1}' });
    expect(await fixture.job(token.id)).toMatchObject({ payload: { other: 1 }, steps: [] });
  });
});

describe.each(storeKinds().filter(({ locksRows }) => locksRows))('a step of a locked row on $label', (kind) => {
  const fixture = useStore(kind);

  it('is skipped without a wait, and steps of other jobs are stored', async () => {
    const token = await claimOne(fixture.store);
    const transaction = await fixture.begin();
    await transaction.manager.query('SELECT id FROM _jobs WHERE id = $1 FOR UPDATE', [token.id]);
    const other = await claimOne(fixture.store);
    const entries = [token, other].map((each) => ({ token: each, step: step('first') }));
    expect(await fixture.store.steps.record(entries)).toMatchObject([{ state: 'locked' }, { state: 'held' }]);
    await transaction.rollback();
    expect((await fixture.job(token.id)).steps).toEqual([]);
    expect(await fixture.store.steps.record([entries[0]!])).toMatchObject([{ state: 'held' }]);
  });
});
