import { JobsEngine, QueueUnavailableError } from 'nestjs-jobs';
import type { GroupOptions } from '../../../lib/core/job-group.js';
import type { Claim, JobFilter } from '../../../lib/core/job.js';
import { readListFilter } from '../../../lib/core/list-filter.js';
import { outcomes, settlement } from '../../support/job-rows.js';
import { claimByRef, linkedJob, settleAll, settleOne } from '../../support/linked-jobs.js';
import { storeKinds, useStore } from '../../support/stores.js';

const kinds = storeKinds().filter(({ canHaveTwoConnections }) => canHaveTwoConnections);
const completed = (token: Claim): ReturnType<typeof settlement> => settlement(token, outcomes.completed());
const callbacks: GroupOptions = {
  onSuccess: { topic: 'mail', payload: 'success' },
  onFinish: { topic: 'mail', payload: 'finish' },
  onFailure: { topic: 'mail', payload: 'failure' },
};

describe.each(kinds)('groups on $label', (kind) => {
  const fixture = useStore(kind);
  const groups = (): JobsEngine['groups'] => new JobsEngine({ store: fixture.store, role: 'producer' }).groups;
  const refs = async (): Promise<string[]> => Object.keys(await claimByRef(fixture.store)).sort();
  const payloads = async (where: string): Promise<unknown[]> =>
    (await fixture.sql<{ payload: unknown }>(`SELECT payload FROM _jobs WHERE ${where}`)).map(({ payload }) =>
      String(payload).replaceAll('"', ''),
    );

  it('count their members and release onSuccess and onFinish when all have completed', async () => {
    const { id, jobs } = await groups().enqueue([linkedJob('a'), linkedJob('b')], { ...callbacks, name: 'nightly' });
    expect(jobs.map(({ payload }) => payload)).toEqual(['a', 'b']);
    expect(await groups().get(id)).toMatchObject({ id, name: 'nightly', total: 2, pending: 2, finished: null });
    const { a, b } = await claimByRef(fixture.store);
    await settleOne(fixture.store, a!);
    expect(await groups().get(id)).toMatchObject({ processing: 1, completed: 1, finished: null });
    expect(await refs()).toEqual([]);
    await settleOne(fixture.store, b!);
    expect(await groups().get(id)).toMatchObject({ total: 2, completed: 2, finished: expect.any(Date) as Date });
    expect(await refs()).toEqual(['finish', 'success']);
    expect(await payloads(`status = 'cancelled'`)).toEqual(['failure']);
  });

  it('release onFailure by the first member that fails for good, once, and cancel onSuccess at the end', async () => {
    const { id } = await groups().enqueue([linkedJob('a'), linkedJob('b'), linkedJob('c')], callbacks);
    const { a, b, c } = await claimByRef(fixture.store);
    await settleOne(fixture.store, a!, outcomes.failed());
    expect(await refs()).toEqual(['failure']);
    await settleOne(fixture.store, b!, outcomes.failed());
    expect(await refs()).toEqual([]);
    await settleOne(fixture.store, c!);
    expect(await refs()).toEqual(['finish']);
    expect(await payloads(`last_error = 'group ${id} failed'`)).toEqual(['success']);
    expect(await groups().get(id)).toMatchObject({ total: 3, completed: 1, failed: 2 });
  });

  it('release all that apply when the last member is the first to fail', async () => {
    await groups().enqueue([linkedJob('a'), linkedJob('b')], callbacks);
    const { a, b } = await claimByRef(fixture.store);
    await settleAll(fixture.store, [settlement(a!, outcomes.completed()), settlement(b!, outcomes.failed())]);
    expect(await refs()).toEqual(['failure', 'finish']);
  });

  it.each([false, true])(
    'finish when the insert of further members is repeated after a lost response (all have ended meanwhile: %s)',
    async (hasEnded) => {
      const { id } = await groups().enqueue([linkedJob('a')], callbacks);
      const { links } = fixture.store;
      const insert = links.insert.bind(links);
      let isLost = false;
      const losing = jest.spyOn(links, 'insert').mockImplementation(async (...given) => {
        const result = await insert(...given);
        if (!isLost) {
          isLost = true;
          if (hasEnded) await settleAll(fixture.store, Object.values(await claimByRef(fixture.store)).map(completed));
          throw new QueueUnavailableError('the response was lost', { isUncertain: true });
        }
        return result;
      });
      await groups().enqueue([linkedJob('b'), linkedJob('c')], { id });
      losing.mockRestore();
      await settleAll(fixture.store, Object.values(await claimByRef(fixture.store)).map(completed));
      expect(await groups().get(id)).toMatchObject({ total: 3, completed: 3, finished: expect.any(Date) as Date });
    },
  );

  it('are listed by whether they have finished, and their members by status, newest first', async () => {
    const { id: finished } = await groups().enqueue([]);
    const { id, jobs } = await groups().enqueue([linkedJob('a'), linkedJob('b'), linkedJob('c', ['b'])], callbacks);
    const idsOf = (listed: readonly { id: string }[]): string[] => listed.map((each) => each.id);
    expect(idsOf(await groups().list({ limit: 2 }))).toEqual([id, finished]);
    expect(idsOf(await groups().list({ limit: 1, finished: false }))).toEqual([id]);
    expect(idsOf(await groups().list({ limit: 1, finished: true }))).toEqual([finished]);

    const members = async (filter: JobFilter): Promise<string[]> =>
      idsOf((await fixture.store.reports.list(readListFilter({ groupId: id, ...filter }))).items);
    const newestFirst = idsOf(jobs).reverse();
    expect(await members({})).toEqual(newestFirst);
    expect(await members({ limit: 2 })).toEqual(newestFirst.slice(0, 2));
    await settleOne(fixture.store, (await claimByRef(fixture.store)).a!);
    expect(await members({ status: ['completed', 'failed'] })).toEqual([jobs[0]!.id]);
    expect(await members({ topic: 'other' })).toEqual([]);
    expect(await members({ groupId: jobs[2]!.id })).toEqual([]);
  });

  it('name the jobs that wait for them', async () => {
    const { id } = await groups().enqueue([linkedJob('a')], callbacks);
    const { a } = await claimByRef(fixture.store);
    await settleOne(fixture.store, a!);
    const found = await groups().callbacks(id);
    expect(found.map(({ kind, topic, status }) => [kind, topic, status])).toEqual([
      ['onSuccess', 'mail', 'pending'],
      ['onFinish', 'mail', 'pending'],
      ['onFailure', 'mail', 'cancelled'],
    ]);
    await fixture.store.delete([found[2]!.id]);
    expect((await groups().callbacks(id))[2]).toEqual({ ...found[2], topic: null, status: 'deleted' });
  });

  it('end at once without members', async () => {
    const { id } = await groups().enqueue([], callbacks);
    expect(await refs()).toEqual(['finish', 'success']);
    expect(await groups().get(id)).toMatchObject({ total: 0, finished: expect.any(Date) as Date });
  });

  it('cancel more members than a page has', async () => {
    const { id } = await groups().enqueue(
      Array.from({ length: 450 }, (_, payload) => ({ topic: 'work', payload })),
      {},
    );
    expect(await groups().cancel(id)).toMatchObject({ total: 450, cancelled: 450 });
  });

  it('cancel their members, and release onFinish only', async () => {
    const { id } = await groups().enqueue([linkedJob('a'), linkedJob('b'), linkedJob('c', ['b'])], callbacks);
    const { a } = await claimByRef(fixture.store);
    await fixture.store.requeue([]);
    const cancelling = await groups().cancel(id);
    expect(cancelling).toMatchObject({ processing: 2, cancelled: 1 });
    expect(await fixture.job(a!.id)).toMatchObject({ cancelRequested: true });
    const { rows } = { rows: await fixture.sql<{ id: string }>(`SELECT id FROM _jobs WHERE status = 'processing'`) };
    const tokens = rows.map((row) => ({ id: row.id, attempt: 1 }));
    await settleAll(
      fixture.store,
      tokens.map((token) => settlement(token, outcomes.cancelled())),
    );
    expect(await groups().get(id)).toMatchObject({ cancelled: 3, finished: expect.any(Date) as Date });
    expect(await refs()).toEqual(['finish']);
    const error = `no member of group ${id} failed, but not all completed`;
    expect((await payloads(`last_error = '${error}'`)).sort()).toEqual(['failure', 'success']);
    await expect(groups().cancel('01890000-0000-7000-8000-000000000000')).rejects.toThrow('there is no group');
  });

  it('take more members from a running one, and refuse them when they have finished', async () => {
    const { id } = await groups().enqueue([linkedJob('a')], { onFinish: callbacks.onFinish });
    const { a } = await claimByRef(fixture.store);
    await groups().enqueue([linkedJob('b')], { id });
    await settleOne(fixture.store, a!);
    const { b, ...others } = await claimByRef(fixture.store);
    expect(others).toEqual({});
    expect(b!.metadata).toEqual({ $group: id });
    await settleOne(fixture.store, b!);
    expect(await refs()).toEqual(['finish']);
    await expect(groups().enqueue([linkedJob('c')], { id })).rejects.toThrow('has finished');
    expect(await groups().get(id)).toMatchObject({ total: 2 });
  });

  it('are stored in the transaction of the caller, or not at all', async () => {
    const before = (await groups().list()).length;
    await fixture.app
      .transaction(async (manager) => {
        await groups().enqueue([linkedJob('a')], callbacks, manager);
        throw new Error('rolled back');
      })
      .catch(() => undefined);
    expect(await groups().list()).toHaveLength(before);
    const { id } = await fixture.app.transaction((manager) => groups().enqueue([linkedJob('a')], callbacks, manager));
    const [newest, ...others] = await groups().list({ limit: 2 });
    expect(newest!.id).toBe(id);
    expect(await groups().list({ before: id, limit: 1 })).toEqual(others);
    expect(await refs()).toEqual(['a']);
  });

  it('keep the outcome of deleted members, and are deleted after the last of their jobs', async () => {
    const { id } = await groups().enqueue([linkedJob('a'), linkedJob('b')]);
    const { a, b } = await claimByRef(fixture.store);
    await settleOne(fixture.store, a!);
    await fixture.store.delete([a!.id]);
    expect(await groups().get(id)).toMatchObject({ total: 2, completed: 1, processing: 1 });
    await settleOne(fixture.store, b!, outcomes.failed());
    await fixture.store.groups.prune(null);
    expect(await groups().get(id)).toMatchObject({ completed: 1, failed: 1 });
    await fixture.store.delete([b!.id]);
    await fixture.store.links.repair(null);
    expect(await groups().get(id)).toMatchObject({ completed: 1, failed: 1 });
    await fixture.store.groups.prune(null);
    expect(await groups().get(id)).toBeNull();
    await fixture.store.links.repair(null);
    expect(await fixture.sql('SELECT parent_id FROM _jobs_links')).toEqual([]);
  });

  it('finish by the repair when something else has deleted the last unfinished member', async () => {
    const { id } = await groups().enqueue([linkedJob('a'), linkedJob('b')], callbacks);
    const { a, b } = await claimByRef(fixture.store);
    await settleOne(fixture.store, a!);
    await fixture.sql(`DELETE FROM _jobs WHERE id = '${b!.id}'`);
    const { changes } = await fixture.store.links.repair(null);
    expect(changes.released).toHaveLength(1);
    expect(await groups().get(id)).toMatchObject({ completed: 1, cancelled: 1, finished: expect.any(Date) as Date });
    expect(await refs()).toEqual(['finish']);
  });

  it('are deleted after the last of their callbacks, also without members', async () => {
    const { id: withCallback } = await groups().enqueue([], { onFinish: callbacks.onFinish });
    const { id: empty } = await groups().enqueue([]);
    const { id: unfinished } = await groups().enqueue([linkedJob('a')]);
    expect(await fixture.store.groups.prune(null)).toMatchObject({ next: null });
    expect(await groups().get(empty)).toBeNull();
    expect(await groups().get(withCallback)).not.toBeNull();
    const { finish } = await claimByRef(fixture.store);
    await settleOne(fixture.store, finish!);
    await fixture.store.delete([finish!.id]);
    await fixture.store.groups.prune(null);
    expect(await groups().get(withCallback)).toBeNull();
    expect(await groups().get(unfinished)).not.toBeNull();
    await fixture.store.links.repair(null);
    expect(await fixture.sql(`SELECT child_id FROM _jobs_links WHERE child_id <> '${unfinished}'`)).toEqual([]);
  });

  it('release each callback once when members end in two processes', async () => {
    const { store: other } = await fixture.openAnother();
    for (let round = 0; round < 20; round += 1) {
      await groups().enqueue([linkedJob('a'), linkedJob('b')], { onFinish: callbacks.onFinish });
      const { a, b } = await claimByRef(fixture.store);
      await Promise.all([settleOne(fixture.store, a!), settleOne(other, b!, outcomes.failed())]);
      const { finish, ...others } = await claimByRef(fixture.store);
      expect(others).toEqual({});
      await settleOne(fixture.store, finish!);
    }
  });
});
