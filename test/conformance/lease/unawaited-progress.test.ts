import { setImmediate as nextTurn } from 'node:timers/promises';
import type { JobsEngineOptions } from 'nestjs-jobs';
import { JobsEngine, QueueUnavailableError } from 'nestjs-jobs';
import type { JobStore } from '../../../lib/store/job-store.js';
import { overrideStore } from '../../support/override-store.js';
import { TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { signal } from '../../support/wait.js';
import { RecordingLogger } from '../../support/unit/recording-logger.js';

describe.each(storeKinds())('progress that the handler does not await, on $label', (kind) => {
  const fixture = useStore(kind);
  let engine: JobsEngine;

  afterEach(() => engine.close());

  const open = (store: JobStore, options: Omit<JobsEngineOptions, 'store'> = {}): void => {
    engine = new JobsEngine({ ...options, store });
  };

  it.each([
    { end: 'completed', fails: false },
    { end: 'failed', fails: true },
  ])('is stored to the last value when the job has $end', async ({ end, fails }) => {
    const mayRecord = signal();
    const hasReturned = signal();
    const store = overrideStore(fixture.store, {
      recordProgress: async (entries) => {
        await mayRecord.promise;
        return fixture.store.recordProgress(entries);
      },
    });
    open(store, { maxRetries: 0 });
    engine.register(TOPIC, async (job) => {
      void job.progress(10);
      // The second call goes into another batch.
      await nextTurn();
      void job.progress(100);
      hasReturned.resolve();
      if (fails) throw new Error('for the test');
    });
    await engine.start();
    const { id } = await engine.enqueue(TOPIC, null);
    await hasReturned.promise;
    mayRecord.resolve();
    await engine.whenIdle();
    expect(await fixture.job(id)).toMatchObject({ status: end, progress: 100 });
  });

  it('does not delay a close, which logs unconfirmed outcomes', async () => {
    const isRecording = signal();
    const mayRecord = signal();
    const store = overrideStore(fixture.store, {
      recordProgress: async () => {
        isRecording.resolve();
        await mayRecord.promise;
        throw new Error('for the test');
      },
      // Acts like a database that does not respond.
      settle: () => mayRecord.promise.then(() => Promise.reject(new QueueUnavailableError('for the test'))),
    });
    const logger = new RecordingLogger();
    open(store, { logger, shutdownTimeout: 100 });
    engine.register(TOPIC, (job) => void job.progress(10));
    await engine.start();
    await engine.enqueue(TOPIC, null);
    await isRecording.promise;
    await engine.close();
    expect(logger.of('warn')).toContainEqual(expect.stringMatching(/^1 outcomes were not confirmed/));
    mayRecord.resolve();
  });

  it('does not prevent the completion of a job when it cannot be stored', async () => {
    const store = overrideStore(fixture.store, { recordProgress: () => Promise.reject(new Error('for the test')) });
    open(store);
    engine.register(TOPIC, (job) => void job.progress(10));
    await engine.start();
    const { id } = await engine.enqueue(TOPIC, null);
    await engine.whenIdle();
    expect(await fixture.job(id)).toMatchObject({ status: 'completed', progress: null });
  });
});

describe.each(storeKinds().filter(({ locksRows }) => locksRows))(
  'progress that a transactional handler does not await, on $label',
  (kind) => {
    const fixture = useStore(kind);

    it('is stored when the job is completed', async () => {
      const store = overrideStore(fixture.store, {
        recordProgress: async (entries) => {
          await nextTurn();
          return fixture.store.recordProgress(entries);
        },
      });
      const engine = new JobsEngine({ store });
      engine.register(TOPIC, (job) => void job.progress(10), { transactional: true });
      await engine.start();
      const { id } = await engine.enqueue(TOPIC, null);
      await engine.whenIdle();
      await engine.close();
      expect(await fixture.job(id)).toMatchObject({ status: 'completed', progress: 10 });
    });
  },
);
