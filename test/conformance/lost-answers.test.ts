import { JobsEngine, QueueUnavailableError } from 'nestjs-jobs';
import { altered } from '../support/altered-store.js';
import { TOPIC } from '../support/job-rows.js';
import { storeKinds, useStore } from '../support/stores.js';
import { until } from '../support/wait.js';

describe.each(storeKinds())('a job of which nobody knows whether it is stored, on $label', (kind) => {
  const fixture = useStore(kind);

  it.each([
    { title: 'after two tries', retention: {}, tries: 2 },
    { title: 'that may not be tried twice', retention: { completed: 0 }, tries: 1 },
  ])('is looked for at once, $title', async ({ retention, tries }) => {
    let inserts = 0;
    const store = altered(fixture.store, {
      insert: async (jobs) => {
        await fixture.store.insert(jobs);
        inserts += 1;
        throw new QueueUnavailableError('the answer was lost', { isUncertain: true });
      },
    });
    const engine = new JobsEngine({ store, pollInterval: '1m', retention });
    const runs: unknown[] = [];
    engine.register(TOPIC, ({ payload }) => void runs.push(payload));
    await engine.start();
    await engine.whenIdle();
    await expect(engine.enqueue(TOPIC, 1)).rejects.toMatchObject({ isUncertain: true });
    await until(() => runs.length > 0, { message: 'its handler' });
    await engine.close();
    expect({ inserts, runs }).toEqual({ inserts: tries, runs: [1] });
  });
});
