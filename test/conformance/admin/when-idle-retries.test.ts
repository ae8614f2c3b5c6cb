import type { JobEvent, JobEventType } from 'nestjs-jobs';
import { JobsEngine } from 'nestjs-jobs';
import { overrideStore } from '../../support/override-store.js';
import { TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { signal, until } from '../../support/wait.js';

describe.each(storeKinds())('whenIdle during a failing attempt on $label', (kind) => {
  const fixture = useStore(kind);
  let engine: JobsEngine;

  afterEach(() => engine.close());

  it('ignores a scan that was sent before the retry was stored', async () => {
    const events: JobEvent[] = [];
    const hasEvent = (type: JobEventType): boolean => events.some((event) => event.type === type);
    const scanned = signal();
    let isIdleRequested = false;
    const store = overrideStore(fixture.store, {
      scan: async (...given) => {
        const isOfIdle = isIdleRequested;
        const scan = await fixture.store.scan(...given);
        if (isOfIdle) {
          scanned.resolve();
          await until(() => hasEvent('retrying'));
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
    await until(() => hasEvent('started'));
    const idle = engine.whenIdle();
    isIdleRequested = true;
    await idle;
    expect(hasEvent('completed')).toBe(true);
    expect(await fixture.job(id)).toMatchObject({ status: 'completed', attempt: 2 });
  });
});
