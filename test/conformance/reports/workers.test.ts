import { hostname } from 'node:os';
import { JobsEngine } from 'nestjs-jobs';
import { jobsMigrations } from '../../../migrations/index.js';
import { TOPIC, WORKER_DETAILS } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { overrideStore } from '../../support/override-store.js';
import { signal, until } from '../../support/wait.js';
import { VERSION } from '../../../lib/core/version.js';

describe.each(storeKinds())('the list of workers on $label', (kind) => {
  const fixture = useStore(kind);

  beforeEach(() => fixture.sql('DELETE FROM _jobs_workers'));

  /** Moves the time when a process was last seen into the past. */
  const age = async (worker: string, minutes: number): Promise<void> => {
    const past = kind.locksRows
      ? `seen - interval '${minutes} minutes'`
      : `strftime('%Y-%m-%d %H:%M:%f', seen, '-${minutes} minutes')`;
    await fixture.sql(`UPDATE _jobs_workers SET seen = ${past} WHERE worker = '${worker}'`);
  };

  it('describes a process from its start to its end', async () => {
    const engine = new JobsEngine({ store: fixture.store });
    const gate = signal();
    const isRunning = signal();
    engine.register(TOPIC, () => {
      isRunning.resolve();
      return gate.promise;
    });
    await engine.start();
    const [started, ...others] = await engine.workers();
    expect(others).toEqual([]);
    expect(started).toEqual({
      worker: engine.worker,
      host: hostname(),
      pid: process.pid,
      version: VERSION,
      schemaVersion: jobsMigrations.at(-1)!.name,
      topics: [TOPIC],
      running: 0,
      concurrency: 10,
      isDraining: false,
      isNotified: kind.canHaveTwoConnections,
      lastSeen: expect.any(Date) as Date,
      isAlive: true,
      handlers: [
        {
          topic: TOPIC,
          concurrency: null,
          timeoutMs: 600_000,
          maxRetries: 3,
          backoff: { type: 'quadratic', delayMs: 60_000, maxDelayMs: 86_400_000, jitter: 0.1 },
          batchSize: null,
          transactional: false,
        },
      ],
    });
    expect(Math.abs(Date.now() - started!.lastSeen.getTime())).toBeLessThan(30_000);

    await engine.enqueue(TOPIC, 1);
    await isRunning.promise;
    const late = { concurrency: 2, timeout: 5_000, maxRetries: 7, backoff: (): number => 1, batch: { size: 20 } };
    engine.register('late', (jobs) => void jobs, late);
    await until(async () => (await engine.workers())[0]!.topics.includes('late'), { message: 'the next record' });
    const ofLate = { topic: 'late', concurrency: 2, timeoutMs: 5_000, maxRetries: 7, backoff: null, batchSize: 20 };
    const handlers = [{ ...ofLate, transactional: false }, expect.anything()] as unknown[];
    expect(await engine.workers()).toMatchObject([{ running: 1, handlers }]);
    engine.stopClaiming();
    await until(async () => (await engine.workers())[0]!.isDraining, { message: 'the record of the shutdown' });
    await engine.start();
    await until(async () => !(await engine.workers())[0]!.isDraining, { message: 'the record of the restart' });
    gate.resolve();
    await engine.close();
    expect(await engine.workers()).toEqual([]);
  });

  it('says that a process polls when its connection for notifications is lost', async () => {
    const listen: typeof fixture.store.listen = (hints) => {
      hints.onListening(true);
      hints.onListening(false);
      return Promise.resolve(() => Promise.resolve());
    };
    const engine = new JobsEngine({ store: overrideStore(fixture.store, { listen }) });
    await engine.start();
    expect(await engine.workers()).toMatchObject([{ isNotified: false }]);
    await engine.close();
  });

  it('keeps a process that is not seen any more for an hour, after those that live', async () => {
    const { reports } = fixture.store;
    const read = async () => (await reports.workers()).map(({ worker, isAlive }) => [worker, isAlive]);
    const old = { ...WORKER_DETAILS, schemaVersion: 'CreateJobs1000000000000' };
    await reports.recordWorker('crashed', ['mail'], old);
    await reports.recordWorker('lives', [], WORKER_DETAILS);
    await age('crashed', 2);
    expect(await read()).toEqual([['lives', true], ['crashed', false]]); // prettier-ignore
    expect((await reports.workers())[1]).toMatchObject({ ...old, topics: ['mail'] });
    await reports.pruneReports();
    expect(await read()).toHaveLength(2);
    await age('crashed', 59);
    await reports.pruneReports();
    expect(await read()).toEqual([['lives', true]]);
    await reports.recordWorker('lives', ['sms'], { ...WORKER_DETAILS, running: 5 });
    expect(await reports.workers()).toMatchObject([{ worker: 'lives', topics: ['sms'], running: 5 }]);
  });
});
