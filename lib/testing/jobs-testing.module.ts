import type { DynamicModule, OnApplicationShutdown, Provider } from '@nestjs/common';
import { Global, Module } from '@nestjs/common';
import type { DataSource } from '../typeorm/connect.js';
import { connect } from '../typeorm/connect.js';
import type { JobsOptions } from '../core/options.js';
import { oneOf, option, readOptions } from '../core/option-checks.js';
import type { JobsEngineOptions } from '../engine/jobs-engine.js';
import { queueLogger } from '../nest/nest-logger.js';
import type { ModuleStore, TestingParts } from '../nest/testing-parts.js';
import { TESTING_PARTS } from '../nest/testing-parts.js';
import { createDatabaseStore } from '../store/create-store.js';
import { createJobStore } from '../typeorm/create-job-store.js';
import { JobsTesting } from './jobs-testing.js';
import { TestingEngine } from './testing-engine.js';

/** Options of {@link JobsTestingModule}. */
export interface JobsTestingOptions {
  /**
   * `'manual'`: jobs run when the test calls `runPending()`. `'inline'`: jobs run as soon as they are committed, before `enqueue()` or
   * the `transaction()` around `enqueueTx()` returns. Default `'manual'`.
   */
  mode?: 'manual' | 'inline' | undefined;
}

const OPTIONS = { mode: option('manual', oneOf('manual', 'inline')) };

/**
 * Lets a test decide when jobs run. The queue keeps its options, handlers and database; an application with neither a DataSource
 * nor the option `database` gets a DataSource in memory.
 *
 * @example
 * const app = await Test.createTestingModule({ imports: [AppModule] })
 *   .overrideModule(JobsModule)
 *   .useModule(JobsTestingModule.forRoot({ mode: 'manual' }))
 *   .compile();
 *
 * @publicApi
 */
@Global()
@Module({
  // `forRoot` replaces the first one. The class alone has the default mode.
  providers: [
    createQueueProvider('manual'),
    { provide: JobsTesting, inject: [TESTING_PARTS], useFactory: (queue: TestedQueue) => new JobsTesting(queue) },
  ],
  exports: [TESTING_PARTS, JobsTesting],
})
export class JobsTestingModule {
  /** @throws InvalidOptionsError for an unknown option or an invalid value. */
  static forRoot(options: JobsTestingOptions = {}): DynamicModule {
    const { mode } = readOptions(OPTIONS, options, 'JobsTestingModule.forRoot');
    return { module: JobsTestingModule, providers: [createQueueProvider(mode)] };
  }
}

/** The queue of one application under test. */
class TestedQueue implements TestingParts, OnApplicationShutdown {
  engine: TestingEngine | undefined;
  private readonly time = { aheadMs: 0 };
  /** `undefined` with the option `database`. */
  private app: DataSource | undefined;
  private memory: DataSource | undefined;

  constructor(private readonly mode: 'manual' | 'inline') {}

  async createStore(app: DataSource | undefined, options: JobsOptions): Promise<ModuleStore> {
    const parts = { logger: queueLogger, time: this.time };
    if (options.database !== undefined) {
      return { store: createDatabaseStore(options, parts) };
    }
    if (!app) {
      this.memory = await connect({ type: 'better-sqlite3', database: ':memory:' });
    }
    this.app = app ?? this.memory!;
    return createJobStore(this.app, options, parts);
  }

  createEngine(options: JobsEngineOptions): TestingEngine {
    const { app, mode, time } = this;
    this.engine = new TestingEngine(options, { app, mode, time });
    return this.engine;
  }

  async onApplicationShutdown(): Promise<void> {
    await this.memory?.destroy();
  }
}

function createQueueProvider(mode: 'manual' | 'inline'): Provider {
  return { provide: TESTING_PARTS, useFactory: () => new TestedQueue(mode) };
}
