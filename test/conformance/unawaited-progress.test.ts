import { JobsEngine } from 'nestjs-jobs';
import { altered } from '../support/altered-store.js';
import { TOPIC } from '../support/job-rows.js';
import { storeKinds, useStore } from '../support/stores.js';
import { signal } from '../support/wait.js';

describe.each(storeKinds())('progress that no handler waits for, on $label', (kind) => {
  const fixture = useStore(kind);

  it.each([
    { end: 'completed', fails: false },
    { end: 'failed', fails: true },
  ])('is there when the job has $end, to the last value', async ({ end, fails }) => {
    const mayRecord = signal();
    const hasReturned = signal();
    const store = altered(fixture.store, {
      recordProgress: async (entries) => {
        await mayRecord.promise;
        return fixture.store.recordProgress(entries);
      },
    });
    const engine = new JobsEngine({ store, maxRetries: 0 });
    engine.register(TOPIC, async (job) => {
      void job.progress(10);
      // In a batch of its own.
      await new Promise((resolve) => setImmediate(resolve));
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
    await engine.close();
  });

  it('keeps no job from ending when it cannot be recorded', async () => {
    const store = altered(fixture.store, { recordProgress: () => Promise.reject(new Error('for the test')) });
    const engine = new JobsEngine({ store });
    engine.register(TOPIC, (job) => void job.progress(10));
    await engine.start();
    const { id } = await engine.enqueue(TOPIC, null);
    await engine.whenIdle();
    expect(await fixture.job(id)).toMatchObject({ status: 'completed', progress: null });
    await engine.close();
  });
});
