/** @never typeorm-0.3 */

import { outcomes } from '../../support/job-rows.js';
import { claimByRef, enqueueLinked, linkedJob, settleOne } from '../../support/linked-jobs.js';
import { storeKinds, useStore } from '../../support/stores.js';

/* A table that was just emptied looks empty to the planner until it is analyzed again. */

describe.each(storeKinds().filter(({ locksRows }) => locksRows))(
  'links, while the statistics say that there are none, on $label',
  (kind) => {
    const fixture = useStore(kind);

    beforeEach(async () => {
      await enqueueFamily();
      await fixture.sql('DELETE FROM _jobs');
      await fixture.sql('DELETE FROM _jobs_links');
      await fixture.sql('ANALYZE _jobs');
      await fixture.sql('ANALYZE _jobs_links');
    });

    /** Stores a chain of 250 descendants, 2,000 other children, and a job that waits for the last ones of both. */
    function enqueueFamily(): Promise<Record<string, string>> {
      const chain = Array.from({ length: 250 }, (_, index) =>
        linkedJob(`c${index}`, [index === 0 ? 'a' : `c${index - 1}`]),
      );
      const children = Array.from({ length: 2_000 }, (_, index) => linkedJob(`w${index}`, ['a']));
      return enqueueLinked(fixture.store, [
        linkedJob('a'),
        ...chain,
        ...children,
        linkedJob('last', ['c249', 'w1999']),
      ]);
    }

    // Each takes a second or two. With plans that read the whole table for each job, they took from 20 s to minutes.
    it('are released in bounded time', async () => {
      await enqueueFamily();
      const { a } = await claimByRef(fixture.store);
      await settleOne(fixture.store, a!);
      await fixture.store.links.idle();
      const due = await fixture.sql(`SELECT 1 FROM _jobs WHERE status = 'pending' AND run_at < '9000-01-01'`);
      expect(due).toHaveLength(2_001);
    }, 20_000);

    it('are cancelled and re-queued in bounded time', async () => {
      const { a } = await enqueueFamily();
      await settleOne(fixture.store, (await claimByRef(fixture.store)).a!, outcomes.failed());
      await fixture.store.links.idle();
      const { dependants } = await fixture.store.links.requeueDependants(a!);
      expect(dependants.length).toBeGreaterThanOrEqual(500);
    }, 30_000);

    it('are repaired in bounded time', async () => {
      await enqueueFamily();
      let after: string | null = null;
      do {
        const { next, removed } = await fixture.store.links.repair(after);
        expect(removed).toBe(0);
        after = next;
      } while (after !== null);
    }, 20_000);
  },
);
