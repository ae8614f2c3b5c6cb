import { createJobStore, JobsEngine, QueueUnavailableError } from 'nestjs-jobs';
import { DataSource } from 'typeorm';
import { altered } from '../../support/altered-store.js';
import { TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { TcpProxy } from '../../support/tcp-proxy.js';
import { until } from '../../support/wait.js';

describe.each(storeKinds())('a job that may be stored, on $label', (kind) => {
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
describe.each(announcing)('a job that is committed after its call was rejected, on $label', (kind) => {
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
    // What is not kept is not tried twice.
    const options = { pollInterval: '1m', retention: { completed: 0 } } as const;
    const { store } = createJobStore(app, options);
    close = () => store.close();
    await store.open();
    let whenScanned: () => void = () => undefined;
    const told = altered(store, {
      scan: async (...asked) => {
        const answer = await store.scan(...asked);
        whenScanned();
        return answer;
      },
    });
    const engine = new JobsEngine({ store: told, ...options });
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
    // The insert waits at the server, for a second at most; the scan finds nothing.
    await new Promise<void>((resolve) => (whenScanned = resolve));
    await other.rollback();
    await until(() => runs.length > 0, { message: 'its handler' });
    expect(runs).toEqual(['given up']);
    expect(await enqueued).toMatchObject({ isUncertain: true });
  });
});
