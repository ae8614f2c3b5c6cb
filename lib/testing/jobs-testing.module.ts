import type { DynamicModule, OnApplicationShutdown, Provider } from '@nestjs/common';
import { Global, Module } from '@nestjs/common';
import type { DataSource } from '../typeorm/connect.js';
import { connect } from '../typeorm/connect.js';
import type { JobsOptions } from '../core/options.js';
import { oneOf, option, readOptions } from '../core/option-checks.js';
import type { JobsEngineOptions } from '../engine/jobs-engine.js';
import { queueLogger } from '../nest/nest-logger.js';
import type { TestingParts } from '../nest/testing-parts.js';
import { TESTING_PARTS } from '../nest/testing-parts.js';
import type { CreatedStore } from '../typeorm/create-job-store.js';
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
 * Lets a test decide when jobs run. The queue keeps its options, handlers and database; an application without a DataSource gets
 * one in memory.
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
  private app!: DataSource;
  private memory: DataSource | undefined;

  constructor(private readonly mode: 'manual' | 'inline') {}

  async createStore(app: DataSource | undefined, options: JobsOptions): Promise<CreatedStore> {
    if (!app) {
      this.memory = await connect({ type: 'better-sqlite3', database: ':memory:' });
    }
    this.app = app ?? this.memory!;
    return createJobStore(this.app, options, { logger: queueLogger, time: this.time });
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
