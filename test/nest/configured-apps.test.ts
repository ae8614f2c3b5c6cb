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

/** Writes where the queue is, in the transaction that completes the job. */
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

describe.each(everyKind)('an application with two DataSources and a ConfigService on $label', (kind) => {
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

  it('has its queue in the second one, by name, with the options of its configuration', async () => {
    const app = await start();
    const ledger = apps.dataSource('ledger');
    const job = await ledger.transaction((manager) => app.jobs.enqueueTx(manager, 'receipt', null));
    expect(job.maxRetries).toBe(7);
    expect(await app.jobAfter('completed', job.id)).toMatchObject({ attempt: 1 });
    expect(await ledger.getRepository(Receipt).find()).toMatchObject([{ jobId: job.id }]);
    expect(await ledger.query('SELECT topic FROM _jobs')).toEqual([{ topic: 'receipt' }]);
    expect(await app.dataSource.createQueryRunner().hasTable('_jobs')).toBe(false);
  });

  it('has no transaction of the first one taken for one of the queue', async () => {
    const app = await start();
    await app.dataSource.transaction(async (manager) => {
      await expect(app.jobs.enqueueTx(manager, 'receipt', null)).rejects.toThrow(UnknownDataSourceError);
    });
    expect(await app.jobs.stats()).toMatchObject({ total: 0 });
  });

  it('does not start when the named one is not there, and says which', async () => {
    const error = await apps.refusal({ jobsModule: JobsModule.forRoot({ dataSource: 'nowhere' }) });
    expect(error.message).toMatch(/^dataSource: no DataSource is named 'nowhere'/);
  });
});

@Injectable()
class Desk {
  constructor(readonly jobs: JobsService) {}
}

@Injectable()
class WorkJobs {
  @JobHandler('work')
  work(): string {
    return 'done';
  }
}

describe('the module with isGlobal: false', () => {
  const apps = useApps(sqliteMemory);

  it('is shared through a module that exports it, and finds the handlers of all modules', async () => {
    @Module({ imports: [JobsModule.forRoot({ isGlobal: false })], exports: [JobsModule] })
    class QueueModule {}
    @Module({ imports: [QueueModule], providers: [Desk] })
    class OrdersModule {}
    @Module({ imports: [QueueModule], providers: [Desk] })
    class MailModule {}
    /** Neither enqueues nor imports anything of the queue. */
    @Module({ providers: [WorkJobs] })
    class WorkModule {}

    const app = await apps.start({
      jobsModule: { module: QueueModule },
      imports: [OrdersModule, MailModule, WorkModule],
    });
    const desks = [OrdersModule, MailModule].map((module) => app.module.select(module).get(Desk));
    expect(desks.map(({ jobs }) => jobs === app.jobs)).toEqual([true, true]);
    const { id } = await desks[0]!.jobs.enqueue('work', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'done' });
  });

  it('gives no JobsService to a module that does not import it', async () => {
    @Module({ providers: [Desk] })
    class StrangerModule {}
    const error = await apps.refusal({
      jobsModule: JobsModule.forRoot({ isGlobal: false }),
      imports: [StrangerModule],
    });
    expect(error.message).toMatch(/JobsService.*StrangerModule/s);
  });
});

describe('a second queue in one application', () => {
  const apps = useApps(sqliteMemory);

  it.each([
    ['forRoot', () => JobsModule.forRoot()],
    ['forRoot with isGlobal: false', () => JobsModule.forRoot({ isGlobal: false, concurrency: 5 })],
    ['forRootAsync', () => JobsModule.forRootAsync({ useFactory: () => ({}) })],
  ])('by %s stops it, and the error says where and what to do', async (_, second) => {
    @Module({ imports: [second()], providers: [Desk] })
    class FeatureModule {}
    const error = await apps.refusal({ imports: [FeatureModule] });
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toMatch(/^JobsModule: imported 2 times in one application, by .*FeatureModule; call/);
    expect(error.message).toContain('inject JobsService without an import');
  });

  it('is not what one module makes that two others import', async () => {
    const shared = JobsModule.forRoot();
    @Module({ imports: [shared], providers: [Desk] })
    class FeatureModule {}
    const app = await apps.start({ jobsModule: shared, imports: [FeatureModule], providers: [WorkJobs] });
    const { id } = await app.module.get(Desk, { strict: false }).jobs.enqueue('work', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'done' });
  });

  it('is not the queue of another application in the same process', async () => {
    const [first, second] = [await apps.start({ providers: [WorkJobs] }), await apps.start({ providers: [WorkJobs] })];
    for (const app of [first, second]) {
      const { id } = await app.jobs.enqueue('work', null);
      expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'done' });
    }
  });
});

describe('a SQLite file', () => {
  const apps = useApps(sqliteFile);

  it('that the application keeps to itself stops it', async () => {
    const typeOrm = { prepareDatabase: (database: Database) => void database.pragma('locking_mode = EXCLUSIVE') };
    const error = await apps.refusal({ typeOrm });
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toContain('locking_mode = EXCLUSIVE');
  });
});

describe('a database in memory', () => {
  const apps = useApps(sqliteMemory);

  // The driver takes the blanks away.
  it.each([':memory:', ' :memory: ', '', ' '])('is the one of the application by the name %j', async (database) => {
    const app = await apps.start({ typeOrm: { database } as object, handlers: { work: () => 'done' } });
    const { id } = await app.dataSource.transaction((manager) => app.jobs.enqueueTx(manager, 'work', null));
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'done' });
    expect(await app.dataSource.query('SELECT id FROM _jobs')).toEqual([{ id }]);
  });
});
