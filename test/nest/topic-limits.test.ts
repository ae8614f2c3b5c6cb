import { Injectable } from '@nestjs/common';
import type { JobContext, StandardSchema } from 'nestjs-jobs';
import { defineJob, InvalidOptionsError, InvalidPayloadError, JobHandler } from 'nestjs-jobs';
import { until } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { postgres, sqliteFile } from './support/database-kinds.js';

interface Sync {
  readonly tenantId?: unknown;
  readonly at?: Date;
}

const limits = { concurrency: 50, perKey: 2 };

const syncSchema: StandardSchema<Sync> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) =>
      (value as Sync | null)?.tenantId === 'bad' ? { issues: [{ message: 'not a tenant' }] } : { value: value as Sync },
  },
};

const calls: unknown[] = [];
const SyncShop = defineJob<Sync, Sync>('sync_shop', {
  schema: syncSchema,
  limits,
  concurrencyKey: (payload) => {
    calls.push(payload);
    if (payload.tenantId === 'throw') {
      throw new Error('no tenant');
    }
    return payload.tenantId as string | undefined;
  },
});

@Injectable()
class SyncJobs {
  @JobHandler(SyncShop, { limits: { perKey: 2, concurrency: 50 } })
  sync(job: JobContext<Sync>): unknown {
    return job.payload.tenantId;
  }
}

describe('the concurrency key of a typed topic', () => {
  const apps = useApps(sqliteFile);
  beforeEach(() => void calls.splice(0));

  it('is read once, from the stored payload, by each way to enqueue', async () => {
    const app = await apps.start({ providers: [SyncJobs] });
    const at = new Date(0);
    const one = await app.jobs.enqueue(SyncShop, { tenantId: 'a', at });
    const byName = await app.jobs.enqueue('sync_shop', { tenantId: 'b' });
    const none = await app.jobs.enqueue(SyncShop, {});
    const [many] = await app.jobs.enqueueMany([{ topic: SyncShop, payload: { tenantId: 'c' } }]);
    const inTx = await app.dataSource.transaction((tx) => app.jobs.enqueueTx(tx, SyncShop, { tenantId: 'd' }));
    const keys = [one, byName, none, many!, inTx].map(({ concurrencyKey }) => concurrencyKey);
    expect(keys).toEqual(['a', 'b', null, 'c', 'd']);
    expect(calls).toEqual([
      { tenantId: 'a', at: at.toISOString() },
      { tenantId: 'b' },
      {},
      { tenantId: 'c' },
      { tenantId: 'd' },
    ]);
    expect(await app.jobs.get(one.id)).toMatchObject({ concurrencyKey: 'a' });
  });

  it('gives way to the option of the call', async () => {
    const app = await apps.start({ providers: [SyncJobs] });
    const job = await app.jobs.enqueue(SyncShop, { tenantId: 'throw' }, { concurrencyKey: 'mine' });
    expect(job.concurrencyKey).toBe('mine');
    expect(calls).toEqual([]);
  });

  it('fails the call when the function throws or returns something else, and the schema comes first', async () => {
    const app = await apps.start({ providers: [SyncJobs] });
    const enqueue = (tenantId: unknown): Promise<unknown> => app.jobs.enqueue(SyncShop, { tenantId });
    await expect(enqueue('bad')).rejects.toThrow(InvalidPayloadError);
    expect(calls).toEqual([]);
    await expect(enqueue('throw')).rejects.toMatchObject({
      option: 'concurrencyKey',
      message: "concurrencyKey: the function of 'sync_shop' threw for this payload: no tenant",
    });
    for (const wrong of [7, '', null, 'x'.repeat(256), {}]) {
      await expect(enqueue(wrong)).rejects.toThrow(InvalidOptionsError);
      await expect(enqueue(wrong)).rejects.toThrow(
        /the function of 'sync_shop' must return text of 1 to 255 .* or undefined, got/,
      );
    }
    const many = app.jobs.enqueueMany([{ topic: SyncShop, payload: { tenantId: 7 } }]);
    await expect(many).rejects.toMatchObject({ option: 'jobs[0].concurrencyKey' });
    expect((await app.jobs.stats()).total).toBe(0);
  });
});

