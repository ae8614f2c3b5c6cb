/**
 * @matrix nest-11
 * @never postgres-18
 */

import { Injectable, Module } from '@nestjs/common';
import { ConfigModule, ConfigService } from '@nestjs/config';
import { InjectDataSource } from '@nestjs/typeorm';
import type { Database } from 'better-sqlite3';
import type { JobContext } from 'nestjs-jobs';
import { InvalidOptionsError, JobHandler, JobsModule, JobsService, UnknownDataSourceError } from 'nestjs-jobs';
import { DataSource } from 'typeorm';
import { useApps } from './support/apps.js';
import { everyKind, sqliteFile, sqliteMemory } from './support/database-kinds.js';
import { Receipt } from './support/receipt.js';

/** Writes a receipt to the database of the queue, in the transaction that completes the job. */
@Injectable()
class ReceiptJobs {
  constructor(
    readonly shop: DataSource,
    @InjectDataSource('ledger') private readonly ledger: DataSource,
  ) {}

  @JobHandler('receipt')
  async write(job: JobContext): Promise<void> {
    await this.ledger.transaction(async (manager) => {
      await manager.insert(Receipt, { jobId: job.id, attempt: job.attempt });
      await job.completeTx(manager);
    });
  }
}

describe.each(everyKind)('an app with two DataSources and a ConfigService on $label', (kind) => {
  const apps = useApps(kind);

  async function start() {
    const ledger = await apps.anotherDatabase();
    const config = ConfigModule.forRoot({
      ignoreEnvFile: true,
      load: [() => ({ jobs: { maxRetries: 7, backoff: { type: 'fixed', delay: 0 } } })],
    });
    return apps.start({
      imports: [apps.typeOrm({ name: 'ledger', entities: [Receipt] }, ledger)],
      providers: [ReceiptJobs],
      jobsModule: JobsModule.forRootAsync({
        dataSource: 'ledger',
        imports: [config],
        inject: [ConfigService],
        useFactory: (values: ConfigService) => values.getOrThrow('jobs'),
      }),
    });
  }

  it('runs the queue in the named DataSource with the options of the ConfigService', async () => {
    const app = await start();
    const ledger = apps.dataSource('ledger');
    const job = await ledger.transaction((manager) => app.jobs.enqueueTx(manager, 'receipt', null));
    expect(job.maxRetries).toBe(7);
    expect(await app.jobAfter('completed', job.id)).toMatchObject({ attempt: 1 });
    expect(await ledger.getRepository(Receipt).find()).toMatchObject([{ jobId: job.id }]);
    expect(await ledger.query('SELECT topic FROM _jobs')).toEqual([{ topic: 'receipt' }]);
    expect(await app.dataSource.createQueryRunner().hasTable('_jobs')).toBe(false);
  });

  it('rejects enqueueTx with a manager of the other DataSource', async () => {
    const app = await start();
    await app.dataSource.transaction(async (manager) => {
      await expect(app.jobs.enqueueTx(manager, 'receipt', null)).rejects.toThrow(UnknownDataSourceError);
    });
    expect(await app.jobs.stats()).toMatchObject({ total: 0 });
  });

  it('does not start if the named DataSource does not exist', async () => {
    const error = await apps.refusal({ jobsModule: JobsModule.forRoot({ dataSource: 'nowhere' }) });
    expect(error.message).toMatch(/dataSource: no DataSource is named 'nowhere'/);
  });
});

@Injectable()
class JobsClient {
  constructor(readonly jobs: JobsService) {}
}

@Injectable()
class WorkJobs {
  @JobHandler('work')
  work(): string {
    return 'done';
  }
}

describe('JobsModule with isGlobal: false', () => {
  const apps = useApps(sqliteMemory);

  it('is shared through a module that exports it and finds the handlers of all modules', async () => {
    @Module({ imports: [JobsModule.forRoot({ isGlobal: false })], exports: [JobsModule] })
    class QueueModule {}
    @Module({ imports: [QueueModule], providers: [JobsClient] })
    class OrdersModule {}
    @Module({ imports: [QueueModule], providers: [JobsClient] })
    class MailModule {}
    /** Uses the queue without importing it. */
    @Module({ providers: [WorkJobs] })
    class WorkModule {}

    const app = await apps.start({
      jobsModule: { module: QueueModule },
      imports: [OrdersModule, MailModule, WorkModule],
    });
    const clients = [OrdersModule, MailModule].map((module) => app.module.select(module).get(JobsClient));
    expect(clients.map(({ jobs }) => jobs === app.jobs)).toEqual([true, true]);
    const { id } = await clients[0]!.jobs.enqueue('work', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'done' });
  });

  it('provides no JobsService to a module that does not import it', async () => {
    @Module({ providers: [JobsClient] })
    class OtherModule {}
    const error = await apps.refusal({
      jobsModule: JobsModule.forRoot({ isGlobal: false }),
      imports: [OtherModule],
    });
    expect(error.message).toMatch(/JobsService.*OtherModule/s);
  });
});

describe('a second JobsModule in one application', () => {
  const apps = useApps(sqliteMemory);

  it.each([
    ['forRoot', () => JobsModule.forRoot()],
    ['forRoot with isGlobal: false', () => JobsModule.forRoot({ isGlobal: false, concurrency: 5 })],
    ['forRootAsync', () => JobsModule.forRootAsync({ useFactory: () => ({}) })],
  ])('made by %s stops the start with an error that names both importers', async (_, second) => {
    @Module({ imports: [second()], providers: [JobsClient] })
    class FeatureModule {}
    const error = await apps.refusal({ imports: [FeatureModule] });
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toMatch(/^JobsModule: imported 2 times in one application, by .*FeatureModule; call/);
    expect(error.message).toContain('inject JobsService without an import');
  });

  it('is not created if two modules import the same dynamic module', async () => {
    const shared = JobsModule.forRoot();
    @Module({ imports: [shared], providers: [JobsClient] })
    class FeatureModule {}
    const app = await apps.start({ jobsModule: shared, imports: [FeatureModule], providers: [WorkJobs] });
    const { id } = await app.module.get(JobsClient, { strict: false }).jobs.enqueue('work', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'done' });
  });

  it('is allowed in another application of the same process', async () => {
    const [first, second] = [await apps.start({ providers: [WorkJobs] }), await apps.start({ providers: [WorkJobs] })];
    for (const app of [first, second]) {
      const { id } = await app.jobs.enqueue('work', null);
      expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'done' });
    }
  });
});

describe('an application with a SQLite file in EXCLUSIVE locking mode', () => {
  const apps = useApps(sqliteFile);

  it('does not start', async () => {
    const typeOrm = { prepareDatabase: (database: Database) => void database.pragma('locking_mode = EXCLUSIVE') };
    const error = await apps.refusal({ typeOrm });
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toContain('locking_mode = EXCLUSIVE');
  });
});

describe('an in-memory database', () => {
  const apps = useApps(sqliteMemory);

  // The driver trims the name.
  it.each([':memory:', ' :memory: ', '', ' '])(
    'is shared by the application and the queue for the name %j',
    async (database) => {
      const app = await apps.start({ typeOrm: { database } as object, handlers: { work: () => 'done' } });
      const { id } = await app.dataSource.transaction((manager) => app.jobs.enqueueTx(manager, 'work', null));
      expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'done' });
      expect(await app.dataSource.query('SELECT id FROM _jobs')).toEqual([{ id }]);
    },
  );
});
