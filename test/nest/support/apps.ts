import type { DynamicModule, ModuleMetadata } from '@nestjs/common';
import { ShutdownSignal } from '@nestjs/common';
import type { AbstractHttpAdapter } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import type { TypeOrmModuleOptions } from '@nestjs/typeorm';
import { getDataSourceToken, TypeOrmModule } from '@nestjs/typeorm';
import type { JobHandlerOptions, JobContext, JobsModuleOptions } from 'nestjs-jobs';
import { JobsModule } from 'nestjs-jobs';
import type { DataSourceOptions } from 'typeorm';
import { DataSource } from 'typeorm';
import type { DatabaseKind, TestDatabase } from './database-kinds.js';
import { LogRecorder } from './log-recorder.js';
import { TestApp } from './test-app.js';

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- each handler knows the payload of its own topic
export type Handler = (job: JobContext<any>) => unknown;

/** What an application of a test is made of, beside its database. */
export interface AppParts extends Pick<ModuleMetadata, 'providers' | 'controllers'> {
  /** For `JobsModule.forRoot`. */
  options?: JobsModuleOptions;
  /** Instead of `JobsModule.forRoot(options)`. */
  jobsModule?: DynamicModule;
  /** Modules beside TypeORM's and the queue's. */
  imports?: NonNullable<ModuleMetadata['imports']>;
  /** Registered with `jobs.register` before the application starts. */
  handlers?: Readonly<Record<string, Handler | readonly [Handler, JobHandlerOptions]>>;
  /** Of the application's DataSource. */
  typeOrm?: AppTypeOrmOptions;
  /** What is below Nest. Default: Express. */
  adapter?: AbstractHttpAdapter;
}

type AppTypeOrmOptions = Partial<DataSourceOptions> &
  Pick<TypeOrmModuleOptions, 'retryAttempts' | 'retryDelay'> & { name?: string };

/** A fresh database for each test of the surrounding `describe`, and applications on it that are closed after the test. */
export function useApps(kind: DatabaseKind): Apps {
  const apps = new Apps(kind);
  beforeEach(() => apps.open());
  afterEach(() => apps.close());
  return apps;
}

/** The same for tests that leave nothing behind: one database, and one application, for all of them. */
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
  /** Every line that the applications of this test have logged. */
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

  /** What leads to this test's database. */
  get address(): DataSourceOptions {
    return this.database.options;
  }

  /** Runs after the test, before what was there earlier is closed. */
  afterwards(close: () => Promise<unknown>): void {
    this.leftOvers.push(close);
  }

  /** Runs when everything of this test has been closed, before its databases are removed. */
  afterEverything(close: () => Promise<void>): void {
    this.removals.unshift(close);
  }

  /** TypeORM's module for this test's database, or for another one. */
  typeOrm(options: AppTypeOrmOptions = {}, address = this.address): DynamicModule {
    return TypeOrmModule.forRootAsync({
      name: options.name,
      useFactory: () => ({ ...address, synchronize: true, retryAttempts: 0, ...options }) as object,
      // Known here as well, since Nest closes nothing of an application that did not start.
      dataSourceFactory: async (given) => {
        const dataSource = new DataSource(given!);
        this.dataSources.push(dataSource);
        return dataSource.initialize();
      },
    });
  }

  /** What leads to another fresh database of the same kind. */
  async anotherDatabase(): Promise<DataSourceOptions> {
    const another = await this.kind.create();
    this.removals.push(() => another.remove());
    return another.options;
  }

  /** The DataSource that the applications of this test know by a name. */
  dataSource(name: string): DataSource {
    return this.dataSources.findLast(({ options }) => (options as { name?: string }).name === name)!;
  }

  /** An application that has not started: `init` and `listen` are the test's. */
  async create(parts: AppParts = {}): Promise<TestApp> {
    const { handlers = {}, typeOrm } = parts;
    // Without an administrator the API is closed, and a warning says so, in the log that tests look at.
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

  /** A running application. */
  async start(parts: AppParts = {}): Promise<TestApp> {
    const test = await this.create(parts);
    await test.app.init();
    return test;
  }

  /** What stops an application with these parts from starting. */
  async refusal(parts: AppParts): Promise<Error> {
    try {
      await this.start(parts);
    } catch (error) {
      return error as Error;
    }
    throw new Error('expected the application not to start');
  }
}
