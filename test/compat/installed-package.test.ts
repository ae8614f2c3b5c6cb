/**
 * @matrix all
 * @slow
 */

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

/** Module resolutions of TypeScript with a matching module format. */
const RESOLUTIONS = [
  { resolution: 'node16', module: 'node16' },
  { resolution: 'nodenext', module: 'nodenext' },
  { resolution: 'bundler', module: 'esnext' },
];
/** Resolutions from before `exports`. Nest 12 has only `exports` and does not support them. */
const OLD_RESOLUTION = { resolution: 'node10', module: 'commonjs' };

type NodeName = (typeof everyNode)[number];

interface Application {
  readonly name: AppName;
  readonly title: string;
  /** The application with the other major version of TypeORM. */
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

/** The oldest versions that the package accepts, as far as npm can install them together. */
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

describe.each(applications)('in $title,', ({ name, other, resolutions }) => {
  let app: InstalledApp;

  beforeAll(async () => {
    app = await InstalledApp.install(name, packed.tarball);
    const entries = entriesOf(packed.manifest);
    await app.write('src/entries.ts', reExportOf(entries));
    await app.write('browser/entries.ts', reExportOf([`${packed.manifest.name}/client`]));
    await app.build();
  }, INSTALL_TIMEOUT_MS);

  it.each(resolutions)('types resolve with the resolution $resolution', async ({ resolution, module }) => {
    const looking = ['--module', module, '--moduleResolution', resolution, '--ignoreDeprecations', '6.0'];
    expect(await app.complaints('--noEmit', ...looking)).toEqual([]);
  });

  it('types have no error with skipLibCheck: false', async () => {
    const complaints = await app.complaints('--noEmit', '--skipLibCheck', 'false', '--skipDefaultLibCheck');
    expect(complaints.filter((line) => !isOfOthers(line))).toEqual([]);
  });

  it('types of the client entry resolve in a browser, without the types of Node', async () => {
    expect(await app.complaints('--project', 'tsconfig.browser.json')).toEqual([]);
  });

  it('a job completes on a SQLite file with this Node', async () => {
    expect(await runProgram('this Node')).toEqual(DONE);
  });

  it('the HTTP API responds on Fastify', async () => {
    expect(await runProgram('this Node', { ADAPTER: 'fastify' })).toEqual(DONE);
  });

  it.each(newerNodes)('a job completes on PostgreSQL with %s, for which no SQLite addon is compiled', async (node) => {
    const database = await createPostgresDatabase(postgresVersions()[0]!);
    expect(await runProgram(node, { DATABASE_URL: database.url })).toEqual(DONE);
    await database.drop();
  });

  it.each(everyNode)('every export is the same object by require and by import with %s', async (node) => {
    for (const entry of entriesOf(packed.manifest)) {
      const printed = await app.run(pathOf(node), ['--eval', comparisonOf(entry)]);
      expect(JSON.parse(printed)).toEqual({ some: true, different: [] });
    }
  });

  it.each(everyNode)('the command migrates and reports with %s', async (node) => {
    const database = await createPostgresDatabase(postgresVersions()[0]!);
    const command = (...args: string[]): Promise<string> =>
      app.run(pathOf(node), ['node_modules/.bin/nestjs-jobs', ...args], { DATABASE_URL: database.url });
    expect(await command('migrate')).toMatch(/^applied /);
    expect(JSON.parse(await command('status', '--json'))).toMatchObject({ database: 'postgres', stats: { total: 0 } });
    await database.drop();
  });

  it(
    'a job completes with the other major version of TypeORM',
    async () => {
      await app.add(`typeorm@${lockedVersion(other, 'typeorm')}`);
      await app.build();
      expect(await runProgram('this Node')).toEqual(DONE);
    },
    INSTALL_TIMEOUT_MS,
  );

  const runProgram = (node: NodeName, env?: NodeJS.ProcessEnv): Promise<unknown> => saidBy(app, node, env);
});

describe.each(oldest)('in an application with $title,', ({ name }) => {
  let app: InstalledApp;

  beforeAll(async () => {
    app = await InstalledApp.install(name, packed.tarball);
    await app.build();
  }, INSTALL_TIMEOUT_MS);

  it.each(['express', 'fastify'])('a job completes and the HTTP API responds on %s', async (adapter) => {
    expect(await saidBy(app, 'this Node', { ADAPTER: adapter })).toEqual(DONE);
  });
});

describe('in an application with Nest 12, TypeORM 1 and better-sqlite3 13,', () => {
  let app: InstalledApp;

  beforeAll(async () => {
    app = await InstalledApp.install('nest-12-sqlite-13', packed.tarball);
    await app.build();
  }, INSTALL_TIMEOUT_MS);

  it('TypeORM uses that driver', () => {
    expect(app.version('better-sqlite3')).toMatch(/^13\./);
    expect(app.has('node_modules/typeorm/node_modules/better-sqlite3')).toBe(false);
  });

  it.each(newerNodes)('a job completes on a SQLite file with %s', async (node) => {
    expect(await saidBy(app, node)).toEqual(DONE);
  });
});

/** Returns the last line of the output. */
async function saidBy(app: InstalledApp, node: NodeName, env: NodeJS.ProcessEnv = {}): Promise<unknown> {
  const printed = await app.run(pathOf(node), PROGRAM, env);
  return JSON.parse(printed.trim().split('\n').at(-1)!) as unknown;
}

/** Creates a module with all exports of the entries. */
function reExportOf(entries: string[]): string {
  const lines = entries.map((entry, index) => `export * as entry${index} from '${entry}';`);
  return ['export {};', ...lines, ''].join('\n');
}

/** Returns whether the compiler reports an error in another library. Indented lines belong to the line before. */
function isOfOthers(line: string): boolean {
  return line.startsWith(' ') || (line.startsWith('node_modules/') && !line.startsWith('node_modules/nestjs-jobs/'));
}

/** A program that loads an entry both ways and prints the names that differ. */
function comparisonOf(entry: string): string {
  return `
    const required = require('${entry}');
    import('${entry}').then((imported) => {
      const names = Object.keys(required);
      const different = names.filter((name) => required[name] !== imported[name]);
      console.log(JSON.stringify({ some: names.length > 0, different }));
    });`;
}
