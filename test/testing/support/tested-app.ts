import type { ModuleMetadata } from '@nestjs/common';
import type { TestingModule } from '@nestjs/testing';
import { Test } from '@nestjs/testing';
import { getDataSourceToken, TypeOrmModule } from '@nestjs/typeorm';
import type { JobsModuleOptions } from 'nestjs-jobs';
import { JobsModule, JobsService } from 'nestjs-jobs';
import type { JobsTestingOptions } from 'nestjs-jobs/testing';
import { JobsTesting, JobsTestingModule } from 'nestjs-jobs/testing';
import type { DataSource, DataSourceOptions } from 'typeorm';
import type { Handler } from '../../nest/support/apps.js';
import { LogRecorder } from '../../nest/support/log-recorder.js';

/** The parts of an application whose queue a test controls. */
export interface TestedAppParts extends Pick<ModuleMetadata, 'providers'> {
  mode?: JobsTestingOptions['mode'];
  options?: JobsModuleOptions;
  /** Replaces `JobsModule.forRoot(options)`. */
  jobsModule?: ReturnType<typeof JobsModule.forRoot>;
  imports?: NonNullable<ModuleMetadata['imports']>;
  handlers?: Readonly<Record<string, Handler>>;
  /** Default: SQLite in memory. */
  database?: DataSourceOptions;
}

const memory: DataSourceOptions = { type: 'better-sqlite3', database: ':memory:' };

export class TestedApp {
  readonly testing: JobsTesting;
  readonly jobs: JobsService;
  readonly dataSource: DataSource;

  constructor(
    readonly module: TestingModule,
    readonly log: LogRecorder,
  ) {
    this.testing = module.get(JobsTesting, { strict: false });
    this.jobs = module.get(JobsService, { strict: false });
    this.dataSource = module.get<DataSource>(getDataSourceToken(), { strict: false });
  }

  /** The statuses of all jobs, oldest first. */
  async statuses(): Promise<string[]> {
    const { items } = await this.jobs.list({ limit: 200 });
    return items.map(({ status }) => status).reverse();
  }
}

/** Starts applications, and closes them after each test. */
export function useTestedApps(): (parts?: TestedAppParts) => Promise<TestedApp> {
  const modules: TestingModule[] = [];
  afterEach(async () => {
    for (const module of modules.splice(0)) {
      await module.close();
    }
  });
  return async ({ mode, options = {}, jobsModule, imports = [], providers, handlers = {}, database = memory } = {}) => {
    const log = new LogRecorder();
    const module = await Test.createTestingModule({
      imports: [
        TypeOrmModule.forRoot({ ...database, autoLoadEntities: true, synchronize: true, retryAttempts: 0 }),
        jobsModule ?? JobsModule.forRoot({ http: false, ui: false, ...options }),
        ...imports,
      ],
      providers,
    })
      .overrideModule(JobsModule)
      .useModule(JobsTestingModule.forRoot({ mode }))
      .setLogger(log)
      .compile();
    modules.push(module);
    const app = new TestedApp(module, log);
    for (const [topic, handler] of Object.entries(handlers)) {
      app.jobs.register(topic, handler);
    }
    await module.init();
    return app;
  };
}
