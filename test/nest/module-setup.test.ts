/**
 * @npm-test memory
 * @matrix postgres-18, nest-11, typeorm-0.3
 */

import type { Type } from '@nestjs/common';
import { Inject, Injectable, Module } from '@nestjs/common';
import { InjectRepository, TypeOrmModule } from '@nestjs/typeorm';
import type { JobsOptions, JobsOptionsFactory } from 'nestjs-jobs';
import { InvalidOptionsError, Job, JobHandler, JobsModule, JobsService } from 'nestjs-jobs';
import type { Repository } from 'typeorm';
import { Column, DefaultNamingStrategy, Entity, PrimaryGeneratedColumn } from 'typeorm';
import { useApps } from './support/apps.js';
import { everyKind, postgres } from './support/database-kinds.js';
import { Receipt } from './support/receipt.js';
import { some } from './support/matchers.js';

@Injectable()
class Settings {
  readonly retries = Promise.resolve(7);
}

@Module({ providers: [Settings], exports: [Settings] })
class SettingsModule {}

@Injectable()
class SettledOptions implements JobsOptionsFactory {
  constructor(private readonly settings: Settings) {}

  async createJobsOptions(): Promise<JobsOptions> {
    return { maxRetries: await this.settings.retries };
  }
}

@Module({ imports: [SettingsModule], providers: [SettledOptions], exports: [SettledOptions] })
class OptionsModule {}

@Injectable()
class JobsClient {
  constructor(
    readonly jobs: JobsService,
    @InjectRepository(Job) readonly rows: Repository<Job>,
  ) {}
}

@Module({ providers: [JobsClient] })
class ClientModule {}

