/** @never postgres-18, postgres-15, memory */

import { JobsEngine } from 'nestjs-jobs';
import { insertOne, TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { signal } from '../../support/wait.js';

describe.each(storeKinds())('await using an engine on $label', (kind) => {
  const fixture = useStore(kind);

  it('stops it at the end of the block, after its handlers have ended', async () => {
    const id = await insertOne(fixture.store);
    const isRunning = signal();
    const mayEnd = signal();
    let statusAtEnd: unknown;
    {
      await using engine = new JobsEngine({ store: fixture.store, pollInterval: 50 });
      engine.register(TOPIC, async () => {
        isRunning.resolve();
        await mayEnd.promise;
        statusAtEnd = (await fixture.job(id)).status;
        return 'done';
      });
      await engine.start();
      await isRunning.promise;
      mayEnd.resolve();
    }
    expect(statusAtEnd).toBe('processing');
    expect(await fixture.job(id)).toMatchObject({ status: 'completed', result: 'done' });
    const later = await insertOne(fixture.store);
    expect(await fixture.store.reports.workers()).toEqual([]);
    expect(await fixture.job(later)).toMatchObject({ status: 'pending' });
  });

  it('stops it when the block throws', async () => {
    let engineOfBlock: JobsEngine | undefined;
    const run = async (): Promise<void> => {
      await using engine = new JobsEngine({ store: fixture.store });
      engineOfBlock = engine;
      await engine.start();
      throw new Error('the block failed');
    };
    await expect(run()).rejects.toThrow('the block failed');
    expect(await fixture.store.reports.workers()).toEqual([]);
    await engineOfBlock?.close();
  });
});
