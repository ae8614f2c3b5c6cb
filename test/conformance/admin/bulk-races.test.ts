import { JobsEngine } from 'nestjs-jobs';
import { overrideStore } from '../../support/override-store.js';
import { claim, claimOne, insertOne, outcomes, settlement } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

describe.each(storeKinds())('a bulk action with a filter on $label', (kind) => {
  const fixture = useStore(kind);
  let engine: JobsEngine;

  afterEach(() => engine.close());

  /** Creates a failed job, or a pending one with a later runAt. */
  const createJob = async (status: 'failed' | 'pending'): Promise<string> => {
    if (status === 'pending') {
      const id = await insertOne(fixture.store);
      await fixture.set(id, { run_at: { msFromNow: 60_000 } });
      return id;
    }
    const token = await claimOne(fixture.store);
    await fixture.store.settle([settlement(token, outcomes.failed())]);
    return token.id;
  };

  const changes = {
    requeued: (id: string) => fixture.store.requeue([id]),
    'requeued and cancelled': async (id: string) => {
      await fixture.store.requeue([id]);
      await fixture.store.cancel([id]);
    },
    claimed: async (id: string) => {
      await fixture.set(id, { run_at: { msFromNow: -1_000 } });
      await claim(fixture.store, { limit: 1 });
    },
  };

  it.each([
    { action: 'delete', by: 'status', was: 'failed', change: 'requeued', now: 'pending', left: [] },
    { action: 'delete', by: 'errorKey', was: 'failed', change: 'requeued', now: 'pending', left: [] },
    {
      action: 'requeue',
      by: 'errorKey',
      was: 'failed',
      change: 'requeued and cancelled',
      now: 'cancelled',
      left: ['pending'],
    },
    {
      action: 'requeue',
      by: 'status',
      was: 'failed',
      change: 'requeued and cancelled',
      now: 'cancelled',
      left: ['pending'],
    },
    { action: 'cancel', by: 'status', was: 'pending', change: 'claimed', now: 'processing', left: ['cancelled'] },
    { action: 'promote', by: 'due', was: 'pending', change: 'claimed', now: 'processing', left: ['pending'] },
  ] as const)(
    'skips a $was job that was $change during a $action by $by',
    async ({ action, by, was, change, now, left }) => {
      // The second job does not change. One job and several use different statements.
      const [id, other] = [await createJob(was), await createJob(was)];
      const store = overrideStore(fixture.store, {
        [action]: async (ids: string[], ...more: never[]) => {
          await changes[change](id);
          return fixture.store[action](ids, ...more);
        },
      });
      engine = new JobsEngine({ store, role: 'producer' });
      const { items: errors } = await engine.errors.list();
      const filter = { status: { status: was }, errorKey: { errorKey: errors[0]?.key }, due: { due: false } }[by];
      expect(await engine.bulk.run({ action, filter })).toMatchObject({
        matched: 2,
        changed: 1,
        skippedReasons: [{ reason: `it is ${now}`, ids: [id] }],
      });
      expect(await fixture.job(id)).toMatchObject({ status: now, cancelRequested: now === 'cancelled' });
      const changed = await fixture.store.find([other]);
      expect(changed.map(({ status }) => status)).toEqual(left);
    },
  );
});
