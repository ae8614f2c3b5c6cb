/**
 * @matrix postgres-18
 * @never postgres-15, memory, typeorm-0.3
 */

import { setImmediate as nextLoop } from 'node:timers/promises';
import type { JobStore } from 'nestjs-jobs';
import { JobsEngine, UnrecoverableError } from 'nestjs-jobs';
import type { JobsEngineOptions } from '../../../lib/engine/jobs-engine.js';
import type { TimeseriesPoint } from '../../../lib/core/job-reports.js';
import { TOPIC } from '../../support/job-rows.js';
import { storeKinds, untilMinuteIsYoung, useStore } from '../../support/stores.js';
import { overrideStore } from '../../support/override-store.js';
import { signal, until } from '../../support/wait.js';

describe.each(storeKinds())('statistics of running processes on $label', (kind) => {
  const fixture = useStore(kind);
  let engines: JobsEngine[] = [];

  beforeEach(async () => {
    await fixture.sql('DELETE FROM _jobs_rollup');
    await fixture.sql('DELETE FROM _jobs_workers');
    await untilMinuteIsYoung(fixture);
  });

  afterEach(async () => {
    await Promise.all(engines.map((engine) => engine.close()));
    engines = [];
  });

  const start = async (options: Partial<JobsEngineOptions> = {}): Promise<JobsEngine> => {
    const engine = new JobsEngine({ store: fixture.store, ...options });
    engines.push(engine);
    engine.register(TOPIC, () => 'done');
    engine.register('sms', () => {
      throw new UnrecoverableError('no route');
    });
    await engine.start();
    return engine;
  };

  /** Sums the records of all processes in the last minutes. */
  const sum = async (engine: JobsEngine, topics?: string[]): Promise<Pick<TimeseriesPoint, 'completed' | 'failed'>> => {
    const points = await engine.stats.timeseries(5, topics);
    const of = (member: 'completed' | 'failed'): number => points.reduce((total, point) => total + point[member], 0);
    return { completed: of('completed'), failed: of('failed') };
  };

  it('include finished jobs while the process runs', async () => {
    const engine = await start();
    const jobs = Array.from({ length: 30 }, (_, n) => ({ topic: n < 20 ? TOPIC : 'sms', payload: n }));
    await engine.enqueueMany(jobs);
    await engine.whenIdle();
    await until(async () => (await sum(engine)).failed === 10, { message: 'ten failed jobs' });
    expect(await sum(engine)).toEqual({ completed: 20, failed: 10 });
    expect(await sum(engine, ['sms'])).toEqual({ completed: 0, failed: 10 });
    const points = await engine.stats.timeseries(5);
    expect(points.find(({ completed }) => completed > 0)).toMatchObject({ avgWaitTime: expect.any(Number) as number });
  });

  it('add up over the records of a process and are complete when it has stopped', async () => {
    const engine = await start();
    for (let round = 1; round <= 3; round += 1) {
      await engine.enqueue(TOPIC, round);
      await engine.whenIdle();
      await until(async () => (await sum(engine)).completed === round);
    }
    await engine.enqueue('sms', null);
    await engine.whenIdle();
    await engine.stop();
    expect(await sum(engine)).toEqual({ completed: 3, failed: 1 });
  });

  it('continue when a stopped process starts again', async () => {
    const engine = await start();
    await engine.enqueue(TOPIC, null);
    await engine.whenIdle();
    await engine.stop();
    await engine.start();
    await engine.enqueue(TOPIC, null);
    await engine.whenIdle();
    await engine.stop();
    expect(await sum(engine)).toEqual({ completed: 2, failed: 0 });
  });

  it('include all processes', async () => {
    const [one, other] = [await start(), await start(await openAnotherStore())];
    await one.enqueueMany(Array.from({ length: 200 }, (_, payload) => ({ topic: TOPIC, payload })));
    await Promise.all([one.whenIdle(), other.whenIdle()]);
    await until(async () => (await one.stats.get()).completed === 200);
    await Promise.all([one.stop(), other.stop()]);
    expect(await sum(one)).toEqual({ completed: 200, failed: 0 });
    expect(await sum(other)).toEqual({ completed: 200, failed: 0 });
  });

  it('neither lose nor double counts when the rollup cannot be written for a while', async () => {
    const engine = await start();
    await engine.enqueue(TOPIC, null);
    await until(async () => (await sum(engine)).completed === 1);
    await fixture.sql('ALTER TABLE _jobs_rollup RENAME TO _jobs_rollup_away');
    await engine.enqueueMany([1, 2, 3].map((payload) => ({ topic: TOPIC, payload })));
    await until(async () => (await engine.stats.get()).completed === 4);
    await expect(sum(engine)).rejects.toThrow(/_jobs_rollup/);
    await fixture.sql('ALTER TABLE _jobs_rollup_away RENAME TO _jobs_rollup');
    await until(async () => (await sum(engine)).completed === 4);
    await engine.stop();
    expect(await sum(engine)).toEqual({ completed: 4, failed: 0 });
  });

  it('list topics with a handler in a running process, including later ones', async () => {
    const engine = await start();
    const served = async (): Promise<string[]> =>
      (await engine.topics.list()).filter(({ hasHandler }) => hasHandler).map(({ topic }) => topic);
    await until(async () => (await served()).length === 2);
    engine.register('push', () => undefined);
    await until(async () => (await served()).includes('push'));
    expect(await served()).toEqual([TOPIC, 'push', 'sms']);
    await engine.stop();
    expect(await served()).toEqual([]);
  });

  /** A store that records the topics of a process only when `gate` is open. */
  const delayRecord = () => {
    const { store } = fixture;
    const [begun, gate] = [signal(), signal()];
    const recordWorker: typeof store.reports.recordWorker = async (...note) => {
      begun.resolve();
      await gate.promise;
      return store.reports.recordWorker(...note);
    };
    const reports = Object.create(store.reports, { recordWorker: { value: recordWorker } }) as typeof store.reports;
    return { begun, gate, reports };
  };

  it('list the topics of a process as soon as its start has resolved', async () => {
    const { begun, gate, reports } = delayRecord();
    const listening = signal();
    const listen: JobStore['listen'] = (hints) => fixture.store.listen(hints).finally(listening.resolve);
    const order: string[] = [];
    const starting = start({ store: overrideStore(fixture.store, { reports, listen }) });
    const started = starting.then(() => order.push('started'));
    await Promise.all([begun.promise, listening.promise]);
    await nextLoop();
    order.push('recorded');
    gate.resolve();
    await started;
    expect(order).toEqual(['recorded', 'started']);
    expect((await (await starting).topics.list()).map(({ topic }) => topic)).toEqual([TOPIC, 'sms']);
  });

  it('list a topic that is registered during the record of others', async () => {
    const { begun, gate, reports } = delayRecord();
    const starting = start({ store: overrideStore(fixture.store, { reports }) });
    await begun.promise;
    engines.at(-1)!.register('late', () => undefined);
    gate.resolve();
    const engine = await starting;
    const hasHandler = async (): Promise<boolean> =>
      (await engine.topics.list()).some((topic) => topic.topic === 'late' && topic.hasHandler);
    await engine.enqueue('late', null, { delay: '1h' });
    await until(hasHandler, { message: 'the handler of the late topic' });
  });

  it('are exact right after whenIdle', async () => {
    const engine = await start();
    for (let round = 1; round <= 20; round += 1) {
      await Promise.all([engine.enqueue(TOPIC, round), engine.enqueue('sms', round)]);
      await engine.whenIdle();
      const others = [engine.stats.get(), engine.stats.get(TOPIC), engine.stats.get()];
      expect(await engine.stats.get()).toMatchObject({ pending: 0, processing: 0, completed: round, failed: round });
      await Promise.all(others);
      expect(await engine.stats.get('sms')).toMatchObject({ failed: round, total: round });
      expect((await engine.errors.list()).items).toMatchObject([{ message: 'no route', count: round }]);
    }
  });

  async function openAnotherStore(): Promise<Partial<JobsEngineOptions>> {
    return kind.canHaveTwoConnections ? { store: (await fixture.openAnother()).store } : {};
  }
});
