import { useBuiltPackage } from '../processes/support/built-package.js';
import { createPostgresDatabase, postgresVersions } from '../support/databases.js';
import type { AppName } from './support/installed-app.js';
import { InstalledApp, lockedVersion } from './support/installed-app.js';
import type { PathOfNode } from './support/nodes.js';
import { everyNode, installNodes, newerNodes } from './support/nodes.js';
import type { PackedPackage } from './support/packed-package.js';
import { entriesOf, packPackage } from './support/packed-package.js';

const INSTALL_TIMEOUT_MS = 300_000;
const PROGRAM = ['out/main.js'];
const DONE = {
  status: 'completed',
  result: { length: 3 },
  text: 'Hello, Ada!',
  overHttp: { topic: 'greet', bytes: 1_000_000 },
  endings: ['stumble: completed in attempt 2', 'refuse: failed in attempt 1'],
  isLogged: true,
};

/** How a compiler may look for a package, with the module format that goes with it. */
const RESOLUTIONS = [
  { resolution: 'node16', module: 'node16' },
  { resolution: 'nodenext', module: 'nodenext' },
  { resolution: 'bundler', module: 'esnext' },
];
/** As compilers looked before packages had `exports`; for Nest 12, which has nothing else, they are too old. */
const OLD_RESOLUTION = { resolution: 'node10', module: 'commonjs' };

type NodeName = (typeof everyNode)[number];

interface Application {
  readonly name: AppName;
  readonly title: string;
  /** The application that has the other major version of TypeORM. */
  readonly other: AppName;
  readonly resolutions: readonly (typeof OLD_RESOLUTION)[];
}

const applications: Application[] = [
  {
    name: 'nest-11',
    title: 'a CommonJS application of Nest 11 and TypeORM 0.3',
    other: 'nest-12',
    resolutions: [...RESOLUTIONS, OLD_RESOLUTION],
  },
  {
    name: 'nest-12',
    title: 'an ESM application of Nest 12 and TypeORM 1',
    other: 'nest-11',
    resolutions: RESOLUTIONS,
  },
];

/** Of the oldest versions that the package accepts, as far as npm installs them beside one another. */
const oldest: { name: AppName; title: string }[] = [
  { name: 'nest-11-oldest', title: 'Nest 11.0.1 and TypeORM 0.3.26' },
  { name: 'nest-12-oldest', title: 'Nest 12.0.1 and TypeORM 1.0.0' },
];

let packed: PackedPackage;
let pathOf: PathOfNode;

useBuiltPackage();

beforeAll(async () => {
  [packed, pathOf] = await Promise.all([packPackage(), installNodes()]);
}, INSTALL_TIMEOUT_MS);

describe.each(applications)('in $title', ({ name, other, resolutions }) => {
  let app: InstalledApp;

  beforeAll(async () => {
    app = await InstalledApp.install(name, packed.tarball);
    const entries = entriesOf(packed.manifest);
    await app.write('src/entries.ts', reExportOf(entries));
    await app.write('browser/entries.ts', reExportOf(entries.filter((entry) => entry !== packed.manifest.name)));
    await app.build();
  }, INSTALL_TIMEOUT_MS);

  it.each(resolutions)('its types are found with the resolution $resolution', async ({ resolution, module }) => {
    const looking = ['--module', module, '--moduleResolution', resolution, '--ignoreDeprecations', '6.0'];
    expect(await app.complaints('--noEmit', ...looking)).toEqual([]);
  });

  it('its types have no error when the compiler checks libraries, too', async () => {
    const complaints = await app.complaints('--noEmit', '--skipLibCheck', 'false', '--skipDefaultLibCheck');
    expect(complaints.filter((line) => !isOfOthers(line))).toEqual([]);
  });

  it('the types of an entry beside the root are found in a browser, without those of Node', async () => {
    expect(await app.complaints('--project', 'tsconfig.browser.json')).toEqual([]);
  });

  it('a job runs to its end on a SQLite file, on this Node', async () => {
    expect(await runProgram('this Node')).toEqual(DONE);
  });

  it('the HTTP API answers on Fastify, too', async () => {
    expect(await runProgram('this Node', { ADAPTER: 'fastify' })).toEqual(DONE);
  });

  it.each(newerNodes)(
    'a job runs to its end on PostgreSQL, on %s, for which no addon of SQLite is compiled here',
    async (node) => {
      const database = await createPostgresDatabase(postgresVersions()[0]!);
      expect(await runProgram(node, { DATABASE_URL: database.url })).toEqual(DONE);
      await database.drop();
    },
  );

  it.each(everyNode)('every name is one and the same, required and imported, on %s', async (node) => {
    for (const entry of entriesOf(packed.manifest)) {
      const printed = await app.run(pathOf(node), ['--eval', comparisonOf(entry)]);
      expect(JSON.parse(printed)).toEqual({ some: true, different: [] });
    }
  });

  it('a job runs to its end with the other major version of TypeORM, too', async () => {
    await app.add(`typeorm@${lockedVersion(other, 'typeorm')}`);
    await app.build();
    expect(await runProgram('this Node')).toEqual(DONE);
  });

  const runProgram = (node: NodeName, env?: NodeJS.ProcessEnv): Promise<unknown> => saidBy(app, node, env);
});

describe.each(oldest)('in an application of $title', ({ name }) => {
  let app: InstalledApp;

  beforeAll(async () => {
    app = await InstalledApp.install(name, packed.tarball);
    await app.build();
  }, INSTALL_TIMEOUT_MS);

  it.each(['express', 'fastify'])('a job runs to its end, and the HTTP API answers on %s', async (adapter) => {
    expect(await saidBy(app, 'this Node', { ADAPTER: adapter })).toEqual(DONE);
  });
});

describe('in an application of Nest 12, TypeORM 1 and better-sqlite3 13', () => {
  let app: InstalledApp;

  beforeAll(async () => {
    app = await InstalledApp.install('nest-12-sqlite-13', packed.tarball);
    await app.build();
  }, INSTALL_TIMEOUT_MS);

  it('TypeORM has that driver, not one of its own', () => {
    expect(app.version('better-sqlite3')).toMatch(/^13\./);
    expect(app.has('node_modules/typeorm/node_modules/better-sqlite3')).toBe(false);
  });

  it.each(newerNodes)('a job runs to its end on a SQLite file, on %s', async (node) => {
    expect(await saidBy(app, node)).toEqual(DONE);
  });
});

/** The last line that the application prints. */
async function saidBy(app: InstalledApp, node: NodeName, env: NodeJS.ProcessEnv = {}): Promise<unknown> {
  const printed = await app.run(pathOf(node), PROGRAM, env);
  return JSON.parse(printed.trim().split('\n').at(-1)!) as unknown;
}

/** A module that knows all that the entries export. */
function reExportOf(entries: string[]): string {
  const lines = entries.map((entry, index) => `export * as entry${index} from '${entry}';`);
  return ['export {};', ...lines, ''].join('\n');
}

/** Whether the compiler complains of a library that is not this one. Indented lines go on with the one before. */
function isOfOthers(line: string): boolean {
  return line.startsWith(' ') || (line.startsWith('node_modules/') && !line.startsWith('node_modules/nestjs-jobs/'));
}

/** A program that loads an entry both ways and prints the names that are not the same. */
function comparisonOf(entry: string): string {
  return `
    const required = require('${entry}');
    import('${entry}').then((imported) => {
      const names = Object.keys(required);
      const different = names.filter((name) => required[name] !== imported[name]);
      console.log(JSON.stringify({ some: names.length > 0, different }));
    });`;
}
