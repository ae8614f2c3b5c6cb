/** @never postgres-18 */

import type { JobBatch, JobHandlerOptions } from 'nestjs-jobs';
import { InvalidOptionsError, JobAbortedError, SnoozeError, UnrecoverableError } from 'nestjs-jobs';
import { signal, until } from '../support/wait.js';
import type { AppParts } from './support/apps.js';
import { useApps } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';
import { some, textWith } from './support/matchers.js';
import type { TestApp } from './support/test-app.js';

const atOnce = { type: 'fixed', delay: 0 } as const;

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the tests know the payloads
type BatchHandler = (jobs: JobBatch<any>) => unknown;

async function aborted(of: AbortSignal): Promise<void> {
  await until(() => of.aborted);
}

describe.each(everyKind)('a batch handler on $label', (kind) => {
  const apps = useApps(kind);
  let app: TestApp;
  /** The payloads of each call so far. */
  let calls: unknown[][];

  /** Starts an application whose calls of the topic `work` are recorded. */
  async function start(handler: BatchHandler, options: JobHandlerOptions = {}, parts: AppParts = {}): Promise<void> {
    calls = [];
    app = await apps.create({ ...parts, options: { backoff: atOnce, pollInterval: '50ms', ...parts.options } });
    app.jobs.register(
      'work',
      (jobs: JobBatch) => {
        calls.push(jobs.map(({ payload }) => payload));
        return handler(jobs);
      },
      { batch: { size: 10 }, ...options } as JobHandlerOptions & { batch: { size: number } },
    );
    await app.app.init();
  }

  async function enqueue(...payloads: unknown[]): Promise<string[]> {
    const jobs = await app.jobs.enqueueMany(payloads.map((payload) => ({ topic: 'work', payload })));
    return jobs.map(({ id }) => id);
  }

  const jobsAfter = (type: 'completed' | 'failed' | 'cancelled', ids: string[]) =>
    Promise.all(ids.map((id) => app.jobAfter(type, id)));

  it('takes the jobs that are due in one call', async () => {
    await start(() => undefined);
    const ids = await enqueue(1, 2, 3);
    expect(await jobsAfter('completed', ids)).toMatchObject([1, 2, 3].map(() => ({ attempt: 1, result: null })));
    expect(calls).toEqual([[1, 2, 3]]);
  });

  it('takes at most `size` jobs in a call', async () => {
    await start(() => undefined, { batch: { size: 2 }, concurrency: 1 });
    await jobsAfter('completed', await enqueue(1, 2, 3, 4, 5));
    expect(calls.map(({ length }) => length)).toEqual([2, 2, 1]);
  });

  it('stores the outcome of each mark at once, and completes the members without one when it returns', async () => {
    const mayReturn = signal();
    await start(async ([first, second, third]) => {
      if (first!.attempt > 1) return;
      first!.complete({ sent: true });
      second!.fail(new UnrecoverableError('bad address'));
      third!.snooze('1h');
      await mayReturn.promise;
    });
    const ids = await enqueue(1, 2, 3, 4);
    expect(await app.jobAfter('completed', ids[0]!)).toMatchObject({ result: { sent: true } });
    expect(await app.jobAfter('failed', ids[1]!)).toMatchObject({ lastError: 'bad address', attempt: 1 });
    expect(await app.jobAfter('snoozed', ids[2]!)).toMatchObject({ status: 'pending', retries: 0 });
    expect(await app.job(ids[3]!)).toMatchObject({ status: 'processing' });
    mayReturn.resolve();
    expect(await app.jobAfter('completed', ids[3]!)).toMatchObject({ result: null });
  });

  it('ignores all marks of a member but the first', async () => {
    await start(([job]) => {
      job!.complete('first');
      job!.fail(new Error('second'));
      job!.snooze('1h');
      job!.complete('fourth');
    });
    const [id] = await enqueue(1);
    expect(await app.jobAfter('completed', id!)).toMatchObject({ result: 'first', errors: [] });
    await app.jobs.whenIdle();
    expect(app.events.filter((event) => event.id === id && event.type !== 'enqueued')).toHaveLength(2);
  });

  it('fails the members without a mark when it throws, and runs each of them alone next', async () => {
    await start(
      (jobs) => {
        jobs.find(({ payload }) => payload === 'good')?.complete();
        if (jobs.some(({ payload }) => payload === 'poison')) throw new Error('poison');
      },
      { maxRetries: 2 },
    );
    const ids = await enqueue('good', 'a', 'poison', 'b');
    const [good, a, poison, b] = await Promise.all([
      app.jobAfter('completed', ids[0]!),
      app.jobAfter('completed', ids[1]!),
      app.jobAfter('failed', ids[2]!),
      app.jobAfter('completed', ids[3]!),
    ]);
    expect(good).toMatchObject({ retries: 0 });
    expect([a, b]).toMatchObject([
      { retries: 1, lastError: 'poison' },
      { retries: 1, lastError: 'poison' },
    ]);
    expect(poison).toMatchObject({ lastError: 'poison', errors: [some(Object), some(Object), some(Object)] });
    expect(calls[0]).toEqual(['good', 'a', 'poison', 'b']);
    expect(calls.slice(1).every(({ length }) => length === 1)).toBe(true);
  });

  it.each([
    ['UnrecoverableError', 'failed', () => new UnrecoverableError('no')],
    ['SnoozeError', 'snoozed', () => new SnoozeError('1h')],
  ] as const)('applies a thrown %s to each member without a mark', async (_, type, create) => {
    await start(() => {
      throw create();
    });
    const ids = await enqueue(1, 2);
    await Promise.all(ids.map((id) => app.event(type, id)));
    expect(await app.job(ids[1]!)).toMatchObject({ attempt: 1, retries: 0 });
  });

  it('takes one slot in a call, whatever its size', async () => {
    const gate = signal();
    await start(
      () => gate.promise,
      { batch: { size: 10 } },
      { options: { concurrency: 2 }, handlers: { other: () => 1 } },
    );
    const ids = await enqueue(...Array.from({ length: 10 }, (_, index) => index));
    await until(() => calls.length === 1);
    const other = await app.jobs.enqueue('other', null);
    await app.event('completed', other.id);
    expect((await app.jobs.stats('work')).processing).toBe(10);
    gate.resolve();
    await jobsAfter('completed', ids);
  });

  it('counts calls in its `concurrency`, not jobs', async () => {
    const gate = signal();
    await start(() => gate.promise, { batch: { size: 3 }, concurrency: 2 });
    const ids = await enqueue(...Array.from({ length: 12 }, (_, index) => index));
    await until(() => calls.length === 2);
    await until(async () => (await app.jobs.stats('work')).processing === 6);
    expect(calls.map(({ length }) => length)).toEqual([3, 3]);
    gate.resolve();
    await jobsAfter('completed', ids);
    expect(calls.map(({ length }) => length)).toEqual([3, 3, 3, 3]);
  });

  it('waits for more jobs from the claim of the first one on, and never with a full batch', async () => {
    await start(() => undefined, { batch: { size: 3, wait: '1h' } });
    await jobsAfter('completed', await enqueue(1, 2, 3));
    const single = await enqueue(4);
    await until(async () => (await app.job(single[0]!)).status === 'processing');
    const pair = await enqueue(5, 6);
    await jobsAfter('completed', [...single, ...pair]);
    expect(calls).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
  });

  it('runs with fewer jobs after `wait`', async () => {
    await start(() => undefined, { batch: { size: 3, wait: '300ms' } });
    const [id] = await enqueue(1);
    await jobsAfter('completed', [id!]);
    expect(calls).toEqual([[1]]);
    const [started] = app.eventsOf('started', id);
    expect(started!.waitedMs).toBeGreaterThanOrEqual(295);
  });

  it('emits the events of each member', async () => {
    await start(([first]) => first!.fail(new UnrecoverableError('no')));
    const ids = await enqueue(1, 2);
    await app.jobs.whenIdle();
    expect(app.events.filter(({ id }) => id === ids[0]).map(({ type }) => type)).toEqual([
      'enqueued',
      'started',
      'failed',
    ]);
    expect(app.events.filter(({ id }) => id === ids[1]).map(({ type }) => type)).toEqual([
      'enqueued',
      'started',
      'completed',
    ]);
  });

  it('receives a readonly array whose `map` and `filter` return plain arrays', async () => {
    const seen: unknown[] = [];
    await start((jobs) => {
      const mapped = jobs.map(({ id }) => id);
      seen.push(Array.isArray(jobs), mapped.constructor === Array, 'completeTx' in mapped, [...jobs].length);
      seen.push(Object.keys(jobs), (JSON.parse(JSON.stringify(jobs)) as unknown[]).length);
    });
    await jobsAfter('completed', await enqueue(1, 2));
    expect(seen).toEqual([true, true, false, 2, ['0', '1'], 2]);
  });

  it('stores the progress of each member', async () => {
    await start(async ([first, second]) => {
      await first!.progress({ done: 1 });
      await second!.progress({ done: 2 });
    });
    const ids = await enqueue(1, 2);
    expect(await jobsAfter('completed', ids)).toMatchObject([{ progress: { done: 1 } }, { progress: { done: 2 } }]);
  });

  it('aborts the signal of a cancelled member alone', async () => {
    const seen: string[] = [];
    await start(async (jobs) => {
      await aborted(jobs[0]!.signal);
      seen.push(String((jobs[0]!.signal.reason as JobAbortedError).reason), String(jobs.signal.aborted));
      seen.push(String(jobs[1]!.signal.aborted));
    });
    const ids = await enqueue(1, 2);
    await until(() => calls.length === 1);
    await app.jobs.cancel(ids[0]!);
    expect(await app.jobAfter('cancelled', ids[0]!)).toMatchObject({ status: 'cancelled' });
    expect(await app.jobAfter('completed', ids[1]!)).toMatchObject({ status: 'completed' });
    expect(seen).toEqual(['cancelled', 'false', 'false']);
  });

  it('aborts the signal of the batch when each member is marked or aborted', async () => {
    let reason: unknown;
    await start(async (jobs) => {
      jobs[0]!.complete();
      await aborted(jobs.signal);
      reason = jobs.signal.reason;
    });
    const ids = await enqueue(1, 2);
    await until(() => calls.length === 1);
    await app.jobs.cancel(ids[1]!);
    await app.event('cancelled', ids[1]);
    expect(reason).toMatchObject({ reason: 'cancelled' });
  });

  it('does not receive a member that is cancelled while it waits for others', async () => {
    await start(() => undefined, { batch: { size: 3, wait: '10s' } });
    const ids = await enqueue(1, 2);
    await until(async () => (await app.jobs.stats('work')).processing === 2);
    await app.jobs.cancel(ids[0]!);
    const others = await enqueue(3, 4);
    await jobsAfter('cancelled', [ids[0]!]);
    await jobsAfter('completed', others.slice(0, 1));
    expect(calls[0]).toEqual([2, 3]);
  });

  it('fails the open members at the timeout of the call, and ignores late marks', async () => {
    const release = signal();
    let reason: unknown;
    await start(
      async (jobs) => {
        if (jobs[0]!.attempt > 1) return;
        jobs[0]!.complete('in time');
        jobs.signal.addEventListener('abort', () => void (reason = jobs.signal.reason as unknown));
        await release.promise;
        jobs[1]!.complete('late');
      },
      { timeout: '100ms', maxRetries: 0 },
    );
    const ids = await enqueue(1, 2);
    expect(await app.jobAfter('completed', ids[0]!)).toMatchObject({ result: 'in time' });
    expect(await app.jobAfter('failed', ids[1]!)).toMatchObject({
      lastError: textWith('timeout of 100 ms'),
      result: null,
    });
    expect(reason).toBeInstanceOf(JobAbortedError);
    expect(apps.log.of('warn', 'has not returned')).toHaveLength(1);
    release.resolve();
    await app.jobs.whenIdle();
    expect(app.eventsOf('completed', ids[1])).toEqual([]);
  });

  it('applies the timeout that one member got at enqueue to that member alone', async () => {
    await start(async (jobs) => {
      await aborted(jobs[0]!.signal);
      expect(jobs[1]!.signal.aborted).toBe(false);
    });
    const [short, long] = await app.jobs.enqueueMany([
      { topic: 'work', payload: 1, timeout: '50ms', maxRetries: 0 },
      { topic: 'work', payload: 2 },
    ]);
    expect(await app.jobAfter('failed', short!.id)).toMatchObject({ lastError: textWith('timeout of 50 ms') });
    expect(await app.jobAfter('completed', long!.id)).toMatchObject({ attempt: 1 });
  });

  it('releases the open members at a forced shutdown, and keeps the marks', async () => {
    await start(
      (jobs) => {
        jobs[0]!.complete();
        return aborted(jobs.signal).then(() => Promise.reject(new Error('stopped')));
      },
      {},
      { options: { shutdownTimeout: '50ms' } },
    );
    const ids = await enqueue(1, 2, 3);
    await until(() => calls.length === 1);
    await app.jobs.stop();
    const jobs = await Promise.all(ids.map((id) => app.job(id)));
    expect(jobs).toMatchObject([
      { status: 'completed' },
      { status: 'pending', retries: 0 },
      { status: 'pending', retries: 0 },
    ]);
  });

  it('releases jobs that wait for a full batch at shutdown', async () => {
    await start(() => undefined, { batch: { size: 10, wait: '1m' } });
    const ids = await enqueue(1, 2);
    await until(async () => (await app.jobs.stats('work')).processing === 2);
    await app.jobs.stop();
    expect(await app.job(ids[1]!)).toMatchObject({ status: 'pending', retries: 0 });
    expect(calls).toEqual([]);
  });

  it('fails its members when it returns a generator', async () => {
    await start(
      function* () {
        yield 1;
      },
      { maxRetries: 0 },
    );
    const [id] = await enqueue(1);
    expect(await app.jobAfter('failed', id!)).toMatchObject({ lastError: textWith('returned a generator') });
  });

  it('cannot snooze a member without a duration', async () => {
    const errors: unknown[] = [];
    await start(([job]) => {
      try {
        job!.snooze('soon' as '1s');
      } catch (error) {
        errors.push(error);
      }
    });
    await jobsAfter('completed', await enqueue(1));
    expect(errors).toEqual([some(InvalidOptionsError)]);
  });

  it('runs the jobs of each priority, the most urgent first', async () => {
    await start(() => undefined, { concurrency: 1 });
    await app.jobs.stop();
    const jobs = await app.jobs.enqueueMany(
      [3, 1, 2].map((priority) => ({ topic: 'work', payload: priority, priority })),
    );
    await app.jobs.start();
    await jobsAfter(
      'completed',
      jobs.map(({ id }) => id),
    );
    expect(calls.flat()).toEqual([1, 2, 3]);
  });

  it('and an ordinary handler both go on while both have a backlog', async () => {
    await start(() => undefined, { batch: { size: 5 } }, { options: { concurrency: 2 }, handlers: { other: () => 1 } });
    await app.jobs.stop();
    const topics = Array.from({ length: 200 }, (_, index) => (index % 2 ? 'work' : 'other'));
    await app.jobs.enqueueMany(topics.map((topic) => ({ topic, payload: null })));
    await app.jobs.start();
    await app.jobs.whenIdle();
    expect((await app.jobs.stats()).completed).toBe(200);
  });
});
