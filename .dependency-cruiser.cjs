/**
 * The layers of lib/, highest first: a layer imports only from itself and from the layers below it.
 * A name is a folder of lib/ or a file at its top.
 */
const LAYERS = [
  'index',
  'jobs.module',
  'cli',
  'http',
  'testing',
  'telemetry',
  'orm',
  'nest',
  'engine',
  'typeorm',
  'store',
  'core',
];

/** The folders of lib/engine/, highest first, by the same rule. The files at its top join them. */
const ENGINE_FOLDERS = [
  'maintain',
  'follow-up',
  'limits',
  'schedules',
  'telemetry',
  'changes',
  'lists',
  'claim',
  'run',
  'enqueue',
  'topics',
  'reports',
  'logs',
  'runtime',
  'codec',
];

/** The layers of the admin UI, highest first, by the same rule. */
const UI_LAYERS = ['screens', 'parts', 'data', 'json', 'route', 'text', 'messages', 'styles'];

/** @typedef {import('dependency-cruiser').IRegularForbiddenRuleType} Rule */
/** @typedef {(...names: string[]) => string} PatternOf */

/** @type {PatternOf} */
const layer = (...names) => `^lib/(${names.map((name) => name.replace('.', '\\.')).join('|')})(/|\\.ts$)`;
/** @type {PatternOf} */
const npm = (...names) => `^(node_modules/)?(@types/)?(${names.join('|')})(/|$)`;
/** @type {PatternOf} */
const folder = (...names) => `^(${names.join('|')})/`;

const DRIVERS = ['pg', 'better-sqlite3', 'sqlite3'];

/** @type {(name: string, comment: string, from: Rule['from'], to: Rule['to']) => Rule} */
const forbid = (name, comment, from, to) => ({ name, comment, severity: 'error', from, to });

const downOnly = LAYERS.slice(1).map((name, above) =>
  forbid(
    `${name}-imports-down-only`,
    `Imports go down only: ${LAYERS.join(' → ')}`,
    { path: layer(name) },
    { path: layer(...LAYERS.slice(0, above + 1)) },
  ),
);

const engineDownOnly = ENGINE_FOLDERS.map((name, above) =>
  forbid(
    `engine-${name}-imports-down-only`,
    `Imports go down only: the files of engine/ → ${ENGINE_FOLDERS.join(' → ')}`,
    { path: folder(`lib/engine/${name}`) },
    { path: '^lib/engine/', pathNot: folder(...ENGINE_FOLDERS.slice(above).map((each) => `lib/engine/${each}`)) },
  ),
);

const uiDownOnly = UI_LAYERS.map((name, above) =>
  forbid(
    `ui-${name}-imports-down-only`,
    `Imports go down only: app → ${UI_LAYERS.join(' → ')}`,
    { path: folder(`ui/src/${name}`) },
    { path: '^ui/src/', pathNot: folder(...UI_LAYERS.slice(above).map((name) => `ui/src/${name}`)) },
  ),
);

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...downOnly,
    ...engineDownOnly,
    ...uiDownOnly,
    forbid(
      'every-file-has-a-layer',
      'Each file of lib/ belongs to one of these layers',
      { path: folder('lib'), pathNot: layer(...LAYERS) },
      {},
    ),
    forbid(
      'core-is-pure',
      'core/ imports no package and no Node module, except croner in cron.ts',
      { path: layer('core'), pathNot: '^lib/core/cron\\.ts$' },
      { pathNot: layer('core') },
    ),
    forbid(
      'cron-imports-croner-only',
      'Cron patterns are the one rule that a package knows better',
      { path: '^lib/core/cron\\.ts$' },
      { pathNot: [layer('core'), npm('croner')] },
    ),
    forbid(
      'engine-knows-no-nest',
      'The engine runs without Nest',
      { path: layer('engine', 'store') },
      { path: npm('@nestjs') },
    ),
    forbid(
      'typeorm-stays-in-its-folder',
      'Only lib/typeorm/ imports TypeORM; the module asks Nest for its DataSource',
      { path: folder('lib', 'migrations'), pathNot: layer('typeorm') },
      { path: npm('typeorm') },
    ),
    forbid(
      'the-module-finds-the-data-source',
      'Only lib/typeorm/ loads @nestjs/typeorm, and jobs.module.ts asks it for tokens',
      { path: folder('lib'), pathNot: layer('typeorm') },
      { path: npm('@nestjs/typeorm') },
    ),
    forbid(
      'drivers-stay-in-the-store',
      'Only the store knows which driver it talks to',
      { path: folder('lib'), pathNot: layer('store') },
      { path: npm(...DRIVERS) },
    ),
    forbid(
      'migrations-stand-alone',
      'A frozen migration must not change with the library',
      { path: folder('migrations') },
      { pathNot: folder('migrations') },
    ),
    forbid(
      'migrations-join-at-the-top',
      'Only the store, the DataSource of the repository and the composition roots know migrations',
      { path: folder('lib'), pathNot: layer('index', 'store', 'typeorm') },
      { path: folder('migrations') },
    ),
    forbid(
      'lib-stands-alone',
      'What is shipped does not depend on what surrounds it',
      { path: folder('lib', 'migrations') },
      { path: folder('test', 'sample-app', 'bench', 'scripts', 'client', 'ui') },
    ),
    forbid(
      'lib-declares-what-it-needs',
      'A package that lib/ imports is a dependency or a peer, or it is missing at the user',
      { path: folder('lib', 'migrations') },
      {
        dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'],
        dependencyTypesNot: ['npm', 'npm-peer', 'type-only'],
      },
    ),
    forbid(
      'sample-uses-the-package',
      'The sample app imports nestjs-jobs as a user does',
      { path: folder('sample-app') },
      {
        path: folder('lib', 'migrations', 'test', 'bench', 'scripts', 'client', 'ui'),
        dependencyTypesNot: ['aliased-tsconfig-paths'],
      },
    ),
    forbid(
      'client-stands-alone',
      'The client has no dependency',
      { path: folder('client') },
      { pathNot: folder('client') },
    ),
    forbid(
      'ui-talks-through-the-client',
      'The admin UI reaches the library over HTTP',
      { path: folder('ui') },
      { path: folder('lib', 'migrations', 'test', 'sample-app', 'bench', 'scripts') },
    ),
    forbid(
      'no-cycles',
      'A cycle has no top to read first',
      // A node of a tree holds nodes: a component that shows itself imports itself.
      { pathNot: '^ui/src/json/json-node\\.svelte$' },
      { circular: true },
    ),
    forbid('no-unresolved', 'The import leads nowhere', {}, { couldNotResolve: true }),
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    // Types count: an import that is erased is still knowledge of another layer.
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    // The drivers of other ORMs import what only the folder of their own test installs.
    exclude: { path: '^(dist|dist-sample|coverage|bench|examples|\\.site)/|^test/orm/[^/]+/(driver\\.ts|generated/)' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};
