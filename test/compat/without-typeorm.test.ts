/**
 * @matrix all
 * @slow
 */

import { useBuiltPackage } from '../processes/support/built-package.js';
import { createPostgresDatabase, postgresVersions } from '../support/databases.js';
import { InstalledApp } from './support/installed-app.js';
import type { PathOfNode } from './support/nodes.js';
import { everyNode, installNodes, newerNodes } from './support/nodes.js';
import { packPackage } from './support/packed-package.js';

const INSTALL_TIMEOUT_MS = 300_000;
const DONE = { status: 'completed', result: { text: 'Hello, Ada!' } };
const DRIVERS = ['pg', 'better-sqlite3', 'sqlite3', 'typeorm', '@nestjs/typeorm'];

let pathOf: PathOfNode;
let app: InstalledApp;

useBuiltPackage();

/* The tests install and remove drivers one after the other. */
describe('an application of Nest 12 without TypeORM', () => {
  beforeAll(async () => {
    const [{ tarball }, paths] = await Promise.all([packPackage(), installNodes()]);
    pathOf = paths;
    app = await InstalledApp.install('plain', tarball);
    await app.build();
  }, INSTALL_TIMEOUT_MS);

  const run = (node: (typeof everyNode)[number], url: string): Promise<string> =>
    app.run(pathOf(node), ['out/main.js'], { DATABASE_URL: url });

  it('has neither a driver nor TypeORM', () => {
    expect(DRIVERS.filter((name) => app.has(`node_modules/${name}`))).toEqual([]);
  });

  it.each(newerNodes)('completes a job on a SQLite file with %s', async (node) => {
    expect(JSON.parse(await run(node, 'sqlite:app.sqlite'))).toEqual(DONE);
  });

  it('names the drivers that this Node can use for SQLite', async () => {
    await expect(run('this Node', 'sqlite:app.sqlite')).rejects.toThrow(
      /InvalidOptionsError: JobsModule.forRoot: database: no driver for SQLite is installed; run 'npm install better-sqlite3', or use Node/,
    );
  });

  it('names the driver for PostgreSQL', async () => {
    await expect(run('this Node', 'postgres://127.0.0.1/app')).rejects.toThrow(
      /InvalidOptionsError: JobsModule.forRoot: database: the driver 'pg' is not installed; run 'npm install pg'/,
    );
  });

  it(
    'completes a job on PostgreSQL with pg',
    async () => {
      await app.add('pg');
      expect(DRIVERS.filter((name) => app.has(`node_modules/${name}`))).toEqual(['pg']);
      const database = await createPostgresDatabase(postgresVersions()[0]!);
      for (const node of everyNode) {
        expect(JSON.parse(await run(node, database.url))).toEqual(DONE);
      }
      await database.drop();
    },
    INSTALL_TIMEOUT_MS,
  );

  it('migrates and reports with the command', async () => {
    const database = await createPostgresDatabase(postgresVersions()[0]!);
    const command = (...args: string[]): Promise<string> =>
      app.run(process.execPath, ['node_modules/.bin/nestjs-jobs', ...args], { DATABASE_URL: database.url });
    expect(await command('migrate')).toMatch(/^applied /);
    expect(JSON.parse(await command('status', '--json'))).toMatchObject({ database: 'postgres', stats: { total: 0 } });
    await database.drop();
  });

  it(
    'completes a job on a SQLite file with better-sqlite3',
    async () => {
      await app.add('better-sqlite3@12');
      expect(JSON.parse(await run('this Node', 'sqlite:other.sqlite'))).toEqual(DONE);
    },
    INSTALL_TIMEOUT_MS,
  );
});
