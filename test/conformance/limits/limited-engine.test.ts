/** @never postgres-15, memory */

import { JobsEngine } from 'nestjs-jobs';
import { storeKinds, useStore } from '../../support/stores.js';

const kinds = storeKinds().filter(({ canHaveTwoConnections }) => canHaveTwoConnections);

describe.each(kinds)('processes with limited topics on $label', (kind) => {
  const fixture = useStore(kind);
  let engines: JobsEngine[] = [];

  /** Counts the jobs that run at once, by key, over all engines of a test. */
  function createGauge(): {
    run: (job: { readonly payload: unknown }) => Promise<void>;
    most: Map<string, number>;
    done: string[];
  } {
    const now = new Map<string, number>();
    const most = new Map<string, number>();
    const done: string[] = [];
    const change = (key: string, by: number): void => {
      now.set(key, (now.get(key) ?? 0) + by);
      most.set(key, Math.max(most.get(key) ?? 0, now.get(key)!));
    };
    const run = async (job: { readonly payload: unknown }): Promise<void> => {
      const key = String((job.payload as { key?: string } | null)?.key ?? '');
      [key, 'all'].forEach((each) => change(each, 1));
      await new Promise((resolve) => setTimeout(resolve, 2));
      done.push(key);
      [key, 'all'].forEach((each) => change(each, -1));
    };
    return { run, most, done };
  }

  async function startEngines(
    count: number,
    register: (engine: JobsEngine) => void,
    options = {},
  ): Promise<JobsEngine[]> {
    engines = [];
    for (let index = 0; index < count; index += 1) {
      const store = index === 0 ? fixture.store : (await fixture.openAnother()).store;
      const engine = new JobsEngine({ store, concurrency: 10, pollInterval: 200, ...options });
      register(engine);
      engines.push(engine);
    }
    await Promise.all(engines.map((engine) => engine.start()));
    return engines;
  }

  async function setLimits(topic: string, columns: string, values: string): Promise<void> {
    await fixture.sql(`INSERT INTO _jobs_topics (topic, is_limited, ${columns}) VALUES ('${topic}', true, ${values})`);
  }

  beforeEach(async () => {
    await fixture.sql('DELETE FROM _jobs_topics');
    await fixture.sql('DELETE FROM _jobs_starts');
  });

  afterEach(() => Promise.all(engines.map((engine) => engine.close())));

  it('together never run more jobs at once than the limits allow, and run every job', async () => {
    await setLimits('sync', 'limit_total, limit_key', '4, 2');
    const gauge = createGauge();
    const [engine] = await startEngines(2, (each) => each.register('sync', gauge.run));
    const jobs = Array.from({ length: 120 }, (_, n) => {
      const key = n % 4 === 3 ? undefined : `k${n % 4}`;
      return { topic: 'sync', payload: { key }, ...(key ? { concurrencyKey: key } : {}) };
    });
    await engine!.enqueueMany(jobs);
    await Promise.all(engines.map((each) => each.whenIdle()));
    expect(gauge.done).toHaveLength(120);
    expect(gauge.most.get('all')).toBeLessThanOrEqual(4);
    for (const key of ['k0', 'k1', 'k2']) {
      expect(gauge.most.get(key)).toBeLessThanOrEqual(2);
    }
  });

  it('run keyed jobs of a topic without limits, in turns', async () => {
    const gauge = createGauge();
    const [engine] = await startEngines(1, (each) => each.register('sync', gauge.run), { concurrency: 1 });
    engine!.stopClaiming();
    await engine!.enqueueMany([
      ...Array.from({ length: 20 }, () => ({ topic: 'sync', payload: { key: 'big' }, concurrencyKey: 'big' })),
      ...Array.from({ length: 3 }, () => ({ topic: 'sync', payload: { key: 'small' }, concurrencyKey: 'small' })),
    ]);
    await engine!.start();
    await engine!.whenIdle();
    expect(gauge.done).toHaveLength(23);
    expect(gauge.done.lastIndexOf('small')).toBeLessThanOrEqual(6);
  });

  it('start no more jobs than the rate allows, and start the next ones in time', async () => {
    await setLimits('mail', 'rate_limit, rate_ms', '5, 400');
    // While a job runs, `started` is the time of its claim.
    const claimedAtMs: number[] = [];
    const [engine] = await startEngines(
      1,
      (each) =>
        each.register('mail', async (job) => {
          claimedAtMs.push((await each.jobs.get(job.id))!.started!.getTime());
        }),
      { pollInterval: '10s' },
    );
    const sinceMs = performance.now();
    await engine!.enqueueMany(Array.from({ length: 15 }, () => ({ topic: 'mail', payload: {} })));
    await engine!.whenIdle();
    expect(performance.now() - sinceMs).toBeGreaterThanOrEqual(800);
    expect(claimedAtMs).toHaveLength(15);
    const starts = claimedAtMs.sort((a, b) => a - b);
    starts.slice(5).forEach((startMs, index) => expect(startMs - starts[index]!).toBeGreaterThanOrEqual(400));
  });

  it('run jobs of a batch handler within the limit of the topic, in calls of at most so many', async () => {
    await setLimits('index', 'limit_total', '5');
    const sizes: number[] = [];
    let running = 0;
    let most = 0;
    const [engine] = await startEngines(1, (each) =>
      each.register(
        'index',
        async (jobs) => {
          sizes.push(jobs.length);
          running += jobs.length;
          most = Math.max(most, running);
          await new Promise((resolve) => setTimeout(resolve, 2));
          running -= jobs.length;
        },
        { batch: { size: 10 }, concurrency: 2 },
      ),
    );
    await engine!.enqueueMany(Array.from({ length: 50 }, () => ({ topic: 'index', payload: {} })));
    await engine!.whenIdle();
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(50);
    expect(most).toBe(5);
    expect((await engine!.stats.get('index')).completed).toBe(50);
  });

  it('run a keyed job again that was retried or snoozed', async () => {
    const attempts: number[] = [];
    const [engine] = await startEngines(1, (each) =>
      each.register(
        'sync',
        (job) => {
          attempts.push(job.attempt);
          if (job.attempt === 1) {
            throw new Error('once');
          }
        },
        { backoff: { type: 'fixed', delay: 20 } },
      ),
    );
    await engine!.enqueue('sync', {}, { concurrencyKey: 'a' });
    await engine!.enqueue('sync', {}, { concurrencyKey: 'a', delay: 100 });
    const completed = async (): Promise<number> => (await engine!.stats.get()).completed;
    while ((await completed()) < 2) {
      await engine!.whenIdle();
    }
    expect(attempts.sort()).toEqual([1, 1, 2, 2]);
  });

  it('share their slots between topics with and without limits', async () => {
    await setLimits('limited', 'limit_total', '2');
    const gauge = createGauge();
    const [engine] = await startEngines(
      1,
      (each) => {
        each.register('limited', () => gauge.run({ payload: { key: 'limited' } }));
        each.register('plain', () => gauge.run({ payload: { key: 'plain' } }));
      },
      { concurrency: 2 },
    );
    engine!.stopClaiming();
    await engine!.enqueueMany([
      ...Array.from({ length: 200 }, () => ({ topic: 'plain', payload: {} })),
      ...Array.from({ length: 20 }, () => ({ topic: 'limited', payload: {} })),
    ]);
    await engine!.start();
    await engine!.whenIdle();
    expect(gauge.done).toHaveLength(220);
    // Neither waits for the other: without a share, one kind would run to its end first.
    expect(gauge.done.indexOf('plain')).toBeLessThan(20);
    expect(gauge.done.lastIndexOf('limited')).toBeLessThan(120);
  });

  it('find the jobs that another process enqueues in a topic whose jobs have all ended', async () => {
    await setLimits('sync', 'limit_total', '2');
    const gauge = createGauge();
    const [engine] = await startEngines(1, (each) => each.register('sync', gauge.run));
    await engine!.enqueue('sync', {});
    await engine!.whenIdle();
    const other = new JobsEngine({ store: (await fixture.openAnother()).store, role: 'producer' });
    engines.push(other);
    await other.enqueue('sync', {}, { priority: 7 });
    await other.enqueue('sync', {}, { concurrencyKey: 'new' });
    await engine!.whenIdle();
    expect(gauge.done).toHaveLength(3);
  });
});
