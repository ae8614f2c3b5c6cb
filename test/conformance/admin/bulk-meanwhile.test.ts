import { JobsEngine } from 'nestjs-jobs';
import { altered } from '../../support/altered-store.js';
import { claim, claimOne, insertOne, outcomes, settlement } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

describe.each(storeKinds())('a bulk move by a filter on $label', (kind) => {
  const fixture = useStore(kind);
  let engine: JobsEngine;

  afterEach(() => engine.close());

  /** A job that failed, or one that waits for its time. */
  const made = async (status: 'failed' | 'pending'): Promise<string> => {
    if (status === 'pending') {
      const id = await insertOne(fixture.store);
      await fixture.set(id, { run_at: { msFromNow: 60_000 } });
      return id;
    }
    const token = await claimOne(fixture.store);
    await fixture.store.settle([settlement(token, outcomes.failed())]);
    return token.id;
  };

  const ways = {
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
    { action: 'delete', by: 'status', was: 'failed', meanwhile: 'requeued', now: 'pending', left: [] },
    { action: 'delete', by: 'errorKey', was: 'failed', meanwhile: 'requeued', now: 'pending', left: [] },
    {
      action: 'requeue',
      by: 'errorKey',
      was: 'failed',
      meanwhile: 'requeued and cancelled',
      now: 'cancelled',
      left: ['pending'],
    },
    {
      action: 'requeue',
      by: 'status',
      was: 'failed',
      meanwhile: 'requeued and cancelled',
      now: 'cancelled',
      left: ['pending'],
    },
    { action: 'cancel', by: 'status', was: 'pending', meanwhile: 'claimed', now: 'processing', left: ['cancelled'] },
    { action: 'promote', by: 'due', was: 'pending', meanwhile: 'claimed', now: 'processing', left: ['pending'] },
  ] as const)(
    'leaves alone what was $was when it was asked to $action by $by, and has been $meanwhile since',
    async ({ action, by, was, meanwhile, now, left }) => {
      // A second one, which stays as it was meant: several are moved by another statement than one.
      const [id, other] = [await made(was), await made(was)];
      const store = altered(fixture.store, {
        [action]: async (ids: string[], ...more: never[]) => {
          await ways[meanwhile](id);
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
