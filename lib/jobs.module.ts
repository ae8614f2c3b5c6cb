import type { DynamicModule, FactoryProvider, InjectionToken, ModuleMetadata, Provider } from '@nestjs/common';
import { Inject, Module } from '@nestjs/common';
import { DiscoveryModule, ModulesContainer } from '@nestjs/core';
import { getDataSourceToken, getRepositoryToken } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import { describeValue, InvalidOptionsError } from './core/errors.js';
import { Job } from './core/job.js';
import type { JobsOptions, JobsSettings } from './core/options.js';
import type { Check, Option } from './core/option-checks.js';
import { checked, flag, readOptions, recordCheck } from './core/option-checks.js';
import { OPTIONS, readJobsOptions } from './core/options.js';
import { httpParts } from './http/http-parts.js';
import { uiParts } from './http/ui-parts.js';
import { createJobStore, JobsEngine } from './jobs-engine.js';
import { HandlerPipeline } from './nest/pipeline/handler-pipeline.js';
import { JobsExplorer } from './nest/jobs.explorer.js';
import { JobsLifecycle } from './nest/jobs.lifecycle.js';
import { JobsService } from './nest/jobs.service.js';
import { LazyModules } from './nest/lazy-modules.js';
import { JOBS_OPTIONS, JOBS_STORE } from './nest/jobs.tokens.js';
import { queueLogger } from './nest/nest-logger.js';
import { refuseNoDataSource } from './nest/no-data-source.js';
import { refuseNoQueue, refuseSecondQueue } from './nest/one-queue.js';
import type { CreatedStore } from './store/create-store.js';

/** Whether the module is seen everywhere without being imported. Default `true`. */
interface Visibility {
  isGlobal?: boolean | undefined;
}

/** What `forRoot` takes. */
export type JobsModuleOptions = JobsOptions & Visibility;

/**
 * What `forRootAsync` takes. What decides routes and wiring must be known when the module is built, so it stands beside
 * the factory.
 */
export interface JobsModuleAsyncOptions extends Visibility, Pick<JobsOptions, 'dataSource' | 'http' | 'ui'> {
  imports?: ModuleMetadata['imports'];
  inject?: FactoryProvider['inject'];
  /** Gives the other options; what it needs stands in `inject`. */
  useFactory: FactoryProvider<Omit<JobsOptions, 'http' | 'ui'>>['useFactory'];
}

type Factory = JobsModuleAsyncOptions['useFactory'];

const anything: Check<never> = { expects: 'anything', parse: (value) => value as never };
const factoryCheck: Check<Factory> = {
  expects: 'a function',
  parse: (value) => (typeof value === 'function' ? (value as Factory) : undefined),
};

const asyncTable = {
  isGlobal: { default: true, check: flag, meaning: 'seen everywhere without being imported' },
  imports: { default: undefined, check: anything, meaning: 'modules that export what the factory injects' } as Option<
    ModuleMetadata['imports']
  >,
  inject: { default: undefined, check: anything, meaning: 'what the factory is given' } as Option<
    FactoryProvider['inject']
  >,
  useFactory: { default: () => ({}), check: factoryCheck, meaning: 'gives the other options' } as Option<Factory>,
  dataSource: OPTIONS.dataSource,
  http: OPTIONS.http,
  ui: OPTIONS.ui,
};

/** The store together with the DataSource it lives on. */
const CREATED_STORE = Symbol('nestjs-jobs:created-store');

/**
 * A durable background job queue in the database the application already has.
 *
 * @publicApi
 */
@Module({})
export class JobsModule {
  constructor(@Inject(ModulesContainer) modules: ModulesContainer) {
    refuseNoQueue(modules);
  }

  /** @throws InvalidOptionsError for an unknown option, a refused value, or two that contradict each other. */
  static forRoot(given: JobsModuleOptions = {}): DynamicModule {
    const { isGlobal = true, ...options } = checked(recordCheck, given, 'options') as JobsModuleOptions;
    const settings = readJobsOptions(options);
    return moduleOf({
      ...settings,
      isGlobal: checked(flag, isGlobal, 'isGlobal'),
      options: { provide: JOBS_OPTIONS, useValue: options },
    });
  }

