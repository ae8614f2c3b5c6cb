import type { DynamicModule, HttpServer, InjectionToken, ModuleMetadata, NestModule, Provider } from '@nestjs/common';
import { Inject, Module, Optional } from '@nestjs/common';
import { DiscoveryModule, HttpAdapterHost, ModulesContainer } from '@nestjs/core';
import type { DataSource } from './typeorm/connect.js';
import { withCall } from './core/errors.js';
import { Job } from './core/job.js';
import type { JobsOptions, JobsSettings } from './core/options.js';
import { applyCheck, flag, recordCheck } from './core/option-checks.js';
import { readJobsOptions } from './core/options.js';
import { JobsUiController } from './http/jobs-ui.controller.js';
import { RegisteredRoutes } from './http/http-adapter.js';
import { createHttpParts } from './http/http-providers.js';
import { JobsEngine } from './engine/jobs-engine.js';
import { createDatabaseStore } from './store/create-store.js';
import type { JobStore } from './store/job-store.js';
import { loadNestTypeOrm } from './typeorm/packages.cjs';
import { createJobStore } from './typeorm/create-job-store.js';
import type { JobsModuleAsyncOptions, VisibilityOptions } from './nest/async-options.js';
import { JOBS_OPTIONS, readAsyncOptions } from './nest/async-options.js';
import { EventBridge } from './nest/event-bridge.js';
import { HandlerPipeline } from './nest/pipeline/handler-pipeline.js';
import { JobsHealthIndicator } from './nest/jobs-health.indicator.js';
import { JobsExplorer } from './nest/jobs.explorer.js';
import { JOBS_STORE, JobsLifecycle } from './nest/jobs.lifecycle.js';
import { provideInjectedJobs } from './nest/job-queue.js';
import { JobsService } from './nest/jobs.service.js';
import { queueLogger } from './nest/nest-logger.js';
import type { ModuleCall } from './nest/module-checks.js';
import {
  assertConfigured,
  assertSingleModule,
  hasDataSource,
  MODULE_CALL,
  throwMissingDataSource,
} from './nest/module-checks.js';
import type { ModuleStore, TestingParts } from './nest/testing-parts.js';
import { TESTING_PARTS } from './nest/testing-parts.js';

/** Options of `forRoot`. */
export type JobsModuleOptions = JobsOptions & VisibilityOptions;

const CREATED_STORE = Symbol('nestjs-jobs:created-store');

/**
 * A durable background job queue in the database the application already has.
 *
 * @publicApi
 */
@Module({})
export class JobsModule implements NestModule {
  constructor(
    @Inject(ModulesContainer) modules: ModulesContainer,
    @Inject(HttpAdapterHost) private readonly host: HttpAdapterHost,
    @Optional() @Inject(RegisteredRoutes) private readonly routes?: RegisteredRoutes,
    @Optional() @Inject(MODULE_CALL) private readonly call?: ModuleCall,
  ) {
    assertConfigured(modules);
  }

  /** Nest calls this after it has added the body parsers and before it registers the routes. */
  configure(): void {
    if (this.routes) {
      const adapter = this.host.httpAdapter as unknown as HttpServer;
      try {
        this.routes.bypassBodyParsers(adapter);
      } catch (error) {
        throw withCall(this.call, error);
      }
      JobsUiController.setWildcard(adapter.getType());
    }
  }

  /** @throws InvalidOptionsError for an unknown option, an invalid value, or two options that contradict each other. */
  static forRoot(given: JobsModuleOptions = {}): DynamicModule {
    return createModule('JobsModule.forRoot', () => {
      const { isGlobal = true, ...options } = applyCheck(recordCheck, given, 'options') as JobsModuleOptions;
      return {
        ...readJobsOptions(options),
        isGlobal: applyCheck(flag, isGlobal, 'isGlobal'),
        options: [{ provide: JOBS_OPTIONS, useValue: options }],
      };
    });
  }

  /**
   * Like `forRoot`, with options from a factory or a provider. Pass `http`, `ui` and `dataSource` beside `useFactory`, not in its
   * result: controllers are registered before it runs.
   *
   * @throws InvalidOptionsError for an invalid member of `options`. For an invalid option that `useFactory` returns, the start of the
   * application rejects with it.
   */
  static forRootAsync(options: JobsModuleAsyncOptions): DynamicModule {
    return createModule('JobsModule.forRootAsync', () => readAsyncOptions(options));
  }
}

