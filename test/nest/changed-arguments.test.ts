/**
 * @matrix nest-11
 * @never postgres-18
 */

import type { EntityManager } from 'typeorm';
import type { EnqueueOptions, Job, JobsService } from 'nestjs-jobs';
import { defineJob, InvalidPayloadError } from 'nestjs-jobs';
import { z } from 'zod';
import { useApps } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';

interface Mail {
  to: number;
}

/** An asynchronous schema: it validates after enqueue was called. */
const schema = z.object({ to: z.number().max(9) }).refine(() => Promise.resolve(true));
const CheckedMail = defineJob('checked_mail', { schema });

type Topic = 'mail' | typeof CheckedMail;
type Enqueue = (jobs: JobsService, manager: EntityManager, topic: Topic, payload: Mail) => Promise<Job[]>;

/** Each enqueue method, with a schema and without. */
const methods: [string, Enqueue][] = [
  ['enqueue', async (jobs, _, topic, payload) => [await jobs.enqueue(topic as string, payload)]],
  ['enqueueAt', async (jobs, _, topic, payload) => [await jobs.enqueueAt(topic as string, payload, new Date())]],
  ['enqueueTx', async (jobs, manager, topic, payload) => [await jobs.enqueueTx(manager, topic as string, payload)]],
  ['enqueueMany', (jobs, _, topic, payload) => jobs.enqueueMany([{ topic: topic as string, payload }])],
  [
    'enqueueMany with a manager',
    (jobs, manager, topic, payload) => jobs.enqueueMany([{ topic: topic as string, payload }], { manager }),
  ],
];
const calls = methods.flatMap(([name, enqueue]) =>
  (['mail', CheckedMail] as const).map((topic) => ({
    call: `${name}${topic === CheckedMail ? ' of a topic with a schema' : ''}`,
    topic,
    enqueue,
    isInTransaction: /Tx|manager/.test(name),
  })),
);

describe.each(everyKind)('arguments that the caller changes after the call, on $label,', (kind) => {
  const apps = useApps(kind);

  it.each(calls)('are stored as they were at the call of $call', async ({ topic, enqueue, isInTransaction }) => {
    const { jobs, dataSource } = await apps.start();
    const payload: Mail = { to: 0 };
    const enqueueThree = async (manager: EntityManager): Promise<Job[]> => {
      const stored: Promise<Job[]>[] = [];
      for (payload.to of [1, 2, 3]) {
        const call = enqueue(jobs, manager, topic, payload);
        payload.to = 10;
        stored.push(call);
        // A transaction has one connection, which runs one statement at a time.
        if (isInTransaction) await call;
      }
      return (await Promise.all(stored)).flat();
    };
    const stored = await (isInTransaction ? dataSource.transaction(enqueueThree) : enqueueThree(dataSource.manager));
    const payloads = [{ to: 1 }, { to: 2 }, { to: 3 }];
    expect(stored.map((job) => job.payload)).toEqual(payloads);
    const { items } = await jobs.list();
    expect(items.map((job) => job.payload).reverse()).toEqual(payloads);
  });

  it('keep the options of each call', async () => {
    const { jobs, dataSource } = await apps.start();
    const options: EnqueueOptions = {};
    const stored = await dataSource.transaction(async (manager) => {
      const jobsInOrder: Job[] = [];
      for (const uniqueKey of ['a', 'b', 'c']) {
        options.uniqueKey = uniqueKey;
        const call = jobs.enqueueTx(manager, CheckedMail, { to: 1 }, options);
        options.uniqueKey = 'changed';
        jobsInOrder.push(await call);
      }
      return jobsInOrder;
    });
    expect(stored.map(({ uniqueKey }) => uniqueKey)).toEqual(['a', 'b', 'c']);
  });

  it('may be a list of jobs', async () => {
    const { jobs } = await apps.start();
    const list = [1, 2, 3].map((to) => ({ topic: CheckedMail, payload: { to } }));
    const stored = jobs.enqueueMany(list);
    list.splice(0, 3, { topic: CheckedMail, payload: { to: 4 } });
    expect((await stored).map((job) => job.payload)).toEqual([{ to: 1 }, { to: 2 }, { to: 3 }]);
  });

  it('are validated by the schema in their stored form', async () => {
    const { jobs } = await apps.start();
    const Dated = defineJob('dated', { schema: z.object({ at: z.iso.datetime() }) });
    const Undated = defineJob('undated', { schema: z.object({ at: z.date() }) });
    const at = new Date('2030-01-01T00:00:00.000Z');
    const dated = { topic: Dated as unknown as string, payload: { at } };
    const [{ id }] = (await jobs.enqueueMany([dated])) as [Job];
    expect(await jobs.get(id)).toMatchObject({ payload: { at: at.toISOString() } });
    // A job never holds a Date, so the schema would reject it in the handler.
    await expect(jobs.enqueue(Undated, { at })).rejects.toThrow(InvalidPayloadError);
    await expect(jobs.enqueueMany([{ topic: Undated, payload: { at } }])).rejects.toThrow('jobs[0].payload.at: ');

    // Cancelled first: otherwise the job would run once it has a handler.
    await jobs.cancel(id);
    jobs.register(Dated, () => null);
    expect(await jobs.requeue(id, { payload: { at } })).toMatchObject({ status: 'pending' });
    expect(await jobs.stats(Undated)).toMatchObject({ total: 0 });
  });

  it('are stored before a transaction commits that does not await them', async () => {
    const { jobs, dataSource } = await apps.start();
    let stored: Promise<Job> | undefined;
    await dataSource.transaction(async (manager) => {
      await manager.query('SELECT 1');
      stored = jobs.enqueueTx(manager, CheckedMail, { to: 1 });
    });
    expect(await jobs.get((await stored!).id)).toMatchObject({ payload: { to: 1 } });
  });
});
