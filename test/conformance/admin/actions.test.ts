import type { Job } from 'nestjs-jobs';
import { JobsEngine } from 'nestjs-jobs';
import type { Actor } from '../../../lib/core/job-action.js';
import { claim, claimOne, insertMany, insertOne, outcomes, settlement, TOPIC } from '../../support/job-rows.js';
import { claimByRef, enqueueLinked, linkedJob, settleOne } from '../../support/linked-jobs.js';
import { storeKinds, useStore } from '../../support/stores.js';

const ANNA: Actor = { via: 'api', by: 'anna' };
const BEN: Actor = { via: 'cli', by: null };

describe.each(storeKinds())('the actions in a job on $label', (kind) => {
  const fixture = useStore(kind);
  const open = (): JobsEngine => new JobsEngine({ store: fixture.store, role: 'producer' });
  const actionsOf = async (id: string): Promise<Job['actions']> => (await fixture.job(id)).actions;

  it('name who has cancelled, re-queued, edited and promoted it, and when, in their order', async () => {
    const engine = open();
    const id = await insertOne(fixture.store, { delayMs: 3_600_000 });
    expect(await actionsOf(id)).toEqual([]);
    await engine.jobs.cancel(id, ANNA);
    await engine.jobs.requeue(id, { runAt: new Date('2090-01-01') }, BEN);
    await engine.jobs.promote(id, ANNA);
    await engine.jobs.cancel(id);
    const job = await engine.jobs.requeue(id, { payload: { edited: true } }, { via: 'api', by: 'a\u0000"b\\' });
    expect(job.actions).toEqual([
      { action: 'cancel', via: 'api', by: 'anna', time: expect.any(String) as string },
      { action: 'requeue', via: 'cli', by: null, time: expect.any(String) as string },
      { action: 'promote', via: 'api', by: 'anna', time: expect.any(String) as string },
      { action: 'cancel', via: 'application', by: null, time: expect.any(String) as string },
      { action: 'edit', via: 'api', by: expect.stringMatching(/^a.*"b\\$/) as string, time: job.updated.toISOString() },
    ]);
    expect(await actionsOf(id)).toEqual(job.actions);
    const times = job.actions.map(({ time }) => time);
    expect([...times].sort()).toEqual(times);
  });

  it('stay through later attempts, and are the last 20', async () => {
    const token = await claimOne(fixture.store);
    await fixture.store.settle([settlement(token, outcomes.failed())]);
    await open().jobs.requeue(token.id, undefined, ANNA);
    for (let each = 0; each < 20; each += 1) {
      await open().jobs.promote(token.id, { via: 'api', by: `user ${each}` });
    }
    const again = await claim(fixture.store);
    await fixture.store.settle(again.map((each) => settlement(each, outcomes.completed())));
    const names = (await actionsOf(token.id)).map(({ by }) => by);
    expect(names).toEqual(Array.from({ length: 20 }, (_, index) => `user ${index}`));
  });

  it('are those of each job that a bulk action has changed, and of no other', async () => {
    const ids = await insertMany(fixture.store, 3);
    const late = await claimOne(fixture.store, { topic: 'other' });
    await fixture.store.settle([settlement(late, outcomes.completed())]);
    await open().bulk.run({ action: 'cancel', ids: [...ids, late.id] }, null, ANNA);
    await open().bulk.run({ action: 'requeue', filter: { topic: [TOPIC] }, pace: '60/m' }, null, BEN);
    for (const id of ids) {
      expect(await actionsOf(id)).toMatchObject([ANNA, BEN]);
    }
    expect(await actionsOf(late.id)).toEqual([]);
    await expect(open().jobs.requeue(late.id, undefined, ANNA)).rejects.toThrow('completed');
    expect(await actionsOf(late.id)).toEqual([]);
  });

  it('include those on linked jobs: a re-queue of dependants, and a cancel of a parent', async () => {
    const ids = await enqueueLinked(fixture.store, [linkedJob('a'), linkedJob('b', ['a'])]);
    const { a } = await claimByRef(fixture.store);
    await settleOne(fixture.store, a!, outcomes.failed());
    await open().jobs.requeue(ids.a!, { dependants: true }, ANNA);
    await open().jobs.cancel(ids.a!, BEN);
    expect(await actionsOf(ids.a!)).toMatchObject([
      { action: 'requeue', ...ANNA },
      { action: 'cancel', ...BEN },
    ]);
    expect(await actionsOf(ids.b!)).toMatchObject([{ action: 'requeue', ...ANNA }]);
  });
});