/** What Nest needs when it builds the module. */
interface ModuleParts extends Pick<JobsSettings, 'dataSource' | 'http' | 'ui'> {
  readonly isGlobal: boolean;
  /** Provides all options. */
  readonly options: Provider[];
  readonly imports?: ModuleMetadata['imports'];
}

/** @throws InvalidOptionsError that begins with the name of the call. */
function createModule(call: ModuleCall, readParts: () => ModuleParts): DynamicModule {
  try {
    return toDynamicModule(call, readParts());
  } catch (error) {
    throw withCall(call, error);
  }
}

function toDynamicModule(
  call: ModuleCall,
  { isGlobal, dataSource, http, ui, options, imports = [] }: ModuleParts,
): DynamicModule {
  const httpParts = createHttpParts(http, ui);
  const repository = createRepository();
  const parts = {
    module: JobsModule,
    global: isGlobal,
    // With the class, so that `overrideModule(JobsModule)` of a test finds something to replace: it compares by identity, and each
    // call of `forRoot` returns another object.
    imports: [DiscoveryModule, JobsModule, ...imports],
    controllers: httpParts.controllers,
    providers: [
      ...options,
      { provide: MODULE_CALL, useValue: call },
      createStoreProvider(call, dataSource),
      { provide: JOBS_STORE, inject: [CREATED_STORE], useFactory: ({ store }: ModuleStore) => store },
      {
        provide: JobsEngine,
        inject: [JOBS_STORE, JOBS_OPTIONS, { token: TESTING_PARTS, optional: true }],
        useFactory: (store: JobStore, given: JobsOptions, testing?: TestingParts) => {
          const options = { ...given, store, logger: queueLogger };
          return testing ? testing.createEngine(options) : new JobsEngine(options);
        },
      },
      ...repository.providers,
      EventBridge,
      HandlerPipeline,
      JobsExplorer,
      JobsHealthIndicator,
      JobsLifecycle,
      JobsService,
      ...httpParts.providers,
    ],
    exports: [JobsService, JobsHealthIndicator, JobsEngine, ...repository.tokens],
  };
  return {
    ...parts,
    // Nest reads these when it creates the application: by then the files with `@InjectJobs` have been loaded.
    get providers() {
      return [...parts.providers, ...provideInjectedJobs()];
    },
    get exports() {
      return [...parts.exports, ...provideInjectedJobs().map(({ provide }) => provide)];
    },
  };
}

/** Provides the repository of `Job` where TypeORM is installed. With the option `database` there is none. */
function createRepository(): { readonly tokens: readonly InjectionToken[]; readonly providers: readonly Provider[] } {
  const token = loadNestTypeOrm()?.getRepositoryToken(Job) as InjectionToken | undefined;
  if (token === undefined) {
    return { tokens: [], providers: [] };
  }
  const useFactory = ({ dataSource }: ModuleStore): unknown => dataSource?.getRepository(Job);
  return { tokens: [token], providers: [{ provide: token, inject: [CREATED_STORE], useFactory }] };
}

/** Stands for the token of the DataSource where TypeORM is not installed. */
const NO_DATA_SOURCE = Symbol('nestjs-jobs:no-data-source');

/** Provides {@link CREATED_STORE}. */
function createStoreProvider(call: ModuleCall, dataSource: string | undefined): Provider {
  const token = (loadNestTypeOrm()?.getDataSourceToken(dataSource) ?? NO_DATA_SOURCE) as InjectionToken;
  return {
    provide: CREATED_STORE,
    // Optional: a missing DataSource is then reported by `throwMissingDataSource`, not by Nest.
    inject: [{ token, optional: true }, JOBS_OPTIONS, ModulesContainer, { token: TESTING_PARTS, optional: true }],
    useFactory: async (
      app: DataSource | undefined,
      given: JobsOptions,
      modules: ModulesContainer,
      testing: TestingParts | undefined,
    ) => {
      assertSingleModule(modules);
      try {
        // A test without a DataSource gets a database of its own.
        const isOptional = given.database !== undefined || (testing !== undefined && !hasDataSource(modules));
        const found = app ?? (isOptional ? undefined : await throwMissingDataSource(modules, token, dataSource));
        const created = testing ? await testing.createStore(found, given) : createModuleStore(found, given);
        await created.store.open();
        return created;
      } catch (error) {
        throw withCall(call, error);
      }
    },
  };
}

/** @param app the application's DataSource; not used with the option `database`. */
function createModuleStore(app: DataSource | undefined, given: JobsOptions): ModuleStore {
  const parts = { logger: queueLogger };
  return given.database === undefined
    ? createJobStore(app!, given, parts)
    : { store: createDatabaseStore(given, parts) };
}