describe.each(everyKind)('JobsModule on $label', (kind) => {
  const apps = useApps(kind);

  it('reads its options from a factory with injected parameters', async () => {
    const app = await apps.start({
      jobsModule: JobsModule.forRootAsync({
        imports: [SettingsModule],
        inject: [Settings],
        useFactory: async (settings: Settings) => ({ maxRetries: await settings.retries }),
      }),
      handlers: { work: () => 'done' },
    });
    const job = await app.jobs.enqueue('work', null);
    expect(job.maxRetries).toBe(7);
    expect(await app.jobAfter('completed', job.id)).toMatchObject({ result: 'done' });
  });

  it.each([
    ['a class that it instantiates', { imports: [SettingsModule], useClass: SettledOptions }],
    ['an instance exported by another module', { imports: [OptionsModule], useExisting: SettledOptions }],
  ])('reads its options from %s', async (_, source) => {
    const app = await apps.start({
      jobsModule: JobsModule.forRootAsync({ ...source, isGlobal: false }),
      handlers: { work: () => 'done' },
    });
    const job = await app.jobs.enqueue('work', null);
    expect(job.maxRetries).toBe(7);
    expect(await app.jobAfter('completed', job.id)).toMatchObject({ result: 'done' });
  });

  it('accepts a dataSource next to the factory and rejects one from the factory', async () => {
    const second = await apps.anotherDatabase();
    const app = await apps.start({
      imports: [apps.typeOrm({ name: 'second' }, second)],
      jobsModule: JobsModule.forRootAsync({ dataSource: 'second', useFactory: () => ({ maxRetries: 1 }) }),
    });
    await app.jobs.enqueue('work', null);
    expect(await apps.dataSource('second').query('SELECT topic FROM _jobs')).toEqual([{ topic: 'work' }]);
    await app.close();
    const error = await apps.refusal({
      jobsModule: JobsModule.forRootAsync({ useFactory: () => ({ dataSource: 'second' }) }),
    });
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toMatch(/^JobsModule.forRootAsync: dataSource: .*beside useFactory/);
  });

  it.each([
    ['unknown', { concurency: 5 }, "concurency: unknown option; did you mean 'concurrency'?"],
    ['invalid', { lease: 'soon' }, 'lease: expected a duration of at least 300ms'],
    ['contradictory', { role: 'producer', topics: ['a'] }, "topics: contradicts role 'producer'"],
  ])('stops the start for an %s option, passed directly or by a factory', async (_, options, text) => {
    expect(() => JobsModule.forRoot(options as object)).toThrow(InvalidOptionsError);
    expect(() => JobsModule.forRoot(options as object)).toThrow(`JobsModule.forRoot: ${text}`);
    const error = await apps.refusal({
      jobsModule: JobsModule.forRootAsync({ useFactory: () => options as object }),
    });
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toContain(`JobsModule.forRootAsync: ${text}`);
  });

  it.each([null, 'all', 3, []])('rejects %p as options', (given) => {
    for (const build of [() => JobsModule.forRoot(given as never), () => JobsModule.forRootAsync(given as never)]) {
      expect(build).toThrow(InvalidOptionsError);
      expect(build).toThrow('options: ');
    }
  });

  it.each([
    [undefined, 'undefined'],
    [null, 'null'],
    [[], 'an array'],
  ])('stops the start for a factory that returns %p', async (made, text) => {
    const error = await apps.refusal({ jobsModule: JobsModule.forRootAsync({ useFactory: () => made as never }) });
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toMatch(new RegExp(`^JobsModule.forRootAsync: useFactory: .*got ${text}`));
  });

  it('stops the start for an invalid options class', async () => {
    class Nothing {}
    class Misplaced {
      createJobsOptions(): object {
        return { http: false };
      }
    }
    const refusalOf = async (useClass: Type<unknown>): Promise<string> =>
      (await apps.refusal({ jobsModule: JobsModule.forRootAsync({ useClass: useClass as never }) })).message;
    expect(await refusalOf(Nothing)).toMatch(/^JobsModule.forRootAsync: useClass: .*createJobsOptions\(\)/);
    expect(await refusalOf(Misplaced)).toMatch(/^JobsModule.forRootAsync: http: .*beside useClass/);
  });

  it('rejects an isGlobal that is not a boolean', () => {
    const text = 'isGlobal: ';
    expect(() => JobsModule.forRoot({ isGlobal: 'no' as never })).toThrow(text);
    expect(() => JobsModule.forRootAsync({ isGlobal: 'no' as never, useFactory: () => ({}) })).toThrow(text);
  });

  it('is visible in every module', async () => {
    const app = await apps.start({ imports: [ClientModule] });
    const client = app.module.get(JobsClient, { strict: false });
    expect(client.jobs).toBe(app.jobs);
  });

  it('is visible in a module that imports its class', async () => {
    @Module({ imports: [JobsModule], providers: [JobsClient] })
    class FeatureModule {}
    const app = await apps.start({ imports: [FeatureModule] });
    const client = app.module.get(JobsClient, { strict: false });
    expect(client.jobs).toBe(app.jobs);
    expect(await client.rows.count()).toBe(0);
  });

  it.each([
    ['forRoot', () => JobsModule.forRoot({ isGlobal: false })],
    ['forRootAsync', () => JobsModule.forRootAsync({ isGlobal: false, useFactory: () => ({}) })],
  ])('is visible only where it is imported with isGlobal: false in %s', async (_, jobsModule) => {
    expect((await apps.refusal({ jobsModule: jobsModule(), imports: [ClientModule] })).message).toContain(
      'JobsService',
    );

    const module = jobsModule();
    @Module({ imports: [module], providers: [JobsClient] })
    class ImportingModule {}
    const app = await apps.start({ jobsModule: module, imports: [ImportingModule] });
    expect(app.module.get(JobsClient, { strict: false }).jobs).toBe(app.jobs);
  });

  it('provides a repository of whole jobs', async () => {
    const app = await apps.start({
      imports: [ClientModule],
      handlers: { work: (job) => job.progress(0.5).then(() => ['a']) },
    });
    const { rows, jobs } = app.module.get(JobsClient, { strict: false });
    const { id } = await jobs.enqueue(
      'work',
      { to: 'anna' },
      { timeout: '3m', priority: 4, uniqueKey: 'k', metadata: { a: 1 } },
    );
    await app.event('completed', id);
    const row = await rows.findOneByOrFail({ id });
    expect(row).toBeInstanceOf(Job);
    expect({ ...row }).toEqual({ ...(await app.job(id)) });
    expect(row).toMatchObject({
      payload: { to: 'anna' },
      timeoutMs: 180_000,
      priority: 4,
      result: ['a'],
      progress: 0.5,
    });
    expect(row).toMatchObject({ cancelRequested: false, errors: [], metadata: { a: 1 }, created: some(Date) });
    expect(await rows.countBy({ topic: 'work', status: 'completed' })).toBe(1);
    expect(await rows.find({ where: { status: 'pending' } })).toEqual([]);
  });

  it('keeps its table names under an entityPrefix and a naming strategy of the application', async () => {
    class ShoutingNames extends DefaultNamingStrategy {
      override tableName(name: string, given: string | undefined): string {
        return (given ?? name).toUpperCase();
      }
      override columnName(name: string): string {
        return name.toUpperCase();
      }
    }
    const typeOrm = { entityPrefix: 'app', namingStrategy: new ShoutingNames(), entities: [Receipt] };
    const app = await apps.start({ typeOrm, handlers: { work: () => 'done' } });
    await app.dataSource.getRepository(Receipt).insert({ jobId: 'a', attempt: 1 });
    const { id } = await app.jobs.enqueue('work', { a: 1 });
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'done' });
    expect(await app.dataSource.query('SELECT topic, status, run_at IS NOT NULL AS due FROM _jobs')).toMatchObject([
      { topic: 'work', status: 'completed' },
    ]);
    expect(await app.rows.find()).toMatchObject([{ id, payload: { a: 1 }, maxRetries: 3 }]);
  });

  it('allows an entity of the application with the name Job', async () => {
    const OwnJob = (() => {
      @Entity('vacancies')
      class Job {
        @PrimaryGeneratedColumn()
        id!: number;

        @Column()
        title!: string;
      }
      return Job;
    })();

    @Injectable()
    class Vacancies {
      constructor(
        @InjectRepository(OwnJob) readonly repository: Repository<InstanceType<typeof OwnJob>>,
        @Inject(JobsService) private readonly jobs: JobsService,
      ) {}

      @JobHandler('publish')
      async publish(): Promise<string[]> {
        await this.repository.insert({ title: 'baker' });
        await this.jobs.enqueue('later', null, { delay: '1h' });
        return (await this.repository.find()).map(({ title }) => title);
      }
    }
    @Module({ imports: [TypeOrmModule.forFeature([OwnJob])], providers: [Vacancies] })
    class VacanciesModule {}

    const app = await apps.start({ typeOrm: { entities: [OwnJob] }, imports: [VacanciesModule, ClientModule] });
    const { id } = await app.jobs.enqueue('publish', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: ['baker'] });
    expect(await app.module.get(JobsClient, { strict: false }).rows.count()).toBe(2);
  });
});

describe('the repository of jobs on PostgreSQL', () => {
  const apps = useApps(postgres);

  it('does not change plan_cache_mode on the connections of the queue', async () => {
    const { jobs, rows } = await apps.start({ options: { connections: 1 } });
    await jobs.enqueue('work', null);
    // With generic plans PostgreSQL would not use the partial indexes on status.
    expect(await rows.query('SHOW plan_cache_mode')).toEqual([{ plan_cache_mode: 'auto' }]);
    await jobs.enqueue('work', null);
    expect(await rows.countBy({ status: 'pending' })).toBe(2);
  });

  it('reads times correctly with any datestyle', async () => {
    const first = await apps.start();
    const [{ name }] = await first.dataSource.query<[{ name: string }]>('SELECT current_database() AS name');
    await first.dataSource.query(`ALTER DATABASE ${name} SET datestyle TO 'German'`);
    await first.close();
    const { jobs, rows } = await apps.start();
    const { id, created, runAt } = await jobs.enqueue('work', null);
    expect(await rows.findOneByOrFail({ id })).toMatchObject({ created, runAt });
  });
});
