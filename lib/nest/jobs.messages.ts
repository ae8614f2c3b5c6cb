/** Errors and warnings of the Nest layer. An error's text follows the name of an option: `dataSource: …`. */

type Source = 'useFactory' | 'useClass' | 'useExisting';

export const NO_OPTIONS_SOURCE = 'expected useFactory, useClass or useExisting, got none of them';

export const NOT_CONFIGURED =
  'imported as a class; call JobsModule.forRoot() or JobsModule.forRootAsync() in the imports of the root module. ' +
  'With isGlobal: false, import a module that re-exports it';

export const OTHER_RUN_AT = 'contradicts the runAt argument of enqueueAt; leave options.runAt out';

export const NO_TRANSACTION = 'expected an open transaction, got none';

export const NO_CREATE_JOBS_OPTIONS = 'its instance has no method createJobsOptions()';

export const NO_EVENT_EMITTER =
  'events.bridge: found no EventEmitter2, so no event is forwarded; import EventEmitterModule.forRoot() of @nestjs/event-emitter';

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

export const missingDataSource = (name: string | undefined, others: readonly string[]): string => {
  const names = others.map((other) => `'${other}'`).join(' and ');
  if (name === undefined) {
    return others.length === 0
      ? "not found; import TypeOrmModule.forRoot() in the root module, or without TypeORM pass the option database: 'postgres://…' or 'sqlite:app.sqlite'"
      : `there is no default DataSource, only ${names}; write JobsModule.forRoot({ dataSource: '${others[0]!}' })`;
  }
  const found = others.length === 0 ? 'there is none' : `there ${others.length === 1 ? 'is' : 'are'} ${names}`;
  return `no DataSource is named '${name}', ${found}; import TypeOrmModule.forRoot({ name: '${name}' }) or change the name`;
};

export const notAMethod = (location: string, got: string): string => `on ${location}: expected a method, got ${got}`;

export const decoratedTwice = (location: string, topic: string): string =>
  `'${topic}' is given twice on ${location}; remove one`;

export const severalTopics = (location: string): string =>
  `on ${location}: the method handles several topics; name the one of the schedule with the option topic`;

export const severalDeadLetterTopics = (location: string): string =>
  `on ${location}: the method handles several topics, so that of its dead letters is not known; use a method of its own`;

export const optionsTwice = (location: string): string =>
  `on ${location}: the method has options already; give them to one decorator, and to @JobHandler if it has one`;

export const scopedListener = (location: string): string =>
  `on ${location}: the provider is created for each request or for each class that injects it, and an event has none of these; use a provider of the default scope`;

export const NO_DECORATED_PARAMETER =
  "expected a parameter with a decorator such as @Payload(), got none; remove the option parameters: 'decorated'";

export const undecoratedParameters = (count: number): string =>
  `takes ${count} parameters without decorators; a handler takes the job alone, or write @Payload() or @CurrentJob() before each`;

export const undecoratedParameter = (position: number): string =>
  `parameter ${position} has no decorator and would be undefined; write @Payload() or @CurrentJob() before it`;

export const payloadParameter = (className: string): string =>
  `takes a ${className}, but the handler receives the job; write @Payload() before the parameter, or ` +
  `(job: JobContext<${className}>) and read job.payload`;

export const NO_BATCH_PARAMETER =
  'takes no parameter, but the option batch passes it an array of jobs; write (jobs: JobBatch<…>)';

export const batchParameter = (className: string): string =>
  `takes a ${className}, but the option batch passes it an array; write (jobs: JobBatch<…>) and read job.payload of each`;
