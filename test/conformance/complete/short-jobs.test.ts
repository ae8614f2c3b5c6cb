import type { Settlement } from '../../../lib/store/jobs/job-records.js';
import { claimMany, outcomes, settlement } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

/** Enough jobs for the batch statement of SQLite, whose driver may return only the number of changed rows. */
const JOBS = 150;

describe.each(storeKinds())('a large batch of short jobs on $label', (kind) => {
  const fixture = useStore(kind);

  const claimBatch = async (): Promise<Settlement[]> =>
    (await claimMany(fixture.store, JOBS)).map((token) => ({
      ...settlement(token, outcomes.completed(null)),
      durationMs: 0.1,
    }));
  const repeat = <T>(value: T): T[] => Array.from({ length: JOBS }, () => value);
  const readStatuses = async (set: readonly Settlement[]): Promise<Set<string>> =>
    new Set((await fixture.store.find(set.map(({ token }) => token.id))).map(({ status }) => status));
  const applied = { applied: true, status: 'completed', attempt: 1, retries: null, runAt: null };

  it('is completed and returns results in its order', async () => {
    const startedMs = (await fixture.now()).getTime() - 60_000;
    const set = (await claimBatch()).map((each, index) => ({ ...each, startedMs: startedMs + (index % 3) * 100 }));
    const backwards = [...set].reverse();
    expect(await fixture.store.settle(backwards)).toEqual(repeat(applied));
    expect(await readStatuses(set)).toEqual(new Set(['completed']));
    const { started, finished, updated, lockedBy, lockedUntil } = await fixture.job(set[0]!.token.id);
    expect([lockedBy, lockedUntil, started!.getTime()]).toEqual([null, null, startedMs]);
    // They ended a minute before the outcome was written.
    expect(finished!.getTime()).toBe(startedMs);
    expect(updated.getTime()).toBeGreaterThan(startedMs + 30_000);
  });

  it('changes nothing when it is sent again after a lost response', async () => {
    const set = await claimBatch();
    await fixture.store.settle(set);
    const before = await fixture.store.find(set.map(({ token }) => token.id));
    expect(await fixture.store.settle(set)).toEqual(repeat({ ...applied, applied: false }));
    expect(await fixture.store.find(set.map(({ token }) => token.id))).toEqual(before);
  });

  it.each([[['completed']], [['completed', 'failed', 'cancelled']]] as const)(
    'is deleted when %j jobs are not kept',
    async (discardStatuses) => {
      const set = await claimBatch();
      expect(await fixture.store.settle(set, discardStatuses)).toEqual(repeat(applied));
      expect(await readStatuses(set)).toEqual(new Set());
    },
  );

  it('is kept when only failed jobs are not kept', async () => {
    const set = await claimBatch();
    expect(await fixture.store.settle(set, ['failed'])).toEqual(repeat(applied));
    expect(await readStatuses(set)).toEqual(new Set(['completed']));
  });

  it('completes a job once that it contains twice', async () => {
    const set = await claimBatch();
    const results = await fixture.store.settle([...set, set[0]!]);
    expect(results.map(({ status }) => status)).toEqual([...repeat('completed'), 'completed']);
    expect(await readStatuses(set)).toEqual(new Set(['completed']));
  });

  it('does not change jobs that were completed before', async () => {
    const set = await claimBatch();
    const early = set.slice(0, 20);
    await fixture.store.settle(early);
    const before = await fixture.store.find(early.map(({ token }) => token.id));
    const results = await fixture.store.settle(set);
    expect(results.map(({ status, attempt }) => `${status!} ${attempt}`)).toEqual(repeat('completed 1'));
    expect(await fixture.store.find(early.map(({ token }) => token.id))).toEqual(before);
    expect(await readStatuses(set)).toEqual(new Set(['completed']));
  });

  it('skips jobs that another attempt owns, at any position', async () => {
    const set = await claimBatch();
    const lost = [set[0]!, set[70]!, set.at(-1)!];
    for (const { token } of lost) await fixture.set(token.id, { attempt: 2 });
    const results = await fixture.store.settle(set);
    expect(results).toEqual(
      set.map((each) =>
        lost.includes(each) ? { ...applied, applied: false, status: 'processing', attempt: 2 } : applied,
      ),
    );
    for (const { token } of lost) {
      expect(await fixture.job(token.id)).toMatchObject({ status: 'processing', attempt: 2, finished: null });
    }
  });
});
