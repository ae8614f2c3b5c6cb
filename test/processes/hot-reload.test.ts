/**
 * @matrix all
 * @slow
 */

import type { Job } from 'nestjs-jobs';
import { createJobStore, JobsEngine } from 'nestjs-jobs';
import type { JobStore } from 'nestjs-jobs';
import { DataSource } from 'typeorm';
import { quick } from '../support/tier.js';
import { until } from '../support/wait.js';
import { useBuiltPackage } from './support/built-package.js';
import { WatchedSample } from './support/watched-sample.js';

const TEST_TIMEOUT_MS = 120_000;
const LEASE_MS = 30_000;

/** Longer than the app takes to start, so that a start before the end of the old process would find its port in use. */
const SHORT_GRACE = '2s';

useBuiltPackage();
jest.setTimeout(TEST_TIMEOUT_MS);

describe('`nest start --watch --no-shell`, when a source file changes while a job runs,', () => {
  let sample: WatchedSample;
  let app: DataSource;
  let store: JobStore;
  let producer: JobsEngine;

  /** Starts the sample app with this shutdownTimeout, and a producer in this process on the same database. */
  async function start(shutdownTimeout: string): Promise<void> {
    sample = await WatchedSample.start(shutdownTimeout);
    app = await new DataSource({ type: 'better-sqlite3', database: sample.databaseFile }).initialize();
    ({ store } = createJobStore(app));
    await store.open();
    producer = new JobsEngine({ store, role: 'producer' });
  }

  afterEach(async () => {
    await producer.stop();
    await store.close();
    await app.destroy();
    await sample.end();
  });

  function completed(id: string): Promise<Job> {
    const find = async (): Promise<Job | undefined> => {
      const job = await producer.jobs.get(id);
      return job?.status === 'completed' ? job : undefined;
    };
    return until(find, { timeoutMs: LEASE_MS, message: `job ${id} to be completed` }) as Promise<Job>;
  }

  quick('waits for the job, restarts the app and runs the next job', async () => {
    await start('30s');
    const { id } = await producer.enqueue('weigh_parcel', {});
    const [first] = await sample.weighing(1);

    await sample.touch();
    await sample.stopping(1);
    await sample.continueJob();
    expect(await completed(id)).toMatchObject({ attempt: 1, result: first, lockedBy: null, errors: [] });

    await sample.started(2);
    const next = await producer.enqueue('weigh_parcel', {});
    const [, second] = await sample.weighing(2);
    expect(await completed(next.id)).toMatchObject({ attempt: 1, result: second });
    expect(second).not.toBe(first);
  });

  it('releases a job that exceeds shutdownTimeout, and the next process runs it before its lease expires', async () => {
    await start(SHORT_GRACE);
    const { id } = await producer.enqueue('weigh_parcel', {});
    await sample.weighing(1);

    await sample.touch();
    await sample.stopping(1);
    const stoppedAt = performance.now();
    const [first, second] = await sample.weighing(2);
    expect(performance.now() - stoppedAt).toBeLessThan(LEASE_MS / 2);
    expect(second).not.toBe(first);

    await sample.continueJob();
    expect(await completed(id)).toMatchObject({ result: second, retries: 0, errors: [] });
  });
});
