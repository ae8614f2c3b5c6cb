/** Errors and warnings of the Nest layer. An error's text follows the name of an option: `dataSource: …`. */

type Source = 'useFactory' | 'useClass' | 'useExisting';

export const NO_OPTIONS_SOURCE = 'expected useFactory, useClass or useExisting, got none of them';

export const NOT_CONFIGURED =
  'imported as a class; import JobsModule.forRoot() or JobsModule.forRootAsync() in the root module';

export const OTHER_RUN_AT = 'contradicts the runAt argument of enqueueAt; leave options.runAt out';

export const NO_MANAGER = 'expected the EntityManager of an open transaction, got none';

export const NO_CREATE_JOBS_OPTIONS = 'its instance has no method createJobsOptions()';

export const NO_SHUTDOWN_HOOKS =
  'SIGTERM has no listener: call app.enableShutdownHooks(), or running jobs are cut off and wait for their lease to expire';

export const twoOptionsSources = (one: Source): string =>
  `contradicts ${one}; give only one of useFactory, useClass, useExisting`;

export const injectWithout = (source: Source): string => `works only with useFactory, got ${source}`;

export const missingInject = (parameters: number): string =>
  `expected one provider for each parameter of useFactory (${parameters}), got none`;

export const noOptionsObject = (got: string): string => `must return an object of options, got ${got}`;

export const misplacedOption = (source: Source): string =>
  `is needed before ${source} runs; move it out of the returned object, beside ${source}`;

export const secondModule = (count: number, importers: readonly string[]): string =>
  `imported ${count} times in one application${importers.length > 0 ? `, by ${importers.join(' and ')}` : ''}; call ` +
  'forRoot() or forRootAsync() once, in the root module. Other modules inject JobsService without an import. ' +
  'With isGlobal: false, re-export JobsModule from one module and import that one';

export const hiddenDataSource = (module: string): string =>
  `JobsModule cannot see the DataSource of ${module}; make ${module} global`;

export const missingDataSource = (name: string | undefined): string =>
  name === undefined
    ? 'not found; import TypeOrmModule.forRoot() in the root module'
    : `no DataSource is named '${name}'; import TypeOrmModule.forRoot({ name: '${name}' })`;

export const notAMethod = (location: string, got: string): string => `on ${location}: expected a method, got ${got}`;
