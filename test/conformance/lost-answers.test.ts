import { createJobStore, JobsEngine, QueueUnavailableError } from 'nestjs-jobs';
import { DataSource } from 'typeorm';
import { altered } from '../support/altered-store.js';
import { TOPIC } from '../support/job-rows.js';
import { storeKinds, useStore } from '../support/stores.js';
import { TcpProxy } from '../support/tcp-proxy.js';
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

const announcing = storeKinds().filter(({ hasNotifications }) => hasNotifications);
describe.each(announcing)('a job that is stored after its caller has given up, on $label', (kind) => {
  const fixture = useStore(kind);

  it('begins when it is', async () => {
    const proxy = TcpProxy.before((fixture.app.options as { url: string }).url);
    await proxy.open();
    const app = await new DataSource({ type: 'postgres', url: proxy.url }).initialize();
    // What is not kept is not tried twice.
    const options = { pollInterval: '1m', retention: { completed: 0 } } as const;
    const { store } = createJobStore(app, options);
    await store.open();
    let surveys = 0;
    const counting = altered(store, {
      survey: async (...asked) => {
        const answer = await store.survey(...asked);
        surveys += 1;
        return answer;
      },
    });
    const engine = new JobsEngine({ store: counting, ...options });
    const runs: unknown[] = [];
    engine.register(TOPIC, ({ payload }) => void runs.push(payload));
    await engine.start();
    await engine.whenIdle();

    const other = await fixture.begin();
    await other.manager.query('LOCK TABLE _jobs IN SHARE MODE');
    surveys = 0;
    const cut = proxy.cutNext('"given up"', 'sent');
    const enqueued = engine.enqueue(TOPIC, 'given up');
    await expect(enqueued).rejects.toMatchObject({ isUncertain: true });
    await cut;
    await fixture.untilSomebodyWaits();
    await until(() => surveys > 0, { message: 'a survey that finds nothing' });
    await other.rollback();
    await until(() => runs.length > 0, { message: 'its handler' });
    await engine.close();
    await store.close();
    await app.destroy();
    await proxy.close();
    expect(runs).toEqual(['given up']);
  });
});
