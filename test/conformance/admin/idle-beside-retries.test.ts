import type { JobEvent, JobEventType } from 'nestjs-jobs';
import { JobsEngine } from 'nestjs-jobs';
import { altered } from '../../support/altered-store.js';
import { TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { signal, until } from '../../support/wait.js';

describe.each(storeKinds())('whenIdle beside an attempt that fails, on $label', (kind) => {
  const fixture = useStore(kind);
  let engine: JobsEngine;

  afterEach(() => engine.close());

  it('does not believe a scan that was asked before the retry was in the table', async () => {
    const events: JobEvent[] = [];
    const hasTold = (type: JobEventType): boolean => events.some((event) => event.type === type);
    const scanned = signal();
    let isAsked = false;
    const store = altered(fixture.store, {
      scan: async (...asked) => {
        const isOfIdle = isAsked;
        const scan = await fixture.store.scan(...asked);
        if (isOfIdle) {
          scanned.resolve();
          await until(() => hasTold('retrying'));
        }
        return scan;
      },
    });
    engine = new JobsEngine({ store, concurrency: 2, backoff: { type: 'fixed', delay: 0 } });
    engine.events.subscribe((event) => events.push(event));
    engine.register(TOPIC, async ({ attempt }) => {
      await scanned.promise;
      if (attempt === 1) throw new Error('once more');
    });
    await engine.start();
    const { id } = await engine.enqueue(TOPIC, null);
    await until(() => hasTold('started'));
    const idle = engine.whenIdle();
    isAsked = true;
    await idle;
    expect(hasTold('completed')).toBe(true);
    expect(await fixture.job(id)).toMatchObject({ status: 'completed', attempt: 2 });
  });
});
