import type { JobEvent, JobsOptions } from 'nestjs-jobs';
import { InvalidOptionsError, JobsEngine } from 'nestjs-jobs';
import {
  claim,
  claimOne,
  insertMany,
  insertOne,
  newJob,
  outcomes,
  rescue,
  settlement,
  TOPIC,
} from '../../support/job-rows.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import { overrideStore } from '../../support/override-store.js';
import { claimByRef, enqueueLinked, linkedJob, settleOne } from '../../support/linked-jobs.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { signal, until } from '../../support/wait.js';

const IN_AN_HOUR = { inMs: 3_600_000 };
/** As a job that was stored an hour ago, with an expiry a second ago. */
const OVER = { inMs: -1_000 };

describe.each(storeKinds())('a job with an expiry on $label', (kind) => {
  const fixture = useStore(kind);
  let engine: JobsEngine | undefined;
  let events: JobEvent[];

  const start = async (
    handler: () => unknown,
    options: JobsOptions = {},
    store = fixture.store,
  ): Promise<JobsEngine> => {
    engine = new JobsEngine({
      store,
      pollInterval: 50,
      backoff: { type: 'fixed', delay: 0 },
      ...options,
    });
    events = [];
    engine.events.subscribe((event) => events.push(event));
    engine.register(TOPIC, async () => handler());
    await engine.start();
    return engine;
  };
  const typesOf = (id: string): string[] => events.filter((event) => event.id === id).map(({ type }) => type);

  afterEach(async () => {
    await engine?.close();
    engine = undefined;
  });

  it('stores the expiry by the clock of the database', async () => {
    const at = new Date('2030-01-01T00:00:00.123Z');
    const [first, second] = await fixture.store.insert([
      newJob({ expiry: { at } }),
      newJob({ expiry: { inMs: 1_500 } }),
    ]);
    expect((await fixture.job(first!.id)).expiresAt).toEqual(at);
    const { expiresAt, created } = await fixture.job(second!.id);
    expect(expiresAt!.getTime() - created.getTime()).toBe(1_500);
  });

  it('in the past is accepted for a job that is due at once, which then expires, and refused with a delay', async () => {
    const queue = await start(() => null);
    const expiresAt = new Date(Date.now() - 3_600_000);
    const { id } = await queue.enqueue(TOPIC, null, { expiresAt });
    await until(async () => (await fixture.job(id)).status === 'cancelled', { message: 'the expiry' });
    expect(await fixture.job(id)).toMatchObject({ lastError: 'expired', attempt: 0 });
    await expect(queue.enqueue(TOPIC, null, { expiresAt, delay: '1s' })).rejects.toThrow(InvalidOptionsError);
  });

  it('is not claimed after it, and does not hide jobs that wait behind it', async () => {
    await insertOne(fixture.store, { expiry: OVER });
    const [behind, later] = [await insertOne(fixture.store), await insertOne(fixture.store, { expiry: IN_AN_HOUR })];
    const { expiresAt } = await fixture.job(later);
    expect((await claim(fixture.store)).map(({ id, expiresMs }) => [id, expiresMs])).toEqual([
      [behind, null],
      [later, expect.closeTo(expiresAt!.getTime(), -1)],
    ]);
    expect(await claim(fixture.store)).toEqual([]);
  });

  it('is not claimed from a limited topic after it', async () => {
    await fixture.store.limits.set(TOPIC, { concurrency: 5 });
    const members = [{}, { concurrencyKey: 'a' }] as const;
    const expected: string[] = [];
    for (const each of members) {
      await insertOne(fixture.store, { ...each, expiry: OVER });
      expected.push(await insertOne(fixture.store, { ...each, expiry: IN_AN_HOUR }));
    }
    const request = {
      from: 'topic' as const,
      topic: TOPIC,
      priorities: [0],
      hasKeyed: true,
      limit: 10,
      leaseMs: 30_000,
      worker: 'w',
      handOverMs: 100,
    };
    const { claims } = await fixture.store.claim(request);
    expect(claims.map(({ id }) => id).sort()).toEqual(expected.sort());
    await fixture.store.limits.set(TOPIC, null);
  });

  it('does not start after it, although it was claimed before', async () => {
    const claimed = await claimOne(fixture.store, { expiry: IN_AN_HOUR });
    await fixture.set(claimed.id, { expires_at: { msFromNow: -1 } });
    expect(await fixture.store.markStarted([claimed])).toMatchObject([{ state: 'lost' }]);
    await fixture.store.settle([settlement(claimed, outcomes.release(null))]);
    expect(await fixture.store.expire(10)).toEqual([{ id: claimed.id, topic: TOPIC, attempt: 1 }]);
  });

  it('has none once it has started, so that its retries do not expire', async () => {
    const claimed = await claimOne(fixture.store, { expiry: IN_AN_HOUR });
    expect(await fixture.store.markStarted([claimed])).toMatchObject([{ state: 'held' }]);
    expect((await fixture.job(claimed.id)).expiresAt).toBeNull();
  });

  it('keeps it when a worker crashes before the handler starts', async () => {
    const { id } = await claimOne(fixture.store, { expiry: IN_AN_HOUR });
    await fixture.expire(id);
    expect(await rescue(fixture.store, 10)).toMatchObject([{ id, status: 'pending' }]);
    expect(await fixture.job(id)).toMatchObject({ expiresAt: expect.any(Date) as Date, lastError: null, errors: [] });
  });

  it('is cancelled with the error "expired", one batch after another', async () => {
    const ids = await insertMany(fixture.store, 3, { expiry: OVER });
    await insertOne(fixture.store, { expiry: IN_AN_HOUR });
    expect((await fixture.store.rescue(10)).hasOverdue).toBe(true);
    expect(await fixture.store.expire(2)).toHaveLength(2);
    expect(await fixture.store.expire(2)).toHaveLength(1);
    expect(await fixture.store.expire(2)).toEqual([]);
    expect((await fixture.store.rescue(10)).hasOverdue).toBe(false);
    for (const id of ids) {
      const job = await fixture.job(id);
      expect(job).toMatchObject({ status: 'cancelled', lastError: 'expired', attempt: 0, started: null, errors: [] });
      expect(job.finished).toEqual(job.updated);
    }
  });

  it('ends before its due time, while its topic is paused, and frees its unique key', async () => {
    const delayed = await insertOne(fixture.store, { delayMs: 60_000, uniqueKey: 'a', expiry: OVER });
    await fixture.store.pauses.pause([TOPIC]);
    expect(await fixture.store.expire(10)).toMatchObject([{ id: delayed }]);
    await fixture.store.pauses.resume([TOPIC]);
    expect((await fixture.store.insert([newJob({ uniqueKey: 'a' })]))[0]).toMatchObject({ deduplicated: false });
  });

  it('counts as cancelled for its children', async () => {
    const ids = await enqueueLinked(fixture.store, [
      linkedJob('parent', undefined, { expiresIn: '1h' }),
      linkedJob('child', ['parent']),
      linkedJob('grandchild', ['child']),
      linkedJob('runs', ['parent'], { onParentFailure: 'run' }),
    ]);
    await fixture.set(ids.parent!, { expires_at: { msFromNow: -1 } });
    expect(await fixture.store.expire(10)).toMatchObject([{ id: ids.parent }]);
    await fixture.store.links.idle();
    expect(await fixture.job(ids.child!)).toMatchObject({
      status: 'cancelled',
      lastError: `parent ${ids.parent} failed`,
    });
    expect(await fixture.job(ids.grandchild!)).toMatchObject({ status: 'cancelled' });
    const { runs } = await claimByRef(fixture.store);
    expect(runs).toMatchObject({ id: ids.runs });
    await settleOne(fixture.store, runs!);
  });

  it('ends when it waits for a parent, which then releases nothing', async () => {
    const ids = await enqueueLinked(fixture.store, [
      linkedJob('parent'),
      linkedJob('child', ['parent'], { expiresIn: '1h' }),
    ]);
    await fixture.set(ids.child!, { expires_at: { msFromNow: -1 } });
    expect(await fixture.store.expire(10)).toMatchObject([{ id: ids.child }]);
    const { parent } = await claimByRef(fixture.store);
    await settleOne(fixture.store, parent!);
    expect(await fixture.job(ids.child!)).toMatchObject({ status: 'cancelled', lastError: 'expired' });
  });

  it('has none after a re-queue', async () => {
    const id = await insertOne(fixture.store, { expiry: OVER });
    await fixture.store.expire(10);
    await fixture.store.requeue([id]);
    expect((await fixture.job(id)).expiresAt).toBeNull();
    expect(await claim(fixture.store)).toMatchObject([{ id, expiresMs: null }]);
  });

  it('is restored when a job is released whose handler was not called after the start mark', async () => {
    const id = await insertOne(fixture.store, { expiry: IN_AN_HOUR });
    const { expiresAt } = await fixture.job(id);
    const [token] = await claim(fixture.store);
    await fixture.store.markStarted([token!]);
    expect((await fixture.job(id)).expiresAt).toBeNull();
    const expiresMs = token!.expiresMs!;
    await fixture.store.settle([{ ...settlement(token!, outcomes.release()), isUncalled: true, expiresMs }]);
    const released = await fixture.job(id);
    expect(released.status).toBe('pending');
    expect(released.expiresAt!.getTime()).toBeCloseTo(expiresAt!.getTime(), -1);
    await fixture.set(id, { expires_at: { msFromNow: -1_000 } });
    expect(await fixture.store.expire(10)).toMatchObject([{ id }]);
  });

  it('gets the one of the last debounced call', async () => {
    const uniqueMode = { untilStarted: true, forMs: null, debounce: { wait: 60_000, max: 600_000 } };
    const debounced = (inMs: number) => newJob({ uniqueKey: 'a', uniqueMode, delayMs: 1_000, expiry: { inMs } });
    const [first] = await fixture.store.insert([debounced(3_000)]);
    await fixture.store.insert([debounced(7_200_000)]);
    const { created, expiresAt } = await fixture.job(first!.id);
    expect(expiresAt!.getTime() - created.getTime()).toBeGreaterThanOrEqual(7_200_000);
  });

  it('runs when it starts in time', async () => {
    const { id } = await (await start(() => 'done')).enqueue(TOPIC, null, { expiresIn: '1h' });
    await until(() => typesOf(id).includes('completed'));
    expect(typesOf(id)).toEqual(['enqueued', 'started', 'completed']);
    expect(await fixture.job(id)).toMatchObject({ result: 'done', attempt: 1, expiresAt: null });
  });

  it('ends soon after it when no slot is free, and was never started', async () => {
    const [isRunning, mayEnd] = [signal(), signal()];
    let runs = 0;
    const handler = (): Promise<void> => {
      runs += 1;
      isRunning.resolve();
      return mayEnd.promise;
    };
    const { enqueue } = await start(handler, { concurrency: 1 }).then((started) => ({
      enqueue: (expiresIn?: number) => started.enqueue(TOPIC, null, { expiresIn }),
    }));
    await enqueue();
    await isRunning.promise;
    const { id, expiresAt } = await enqueue(100);
    await until(() => typesOf(id).includes('expired'));
    mayEnd.resolve();
    const job = await fixture.job(id);
    expect(job).toMatchObject({ status: 'cancelled', lastError: 'expired' });
    expect(job.finished!.getTime() - expiresAt!.getTime()).toBeGreaterThanOrEqual(0);
    expect(job.finished!.getTime() - expiresAt!.getTime()).toBeLessThan(8_000);
    expect(runs).toBe(1);
    expect(typesOf(id).filter((type) => type === 'expired' || type === 'cancelled')).toEqual(['expired']);
  });

  it('does not start when it expires while it waits for a slot of this process', async () => {
    const [isAsked, hasExpired] = [signal(), signal()];
    const markStarted: JobStore['markStarted'] = async (tokens) => {
      isAsked.resolve();
      await hasExpired.promise;
      return fixture.store.markStarted(tokens);
    };
    let runs = 0;
    const { id } = await (
      await start(() => (runs += 1), {}, overrideStore(fixture.store, { markStarted }))
    ).enqueue(TOPIC, null, { expiresIn: '1h' });
    await isAsked.promise;
    await fixture.set(id, { expires_at: { msFromNow: -1 } });
    hasExpired.resolve();
    await until(() => typesOf(id).includes('expired'));
    expect(runs).toBe(0);
    expect(typesOf(id)).toEqual(['enqueued', 'released', 'expired']);
    expect(await fixture.job(id)).toMatchObject({ status: 'cancelled', attempt: 1, retries: 0, errors: [] });
  });

  it('is retried after it when it started in time', async () => {
    let runs = 0;
    const handler = (): void => {
      runs += 1;
      if (runs === 1) {
        throw new Error('once');
      }
    };
    const { id } = await (await start(handler)).enqueue(TOPIC, null, { expiresIn: '1h' });
    await until(() => typesOf(id).includes('completed'));
    expect(runs).toBe(2);
  });
});
