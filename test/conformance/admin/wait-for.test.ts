/**
 * @matrix postgres-18
 * @never postgres-15, memory
 */

import type { Job, JobsOptions, WaitForOptions } from 'nestjs-jobs';
import { JobFailedError, JobNotFoundError, JobsEngine, QueueUnavailableError, WaitTimeoutError } from 'nestjs-jobs';
import { v7 as uuidv7 } from 'uuid';
import type { Clock } from '../../../lib/core/clock.js';
import { systemClock } from '../../../lib/store/runtime/system-clock.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import { claimOne, insertMany, insertOne, outcomes, settlement, TOPIC } from '../../support/job-rows.js';
import { overrideStore } from '../../support/override-store.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { signal, until } from '../../support/wait.js';

describe.each(storeKinds())('waitFor on $label', (kind) => {
  const fixture = useStore(kind);
  const engines: JobsEngine[] = [];
  /** The ids of each query, of all engines. */
  let queries: (readonly string[])[];

  const create = (
    options: JobsOptions = {},
    verbs: Partial<JobStore> = {},
    parts: { clock?: Clock } = {},
  ): JobsEngine => {
    const summarize: JobStore['reports']['summarize'] = (ids) => {
      queries.push(ids);
      return fixture.store.reports.summarize(ids);
    };
    const reports = Object.assign(Object.create(fixture.store.reports) as JobStore['reports'], { summarize });
    const engine = new JobsEngine({ store: overrideStore(fixture.store, { reports, ...verbs }), ...options, ...parts });
    engines.push(engine);
    return engine;
  };
  const waitFor = (id: string, options?: WaitForOptions): Promise<Job> => create().jobs.waitFor(id, options);

  beforeEach(() => (queries = []));
  afterEach(() => Promise.all(engines.splice(0).map((engine) => engine.close())));

  it('resolves with a job that has completed before', async () => {
    const claimed = await claimOne(fixture.store);
    await fixture.store.settle([settlement(claimed, outcomes.completed('{"done":true}'))]);
    expect(await waitFor(claimed.id)).toMatchObject({ id: claimed.id, status: 'completed', result: { done: true } });
    expect(queries).toEqual([[claimed.id]]);
  });

  it('resolves soon after the job has completed in this process', async () => {
    const engine = create({ pollInterval: 50 });
    const mayEnd = signal();
    engine.register(TOPIC, async () => {
      await mayEnd.promise;
      return 'done';
    });
    await engine.start();
    const { id } = await engine.enqueue(TOPIC, null);
    const waiting = engine.jobs.waitFor(id);
    await until(() => queries.length > 0);
    mayEnd.resolve();
    expect(await waiting).toMatchObject({ status: 'completed', result: 'done' });
  });

  it('resolves when another process has completed the job', async () => {
    const claimed = await claimOne(fixture.store);
    const waiting = waitFor(claimed.id);
    await until(() => queries.length > 0);
    await fixture.store.settle([settlement(claimed, outcomes.completed())]);
    expect(await waiting).toMatchObject({ status: 'completed' });
  });

  it('rejects with the job when it has failed or was cancelled', async () => {
    const failed = await claimOne(fixture.store);
    await fixture.store.settle([settlement(failed, outcomes.failed())]);
    const error: unknown = await waitFor(failed.id).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(JobFailedError);
    expect(error).toMatchObject({ job: { id: failed.id, status: 'failed', lastError: 'no luck' } });
    const cancelled = await insertOne(fixture.store);
    await fixture.store.cancel([cancelled]);
    await expect(waitFor(cancelled)).rejects.toMatchObject({ job: { id: cancelled, status: 'cancelled' } });
  });

  it('goes on while the job is retried', async () => {
    const engine = create({ pollInterval: 50, backoff: { type: 'fixed', delay: 0 } });
    engine.register(TOPIC, ({ attempt }) => {
      if (attempt === 1) {
        throw new Error('once');
      }
    });
    await engine.start();
    const { id } = await engine.enqueue(TOPIC, null);
    expect(await engine.jobs.waitFor(id)).toMatchObject({ status: 'completed', attempt: 2 });
  });

  it('rejects an unknown id, and a job that is deleted meanwhile', async () => {
    await expect(waitFor('nothing')).rejects.toBeInstanceOf(JobNotFoundError);
    await expect(waitFor(uuidv7())).rejects.toBeInstanceOf(JobNotFoundError);
    const id = await insertOne(fixture.store);
    const waiting = waitFor(id);
    void until(() => queries.length > 2).then(() => fixture.store.delete([id]));
    await expect(waiting).rejects.toBeInstanceOf(JobNotFoundError);
  });

  it('rejects after the timeout, and when its signal aborts, and then sends no more queries', async () => {
    const engine = create();
    const id = await insertOne(fixture.store);
    await expect(engine.jobs.waitFor(id, { timeout: 1 })).rejects.toBeInstanceOf(WaitTimeoutError);
    const controller = new AbortController();
    const waiting = engine.jobs.waitFor(id, { signal: controller.signal, timeout: '1h' });
    const reason = new Error('enough');
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await expect(engine.jobs.waitFor(id, { signal: controller.signal })).rejects.toBe(reason);
    await expect(engine.jobs.waitFor(id, { signal: 1 as never })).rejects.toThrow(/signal: expected an AbortSignal/);
    const sent = queries.length;
    // The pause would end within this time.
    const other = create();
    const done = await insertOne(fixture.store);
    const [ended] = await Promise.allSettled([other.jobs.waitFor(done, { timeout: 150 })]);
    expect(ended).toMatchObject({ status: 'rejected' });
    expect(queries.slice(sent).every(([first]) => first === done)).toBe(true);
  });

  it('sends one query for all calls', async () => {
    const engine = create();
    const ids = await insertMany(fixture.store, 100);
    const waiting = ids.flatMap((id) => [engine.jobs.waitFor(id), engine.jobs.waitFor(id)]);
    const { claims } = await fixture.store.claim({
      from: 'lanes',
      lanes: [{ topic: TOPIC, priority: 0, lowerBound: null, limit: 100 }],
      limit: 100,
      leaseMs: 30_000,
      worker: 'w',
    });
    await fixture.store.settle(claims.map((claimed) => settlement(claimed, outcomes.completed())));
    expect((await Promise.all(waiting)).map(({ id }) => id)).toEqual(ids.flatMap((id) => [id, id]));
    expect(queries.length).toBeLessThanOrEqual(10);
  });

  it('queries one job when it ends in this process, however many calls wait', async () => {
    const ids = await insertMany(fixture.store, 10);
    // Time stands still, so that the time to query all jobs does not come.
    const clock: Clock = { now: () => 0, schedule: (ms, wake) => systemClock.schedule(ms, wake) };
    const engine = create({}, {}, { clock });
    const [first, ...others] = ids.map((id) => engine.jobs.waitFor(id));
    await until(() => new Set(queries.flat()).size === ids.length);
    queries = [];
    await engine.jobs.cancel(ids[0]!);
    await expect(first).rejects.toBeInstanceOf(JobFailedError);
    expect(queries).toEqual([[ids[0]]]);
    void engine.stop();
    expect((await Promise.allSettled(others)).every(({ status }) => status === 'rejected')).toBe(true);
  });

  it('rejects when the process stops, and at once after the queue is closed', async () => {
    const engine = create();
    const id = await insertOne(fixture.store);
    const waiting = engine.jobs.waitFor(id);
    void engine.stop();
    await expect(waiting).rejects.toMatchObject({
      name: 'QueueUnavailableError',
      message: expect.stringContaining(`stopped before job ${id} ended`) as string,
    });
    await engine.close();
    await expect(engine.jobs.waitFor(id)).rejects.toBeInstanceOf(QueueUnavailableError);
  });

  it('goes on after the database was away', async () => {
    let isAway = true;
    const find: JobStore['find'] = (ids) =>
      isAway ? Promise.reject(new QueueUnavailableError('away')) : fixture.store.find(ids);
    const claimed = await claimOne(fixture.store);
    await fixture.store.settle([settlement(claimed, outcomes.completed())]);
    const waiting = create({}, { find }).jobs.waitFor(claimed.id);
    await until(() => queries.length > 1);
    isAway = false;
    expect(await waiting).toMatchObject({ status: 'completed' });
  });
});
