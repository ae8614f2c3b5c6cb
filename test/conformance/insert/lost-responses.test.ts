import { createJobStore, JobsEngine, QueueUnavailableError } from 'nestjs-jobs';
import { DataSource } from 'typeorm';
import { overrideStore } from '../../support/override-store.js';
import { TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { TcpProxy } from '../../support/tcp-proxy.js';
import { until } from '../../support/wait.js';

describe.each(storeKinds())('a job whose insert is uncertain on $label', (kind) => {
  const fixture = useStore(kind);

  it.each([
    { title: 'after two inserts', retention: {}, tries: 2 },
    { title: 'after one insert when it must not be repeated', retention: { completed: 0 }, tries: 1 },
  ])('is claimed at once $title', async ({ retention, tries }) => {
    let inserts = 0;
    const store = overrideStore(fixture.store, {
      insert: async (jobs) => {
        await fixture.store.insert(jobs);
        inserts += 1;
        throw new QueueUnavailableError('the response was lost', { isUncertain: true });
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
describe.each(announcing)('a job that is committed after its enqueue was rejected, on $label', (kind) => {
  const fixture = useStore(kind);

  let proxy: TcpProxy;
  let app: DataSource;
  let close: () => Promise<void>;

  beforeEach(async () => {
    proxy = TcpProxy.before((fixture.app.options as { url: string }).url);
    await proxy.open();
    app = await new DataSource({ type: 'postgres', url: proxy.url }).initialize();
  });

  afterEach(async () => {
    await close();
    await app.destroy();
    await proxy.close();
  });

  it('starts when it is committed', async () => {
    // Jobs that are not kept are inserted only once.
    const options = { pollInterval: '1m', retention: { completed: 0 } } as const;
    const { store } = createJobStore(app, options);
    close = () => store.close();
    await store.open();
    let whenScanned: () => void = () => undefined;
    const observed = overrideStore(store, {
      scan: async (...given) => {
        const lanes = await store.scan(...given);
        whenScanned();
        return lanes;
      },
    });
    const engine = new JobsEngine({ store: observed, ...options });
    close = () => engine.close().then(() => store.close());
    const runs: unknown[] = [];
    engine.register(TOPIC, ({ payload }) => void runs.push(payload));
    await engine.start();
    await engine.whenIdle();

    const other = await fixture.begin();
    await other.manager.query('LOCK TABLE _jobs IN SHARE MODE');
    const cut = proxy.cutNext('"given up"', 'sent');
    const enqueued = engine.enqueue(TOPIC, 'given up').catch((error: unknown) => error);
    await cut;
    // The insert waits at the server for at most a second; the scan finds nothing.
    await new Promise<void>((resolve) => (whenScanned = resolve));
    await other.rollback();
    await until(() => runs.length > 0, { message: 'its handler' });
    expect(runs).toEqual(['given up']);
    expect(await enqueued).toMatchObject({ isUncertain: true });
  });
});
