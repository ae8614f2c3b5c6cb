import type { FactoryProvider, InjectionToken, ModuleMetadata, Provider, Type } from '@nestjs/common';
import { describeValue } from '../core/error-text.js';
import { InvalidOptionsError, withCall } from '../core/errors.js';
import type { Check, Option, OptionValues } from '../core/option-checks.js';
import { flag, functionCheck, readOptions, recordCheck } from '../core/option-checks.js';
import type { JobsOptions } from '../core/options.js';
import { OPTIONS, readJobsOptions } from '../core/options.js';
import {
  injectWithout,
  misplacedOption,
  missingInject,
  NO_CREATE_JOBS_OPTIONS,
  NO_OPTIONS_SOURCE,
  noOptionsObject,
  twoOptionsSources,
} from './jobs.messages.js';

/** Token of the module's options, as the application wrote them. */
export const JOBS_OPTIONS = Symbol('nestjs-jobs:options');

/** Whether every module of the application can inject the queue without importing it. */
export interface VisibilityOptions {
  /** Whether other modules inject `JobsService` without an import. Default `true`. */
  isGlobal?: boolean | undefined;
}

/** Given beside `useFactory`, because Nest needs them to build the module, before `useFactory` runs. */
type BuildOptions = Pick<JobsOptions, 'dataSource' | 'http' | 'ui'>;
/** The options that `useFactory`, or a provider, returns. */
type FactoryOptions = Omit<JobsOptions, 'http' | 'ui'>;

/** Implemented by the provider of `useClass` or `useExisting`. */
export interface JobsOptionsFactory {
  /** Returns the module's options. Called once, before the queue starts. */
  createJobsOptions(): FactoryOptions | Promise<FactoryOptions>;
}

/**
 * Options of `forRootAsync`: one of `useFactory`, `useClass` and `useExisting`. Pass `http`, `ui` and `dataSource` beside it, not in
 * its result: Nest needs them before it runs.
 */
export interface JobsModuleAsyncOptions extends VisibilityOptions, BuildOptions {
  /** Modules that export the injected providers. */
  imports?: ModuleMetadata['imports'];
  /** Tokens of the providers that are passed to `useFactory`. */
  inject?: FactoryProvider['inject'];
  /** Returns the other options, or a promise of them. */
  useFactory?: FactoryProvider<FactoryOptions>['useFactory'] | undefined;
  /** A class that the module instantiates. It returns the other options. */
  useClass?: Type<JobsOptionsFactory> | undefined;
  /** Token of such an instance. One of `imports` or a global module exports it. */
  useExisting?: InjectionToken<JobsOptionsFactory> | undefined;
}

const anyCheck: Check<never> = { expects: 'anything', parse: (value) => value as never };
const tokenCheck: Check<InjectionToken<JobsOptionsFactory>> = {
  expects: 'the token of a provider',
  parse: (value) =>
    ['string', 'symbol', 'function'].includes(typeof value) ? (value as InjectionToken<JobsOptionsFactory>) : undefined,
};

function optional<Name extends keyof JobsModuleAsyncOptions>(
  check: Check<NonNullable<JobsModuleAsyncOptions[Name]>>,
  meaning: string,
): Option<JobsModuleAsyncOptions[Name]> {
  return { default: undefined, check, meaning };
}

const ASYNC_OPTIONS = {
  isGlobal: { default: true, check: flag, meaning: 'injectable without an import' },
  imports: optional<'imports'>(anyCheck, 'modules that export the injected providers'),
  inject: optional<'inject'>(anyCheck, 'tokens of the providers that are passed to useFactory'),
  useFactory: optional<'useFactory'>(functionCheck('a function'), 'returns the other options'),
  useClass: optional<'useClass'>(functionCheck('a class'), 'a class that returns the other options'),
  useExisting: optional<'useExisting'>(tokenCheck, 'token of a provider that returns the other options'),
  dataSource: OPTIONS.dataSource,
  http: OPTIONS.http,
  ui: OPTIONS.ui,
};

const SOURCES = ['useFactory', 'useClass', 'useExisting'] as const;
type OptionsSource = (typeof SOURCES)[number];
type CheckedAsyncOptions = OptionValues<typeof ASYNC_OPTIONS>;

/**
 * Checks the options of `forRootAsync` and returns them with the providers of {@link JOBS_OPTIONS}.
 *
 * @throws InvalidOptionsError for these options. The options that `useFactory` returns are checked at start, by the providers.
 */
export function readAsyncOptions(
  given: JobsModuleAsyncOptions,
): CheckedAsyncOptions & { readonly options: Provider[] } {
  const checked = readOptions(ASYNC_OPTIONS, given);
  return { ...checked, options: createProviders(readSource(checked), checked, given) };
}

function readSource(checked: CheckedAsyncOptions): OptionsSource {
  const [source, other] = SOURCES.filter((name) => checked[name] !== undefined);
  if (source === undefined) {
    throw new InvalidOptionsError('useFactory', NO_OPTIONS_SOURCE);
  }
  if (other !== undefined) {
    throw new InvalidOptionsError(other, twoOptionsSources(source));
  }
  const { inject = [], useFactory } = checked;
  if (!useFactory && inject.length > 0) {
    throw new InvalidOptionsError('inject', injectWithout(source));
  }
  // Without `inject` Nest would pass `undefined`, and the factory would fail with an error that does not say why.
  if (useFactory && inject.length === 0 && useFactory.length > 0) {
    throw new InvalidOptionsError('inject', missingInject(useFactory.length));
  }
  return source;
}

function createProviders(
  source: OptionsSource,
  { useFactory, useClass, useExisting, inject }: CheckedAsyncOptions,
  buildOptions: BuildOptions,
): Provider[] {
  const merge = (returned: unknown): JobsOptions => {
    try {
      return mergeOptions(source, returned, buildOptions);
    } catch (error) {
      throw withCall('JobsModule.forRootAsync', error);
    }
  };
  if (useFactory) {
    return [
      { provide: JOBS_OPTIONS, inject, useFactory: async (...args: unknown[]) => merge(await useFactory(...args)) },
    ];
  }
  const token = useClass ?? useExisting!;
  const create = async (factory: JobsOptionsFactory): Promise<JobsOptions> => {
    if (typeof factory?.createJobsOptions !== 'function') {
      throw new InvalidOptionsError(source, NO_CREATE_JOBS_OPTIONS, { call: 'JobsModule.forRootAsync' });
    }
    return merge(await factory.createJobsOptions());
  };
  return [...(useClass ? [useClass] : []), { provide: JOBS_OPTIONS, inject: [token], useFactory: create }];
}

/** Joins the returned options with those beside `source`, and checks them. */
function mergeOptions(source: OptionsSource, returned: unknown, { dataSource, http, ui }: BuildOptions): JobsOptions {
  const given = recordCheck.parse(returned, source) as JobsOptions | undefined;
  if (!given) {
    throw new InvalidOptionsError(source, noOptionsObject(describeValue(returned)));
  }
  const buildOptions = { dataSource, http, ui };
  for (const name of ['dataSource', 'http', 'ui'] as const) {
    if (given[name] !== undefined && given[name] !== buildOptions[name]) {
      throw new InvalidOptionsError(name, misplacedOption(source));
    }
  }
  const options: JobsOptions = { ...given, ...buildOptions };
  readJobsOptions(options);
  return options;
}
