import { JobsEngine } from 'nestjs-jobs';
import { overrideStore } from '../../support/override-store.js';
import { TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { signal } from '../../support/wait.js';

describe.each(storeKinds())('a cancel with a late response on $label', (kind) => {
  const fixture = useStore(kind);

  it('aborts the attempt that it was called for, and not the next one', async () => {
    const [sent, mayReturn] = [signal(), signal()];
    const store = overrideStore(fixture.store, {
      async cancel(ids) {
        const results = await fixture.store.cancel(ids);
        sent.resolve();
        await mayReturn.promise;
        return results;
      },
    });
    const engine = new JobsEngine({ store });
    const started = [signal<AbortSignal>(), signal<AbortSignal>()];
    const ends = [signal(), signal()];
    engine.register(TOPIC, async (job) => {
      started[job.attempt - 1]!.resolve(job.signal);
      await ends[job.attempt - 1]!.promise;
    });
    const { id } = await engine.enqueue(TOPIC, null);
    await engine.start();
    await started[0]!.promise;
    const cancelled = engine.jobs.cancel(id);
    await sent.promise;
    ends[0]!.resolve();
    await engine.whenIdle();
    expect(await engine.jobs.get(id)).toMatchObject({ status: 'cancelled', attempt: 1 });

    await engine.jobs.requeue(id);
    const second = await started[1]!.promise;
    mayReturn.resolve();
    await cancelled;
    expect(second.aborted).toBe(false);
    ends[1]!.resolve();
    await engine.whenIdle();
    expect(await engine.jobs.get(id)).toMatchObject({ status: 'completed', attempt: 2 });
    await engine.close();
  });
});
