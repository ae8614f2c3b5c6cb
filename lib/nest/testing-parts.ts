import type { DataSource } from '../typeorm/connect.js';
import type { JobsOptions } from '../core/options.js';
import type { JobsEngine, JobsEngineOptions } from '../engine/jobs-engine.js';
import type { CreatedStore } from '../typeorm/create-job-store.js';

/** The store, and the DataSource of its repository. With the option `database` there is no repository. */
export type ModuleStore = Pick<CreatedStore, 'store'> & Partial<Pick<CreatedStore, 'dataSource'>>;

/** Replaces the store and the engine in tests. */
export interface TestingParts {
  /** @param app the application's DataSource; `undefined` if it has none. */
  createStore(app: DataSource | undefined, options: JobsOptions): Promise<ModuleStore>;
  createEngine(options: JobsEngineOptions): JobsEngine;
}

/** Token of the {@link TestingParts}. `JobsTestingModule` of `nestjs-jobs/testing` provides them. */
export const TESTING_PARTS = Symbol('nestjs-jobs:testing-parts');
