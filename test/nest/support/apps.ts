import type { DynamicModule, ModuleMetadata } from '@nestjs/common';
import { ShutdownSignal } from '@nestjs/common';
import type { AbstractHttpAdapter } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import type { TypeOrmModuleOptions } from '@nestjs/typeorm';
import { getDataSourceToken, TypeOrmModule } from '@nestjs/typeorm';
import type { TopicJobOptions, JobContext, JobsModuleOptions } from 'nestjs-jobs';
import { JobsModule } from 'nestjs-jobs';
import type { DataSourceOptions } from 'typeorm';
import { DataSource } from 'typeorm';
import type { DatabaseKind, TestDatabase } from './database-kinds.js';
import { LogRecorder } from './log-recorder.js';
import { TestApp } from './test-app.js';

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- each handler knows the payload of its own topic
export type Handler = (job: JobContext<any>) => unknown;

/** The parts of a test application, without its database. */
export interface AppParts extends Pick<ModuleMetadata, 'providers' | 'controllers'> {
  /** Passed to `JobsModule.forRoot`. */
  options?: JobsModuleOptions;
  /** Replaces `JobsModule.forRoot(options)`. */
  jobsModule?: DynamicModule;
  /** Modules besides those of TypeORM and the queue. */
  imports?: NonNullable<ModuleMetadata['imports']>;
  /** Registered with `jobs.register` before the application starts. */
  handlers?: Readonly<Record<string, Handler | readonly [Handler, TopicJobOptions]>>;
  /** Options of the application's DataSource. */
  typeOrm?: AppTypeOrmOptions;
  /** The HTTP adapter. Default: Express. */
  adapter?: AbstractHttpAdapter;
}

type AppTypeOrmOptions = Partial<DataSourceOptions> &
  Pick<TypeOrmModuleOptions, 'retryAttempts' | 'retryDelay'> & { name?: string };

/** Creates a fresh database for each test of the `describe`, and closes its applications after each test. */
export function useApps(kind: DatabaseKind): Apps {
  const apps = new Apps(kind);
  beforeEach(() => apps.open());
  afterEach(() => apps.close());
  return apps;
}

/** Creates one database and one application for all tests of the `describe`, which must not leave changes behind. */
export function useOneApp(kind: DatabaseKind, parts: AppParts = {}): () => TestApp {
  const apps = new Apps(kind);
  let app: TestApp;
  beforeAll(async () => {
    await apps.open();
    app = await apps.start(parts);
  });
  afterAll(() => apps.close());
  return () => app;
}

export class Apps {
  /** All log lines of the applications of this test. */
  log = new LogRecorder();
  private database!: TestDatabase;
  private dataSources: DataSource[] = [];
  private leftOvers: (() => Promise<unknown>)[] = [];
  private removals: (() => Promise<void>)[] = [];

  constructor(readonly kind: DatabaseKind) {}

  async open(): Promise<void> {
    this.log = new LogRecorder();
    this.database = await this.kind.create();
    this.removals.push(() => this.database.remove());
  }

  async close(): Promise<void> {
    for (const close of this.leftOvers.splice(0).reverse()) {
      await close();
    }
    for (const dataSource of this.dataSources.splice(0)) {
      if (dataSource.isInitialized) await dataSource.destroy();
    }
    for (const remove of this.removals.splice(0)) {
      await remove();
    }
  }

  /** The connection options of this test's database. */
  get address(): DataSourceOptions {
    return this.database.options;
  }

  /** Runs after the test, before earlier callbacks and before the applications created earlier close. */
  afterwards(close: () => Promise<unknown>): void {
    this.leftOvers.push(close);
  }

  /** Runs after everything else of this test has closed, before its databases are removed. */
  afterEverything(close: () => Promise<void>): void {
    this.removals.unshift(close);
  }

  /** Creates the module of TypeORM for this test's database, or for another one. */
  typeOrm(options: AppTypeOrmOptions = {}, address = this.address): DynamicModule {
    return TypeOrmModule.forRootAsync({
      name: options.name,
      useFactory: () => ({ ...address, synchronize: true, retryAttempts: 0, ...options }) as object,
      // Kept here too: Nest closes nothing of an application that did not start.
      dataSourceFactory: async (given) => {
        const dataSource = new DataSource(given!);
        this.dataSources.push(dataSource);
        return dataSource.initialize();
      },
    });
  }

  /** Creates another database of the same kind and returns its connection options. */
  async anotherDatabase(): Promise<DataSourceOptions> {
    const another = await this.kind.create();
    this.removals.push(() => another.remove());
    return another.options;
  }

  /** Returns the latest DataSource with this name. */
  dataSource(name: string): DataSource {
    return this.dataSources.findLast(({ options }) => (options as { name?: string }).name === name)!;
  }

  /** Creates an application without starting it: the test calls `init` or `listen`. */
  async create(parts: AppParts = {}): Promise<TestApp> {
    const { handlers = {}, typeOrm } = parts;
    // Without an admin token the API is closed and logs a warning, which tests would find in the log.
    const options = { http: { adminToken: 'of-these-tests' }, ...parts.options };
    const { jobsModule = JobsModule.forRoot(options) } = parts;
    const module = await Test.createTestingModule({
      imports: [this.typeOrm(typeOrm), jobsModule, ...(parts.imports ?? [])],
      providers: parts.providers,
      controllers: parts.controllers,
    })
      .setLogger(this.log)
      .compile();
    const app = parts.adapter
      ? module.createNestApplication(parts.adapter, { logger: this.log })
      : module.createNestApplication({ logger: this.log });
    app.enableShutdownHooks([ShutdownSignal.SIGTERM]);
    const test = new TestApp(module, app, module.get<DataSource>(getDataSourceToken()));
    this.afterwards(() => test.close());
    for (const [topic, handler] of Object.entries(handlers)) {
      const [run, handlerOptions] = typeof handler === 'function' ? [handler] : handler;
      test.jobs.register(topic, run, handlerOptions);
    }
    return test;
  }

  /** Creates and starts an application. */
  async start(parts: AppParts = {}): Promise<TestApp> {
    const test = await this.create(parts);
    await test.app.init();
    return test;
  }

  /** Returns the error that stops an application with these parts. */
  async refusal(parts: AppParts): Promise<Error> {
    try {
      await this.start(parts);
    } catch (error) {
      return error as Error;
    }
    throw new Error('expected the application not to start');
  }
}