  /**
   * As `forRoot`, with options that a factory makes of what is injected. What decides routes, `http` and `ui`, stands beside
   * the factory, as does `dataSource`: these must be known when the module is built.
   *
   * @throws InvalidOptionsError at once for what stands beside the factory, at start for what it gives.
   */
  static forRootAsync(options: JobsModuleAsyncOptions): DynamicModule {
    const { isGlobal, imports, inject, useFactory, dataSource, http, ui } = readOptions(asyncTable, options);
    checked(factoryCheck, options.useFactory, 'useFactory');
    refuseMissingInjects(useFactory, inject);
    const provider: FactoryProvider<JobsOptions> = {
      provide: JOBS_OPTIONS,
      inject,
      useFactory: async (...args: unknown[]) => {
        const made = (await useFactory(...args)) as JobsOptions | null | undefined;
        if (!made) {
          throw new InvalidOptionsError(
            'useFactory',
            `expected it to give an object of options, got ${describeValue(made)}`,
          );
        }
        for (const name of ['dataSource', 'http', 'ui'] as const) {
          if (made[name] !== undefined && made[name] !== options[name]) {
            throw new InvalidOptionsError(
              name,
              'decides how the module is built: expected it beside useFactory, got it from there',
            );
          }
        }
        const given: JobsOptions = { ...made, dataSource, http: options.http, ui: options.ui };
        readJobsOptions(given);
        return given;
      },
    };
    return moduleOf({ isGlobal, dataSource, http, ui, options: provider, imports });
  }
}

/** A factory that forgot `inject` would be given `undefined`, and fail somewhere inside. */
function refuseMissingInjects(useFactory: Factory, inject: FactoryProvider['inject'] = []): void {
  if (inject.length === 0 && useFactory.length > 0) {
    throw new InvalidOptionsError(
      'inject',
      `expected one provider for each parameter of useFactory (${useFactory.length}), got none`,
    );
  }
}

/** What must be known when the module is built. */
interface ModuleParts extends Pick<JobsSettings, 'dataSource' | 'http' | 'ui'> {
  readonly isGlobal: boolean;
  /** Gives all options. */
  readonly options: Provider;
  readonly imports?: ModuleMetadata['imports'];
}

function moduleOf({ isGlobal, dataSource, http, ui, options, imports = [] }: ModuleParts): DynamicModule {
  const overHttp = [httpParts(http), uiParts(http, ui)];
  return {
    module: JobsModule,
    global: isGlobal,
    imports: [DiscoveryModule, ...imports],
    controllers: overHttp.flatMap(({ controllers }) => controllers),
    providers: [
      options,
      {
        provide: CREATED_STORE,
        // Optional, so that a missing one is told in words of ours.
        inject: [
          { token: getDataSourceToken(dataSource) as InjectionToken, optional: true },
          JOBS_OPTIONS,
          ModulesContainer,
        ],
        useFactory: async (app: DataSource | undefined, given: JobsOptions, modules: ModulesContainer) => {
          refuseSecondQueue(modules);
          const created = createJobStore(app ?? (await refuseNoDataSource(modules, dataSource)), given, {
            logger: queueLogger,
          });
          await created.store.open();
          return created;
        },
      },
      { provide: JOBS_STORE, inject: [CREATED_STORE], useFactory: ({ store }: CreatedStore) => store },
      {
        provide: JobsEngine,
        inject: [JOBS_STORE, JOBS_OPTIONS],
        useFactory: (store: CreatedStore['store'], given: JobsOptions) =>
          new JobsEngine({ ...given, store, logger: queueLogger }),
      },
      {
        provide: getRepositoryToken(Job),
        inject: [CREATED_STORE],
        useFactory: ({ dataSource: own }: CreatedStore) => own.getRepository(Job),
      },
      HandlerPipeline,
      JobsExplorer,
      JobsLifecycle,
      JobsService,
      LazyModules,
      ...overHttp.flatMap(({ providers }) => providers),
    ],
    exports: [JobsService, JobsEngine, getRepositoryToken(Job)],
  };
}
