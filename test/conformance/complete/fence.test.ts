/** @npm-test typeorm-0.3 */

import { v7 as uuidv7 } from 'uuid';
import { claim, claimMany, claimOne, insertOne, outcomes, settlement } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

const everyOutcome = Object.entries({
  completed: outcomes.completed('"late"'),
  retry: outcomes.retry(),
  failed: outcomes.failed(),
  snooze: outcomes.snooze(),
  release: outcomes.release(),
  cancelled: outcomes.cancelled(),
});

describe.each(storeKinds())('the fence of settle on $label', (kind) => {
  const fixture = useStore(kind);

  describe.each(everyOutcome)('rejects the outcome %s', (_kind, outcome) => {
    it('of an earlier attempt while a later one runs', async () => {
      const stale = await claimOne(fixture.store);
      await fixture.expire(stale.id);
      await fixture.store.rescue(10);
      await claim(fixture.store, { worker: 'another' });
      const before = await fixture.job(stale.id);
      const settled = await fixture.store.settle([settlement(stale, outcome)]);
      expect(settled).toEqual([{ applied: false, status: 'processing', attempt: 2, retries: null, runAt: null }]);
      expect(await fixture.job(stale.id)).toEqual(before);
    });

    it.each([
      ['completed', outcomes.completed('"first"')],
      ['failed', outcomes.failed()],
      ['cancelled', outcomes.cancelled()],
      ['pending', outcomes.snooze(60_000)],
    ])('of the same attempt when the job is already %s', async (status, first) => {
      const token = await claimOne(fixture.store);
      await fixture.store.settle([settlement(token, first)]);
      const before = await fixture.job(token.id);
      const settled = await fixture.store.settle([settlement(token, outcome)]);
      const waiting = status === 'pending' ? { retries: 0, runAt: before.runAt } : { retries: null, runAt: null };
      expect(settled).toEqual([{ applied: false, status, attempt: 1, ...waiting }]);
      expect(await fixture.job(token.id)).toEqual(before);
    });

    it.each([
      ['pending', {}],
      ['failed', { max_retries: 0 }],
      ['cancelled', { cancel_requested: true }],
    ])('of an attempt that was rescued, and returns wasRescued for a job that is %s', async (status, changes) => {
      const token = await claimOne(fixture.store);
      await fixture.set(token.id, { ...changes, locked_until: { msFromNow: -1_000 } });
      await fixture.store.rescue(10);
      const before = await fixture.job(token.id);
      expect(before).toMatchObject({ status, attempt: 1 });
      expect(await fixture.store.settle([settlement(token, outcome)])).toMatchObject([
        { applied: false, status, attempt: 1, wasRescued: true },
      ]);
      expect(await fixture.job(token.id)).toEqual(before);
    });

    it('of a job that was requeued since', async () => {
      const token = await claimOne(fixture.store);
      await fixture.store.settle([settlement(token, outcomes.failed())]);
      await fixture.store.requeue([token.id]);
      const before = await fixture.job(token.id);
      expect(await fixture.store.settle([settlement(token, outcome)])).toMatchObject([
        { applied: false, status: 'pending', attempt: 1 },
      ]);
      expect(await fixture.job(token.id)).toEqual(before);
    });

    it('of a deleted job, with the status null', async () => {
      const token = await claimOne(fixture.store);
      await fixture.store.settle([settlement(token, outcomes.completed())]);
      await fixture.store.delete([token.id]);
      expect(await fixture.store.settle([settlement(token, outcome)])).toEqual([
        { applied: false, status: null, attempt: 0, retries: null, runAt: null },
      ]);
      expect(await fixture.store.find([token.id])).toEqual([]);
    });

    it('of a job that was never claimed', async () => {
      const id = await insertOne(fixture.store);
      const before = await fixture.job(id);
      for (const attempt of [0, 1]) {
        expect(await fixture.store.settle([settlement({ id, attempt }, outcome)])).toMatchObject([
          { applied: false, status: 'pending', attempt: 0 },
        ]);
      }
      expect(await fixture.job(id)).toEqual(before);
    });

    it('of a future attempt while another one runs', async () => {
      const { id } = await claimOne(fixture.store);
      const before = await fixture.job(id);
      const settled = await fixture.store.settle([settlement({ id, attempt: 2 }, outcome)]);
      expect(settled).toMatchObject([{ applied: false, status: 'processing', attempt: 1 }]);
      expect(await fixture.job(id)).toEqual(before);
    });
  });

  it('accepts the outcome of an attempt with an expired lease that was not rescued', async () => {
    const token = await claimOne(fixture.store);
    await fixture.expire(token.id);
    expect(await fixture.store.settle([settlement(token, outcomes.completed())])).toMatchObject([
      { applied: true, status: 'completed' },
    ]);
  });

  it('distinguishes two attempts of one job in one batch, in any order', async () => {
    for (const position of [0, 1]) {
      const stale = await claimOne(fixture.store);
      await fixture.store.settle([settlement(stale, outcomes.release())]);
      const [current] = await claim(fixture.store);
      const late = settlement(stale, outcomes.completed('"late"'));
      const set = [settlement(current!, outcomes.completed('"in time"'))];
      set.splice(position, 0, late);
      const settled = await fixture.store.settle(set);
      expect(settled.map(({ applied }) => applied)).toEqual(set.map((member) => member !== late));
      expect(settled.map(({ status, attempt }) => [status, attempt])).toEqual([
        ['completed', 2],
        ['completed', 2],
      ]);
      expect((await fixture.job(stale.id)).result).toBe('in time');
    }
  });

  it('rejects only the stale outcomes of a batch and returns results in order', async () => {
    const claims = await claimMany(fixture.store, 6);
    const [ours, completed, gone, released, taken, alsoOurs] = claims;
    await fixture.store.settle([
      settlement(completed!, outcomes.completed('"first"')),
      settlement(gone!, outcomes.completed()),
      settlement(released!, outcomes.release(60_000)),
      settlement(taken!, outcomes.release()),
    ]);
    await fixture.store.delete([gone!.id]);
    await claim(fixture.store);
    const never = { id: uuidv7(), attempt: 1 };
    const tokens = [taken!, alsoOurs!, never, gone!, completed!, ours!, released!];
    const settled = await fixture.store.settle(tokens.map((token) => settlement(token, outcomes.completed('"late"'))));
    expect(settled.map(({ applied, status, attempt }) => [applied, status, attempt])).toEqual([
      [false, 'processing', 2],
      [true, 'completed', 1],
      [false, null, 0],
      [false, null, 0],
      [false, 'completed', 1],
      [true, 'completed', 1],
      [false, 'pending', 1],
    ]);
    expect((await fixture.job(completed!.id)).result).toBe('first');
  });
});
