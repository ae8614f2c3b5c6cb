import type { Settlement } from '../../../lib/store/store-records.js';
import { claimMany, outcomes, settlement } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

/** Enough of them for a statement of their own on SQLite, whose driver may only count what it moved. */
const JOBS = 150;

describe.each(storeKinds())('a large set of brief jobs on $label', (kind) => {
  const fixture = useStore(kind);

  const claimed = async (): Promise<Settlement[]> =>
    (await claimMany(fixture.store, JOBS)).map((token) => ({
      ...settlement(token, outcomes.completed(null)),
      durationMs: 0.1,
    }));
  const times = <T>(value: T): T[] => Array.from({ length: JOBS }, () => value);
  const statuses = async (set: readonly Settlement[]): Promise<Set<string>> =>
    new Set((await fixture.store.find(set.map(({ token }) => token.id))).map(({ status }) => status));
  const applied = { applied: true, status: 'completed', attempt: 1, retries: null, runAt: null };

  it('is completed as a whole, and answered in its order', async () => {
    const set = await claimed();
    const backwards = [...set].reverse();
    expect(await fixture.store.settle(backwards)).toEqual(times(applied));
    expect(await statuses(set)).toEqual(new Set(['completed']));
    const { started, finished, updated, lockedBy, lockedUntil } = await fixture.job(set[0]!.token.id);
    expect([lockedBy, lockedUntil, finished]).toEqual([null, null, updated]);
    expect(finished!.getTime() - started!.getTime()).toBeLessThanOrEqual(1);
  });

  it('moves nothing when it is sent again, since its answer was lost', async () => {
    const set = await claimed();
    await fixture.store.settle(set);
    const before = await fixture.store.find(set.map(({ token }) => token.id));
    expect(await fixture.store.settle(set)).toEqual(times({ ...applied, applied: false }));
    expect(await fixture.store.find(set.map(({ token }) => token.id))).toEqual(before);
  });

  it.each([[['completed']], [['completed', 'failed', 'cancelled']]] as const)(
    'is gone when %j are not kept',
    async (discardStatuses) => {
      const set = await claimed();
      expect(await fixture.store.settle(set, discardStatuses)).toEqual(times(applied));
      expect(await statuses(set)).toEqual(new Set());
    },
  );

  it('stays when only jobs that failed are not kept', async () => {
    const set = await claimed();
    expect(await fixture.store.settle(set, ['failed'])).toEqual(times(applied));
    expect(await statuses(set)).toEqual(new Set(['completed']));
  });

  it('may have a job twice, which is completed once', async () => {
    const set = await claimed();
    const answers = await fixture.store.settle([...set, set[0]!]);
    expect(answers.map(({ status }) => status)).toEqual([...times('completed'), 'completed']);
    expect(await statuses(set)).toEqual(new Set(['completed']));
  });

  it('may have jobs that were completed before, which stay as they are', async () => {
    const set = await claimed();
    const early = set.slice(0, 20);
    await fixture.store.settle(early);
    const before = await fixture.store.find(early.map(({ token }) => token.id));
    const answers = await fixture.store.settle(set);
    expect(answers.map(({ status, attempt }) => `${status!} ${attempt}`)).toEqual(times('completed 1'));
    expect(await fixture.store.find(early.map(({ token }) => token.id))).toEqual(before);
    expect(await statuses(set)).toEqual(new Set(['completed']));
  });

  it('is completed but for those that another attempt owns, wherever they stand', async () => {
    const set = await claimed();
    const lost = [set[0]!, set[70]!, set.at(-1)!];
    for (const { token } of lost) await fixture.set(token.id, { attempt: 2 });
    const answers = await fixture.store.settle(set);
    expect(answers).toEqual(
      set.map((each) =>
        lost.includes(each) ? { ...applied, applied: false, status: 'processing', attempt: 2 } : applied,
      ),
    );
    for (const { token } of lost) {
      expect(await fixture.job(token.id)).toMatchObject({ status: 'processing', attempt: 2, finished: null });
    }
  });
});
