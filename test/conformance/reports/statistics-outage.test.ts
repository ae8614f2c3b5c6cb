/** @never typeorm-0.3 */

import { DataSource } from 'typeorm';
import { createJobStore, JobsEngine, QueueUnavailableError } from 'nestjs-jobs';
import { TcpProxy } from '../../support/tcp-proxy.js';
import type { PostgresDatabase } from '../../support/databases.js';
import { createPostgresDatabase, postgresVersions } from '../../support/databases.js';
import { until } from '../../support/wait.js';

const OUTAGES = 4;
/** The time that must be left in the minute: a record that is repeated in the next minute may count twice. */
const TEST_MS = 10_000;

describe.each(postgresVersions())('statistics during outages of PostgreSQL %s', (version) => {
  let database: PostgresDatabase;
  let proxy: TcpProxy;
  let closings: (() => Promise<unknown>)[] = [];

  beforeEach(async () => {
    database = await createPostgresDatabase(version);
    proxy = TcpProxy.before(database.url);
    await proxy.open();
  });

  afterEach(async () => {
    for (const close of closings.reverse()) {
      await close();
    }
    closings = [];
    await proxy.close();
    await database.drop();
  });

  it('count each job once, even after lost responses', async () => {
    await until(() => Date.now() % 60_000 < 60_000 - TEST_MS, { timeoutMs: TEST_MS, message: 'the next minute' });
    const app = await new DataSource({ type: 'postgres', url: proxy.url }).initialize();
    closings.push(() => app.destroy());
    const { store } = createJobStore(app);
    await store.open();
    closings.push(() => store.close());
    const engine = new JobsEngine({ store, lease: '1s' });
    closings.push(() => engine.close());
    let completed = 0;
    engine.events.subscribe(({ type }) => (completed += type === 'completed' ? 1 : 0));
    engine.register('mail', () => 'sent');
    await engine.start();

    for (let outage = 1; outage <= OUTAGES; outage += 1) {
      const ranBefore = completed;
      await until(() => engine.enqueue('mail', outage).catch(() => undefined));
      await until(() => completed > ranBefore);
      await proxy.close();
      await expect(engine.stats.get()).rejects.toThrow(QueueUnavailableError);
      await proxy.open();
    }
    await until(() => engine.enqueue('mail', 'last').catch(() => undefined));
    await until(async () => {
      const stats = await engine.stats.get().catch(() => undefined);
      return stats !== undefined && stats.completed > OUTAGES && stats.pending + stats.processing === 0;
    });
    await engine.stop();

    const points = await engine.stats.timeseries(5);
    const recorded = points.reduce((sum, point) => sum + point.completed, 0);
    expect({ recorded, emitted: completed }).toEqual({
      recorded: completed,
      emitted: (await engine.stats.get()).completed,
    });
  }, 90_000);
});
