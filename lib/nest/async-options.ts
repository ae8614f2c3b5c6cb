import type { FactoryProvider, InjectionToken, ModuleMetadata, Provider, Type } from '@nestjs/common';
import { describeValue } from '../core/error-text.js';
import { InvalidOptionsError } from '../core/errors.js';
import type { Check, Option, OptionValues } from '../core/option-checks.js';
import { flag, readOptions, recordCheck } from '../core/option-checks.js';
import type { JobsOptions } from '../core/options.js';
import { OPTIONS, readJobsOptions } from '../core/options.js';
import { JOBS_OPTIONS } from './jobs.tokens.js';

/** Whether the module is seen everywhere without being imported. Default `true`. */
export interface Visibility {
  isGlobal?: boolean | undefined;
}

/** What must be known when the module is built: it stands beside whatever gives the other options. */
type BuildingOptions = Pick<JobsOptions, 'dataSource' | 'http' | 'ui'>;
type LaterOptions = Omit<JobsOptions, 'http' | 'ui'>;

/** What `useClass` and `useExisting` of `forRootAsync` want. */
export interface JobsOptionsFactory {
  /** Called once, before the queue starts. */
  createJobsOptions(): LaterOptions | Promise<LaterOptions>;
}

/**
 * What `forRootAsync` takes: one of `useFactory`, `useClass` and `useExisting`. What decides routes and wiring must be known
 * when the module is built, so it stands beside that one.
 */
export interface JobsModuleAsyncOptions extends Visibility, BuildingOptions {
  imports?: ModuleMetadata['imports'];
  /** What `useFactory` is given. */
  inject?: FactoryProvider['inject'];
  /** Gives the other options; what it needs stands in `inject`. */
  useFactory?: FactoryProvider<LaterOptions>['useFactory'] | undefined;
  /** A class of which the module makes an instance, which gives the other options. */
  useClass?: Type<JobsOptionsFactory> | undefined;
  /** The token of such an instance, which one of `imports` or a global module exports. */
  useExisting?: InjectionToken<JobsOptionsFactory> | undefined;
}

const tokenCheck: Check<InjectionToken<JobsOptionsFactory>> = {
  expects: 'the token of a provider',
  parse: (value) =>
    ['string', 'symbol', 'function'].includes(typeof value) ? (value as InjectionToken<JobsOptionsFactory>) : undefined,
};
const anything: Check<never> = { expects: 'anything', parse: (value) => value as never };

function functionCheck<T>(expects: string): Check<T> {
  return { expects, parse: (value) => (typeof value === 'function' ? (value as T) : undefined) };
}

const table = {
  isGlobal: { default: true, check: flag, meaning: 'seen everywhere without being imported' },
  imports: { default: undefined, check: anything, meaning: 'modules that export what is injected' } as Option<
    JobsModuleAsyncOptions['imports']
  >,
  inject: { default: undefined, check: anything, meaning: 'what the factory is given' } as Option<
    JobsModuleAsyncOptions['inject']
  >,
  useFactory: { default: undefined, check: functionCheck('a function'), meaning: 'gives the other options' } as Option<
    JobsModuleAsyncOptions['useFactory']
  >,
  useClass: {
    default: undefined,
    check: functionCheck('a class'),
    meaning: 'a class that gives the other options',
  } as Option<JobsModuleAsyncOptions['useClass']>,
  useExisting: {
    default: undefined,
    check: tokenCheck,
    meaning: 'the token of a provider that gives the other options',
  } as Option<JobsModuleAsyncOptions['useExisting']>,
  dataSource: OPTIONS.dataSource,
  http: OPTIONS.http,
  ui: OPTIONS.ui,
};

const SOURCES = ['useFactory', 'useClass', 'useExisting'] as const;
type Source = (typeof SOURCES)[number];
type Read = OptionValues<typeof table>;

/**
 * The options of `forRootAsync`, and the providers of {@link JOBS_OPTIONS}.
 *
 * @throws InvalidOptionsError at once for what is known at once; the providers throw it for what is given at start.
 */
export function readAsyncOptions(given: JobsModuleAsyncOptions): Read & { readonly options: Provider[] } {
  const read = readOptions(table, given);
  return { ...read, options: providersOf(sourceOf(read), read, given) };
}

/** Which of the sources gives the options. */
function sourceOf(read: Read): Source {
  const [source, other] = SOURCES.filter((name) => read[name] !== undefined);
  if (source === undefined) {
    throw new InvalidOptionsError('useFactory', `expected it, useClass or useExisting, got none of them`);
  }
  if (other !== undefined) {
    throw new InvalidOptionsError(other, `expected one of ${SOURCES.join(', ')}, got ${source} beside it`);
  }
  const { inject = [], useFactory } = read;
  if (!useFactory && inject.length > 0) {
    throw new InvalidOptionsError('inject', `expected it beside useFactory, got ${source}`);
  }
  // A factory that forgot `inject` would be given `undefined`, and fail somewhere inside.
  if (useFactory && inject.length === 0 && useFactory.length > 0) {
    throw new InvalidOptionsError(
      'inject',
      `expected one provider for each parameter of useFactory (${useFactory.length}), got none`,
    );
  }
  return source;
}

function providersOf(
  source: Source,
  { useFactory, useClass, useExisting, inject }: Read,
  beside: BuildingOptions,
): Provider[] {
  const complete = (made: unknown): JobsOptions => completed(source, made, beside);
  if (useFactory) {
    return [
      { provide: JOBS_OPTIONS, inject, useFactory: async (...args: unknown[]) => complete(await useFactory(...args)) },
    ];
  }
  const token = useClass ?? useExisting!;
  const ask = async (factory: JobsOptionsFactory): Promise<JobsOptions> => {
    if (typeof factory?.createJobsOptions !== 'function') {
      throw new InvalidOptionsError(source, 'expected a method createJobsOptions() in it, got none');
    }
    return complete(await factory.createJobsOptions());
  };
  return [...(useClass ? [useClass] : []), { provide: JOBS_OPTIONS, inject: [token], useFactory: ask }];
}

/** What was made, checked, with what stands beside its source. */
function completed(source: Source, made: unknown, { dataSource, http, ui }: BuildingOptions): JobsOptions {
  const given = recordCheck.parse(made, source) as JobsOptions | undefined;
  if (!given) {
    throw new InvalidOptionsError(source, `expected it to give an object of options, got ${describeValue(made)}`);
  }
  const beside = { dataSource, http, ui };
  for (const name of ['dataSource', 'http', 'ui'] as const) {
    if (given[name] !== undefined && given[name] !== beside[name]) {
      throw new InvalidOptionsError(
        name,
        `decides how the module is built: expected it beside ${source}, got it from there`,
      );
    }
  }
  const options: JobsOptions = { ...given, ...beside };
  readJobsOptions(options);
  return options;
}
