import type { DataSource } from 'typeorm';
import { JobsEngine } from '../../../lib/engine/jobs-engine.js';
import { createJobStore } from '../../../lib/typeorm/create-job-store.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import { toFullGap } from '../../../lib/store/jobs/job-records.js';
import { newJob } from '../../support/job-rows.js';
import type { EmptyDatabase } from '../../support/stores.js';
import { storeKinds } from '../../support/stores.js';
import { RecordingLogger } from '../../support/unit/recording-logger.js';

const ALL = ['_jobs', '_jobs_rollup', '_jobs_workers', '_jobs_topics', '_jobs_migrations'];

describe.each(storeKinds())('dropped tables of a running queue on $label', (kind) => {
  let database: EmptyDatabase;
  let app: DataSource;
  let store: JobStore;
  let engine: JobsEngine;

  const open = async (): Promise<void> => {
    const logger = new RecordingLogger();
    ({ store } = createJobStore(app, {}, { logger }));
    await store.open();
    engine = new JobsEngine({ store, logger, role: 'producer' });
  };

  beforeEach(async () => {
    database = await kind.createDatabase();
    app = await database.app().initialize();
    await open();
    for (const table of ALL) await app.query(`DROP TABLE ${table}`);
  });

  afterEach(async () => {
    await engine.close();
    await store.close();
    await app.destroy();
    await database.remove();
  });

  it.each<[string, () => Promise<unknown>]>([
    ['an insert', () => engine.enqueue('mail', null)],
    ['an insert in a transaction', () => app.transaction((manager) => engine.enqueueTx(manager, 'mail', null))],
    ['many inserts', () => store.insert(Array.from({ length: 5_000 }, () => newJob()))],
    ['a list', () => engine.jobs.list({ topic: 'mail' })],
    ['statistics', () => engine.stats.get()],
    ['a scan', () => store.scan([toFullGap('mail')])],
    ['a rescue', () => store.rescue(10)],
  ])('make %s reject with an error that names the remedy', async (_, call) => {
    await expect(call()).rejects.toMatchObject({
      code: 'QUEUE_UNAVAILABLE',
      message: expect.stringMatching(/jobsMigrations.*migrate: true/) as string,
    });
  });

  it('are created again by a restart', async () => {
    await engine.close();
    await store.close();
    await open();
    await engine.enqueue('mail', null);
    expect(await engine.jobs.list()).toMatchObject({ total: 1 });
  });
});