describe('the limits of a topic', () => {
  const apps = useApps(postgres);

  it('in the code are those that were first seen last, and an operator overrides them', async () => {
    const [one, two] = [{ concurrency: 3 }, { rate: { limit: 10, per: '1m', perKey: true } }] as const;
    const first = await apps.start({ handlers: { work: [() => null, { limits: one }], other: () => null } });
    const { jobs } = first;
    await first.jobAfter('completed', (await jobs.enqueue('other', null)).id);
    expect(await jobs.limits.get('work')).toEqual(one);

    const second = await apps.start({ handlers: { work: [() => null, { limits: two }], two: () => null } });
    await second.jobAfter('completed', (await second.jobs.enqueue('two', null)).id);
    const stored = { rate: { limit: 10, per: 60_000, perKey: true } };
    expect(await jobs.limits.get('work')).toEqual(stored);

    await jobs.limits.set('work', { perKey: 1 });
    expect(await jobs.limits.list()).toEqual([
      { topic: 'work', limits: { perKey: 1 }, source: 'operator', codeLimits: stored },
    ]);
    await jobs.limits.set('work', {});
    expect(await jobs.limits.get('work')).toEqual({});
    await jobs.limits.set('work', null);
    expect(await jobs.limits.list()).toEqual([{ topic: 'work', limits: stored, source: 'code', codeLimits: stored }]);
    await jobs.limits.set('other', { concurrency: 1 });
    await jobs.limits.set('other', null);
    expect(await jobs.limits.get('other')).toBeNull();

    // A process that declares none leaves those of a live process.
    const third = await apps.start({ handlers: { work: () => null, three: () => null } });
    await third.jobAfter('completed', (await third.jobs.enqueue('three', null)).id);
    expect(await jobs.limits.get('work')).toEqual(stored);
  });

  it('are set by a producer, which declares none', async () => {
    const producer = await apps.start({
      options: { role: 'producer' },
      handlers: { work: [() => null, { limits: { concurrency: 3 } }] },
    });
    await producer.jobs.limits.set('work', { concurrency: 4 });
    await producer.jobs.limits.set('work', null);
    expect(await producer.jobs.limits.list()).toEqual([]);
  });

  it.each([
    ['topic', '', {}],
    ['limits.concurrency', 'work', { concurrency: 0 }],
    ['limits.rate.per', 'work', { rate: { limit: 1 } }],
    ['limits.perkey', 'work', { perkey: 1 }],
    ['limits', 'work', undefined],
  ])('are rejected with the name %s', async (option, topic, given) => {
    const { jobs } = await apps.start({ options: { role: 'producer' } });
    await expect(jobs.limits.set(topic, given as object)).rejects.toMatchObject({ option });
  });

  it('of a topic that no live process handles are rejected with strictTopics, unless they are removed', async () => {
    const { jobs } = await apps.start({ options: { strictTopics: true }, handlers: { mail: () => null } });
    await expect(jobs.limits.set('mial', { concurrency: 1 })).rejects.toThrow(
      /no live process handles 'mial'; did you mean 'mail'/,
    );
    await jobs.limits.set('mial', null);
    await jobs.limits.set('mail', { concurrency: 1 });
  });

  it('of a topic without a handler are logged', async () => {
    const { jobs } = await apps.start({ handlers: { mail: () => null } });
    await jobs.limits.set('mial', { concurrency: 1 });
    await until(() => apps.log.of('warn', "no live process handles 'mial'; did you mean 'mail'?").length === 1);
  });

  it('stop the application when a handler and its typed topic differ', async () => {
    const Work = defineJob('work', { limits: { concurrency: 2 } });
    const app = await apps.create();
    expect(() => app.jobs.register(Work, () => null, { limits: { concurrency: 3 } })).toThrow(
      "limits of 'work': differ between the handler and defineJob(); give them in one place; the handler is register()",
    );
    app.jobs.register(Work, () => null, { limits: { concurrency: 2 } });
    app.jobs.register('other', () => null, { limits: { concurrency: 2 } });
    await app.app.init();
    const Other = defineJob('other', { limits: { concurrency: 3 } });
    await expect(app.jobs.enqueue(Other, null)).rejects.toMatchObject({ option: "limits of 'other'" });
    await app.jobs.enqueue(Work, null);
  });
});
