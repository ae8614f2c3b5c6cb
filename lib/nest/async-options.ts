import type { FactoryProvider, InjectionToken, ModuleMetadata, Provider, Type } from '@nestjs/common';
import { describeValue } from '../core/error-text.js';
import { InvalidOptionsError } from '../core/errors.js';
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
export interface Visibility {
  /** Default `true`. */
  isGlobal?: boolean | undefined;
}

/** Nest needs these when it builds the module, before a source returns the others. */
type BuildOptions = Pick<JobsOptions, 'dataSource' | 'http' | 'ui'>;
type SourceOptions = Omit<JobsOptions, 'http' | 'ui'>;

/** Implemented by the provider of `useClass` or `useExisting`. */
export interface JobsOptionsFactory {
  /** Returns the module's options. Called once, before the queue starts. */
  createJobsOptions(): SourceOptions | Promise<SourceOptions>;
}

/**
 * Options of `forRootAsync`: one of `useFactory`, `useClass` and `useExisting`. The options `dataSource`, `http` and `ui` go
 * next to it, because Nest needs them when it builds the module.
 */
export interface JobsModuleAsyncOptions extends Visibility, BuildOptions {
  /** Modules that export the injected providers. */
  imports?: ModuleMetadata['imports'];
  /** Tokens of the providers that are passed to `useFactory`. */
  inject?: FactoryProvider['inject'];
  /** Returns the other options, or a promise of them. */
  useFactory?: FactoryProvider<SourceOptions>['useFactory'] | undefined;
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
type Source = (typeof SOURCES)[number];
type Read = OptionValues<typeof ASYNC_OPTIONS>;

/**
 * Checks the options of `forRootAsync` and returns them with the providers of {@link JOBS_OPTIONS}.
 *
 * @throws InvalidOptionsError for these options. At start the providers throw it for the options that a source returns.
 */
export function readAsyncOptions(given: JobsModuleAsyncOptions): Read & { readonly options: Provider[] } {
  const read = readOptions(ASYNC_OPTIONS, given);
  return { ...read, options: createProviders(readSource(read), read, given) };
}

function readSource(read: Read): Source {
  const [source, other] = SOURCES.filter((name) => read[name] !== undefined);
  if (source === undefined) {
    throw new InvalidOptionsError('useFactory', NO_OPTIONS_SOURCE);
  }
  if (other !== undefined) {
    throw new InvalidOptionsError(other, twoOptionsSources(source));
  }
  const { inject = [], useFactory } = read;
  if (!useFactory && inject.length > 0) {
    throw new InvalidOptionsError('inject', injectWithout(source));
  }
  // Without `inject` the factory would get `undefined`, and fail with an error that does not say why.
  if (useFactory && inject.length === 0 && useFactory.length > 0) {
    throw new InvalidOptionsError('inject', missingInject(useFactory.length));
  }
  return source;
}

function createProviders(
  source: Source,
  { useFactory, useClass, useExisting, inject }: Read,
  buildOptions: BuildOptions,
): Provider[] {
  const merge = (returned: unknown): JobsOptions => mergeOptions(source, returned, buildOptions);
  if (useFactory) {
    return [
      { provide: JOBS_OPTIONS, inject, useFactory: async (...args: unknown[]) => merge(await useFactory(...args)) },
    ];
  }
  const token = useClass ?? useExisting!;
  const create = async (factory: JobsOptionsFactory): Promise<JobsOptions> => {
    if (typeof factory?.createJobsOptions !== 'function') {
      throw new InvalidOptionsError(source, NO_CREATE_JOBS_OPTIONS);
    }
    return merge(await factory.createJobsOptions());
  };
  return [...(useClass ? [useClass] : []), { provide: JOBS_OPTIONS, inject: [token], useFactory: create }];
}

/** Joins the options that the source returned with those next to it, and checks them. */
function mergeOptions(source: Source, returned: unknown, { dataSource, http, ui }: BuildOptions): JobsOptions {
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
