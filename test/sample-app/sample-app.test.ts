import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { useBuiltPackage } from '../processes/support/built-package.js';
import { createPostgresDatabase, createSqliteFile, postgresVersions } from '../support/databases.js';
import { freePort } from '../support/free-port.js';
import { hasSqlite3, TYPEORM } from '../support/typeorm.js';
import { until } from '../support/wait.js';
import { workingTree } from '../support/working-tree.js';

interface Place {
  readonly url: string;
  /** Of the files that the app writes. */
  readonly folder: string;
  readonly remove: () => Promise<void>;
}

const inFile = (driver: string) => async (): Promise<Place> => {
  const { path, remove } = await createSqliteFile();
  return { url: `${driver}:${path}`, folder: dirname(path), remove };
};

async function onPostgres(): Promise<Place> {
  const { folder, remove } = await inFile('none')();
  const { url, drop } = await createPostgresDatabase(postgresVersions()[0]!);
  return { url, folder, remove: () => drop().then(remove) };
}

const places = [
  { database: 'better-sqlite3', create: inFile('better-sqlite3') },
  { database: 'PostgreSQL', create: onPostgres },
  ...(hasSqlite3 ? [{ database: 'sqlite3', create: inFile('sqlite3') }] : []),
];

const STARTS_IN_MS = 30_000;

useBuiltPackage();

describe.each(places)('the sample app on $database', ({ create }) => {
  let place: Place;
  let app: ChildProcess;

  beforeEach(async () => {
    place = await create();
  });
  afterEach(async () => {
    if (app.exitCode === null) {
      app.kill('SIGKILL');
      await once(app, 'exit');
    }
    await place.remove();
  });

  it('runs the jobs of its first orders, and stops when it is told to', async () => {
    const tree = workingTree('built');
    expect(basename(realpathSync(join(tree, 'node_modules/typeorm')))).toBe(TYPEORM);
    const compiler = join(tree, 'test/processes/support/register-typescript.cjs');
    app = spawn(process.execPath, ['-r', compiler, join(tree, 'sample-app/main.ts')], {
      cwd: place.folder,
      env: { ...process.env, PORT: String(await freePort()), DATABASE_URL: place.url },
    });
    let printed = '';
    const collect = (text: Buffer): unknown => (printed += text.toString());
    app.stdout!.on('data', collect);
    app.stderr!.on('data', collect);
    const completed = (topic: string): number => printed.match(new RegExp(`completed +${topic}`, 'g'))?.length ?? 0;
    const isDone = (): boolean => {
      if (app.exitCode !== null) throw new Error(`the sample app ended:\n${printed}`);
      return completed('send_receipt') === 3 && completed('ship_order') === 3;
    };
    await until(isDone, { timeoutMs: STARTS_IN_MS, message: 'the jobs of three orders' });

    app.kill('SIGTERM');
    expect(await once(app, 'exit')).toEqual([0, null]);
    expect(printed).toContain('Stopping');
  });
});
