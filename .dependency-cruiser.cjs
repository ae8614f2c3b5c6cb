/**
 * The house, highest room first: a room may import from itself and from the rooms below it.
 * A name is a folder of lib/ or a file at its top.
 */
const ROOMS = ['index', 'jobs.module', 'http', 'nest', 'jobs-engine', 'maintenance', 'runtime', 'store', 'core'];

/** The rooms of the admin UI, highest first, by the same rule. */
const UI_ROOMS = ['screens', 'parts', 'data', 'json', 'route', 'text', 'styles'];

/** @typedef {import('dependency-cruiser').IRegularForbiddenRuleType} Rule */
/** @typedef {(...names: string[]) => string} PatternOf */

/** @type {PatternOf} */
const room = (...names) => `^lib/(${names.map((name) => name.replace('.', '\\.')).join('|')})(/|\\.ts$)`;
/** @type {PatternOf} */
const npm = (...names) => `^(node_modules/)?(@types/)?(${names.join('|')})(/|$)`;
/** @type {PatternOf} */
const folder = (...names) => `^(${names.join('|')})/`;

const DRIVERS = ['pg', 'better-sqlite3', 'sqlite3'];

/** @type {(name: string, comment: string, from: Rule['from'], to: Rule['to']) => Rule} */
const forbid = (name, comment, from, to) => ({ name, comment, severity: 'error', from, to });

const downOnly = ROOMS.slice(1).map((name, above) =>
  forbid(
    `${name}-imports-down-only`,
    `Imports go down only: ${ROOMS.join(' → ')}`,
    { path: room(name) },
    { path: room(...ROOMS.slice(0, above + 1)) },
  ),
);

const uiDownOnly = UI_ROOMS.map((name, above) =>
  forbid(
    `ui-${name}-imports-down-only`,
    `Imports go down only: app → ${UI_ROOMS.join(' → ')}`,
    { path: folder(`ui/src/${name}`) },
    { path: '^ui/src/', pathNot: folder(...UI_ROOMS.slice(above).map((room) => `ui/src/${room}`)) },
  ),
);

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...downOnly,
    ...uiDownOnly,
    forbid(
      'every-file-has-a-room',
      'A file of lib/ lives in one of the rooms of this list',
      { path: folder('lib'), pathNot: room(...ROOMS) },
      {},
    ),
    forbid(
      'core-is-pure',
      'core/ knows no package and no module of Node',
      { path: room('core') },
      { pathNot: room('core') },
    ),
    forbid(
      'engine-knows-no-nest',
      'The engine runs without Nest',
      { path: room('jobs-engine', 'maintenance', 'runtime', 'store') },
      { path: npm('@nestjs') },
    ),
    forbid(
      'runtime-knows-no-database',
      'runtime/ and maintenance/ reach the database through the store',
      { path: room('maintenance', 'runtime') },
      { path: npm('typeorm') },
    ),
    forbid(
      'drivers-stay-in-the-store',
      'Only the store knows which driver it talks to',
      { path: folder('lib'), pathNot: room('store') },
      { path: npm(...DRIVERS) },
    ),
    forbid(
      'migrations-stand-alone',
      'A frozen migration must not change with the library: typeorm only',
      { path: folder('migrations') },
      { pathNot: [folder('migrations'), npm('typeorm')] },
    ),
    forbid(
      'migrations-join-at-the-top',
      'Only the store and the composition roots run migrations',
      { path: folder('lib'), pathNot: room('index', 'jobs.module', 'jobs-engine', 'store') },
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
    // Types count: an import that is erased is still knowledge of another room.
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|dist-sample|coverage|bench)/' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};
