import { v7 as uuidv7 } from 'uuid';
import { claim, claimOne, insertOne, outcomes, settlement } from '../support/job-rows.js';
import { storeKinds, useStore } from '../support/stores.js';

describe.each(storeKinds())('recordProgress on $label', (kind) => {
  const fixture = useStore(kind);

  it.each(['42', '"half"', '{"done":[1,2],"of":"日本"}', 'false', '0'])(
    'keeps the progress %s of a running job',
    async (text) => {
      const token = await claimOne(fixture.store);
      expect(await fixture.store.recordProgress(token, text)).toBe(true);
      const { progress, status, attempt, lockedUntil } = await fixture.job(token.id);
      expect(progress).toEqual(JSON.parse(text));
      expect({ status, attempt }).toEqual({ status: 'processing', attempt: 1 });
      expect(lockedUntil).not.toBeNull();
    },
  );

  it('replaces what was recorded before, also by nothing', async () => {
    const token = await claimOne(fixture.store);
    await fixture.store.recordProgress(token, '1');
    await fixture.store.recordProgress(token, '2');
    expect((await fixture.job(token.id)).progress).toBe(2);
    expect(await fixture.store.recordProgress(token, null)).toBe(true);
    expect((await fixture.job(token.id)).progress).toBeNull();
  });

  it.each([
    ['completed', outcomes.completed()],
    ['failed', outcomes.failed()],
    ['cancelled', outcomes.cancelled()],
    ['waiting again', outcomes.snooze()],
  ])('refuses the progress of an attempt whose job is %s', async (_state, outcome) => {
    const token = await claimOne(fixture.store);
    await fixture.store.settle([settlement(token, outcome)]);
    const before = await fixture.job(token.id);
    expect(await fixture.store.recordProgress(token, '1')).toBe(false);
    expect(await fixture.job(token.id)).toEqual(before);
  });

  it('refuses the progress of an earlier attempt', async () => {
    const stale = await claimOne(fixture.store);
    await fixture.store.settle([settlement(stale, outcomes.release())]);
    const [current] = await claim(fixture.store);
    await fixture.store.recordProgress(current!, '"current"');
    expect(await fixture.store.recordProgress(stale, '"stale"')).toBe(false);
    expect((await fixture.job(stale.id)).progress).toBe('current');
  });

  it('refuses progress of a job that was never claimed, and of one that is not there', async () => {
    const id = await insertOne(fixture.store);
    expect(await fixture.store.recordProgress({ id, attempt: 0 }, '1')).toBe(false);
    expect(await fixture.store.recordProgress({ id: uuidv7(), attempt: 1 }, '1')).toBe(false);
    expect((await fixture.job(id)).progress).toBeNull();
  });
});
