import { JobsEngine } from 'nestjs-jobs';
import { altered } from '../../support/altered-store.js';
import { TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { signal } from '../../support/wait.js';

describe.each(storeKinds())('a cancel that is answered late on $label', (kind) => {
  const fixture = useStore(kind);

  it('ends the attempt that was asked for, and not the one after it', async () => {
    const [asked, answered] = [signal(), signal()];
    const store = altered(fixture.store, {
      async cancel(ids) {
        const answers = await fixture.store.cancel(ids);
        asked.resolve();
        await answered.promise;
        return answers;
      },
    });
    const engine = new JobsEngine({ store });
    const begun = [signal<AbortSignal>(), signal<AbortSignal>()];
    const ends = [signal(), signal()];
    engine.register(TOPIC, async (job) => {
      begun[job.attempt - 1]!.resolve(job.signal);
      await ends[job.attempt - 1]!.promise;
    });
    const { id } = await engine.enqueue(TOPIC, null);
    await engine.start();
    await begun[0]!.promise;
    const cancelled = engine.jobs.cancel(id);
    await asked.promise;
    ends[0]!.resolve();
    await engine.whenIdle();
    expect(await engine.jobs.get(id)).toMatchObject({ status: 'cancelled', attempt: 1 });

    await engine.jobs.requeue(id);
    const second = await begun[1]!.promise;
    answered.resolve();
    await cancelled;
    expect(second.aborted).toBe(false);
    ends[1]!.resolve();
    await engine.whenIdle();
    expect(await engine.jobs.get(id)).toMatchObject({ status: 'completed', attempt: 2 });
    await engine.close();
  });
});
