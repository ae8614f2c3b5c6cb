import { FIRST_ID } from '../../../lib/store/jobs/job-row.js';
import { JobsEngine } from 'nestjs-jobs';
import { oneByOne } from '../../../lib/store/links/batch-script.js';
import { followUpScript, readFollowUp } from '../../../lib/store/links/follow-up-script.js';
import type { RequeuedPage } from '../../../lib/store/links/requeue-script.js';
import { requeueChildrenScript } from '../../../lib/store/links/requeue-script.js';
import { outcomes, settlement } from '../../support/job-rows.js';
import { LinkScripts } from '../../support/link-scripts.js';
import { claimByRef, enqueueLinked, linkedJob, settleOne } from '../../support/linked-jobs.js';
import { storeKinds, useStore } from '../../support/stores.js';

describe.each(storeKinds())('a re-queue with dependants on $label', (kind) => {
  const fixture = useStore(kind);
  const scripts = new LinkScripts(fixture, kind);
  const { query } = scripts;

  const countByStatus = async (): Promise<Record<string, number>> => {
    const rows = await query('SELECT status, count(*) AS n FROM _jobs GROUP BY status');
    return Object.fromEntries(rows.map(({ status, n }) => [status as string, Number(n)]));
  };

  /** A job, its child, and many children of the child. */
  const enqueueFamily = (): Promise<Record<string, string>> =>
    enqueueLinked(fixture.store, [
      linkedJob('root'),
      linkedJob('child', ['root']),
      ...Array.from({ length: 900 }, (_, index) => linkedJob(`leaf${index}`, ['child'])),
    ]);

  it('takes up dependants whose own dependants are still being cancelled', async () => {
    const { root, child } = await enqueueFamily();
    // The process that followed up the failure was killed after it had cancelled the child.
    await query(
      `UPDATE _jobs SET status = 'failed', attempt = 1, watched = 2, finished = updated WHERE id = '${root!}'`,
    );
    await query(`UPDATE _jobs SET status = 'cancelled', ended_by = 'parent', last_error = 'parent ${root!} failed',
      watched = 1, finished = updated, run_at = updated WHERE id = '${child!}'`);
    const { dependants } = await fixture.store.links.requeueDependants(root!);
    expect(await countByStatus()).toEqual({ pending: 902 });
    expect(new Set(dependants.map(({ id }) => id)).size).toBe(901);
    await runToTheEnd();
  });

  it('takes up the dependants of a failure that is being followed up', async () => {
    const { root } = await enqueueFamily();
    const engine = new JobsEngine({ store: fixture.store, role: 'producer' });
    const claims = await claimByRef(fixture.store);
    await fixture.store.settle([settlement(claims.root!, outcomes.failed())]);
    await engine.jobs.requeue(root!, { dependants: true });
    await fixture.store.links.idle();
    expect(await countByStatus()).toEqual({ pending: 902 });
    await runToTheEnd();
  });

  /** Completes all jobs, level by level. */
  async function runToTheEnd(): Promise<void> {
    for (let round = 0; (await countByStatus()).pending! > 0; round += 1) {
      const claims = Object.values(await claimByRef(fixture.store));
      expect(claims.length).toBeGreaterThan(0);
      for (const each of claims) await settleOne(fixture.store, each);
    }
    expect(await countByStatus()).toEqual({ completed: 902 });
  }

  it('comes back to a dependant that owes a follow-up for several pages', async () => {
    const { root, leaf0 } = await enqueueLinked(fixture.store, [
      linkedJob('root'),
      ...Array.from({ length: 130 }, (_, index) => linkedJob(`leaf${index}`, ['root'])),
    ]);
    await query(`UPDATE _jobs SET status = 'cancelled', ended_by = 'parent', finished = updated, run_at = updated,
      watched = CASE WHEN id = '${leaf0!}' THEN 1 END WHERE id <> '${root!}'`);
    let rest: RequeuedPage['rest'] = [{ id: root!, after: FIRST_ID }];
    const requeue = async (): Promise<void> => {
      ({ rest } = await scripts.run(requeueChildrenScript(scripts.statements, rest, null)));
    };
    await requeue();
    await requeue();
    expect(await countByStatus()).toEqual({ pending: 130, cancelled: 1 });
    await query(`UPDATE _jobs SET watched = 2 WHERE id = '${leaf0!}'`);
    await requeue();
    expect(await countByStatus()).toEqual({ pending: 131 });
  });

  it.each(['before', 'after'] as const)(
    'releases the dependants of a parent that has completed meanwhile, %s its follow-up was read',
    async (order) => {
      const { parent, child } = await enqueueLinked(fixture.store, [
        linkedJob('parent'),
        linkedJob('child', ['parent']),
      ]);
      await query(`UPDATE _jobs SET status = 'cancelled', ended_by = 'parent', watched = NULL, finished = updated, run_at = updated
        WHERE id = '${child!}'`);
      await query(`UPDATE _jobs_links SET holds = NOT (1 = 1)`);
      await query(
        `UPDATE _jobs SET status = 'completed', attempt = 2, watched = 1, finished = updated WHERE id = '${parent!}'`,
      );
      const cursors = [{ id: parent!, after: FIRST_ID }];
      const requeue = (): Promise<unknown> => scripts.run(requeueChildrenScript(scripts.statements, cursors, null));
      if (order === 'before') await requeue();
      const plan = await readFollowUp(scripts.statements, query, cursors, 100);
      if (order === 'after') await requeue();
      await scripts.run(oneByOne(followUpScript(scripts.statements, plan)));
      await fixture.store.links.followOwed(-1_000);
      expect(await fixture.store.links.blocked([child!])).toEqual([]);
      expect(await fixture.job(child!)).toMatchObject({ status: 'pending' });
    },
  );
});
