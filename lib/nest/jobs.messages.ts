/** Errors and warnings of the Nest layer. An error's text follows the name of an option: `dataSource: …`. */

type Source = 'useFactory' | 'useClass' | 'useExisting';

export const NO_OPTIONS_SOURCE = 'expected useFactory, useClass or useExisting, got none of them';

export const NOT_CONFIGURED =
  'imported as a class; import JobsModule.forRoot() or JobsModule.forRootAsync() in the root module';

export const OTHER_RUN_AT = 'differs from the runAt argument of enqueueAt; pass one of them';

export const NO_MANAGER = 'expected the EntityManager of an open transaction, got none';

export const NO_CREATE_JOBS_OPTIONS = 'expected a method createJobsOptions() in it, got none';

export const NO_SHUTDOWN_HOOKS =
  'SIGTERM has no listener: call app.enableShutdownHooks(), or running jobs are cut off and wait for their lease to expire';

export const twoOptionsSources = (one: Source): string =>
  `expected one of useFactory, useClass, useExisting, got ${one} too`;

export const injectWithout = (source: Source): string => `expected it with useFactory only, got ${source}`;

export const missingInject = (parameters: number): string =>
  `expected one provider for each parameter of useFactory (${parameters}), got none`;

export const noOptionsObject = (got: string): string => `expected it to return an object of options, got ${got}`;

export const misplacedOption = (source: Source): string =>
  `decides how the module is built: pass it next to ${source}, not in its result`;

export const secondModule = (count: number, importers: readonly string[]): string =>
  `imported ${count} times in one application${importers.length > 0 ? `, by ${importers.join(' and ')}` : ''}; call ` +
  'forRoot() or forRootAsync() once, in the root module. Other modules inject JobsService without an import; with ' +
  'isGlobal: false they import the module that exports it';

export const hiddenDataSource = (module: string): string =>
  `JobsModule cannot see the DataSource of ${module}; make ${module} global`;

export const missingDataSource = (name: string | undefined): string =>
  name === undefined
    ? 'not found; import TypeOrmModule.forRoot() in the root module'
    : `no DataSource is named '${name}'; import TypeOrmModule.forRoot({ name: '${name}' })`;

export const notAMethod = (location: string, got: string): string => `on ${location}: expected a method, got ${got}`;
