import { FIRST_ID } from '../../../lib/store/jobs/job-row.js';
import { oneByOne } from '../../../lib/store/links/batch-script.js';
import { followUpScript, readFollowUp } from '../../../lib/store/links/follow-up-script.js';
import type { FollowedUp } from '../../../lib/store/links/follow-up-script.js';
import { LinkScripts } from '../../support/link-scripts.js';
import { enqueueLinked, linkedJob } from '../../support/linked-jobs.js';
import { storeKinds, useStore } from '../../support/stores.js';

/* A process may be suspended after it has read what the end of a job does, and before it writes that. */
describe.each(storeKinds())('a job that has ended once more since its follow-up was read, on $label,', (kind) => {
  const fixture = useStore(kind);
  const scripts = new LinkScripts(fixture, kind);
  const run = scripts.query;
  const later = kind.locksRows
    ? `finished + interval '1 ms'`
    : `strftime('%Y-%m-%d %H:%M:%f', finished, '+0.001 seconds')`;

  /** Ends a job without a follow-up, as a process does that is killed at this moment. */
  const end = (id: string, status: string): Promise<unknown> =>
    run(`UPDATE _jobs SET status = '${status}', attempt = 1, watched = 1, finished = updated WHERE id = '${id}'`);

  /** Re-queued, and completed by a second attempt. */
  const completeAgain = (id: string): Promise<unknown> =>
    run(`UPDATE _jobs SET status = 'completed', attempt = 2, finished = ${later} WHERE id = '${id}'`);

  /** Reads the follow-up of a job, lets something happen, and writes what was read. */
  async function followUp(id: string, meanwhile: () => Promise<unknown>): Promise<FollowedUp> {
    const plan = await readFollowUp(scripts.statements, run, [{ id, after: FIRST_ID }], 100);
    await meanwhile();
    return scripts.run(oneByOne(followUpScript(scripts.statements, plan)));
  }

  it('still owes the follow-up of that end', async () => {
    const { parent, child } = await enqueueLinked(fixture.store, [
      linkedJob('parent'),
      linkedJob('child', ['parent'], { onParentFailure: 'wait' }),
    ]);
    await end(parent!, 'failed');
    expect(await followUp(parent!, () => completeAgain(parent!))).toMatchObject({ locked: [parent], released: [] });
    expect(await fixture.store.links.followOwed(-1_000)).toBe(1);
    expect(await fixture.store.links.blocked([child!])).toEqual([]);
  });

  it('does not cancel jobs because of the end before', async () => {
    const { parent, child } = await enqueueLinked(fixture.store, [linkedJob('parent'), linkedJob('child', ['parent'])]);
    await end(parent!, 'failed');
    expect(await followUp(parent!, () => completeAgain(parent!))).toMatchObject({ locked: [parent], cancelled: [] });
    await fixture.store.links.followOwed(-1_000);
    expect(await fixture.job(child!)).toMatchObject({ status: 'pending' });
  });

  it('is deleted with the ends that its children keep', async () => {
    const { parent, child } = await enqueueLinked(fixture.store, [
      linkedJob('parent'),
      linkedJob('child', ['parent'], { onParentFailure: 'wait' }),
    ]);
    await end(parent!, 'failed');
    const markDeleted = (): Promise<unknown> => run(`UPDATE _jobs SET watched = 3 WHERE id = '${parent!}'`);
    expect(await followUp(parent!, markDeleted)).toMatchObject({ locked: [parent] });
    await fixture.store.links.followOwed(-1_000);
    expect(await fixture.job(child!)).toMatchObject({ status: 'cancelled' });
  });

  it('cancels no job because of another parent that has been re-queued meanwhile', async () => {
    const { parent, other, child, grandchild } = await enqueueLinked(fixture.store, [
      linkedJob('parent'),
      linkedJob('other'),
      linkedJob('child', ['parent', 'other']),
      linkedJob('grandchild', ['child']),
    ]);
    await end(other!, 'failed');
    await end(parent!, 'completed');
    const give = async (id: string): Promise<void> => {
      await run(`UPDATE _jobs_links SET holds = (parent_id = '${id}') WHERE child_id = '${child!}'`);
    };
    await give(parent!);
    const requeueOther = async (): Promise<void> => {
      await run(`UPDATE _jobs SET status = 'pending', finished = NULL WHERE id = '${other!}'`);
      await give(other!);
    };
    expect(await followUp(parent!, requeueOther)).toMatchObject({ cancelled: [], released: [] });
    expect(await fixture.job(child!)).toMatchObject({ status: 'pending' });
    expect(await fixture.job(grandchild!)).toMatchObject({ status: 'pending' });
    expect(await fixture.store.links.blocked([child!])).toEqual([{ id: child, waitingOn: 1 }]);
  });
});
