/** @never postgres-15, memory */

import { InvalidOptionsError, JobsEngine } from 'nestjs-jobs';
import type { JobEvent, JobHandlerFunction } from 'nestjs-jobs';
import type { BulkResult, BulkRequest } from '../../../lib/core/bulk.js';
import type { JobStatus } from '../../../lib/core/job-state.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import {
  claimMany,
  claimOne,
  createRetrying,
  insertMany,
  insertOne,
  outcomes,
  settlement,
  TOPIC,
} from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { signal, until } from '../../support/wait.js';

const NO_JOB = '01890000-0000-7000-8000-000000000000';

describe.each(storeKinds())('bulk actions on $label', (kind) => {
  const fixture = useStore(kind);
  let engines: JobsEngine[] = [];

  afterEach(async () => {
    await Promise.all(engines.map((engine) => engine.close()));
    engines = [];
  });

  const open = (store: JobStore = fixture.store): JobsEngine => {
    const engine = new JobsEngine({ store, pollInterval: '1h' });
    engines.push(engine);
    return engine;
  };

  const start = async (handler: JobHandlerFunction, store?: JobStore): Promise<JobsEngine> => {
    const engine = open(store);
    engine.register(TOPIC, handler);
    await engine.start();
    return engine;
  };

  const settled = async (
    name: 'completed' | 'failed' | 'cancelled',
    count: number,
    topic = TOPIC,
  ): Promise<string[]> => {
    const claims = await claimMany(fixture.store, count, { topic });
    await fixture.store.settle(claims.map((token) => settlement(token, outcomes[name]())));
    return claims.map(({ id }) => id);
  };

  const move = (request: BulkRequest, topics?: readonly string[]): ReturnType<JobsEngine['bulk']['run']> =>
    open().bulk.run(request, topics);
  const statuses = async (ids: readonly string[]): Promise<JobStatus[]> =>
    Promise.all(ids.map(async (id) => (await fixture.job(id)).status));

  it('requeue failed and cancelled jobs by id', async () => {
    const ids = [...(await settled('failed', 2)), ...(await settled('cancelled', 1))];
    const other = await settled('failed', 1);
    expect(await move({ action: 'requeue', ids })).toEqual({
      matched: 3,
      changed: 3,
      skipped: 0,
      more: false,
      asOf: expect.stringMatching(/^20\d\d-.*\.\d{6}Z$/) as string,
      nextCursor: null,
      byTopic: [{ topic: TOPIC, count: 3 }],
      sampleIds: ids,
      skippedReasons: [],
    });
    expect(await statuses([...ids, ...other])).toEqual(['pending', 'pending', 'pending', 'failed']);
    expect((await fixture.job(ids[0]!)).retries).toBe(0);
  });

  it('cancel and delete only jobs that match a filter', async () => {
    const [mail, sms] = [await insertMany(fixture.store, 3), await insertMany(fixture.store, 2, { topic: 'sms' })];
    expect(await move({ action: 'cancel', filter: { topic: 'sms', status: 'pending' } })).toMatchObject({ changed: 2 });
    expect(await statuses([...mail, ...sms])).toEqual([...Array<string>(3).fill('pending'), 'cancelled', 'cancelled']);
    expect(await move({ action: 'delete', filter: { status: 'cancelled' } })).toMatchObject({ matched: 2, changed: 2 });
    expect(await fixture.store.find(sms)).toEqual([]);
    expect(await fixture.store.find(mail)).toHaveLength(3);
  });

  it('match the same jobs as a list with that filter: by search and by date', async () => {
    const [old, young] = await insertMany(fixture.store, 2, { topic: 'mail.digest' });
    await insertOne(fixture.store, { topic: 'sms' });
    await fixture.set(old!, { created: new Date('2024-01-01T00:00:00.000Z') });
    const createdTo = new Date('2024-06-01T00:00:00.000Z');
    expect(await move({ action: 'delete', filter: { q: 'mail.', createdTo } })).toMatchObject({
      matched: 1,
      changed: 1,
    });
    expect(await fixture.store.find([old!, young!])).toMatchObject([{ id: young }]);
  });

  it('promote delayed jobs and retries without changing their retry count', async () => {
    const tomorrow = await insertOne(fixture.store, { delayMs: 86_400_000 });
    const retried = await claimOne(fixture.store);
    await fixture.store.settle([settlement(retried, outcomes.retry(60_000))]);
    const [done] = await settled('completed', 1);
    const other = await insertOne(fixture.store, { topic: 'sms', delayMs: 86_400_000 });
    const due = await insertOne(fixture.store);
    expect(await move({ action: 'promote', filter: { topic: TOPIC, due: false }, dryRun: true })).toMatchObject({
      matched: 2,
      skipped: 0,
    });
    const ids = [tomorrow, retried.id, done!, due];
    const skippedReasons = [
      { reason: 'it is completed', ids: [done] },
      { reason: 'it is due already', ids: [due] },
    ];
    const sortReasons = ({ skippedReasons: reasons, ...answer }: BulkResult): unknown => ({
      ...answer,
      skippedReasons: [...reasons].sort((a, b) => (a.reason < b.reason ? -1 : 1)),
    });
    expect(sortReasons(await move({ action: 'promote', ids, dryRun: true }))).toMatchObject({
      skipped: 2,
      skippedReasons,
    });
    expect(sortReasons(await move({ action: 'promote', ids }))).toMatchObject({ changed: 2, skippedReasons });
    expect(await move({ action: 'promote', filter: { topic: TOPIC } })).toMatchObject({ matched: 4, changed: 0 });
    expect(await open().jobs.list({ due: false })).toMatchObject({ items: [{ id: other }], total: 1 });
    expect(await fixture.job(retried.id)).toMatchObject({ status: 'pending', retries: 1 });
  });

  it('promote and cancel only jobs that wait for a retry', async () => {
    const first = await insertOne(fixture.store, { delayMs: 3_600_000 });
    const ids = await createRetrying(fixture.store, 3);
    const [other] = await createRetrying(fixture.store, 1, 'timed out');
    const { items } = await open().errors.list();
    const { key } = items.find(({ message }) => message === 'timed out')!;
    expect(await move({ action: 'cancel', filter: { errorKey: key } })).toMatchObject({ matched: 0 });
    expect(await move({ action: 'cancel', filter: { errorKey: key, status: 'retrying' } })).toMatchObject({
      changed: 1,
    });
    expect(await move({ action: 'requeue', filter: { status: 'retrying' } })).toMatchObject({ matched: 3, changed: 0 });
    const filter = { status: ['failed', 'retrying'] as const, topic: TOPIC };
    expect(await move({ action: 'promote', filter, dryRun: true })).toMatchObject({ matched: 3, skipped: 0 });
    expect(await move({ action: 'promote', filter })).toMatchObject({ matched: 3, changed: 3 });
    expect(await open().jobs.list({ status: 'retrying', due: false })).toMatchObject({ total: 0 });
    expect((await open().jobs.list({ status: 'retrying', due: true })).items.map(({ id }) => id)).toEqual(
      ids.reverse(),
    );
    expect(await open().jobs.list({ due: false })).toMatchObject({ items: [{ id: first }] });
    expect(await statuses([other!])).toEqual(['cancelled']);
  });

  it('return skipped jobs with a reason', async () => {
    const [done] = await settled('completed', 1);
    const running = await claimOne(fixture.store);
    const [held, fine] = await settled('failed', 2);
    const holder = await insertOne(fixture.store, { uniqueKey: 'k' });
    await fixture.set(held!, { unique_key: 'k' });
    const ids = [NO_JOB, done!, running.id, held!, fine!];
    const answer = await move({ action: 'requeue', ids });
    expect(answer).toMatchObject({ matched: 5, changed: 1, skipped: 4, more: false });
    expect([...answer.skippedReasons].sort((a, b) => (a.reason < b.reason ? -1 : 1))).toEqual([
      { reason: 'it is completed', count: 1, ids: [done] },
      { reason: 'it is processing', count: 1, ids: [running.id] },
      { reason: 'its unique key is held by another job', count: 1, ids: [held] },
      { reason: 'there is no such job', count: 1, ids: [NO_JOB] },
    ]);
    expect(await statuses([holder, held!, fine!])).toEqual(['pending', 'failed', 'pending']);
  });

  it('requeue the first of several jobs with the same unique key', async () => {
    const ids = await settled('failed', 3);
    await fixture.set(ids, { unique_key: 'k' });
    expect(await move({ action: 'requeue', ids })).toMatchObject({
      changed: 1,
      skippedReasons: [{ reason: 'its unique key is held by another job', count: 2 }],
    });
    expect((await statuses(ids)).filter((status) => status === 'pending')).toHaveLength(1);
  });

  it('return at most ten ids for each reason', async () => {
    const ids = await settled('completed', 25);
    const { skippedReasons } = await move({ action: 'cancel', ids });
    expect(skippedReasons).toEqual([{ reason: 'it is completed', count: 25, ids: ids.slice(0, 10) }]);
  });

  it('change nothing in a dry run', async () => {
    const [failed, done] = [await settled('failed', 2), await settled('completed', 1)];
    const ids = [...failed, ...done, NO_JOB];
    expect(await move({ action: 'requeue', ids, dryRun: true })).toMatchObject({
      matched: 4,
      changed: 0,
      skipped: 2,
      skippedReasons: [{ reason: 'it is completed' }, { reason: 'there is no such job' }],
    });
    expect(await move({ action: 'delete', filter: {}, dryRun: true })).toMatchObject({
      matched: 3,
      changed: 0,
      skipped: 0,
    });
    expect(await statuses([...failed, ...done])).toEqual(['failed', 'failed', 'completed']);
  });

  it('change only jobs of allowed topics', async () => {
    const [mail, sms] = [await insertMany(fixture.store, 2), await insertMany(fixture.store, 2, { topic: 'sms' })];
    expect(await move({ action: 'cancel', ids: [...mail, ...sms, NO_JOB] }, ['sms'])).toMatchObject({
      matched: 5,
      changed: 2,
      skippedReasons: [
        // A caller must not learn which of these exist.
        { reason: 'there is no such job', count: 3, ids: [...mail, NO_JOB] },
      ],
    });
    expect(await move({ action: 'delete', filter: {} }, ['sms'])).toMatchObject({ matched: 2, changed: 2 });
    expect(await move({ action: 'delete', filter: { topic: TOPIC } }, ['sms'])).toMatchObject({
      matched: 0,
      changed: 0,
    });
    expect(await move({ action: 'delete', filter: {} }, [])).toMatchObject({ matched: 0, changed: 0 });
    expect(await statuses(mail)).toEqual(['pending', 'pending']);
  });

  it('reject an invalid request', async () => {
    const id = await insertOne(fixture.store);
    await expect(move({ action: 'delete', ids: [id, 'nonsense'] })).rejects.toThrow(InvalidOptionsError);
    await expect(move({ action: 'delete' })).rejects.toThrow(InvalidOptionsError);
    expect(await statuses([id])).toEqual(['pending']);
  });

  it('change the newest ten thousand jobs in a call and report that there are more', async () => {
    const ids: string[] = [];
    for (let batch = 0; batch < 10; batch += 1) {
      ids.push(...(await insertMany(fixture.store, 1_001)));
    }
    expect(await move({ action: 'cancel', filter: {} })).toMatchObject({
      matched: 10_000,
      changed: 10_000,
      more: true,
    });
    expect(await statuses(ids.slice(9, 11))).toEqual(['pending', 'cancelled']);
    // The newest jobs have ended; a cancel skips them and reaches older ones.
    expect(await move({ action: 'cancel', filter: {} })).toMatchObject({
      matched: 10_000,
      changed: 10,
      skipped: 9_990,
      more: false,
    });
    expect(await statuses(ids.slice(0, 10))).toEqual(Array(10).fill('cancelled'));
  }, 60_000);

  it('promote all delayed jobs in several calls', async () => {
    for (let batch = 0; batch < 10; batch += 1) {
      await insertMany(fixture.store, 1_001, { delayMs: 3_600_000 });
    }
    const later = await insertOne(fixture.store, { topic: 'sms', delayMs: 3_600_000 });
    const filter = { topic: TOPIC };
    expect(await open().jobs.list({ due: false, limit: 1 })).toMatchObject({ total: 10_000, totalCapped: true });
    expect(await move({ action: 'promote', filter: { status: 'completed' } })).toMatchObject({
      matched: 0,
      more: false,
    });
    expect(await move({ action: 'promote', filter })).toMatchObject({ changed: 10_000, more: true });
    expect(await open().jobs.list({ due: false })).toMatchObject({ total: 11, totalCapped: false });
    expect(await move({ action: 'promote', filter })).toMatchObject({ matched: 10_000, changed: 10, more: false });
    expect(await open().jobs.list({ due: false })).toMatchObject({ items: [{ id: later }], total: 1 });
    await fixture.sql(`UPDATE _jobs SET status = 'failed', finished = created WHERE topic = '${TOPIC}'`);
    // The filter selects failed jobs, of which none can be promoted.
    expect(await move({ action: 'promote', filter: { status: 'failed' } })).toMatchObject({ changed: 0, more: false });
    expect(await open().jobs.list({ due: false })).toMatchObject({ total: 1 });
  }, 60_000);

  it('promote only jobs of the given dates, and end when none can be changed', async () => {
    for (let batch = 0; batch < 10; batch += 1) {
      await insertMany(fixture.store, 1_001, { delayMs: 3_600_000 });
    }
    await fixture.set(await insertMany(fixture.store, 3, { delayMs: 7_200_000 }), { created: new Date('2035-01-01') });
    await insertMany(fixture.store, 3, { delayMs: 7_200_000, topic: 'sms' });
    const filter = { due: false, createdFrom: new Date('2034-01-01') };
    expect(await open().jobs.list(filter)).toMatchObject({ total: 3, totalCapped: false });
    expect(await move({ action: 'promote', filter })).toMatchObject({ matched: 3, changed: 3, more: false });
    await fixture.sql(`UPDATE _jobs SET run_at = created WHERE topic = '${TOPIC}'`);
    for (const action of ['promote', 'requeue'] as const) {
      const answer = await move({ action, filter: { due: true } });
      expect(answer).toMatchObject({ matched: 10_000, changed: 0, more: false });
    }
  }, 60_000);

  it('change all jobs with an error in several calls, beyond the search limit', async () => {
    const count = 10_030;
    for (let left = count; left > 0; left -= 1_000) {
      await insertMany(fixture.store, Math.min(left, 1_000));
    }
    await fixture.sql(`UPDATE _jobs SET status = 'failed', last_error = 'no route', finished = created`);
    const { items } = await open().errors.list();
    const filter = { errorKey: items[0]!.key };
    expect(await open().jobs.list({ ...filter, limit: 1 })).toMatchObject({ total: 10_000, totalCapped: true });
    expect(await move({ action: 'requeue', filter, dryRun: true })).toMatchObject({ matched: 10_000, more: true });
    expect(await move({ action: 'requeue', filter })).toMatchObject({ changed: 10_000, more: true });
    expect(await move({ action: 'requeue', filter })).toMatchObject({ changed: 30, more: false });
    expect(await open().jobs.list({ status: 'pending', limit: 1 })).toMatchObject({ total: 10_000, totalCapped: true });
    expect(await open().jobs.list({ q: 'no route' })).toMatchObject({
      total: 0,
      // The search has read the contents of 10,000 of the jobs.
      totalCapped: true,
      search: { window: 10_000, complete: false },
    });
    // A bulk call searches no more jobs than that. It reports this, whether or not it finds a job.
    const end = { changed: 0, more: true, nextCursor: null };
    expect(await move({ action: 'cancel', filter: { q: 'no route' }, dryRun: true })).toMatchObject(end);
    const search = { action: 'cancel', filter: { q: items[0]!.sampleId } } as const;
    const first = await move(search);
    expect(first).toMatchObject({ changed: 1, more: true });
    expect(await move({ ...search, cursor: first.nextCursor! })).toMatchObject(end);
  }, 60_000);

  it('wake the worker that runs promoted jobs', async () => {
    const ids = await insertMany(fixture.store, 3, { delayMs: 3_600_000 });
    const ran = new Set<string>();
    const worker = await start(async ({ id }) => void ran.add(id));
    await worker.bulk.run({ action: 'promote', filter: { due: false } });
    await until(() => ids.every((id) => ran.has(id)));
    await worker.whenIdle();
  });

  it('wake the worker that runs requeued jobs', async () => {
    const ids = await settled('failed', 450);
    const ran = new Set<string>();
    const worker = await start(async ({ id }) => void ran.add(id));
    await worker.whenIdle();
    expect(await worker.bulk.run({ action: 'requeue', ids })).toMatchObject({ changed: 450 });
    await until(() => ran.size === 450);
    await worker.whenIdle();
    expect(await worker.stats.get()).toMatchObject({ completed: 450, failed: 0 });
  });

  it('emit an event for each waiting job that was cancelled', async () => {
    const ids = await insertMany(fixture.store, 3);
    const engine = open();
    const events: JobEvent[] = [];
    engine.events.subscribe((event) => events.push(event));
    await engine.bulk.run({ action: 'cancel', ids });
    expect(events.map(({ type, id }) => [type, id])).toEqual(ids.map((id) => ['cancelled', id]));
  });

  it('let a worker settle jobs between their batches', async () => {
    const token = await claimOne(fixture.store);
    const ids = await insertMany(fixture.store, 1_000);
    const order: string[] = [];
    const { store } = fixture;
    const cancel = store.cancel.bind(store);
    let settling: Promise<unknown> | undefined;
    const spy = jest.spyOn(store, 'cancel').mockImplementation(async (batch) => {
      order.push(`batch of ${batch.length}`);
      settling ??= store.settle([settlement(token, outcomes.completed())]).then(() => order.push('settled'));
      return cancel(batch);
    });
    expect(await move({ action: 'cancel', ids: [...ids, token.id] })).toMatchObject({ matched: 1_001 });
    spy.mockRestore();
    await settling;
    expect(order.filter((what) => what === 'batch of 200')).toHaveLength(5);
    expect(order.indexOf('settled')).toBeLessThan(order.length - 1);
  });

  it('abort running jobs', async () => {
    const reasons: unknown[] = [];
    const running = signal<string>();
    const worker = await start(async ({ id, signal: aborted }) => {
      running.resolve(id);
      await new Promise<void>((resolve) => aborted.addEventListener('abort', () => resolve()));
      reasons.push(aborted.reason);
    });
    await worker.enqueue(TOPIC, null);
    const id = await running.promise;
    expect(await worker.bulk.run({ action: 'cancel', filter: { status: 'processing' } })).toMatchObject({
      changed: 1,
    });
    await until(async () => (await fixture.job(id)).status === 'cancelled');
    expect(reasons).toHaveLength(1);
  });

  if (kind.canHaveTwoConnections) {
    it('reach workers of other processes: requeued jobs run, cancelled jobs are aborted', async () => {
      const elsewhere = open((await fixture.openAnother()).store);
      const ids = await settled('failed', 3);
      const ran = new Set<string>();
      const [stuck, aborted] = [signal(), signal()];
      const worker = await start(async (job) => {
        if (job.payload === 'stuck') {
          stuck.resolve();
          await new Promise<void>((resolve) => job.signal.addEventListener('abort', () => resolve()));
          aborted.resolve();
        }
        ran.add(job.id);
      });
      const { id } = await worker.enqueue(TOPIC, 'stuck');
      await stuck.promise;
      await elsewhere.bulk.run({ action: 'requeue', ids });
      await until(() => ids.every((each) => ran.has(each)));
      expect(await elsewhere.bulk.run({ action: 'cancel', ids: [id] })).toMatchObject({ changed: 1 });
      await aborted.promise;
      await until(async () => (await fixture.job(id)).status === 'cancelled');
    });
  }
});
