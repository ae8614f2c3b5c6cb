import { JobsEngine, JobStateError } from 'nestjs-jobs';
import { outcomes, settlement } from '../../support/job-rows.js';
import { claimByRef, enqueueLinked, linkedJob, settleAll, settleOne } from '../../support/linked-jobs.js';
import { storeKinds, useStore } from '../../support/stores.js';

const kinds = storeKinds().filter(({ canHaveTwoConnections }) => canHaveTwoConnections);
const CHILDREN = 5_000;
/** Children that one transaction cancels at most, with the descendants that it takes along. */
const CANCELLED_MAX = 700;

describe.each(kinds)('a job with thousands of children on $label', (kind) => {
  const fixture = useStore(kind);
  const engine = (): JobsEngine => new JobsEngine({ store: fixture.store, role: 'producer' });
  const children = Array.from({ length: CHILDREN }, (_, index) => linkedJob(`c${index}`, ['root']));
  const count = async (condition: string): Promise<number> =>
    (await fixture.sql(`SELECT 1 FROM _jobs WHERE ${condition}`)).length;
  const countWaiting = (): Promise<number> => count(`status = 'pending' AND run_at > '9000-01-01'`);

  it('is followed up in small transactions', async () => {
    await enqueueLinked(fixture.store, [linkedJob('root'), ...children]);
    const sizes: number[] = [];
    fixture.store.links.observe(({ cancelled }) => sizes.push(cancelled.length));
    await settleOne(fixture.store, (await claimByRef(fixture.store)).root!, outcomes.failed());
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(CHILDREN);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(CANCELLED_MAX);
  }, 60_000);

  it('is cancelled by a call that does not wait for all of them', async () => {
    const { root } = await enqueueLinked(fixture.store, [linkedJob('root'), ...children]);
    await engine().jobs.cancel(root!);
    expect(await fixture.job(root!)).toMatchObject({ status: 'cancelled' });
    expect(await countWaiting()).toBeGreaterThan(0);
    // A call that would end it once more asks the caller to try again.
    await expect(engine().jobs.requeue(root!)).rejects.toThrow('try again');
    await fixture.store.links.idle();
    expect(await count(`status = 'cancelled'`)).toBe(CHILDREN + 1);
    await engine().jobs.requeue(root!);
    expect(await fixture.job(root!)).toMatchObject({ status: 'pending' });
  }, 60_000);

  it('is deleted by a call that does not wait for all of them', async () => {
    const { root } = await enqueueLinked(fixture.store, [linkedJob('root'), ...children]);
    await engine().jobs.delete(root!);
    expect(await countWaiting()).toBeGreaterThan(0);
    await fixture.store.links.idle();
    expect(await count(`id = '${root}'`)).toBe(0);
    expect(await count(`status = 'cancelled'`)).toBe(CHILDREN);
  }, 60_000);

  it.each([3, CHILDREN])(
    'stays as it was with %i children when a foreign key refuses its deletion',
    async (size) => {
      await fixture.sql(
        `CREATE TABLE IF NOT EXISTS receipts (job_id ${kind.locksRows ? 'uuid' : 'text'} NOT NULL REFERENCES _jobs (id))`,
      );
      const { root } = await enqueueLinked(fixture.store, [linkedJob('root'), ...children.slice(0, size)]);
      await fixture.sql(`INSERT INTO receipts VALUES ('${root}')`);
      await expect(engine().jobs.delete(root!)).rejects.toThrow(JobStateError);
      await fixture.store.links.idle();
      expect(await fixture.job(root!)).toMatchObject({ status: 'pending', finished: null });
      expect(await countWaiting()).toBe(size);
      await settleOne(fixture.store, (await claimByRef(fixture.store)).root!);
      expect(await countWaiting()).toBe(0);
      expect(await count(`status = 'pending'`)).toBe(size);
      await fixture.sql('DROP TABLE receipts');
    },
    60_000,
  );
});

describe.each(kinds)('two layers of jobs, each linked with each, on $label', (kind) => {
  const fixture = useStore(kind);
  const LAYER = 200;
  /** Links that one iteration of the event loop may read. */
  const READ_MAX = 1_000;

  it('are followed up in many iterations of the event loop', async () => {
    const layer = Array.from({ length: LAYER }, (_, index) => linkedJob(`p${index}`));
    const parents = Object.values(await enqueueLinked(fixture.store, layer));
    const children = Array.from({ length: LAYER }, (_, index) => linkedJob(`c${index}`, parents));
    await enqueueLinked(fixture.store, children);
    const claims = Object.values(await claimByRef(fixture.store));
    expect(claims).toHaveLength(LAYER);
    let turns = 0;
    let next = setImmediate(function count() {
      turns += 1;
      next = setImmediate(count);
    });
    await settleAll(
      fixture.store,
      claims.map((token) => settlement(token, outcomes.completed())),
    );
    clearImmediate(next);
    expect(turns).toBeGreaterThanOrEqual((LAYER * LAYER) / READ_MAX);
    expect(Object.keys(await claimByRef(fixture.store))).toHaveLength(LAYER);
  }, 60_000);
});
