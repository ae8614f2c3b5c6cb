/** @never postgres-15, memory */

import type { JobHandlerOptions } from 'nestjs-jobs';
import { JobsEngine } from 'nestjs-jobs';
import type { Clock } from '../../../lib/core/clock.js';
import { systemClock } from '../../../lib/store/runtime/system-clock.js';
import { newJob, newJobs } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { until } from '../../support/wait.js';

const kinds = storeKinds().filter(({ canHaveTwoConnections }) => canHaveTwoConnections);
/** So long that no job of these tests starts because of a poll. */
const NO_POLL = '10m';

describe.each(kinds)('jobs of limited topics start as soon as they may, on $label', (kind) => {
  const fixture = useStore(kind);
  let engine: JobsEngine;
  let ends: (() => void)[] = [];
  let started: string[] = [];

  /** Its jobs run until the test ends them. */
  const hold = (name: string) => (): Promise<void> => {
    started.push(name);
    return new Promise((resolve) => ends.push(resolve));
  };
  const note = (name: string) => (): void => void started.push(name);

  function open(
    handlers: Record<string, [() => unknown, Omit<JobHandlerOptions, 'batch'>?]>,
    options = {},
  ): Promise<void> {
    engine = new JobsEngine({ store: fixture.store, concurrency: 10, pollInterval: NO_POLL, ...options });
    Object.entries(handlers).forEach(([topic, [run, settings]]) => engine.register(topic, () => run(), settings));
    return engine.start();
  }

  const counted = (name: string): number => started.filter((each) => each === name).length;
  const have = (name: string, count: number): Promise<boolean> =>
    until(() => counted(name) >= count, { message: `${count} × ${name} in ${started.length} starts` });

  beforeEach(() => {
    ends = [];
    started = [];
  });

  afterEach(async () => {
    ends.forEach((end) => end());
    await engine.close();
    for (const table of ['_jobs', '_jobs_topics', '_jobs_starts']) {
      await fixture.sql(`DELETE FROM ${table}`);
    }
  });

  it('a job with a free key, while other keys are full', async () => {
    await open({ sync: [hold('sync'), { limits: { perKey: 1 } }] });
    await engine.enqueueMany([1, 2, 3].map(() => ({ topic: 'sync', payload: {}, concurrencyKey: 'full' })));
    await have('sync', 1);
    await engine.whenIdle({ timeout: 100 }).catch(() => undefined);
    await engine.enqueue('sync', {}, { concurrencyKey: 'free' });
    await have('sync', 2);
    const rows = await fixture.store.find(
      (await fixture.sql<{ id: string }>('SELECT id FROM _jobs')).map(({ id }) => id),
    );
    const running = rows.filter(({ status }) => status === 'processing').map(({ concurrencyKey }) => concurrencyKey);
    expect(running.sort()).toEqual(['free', 'full']);
  });

  it('a job of a less urgent priority, while the keys of twenty others are full', async () => {
    await open({ sync: [hold('sync'), { limits: { perKey: 1 } }] });
    const priorities = Array.from({ length: 40 }, (_, priority) => priority);
    await engine.enqueueMany(
      priorities.map((priority) => ({
        topic: 'sync',
        payload: {},
        priority,
        concurrencyKey: priority === 37 ? 'free' : 'full',
      })),
    );
    await have('sync', 2);
    await expect(engine.whenIdle({ timeout: 100 })).rejects.toThrow();
    expect(counted('sync')).toBe(2);
  });

  it('all jobs of many priorities, the urgent ones first', async () => {
    const order: number[] = [];
    engine = new JobsEngine({ store: fixture.store, concurrency: 1, pollInterval: NO_POLL });
    engine.register('sync', ({ payload }) => void order.push((payload as { priority: number }).priority), {
      limits: { concurrency: 1 },
    });
    const priorities = Array.from({ length: 200 }, (_, n) => (n * 77) % 200);
    await engine.enqueueMany(priorities.map((priority) => ({ topic: 'sync', payload: { priority }, priority })));
    await engine.start();
    await engine.whenIdle();
    expect(order).toEqual(priorities.sort((a, b) => a - b));
  });

  it('jobs of a topic that the process does not know, while another one takes every slot', async () => {
    const more = (): Promise<unknown> => {
      started.push('busy');
      return engine.enqueueMany([1, 2].map(() => ({ topic: 'busy', payload: {} })));
    };
    const limits = { concurrency: 1 };
    await open({ busy: [more, { limits }], other: [note('other'), { limits }] }, { concurrency: 1, pollInterval: 200 });
    await engine.enqueue('busy', {});
    await have('busy', 20);
    // As another process stores them whose notification is lost.
    await fixture.store.insert([newJob({ topic: 'other' }), newJob({ topic: 'busy', priority: -5 })]);
    await have('other', 1);
    expect(counted('busy')).toBeGreaterThan(0);
  });

  it.each([
    ['the slots of the process', { concurrency: 1 }, {}],
    ['the calls of its handler', {}, { concurrency: 1 }],
  ])('a job for which %s had no room; the process sleeps until then', async (_title, options, settings) => {
    let shortSleeps = 0;
    const schedule: Clock['schedule'] = (ms, wake) => {
      shortSleeps += ms <= 1 ? 1 : 0;
      return systemClock.schedule(ms, wake);
    };
    const clock = Object.assign(Object.create(systemClock) as Clock, { schedule });
    await open({ sync: [hold('sync'), { limits: { concurrency: 10 }, ...settings }] }, { ...options, clock });
    await engine.enqueueMany([1, 2].map(() => ({ topic: 'sync', payload: {} })));
    await have('sync', 1);
    await expect(engine.whenIdle({ timeout: 100 })).rejects.toThrow();
    expect(shortSleeps).toBeLessThan(20);
    ends[0]!();
    await have('sync', 2);
  });

  it('a topic, while the claims of another one fail', async () => {
    const { store } = fixture;
    const claim = store.claim.bind(store);
    const spy = jest
      .spyOn(store, 'claim')
      .mockImplementation((request) =>
        request.from === 'topic' && request.topic === 'broken'
          ? Promise.reject(new Error('cancelled'))
          : claim(request),
      );
    try {
      const limits = { concurrency: 1 };
      await open({ broken: [note('broken'), { limits }], sound: [note('sound'), { limits }] }, { pollInterval: 200 });
      await engine.enqueueMany(['broken', 'sound', 'sound'].map((topic) => ({ topic, payload: {} })));
      await have('sound', 2);
    } finally {
      spy.mockRestore();
    }
    await have('broken', 1);
    expect(started).toEqual(['sound', 'sound', 'broken']);
  });

  it('jobs that are retried, snoozed by a delay, promoted or requeued', async () => {
    let fails = 2;
    const run = (): void => {
      started.push('sync');
      if ((fails -= 1) >= 0) throw new Error('again');
    };
    await open({ sync: [run, { limits: { concurrency: 1 }, backoff: { type: 'fixed', delay: 30 } }] });
    await engine.enqueue('sync', {}, { concurrencyKey: 'a' });
    await have('sync', 3);
    await engine.enqueue('sync', {}, { delay: 80, priority: 3 });
    await have('sync', 4);
    const late = await engine.enqueue('sync', {}, { delay: '1h', concurrencyKey: 'b' });
    await engine.jobs.promote(late.id);
    await have('sync', 5);
    await engine.whenIdle();
    await fixture.set([late.id], { status: 'failed' });
    await engine.jobs.requeue(late.id);
    await have('sync', 6);
    expect(started).toHaveLength(6);
  });

  it('jobs whose limit is raised, removed, or whose topic is resumed', async () => {
    await open({ sync: [hold('sync')] });
    await engine.limits.set('sync', { concurrency: 1 });
    await engine.enqueueMany(Array.from({ length: 6 }, () => ({ topic: 'sync', payload: {} })));
    await have('sync', 1);
    await engine.limits.set('sync', { concurrency: 2 });
    await have('sync', 2);
    await engine.topics.pause('sync');
    await engine.limits.set('sync', { concurrency: 3 });
    ends.shift()!();
    await until(async () => (await engine.stats.get()).completed === 1, { message: 'the first job' });
    expect(counted('sync')).toBe(2);
    await engine.topics.resume('sync');
    await have('sync', 4);
    await engine.limits.set('sync', {});
    await have('sync', 6);
    expect(started).toHaveLength(6);
  });

  it('jobs that were due when the process stopped in the middle of a claim', async () => {
    await open({ sync: [note('sync'), { limits: { concurrency: 2, rate: { limit: 1_000, per: '1s' } } }] });
    for (let count = 1; count <= 10; count += 1) {
      await engine.enqueueMany([1, 2, 3].map(() => ({ topic: 'sync', payload: {} })));
      engine.stopClaiming();
      await engine.start();
    }
    await have('sync', 30);
    await engine.whenIdle();
    expect(started).toHaveLength(30);
  });

  it('jobs of topics that batch handlers and ordinary handlers serve beside each other', async () => {
    engine = new JobsEngine({ store: fixture.store, concurrency: 1, pollInterval: NO_POLL });
    engine.register('plain', note('plain'));
    engine.register('limited_batch', (jobs) => jobs.forEach(note('limited_batch')), {
      batch: { size: 3 },
      limits: { concurrency: 3 },
    });
    engine.register('plain_batch', (jobs) => jobs.forEach(note('plain_batch')), { batch: { size: 3 } });
    engine.register('limited', note('limited'), { limits: { perKey: 1 } });
    const topics = ['plain', 'limited_batch', 'plain_batch', 'limited'];
    for (const topic of topics) {
      await fixture.store.insert(newJobs(30, { topic, ...(topic === 'limited' ? { concurrencyKey: 'a' } : {}) }));
    }
    await engine.start();
    await engine.whenIdle();
    for (const topic of topics) {
      expect(counted(topic)).toBe(30);
      // None waits for the end of the others.
      expect(started.indexOf(topic)).toBeLessThan(60);
    }
  });
});
