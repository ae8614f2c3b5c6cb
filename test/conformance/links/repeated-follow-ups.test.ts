import type { NewJob } from '../../../lib/core/job.js';
import { declareTopics } from '../../support/declared.js';
import { outcomes, TOPIC } from '../../support/job-rows.js';
import { claimByRef, enqueueLinked, linkedJob, settleOne } from '../../support/linked-jobs.js';
import { storeKinds, useStore } from '../../support/stores.js';

const DEAD = 'mail.dead';

describe.each(storeKinds().filter(({ canHaveTwoConnections }) => canHaveTwoConnections))(
  'a second follow-up of a failed job on $label',
  (kind) => {
    const fixture = useStore(kind);
    const countLetters = async (): Promise<number> =>
      (await fixture.sql(`SELECT 1 FROM _jobs WHERE topic = '${DEAD}'`)).length;
    const fail = async (ref: string): Promise<void> => {
      await settleOne(fixture.store, (await claimByRef(fixture.store))[ref]!, outcomes.failed());
    };

    const declare = (): Promise<unknown> =>
      declareTopics(fixture.store, [{ topic: TOPIC, deadLetters: [{ topic: DEAD, maxRetries: 3, priority: 0 }] }]);

    beforeAll(() =>
      fixture.sql(`CREATE TABLE receipts (job_id ${kind.locksRows ? 'uuid' : 'text'} NOT NULL REFERENCES _jobs (id))`),
    );
    beforeEach(declare);
    afterEach(() => fixture.sql('DELETE FROM receipts'));

    /** Stores a job with a child and a grandchild. The database refuses to delete the child. */
    async function enqueueFamily(members: Partial<NewJob>): Promise<Record<string, string>> {
      const jobs = [linkedJob('parent'), linkedJob('child', ['parent'], members), linkedJob('grandchild', ['child'])];
      const ids = await enqueueLinked(fixture.store, jobs);
      await fixture.sql(`INSERT INTO receipts VALUES ('${ids.child}')`);
      return ids;
    }

    async function deleteInVain(id: string): Promise<void> {
      expect(await fixture.store.delete([id])).toMatchObject([{ changed: false }]);
      await fixture.store.links.idle();
      await fixture.store.links.followOwed(-1_000);
      await fixture.store.links.idle();
    }

    it('stores no dead letters again', async () => {
      const { child } = await enqueueFamily({ onParentFailure: 'wait' });
      await fail('parent');
      expect(await countLetters()).toBe(1);
      await deleteInVain(child!);
      expect(await countLetters()).toBe(1);
      expect(await fixture.job(child!)).toMatchObject({ status: 'pending' });
    });

    it('stores none of a failure before the topic had dead letters', async () => {
      await fixture.sql(`UPDATE _jobs_topics SET dead_letters = NULL`);
      const { child } = await enqueueFamily({ onParentFailure: 'wait' });
      await fail('parent');
      await fixture.sql('DELETE FROM _jobs_definitions');
      await declare();
      await deleteInVain(child!);
      expect(await countLetters()).toBe(0);
    });

    it('cancels a child that the first one has passed over, since it was about to be deleted', async () => {
      const { parent, child, grandchild } = await enqueueFamily({});
      await fixture.sql(
        `UPDATE _jobs SET watched = 3, status = 'cancelled', ended_by = 'delete', finished = updated WHERE id = '${child}'`,
      );
      await fail('parent');
      expect(await countLetters()).toBe(1);
      await fixture.store.links.followOwed(-1_000);
      await fixture.store.links.idle();
      await fixture.store.links.followOwed(-1_000);
      await fixture.store.links.idle();
      const cancelled = { status: 'cancelled', lastError: `parent ${parent} failed` };
      expect(await fixture.job(child!)).toMatchObject(cancelled);
      expect(await fixture.job(grandchild!)).toMatchObject(cancelled);
      expect(await countLetters()).toBe(1);
    });

    it.each(['finished', 'started'] as const)(
      'leaves a job cancelled whose unique key (until %s) another job has taken, and cancels its child',
      async (uniqueUntil) => {
        const unique = { uniqueKey: 'k', uniqueUntil };
        const { kept, child } = await enqueueLinked(fixture.store, [
          linkedJob('kept', undefined, unique),
          linkedJob('child', ['kept']),
        ]);
        await fixture.sql(`INSERT INTO receipts VALUES ('${kept}')`);
        await fixture.sql(
          `UPDATE _jobs SET watched = 3, status = 'cancelled', ended_by = 'delete', finished = updated WHERE id = '${kept}'`,
        );
        const { taker } = await enqueueLinked(fixture.store, [linkedJob('taker', undefined, unique)]);
        await fixture.store.links.followOwed(-1_000);
        await fixture.store.links.idle();
        await fixture.store.links.followOwed(-1_000);
        await fixture.store.links.idle();
        expect(await fixture.job(kept!)).toMatchObject({ status: 'cancelled' });
        expect(await fixture.job(child!)).toMatchObject({ status: 'cancelled', lastError: `parent ${kept} failed` });
        expect(await fixture.job(taker!)).toMatchObject({ status: 'pending' });
      },
    );

    it('stores dead letters of a new failure', async () => {
      const { parent, child } = await enqueueFamily({ onParentFailure: 'wait' });
      await fail('parent');
      await deleteInVain(child!);
      await enqueueLinked(fixture.store, [linkedJob('late', [parent!], { onParentFailure: 'wait' })]);
      expect(await countLetters()).toBe(1);
      for (const letters of [2, 3]) {
        expect(await fixture.store.requeue([parent!])).toMatchObject([{ changed: true }]);
        await fail('parent');
        expect(await countLetters()).toBe(letters);
        await deleteInVain(child!);
        expect(await countLetters()).toBe(letters);
      }
    });
  },
);
