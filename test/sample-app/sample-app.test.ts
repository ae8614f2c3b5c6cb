/**
 * @matrix postgres-18, typeorm-0.3, typeorm-0.3-postgres
 * @slow
 */

import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { useBuiltPackage } from '../processes/support/built-package.js';
import { createPostgresDatabase, createSqliteFile, postgresVersions } from '../support/databases.js';
import { findFreePort } from '../support/free-port.js';
import { hasSqlite3, TYPEORM } from '../support/typeorm.js';
import { until } from '../support/wait.js';
import { prepareWorkingTree } from '../support/working-tree.js';

interface Place {
  readonly url: string;
  /** The folder of the files that the app writes. */
  readonly folder: string;
  readonly remove: () => Promise<void>;
}

const inFile = (driver: string) => async (): Promise<Place> => {
  const { path, remove } = await createSqliteFile();
  return { url: `${driver}:${path}`, folder: dirname(path), remove };
};

const [version] = postgresVersions();

async function onPostgres(): Promise<Place> {
  const { folder, remove } = await inFile('none')();
  const { url, drop } = await createPostgresDatabase(version!);
  return { url, folder, remove: () => drop().then(remove) };
}

const places = [
  { database: 'better-sqlite3', create: inFile('better-sqlite3') },
  { database: `PostgreSQL ${version}`, create: onPostgres },
  ...(hasSqlite3 ? [{ database: 'sqlite3', create: inFile('sqlite3') }] : []),
];

const STARTS_IN_MS = 30_000;

useBuiltPackage();

describe.each(places)('the sample app on $database', ({ create }) => {
  let place: Place;
  let app: ChildProcess;
  /** The output since the last start. */
  let printed: string;

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

  it('runs the jobs of its first orders, one of which fails, and stops on SIGTERM', async () => {
    const port = await findFreePort();
    await start(port);
    await until(() => times('completed', 'send_receipt') === 4 && times('completed', 'mail_invoice') === 2, {
      timeoutMs: STARTS_IN_MS,
      message: 'the jobs of four orders',
    });
    await until(() => times('failed', 'ship_order') === 1, {
      timeoutMs: STARTS_IN_MS,
      message: 'the order that fails',
    });
    await until(() => times('completed', 'ShippingJobs.apologize') === 1, {
      timeoutMs: STARTS_IN_MS,
      message: 'the apology for the order that fails',
    });
    expect(times('retrying', 'ship_order')).toBe(3);
    expect(printed).toMatch(/cancelled +mail_invoice .*before it started/);
    expect(printed).toMatch(/failed +ship_order .*attempt 2: the carrier refuses: parcels are insured up to 1000/);
    await runDigest(port);
    await until(() => times('completed', 'digest') >= 1, { timeoutMs: STARTS_IN_MS, message: 'a digest' });
    const home = await fetch(`http://localhost:${port}/`);
    expect(await home.text()).toContain('<div id="app">');
    await stop();
  });

  it('places another order after a restart', async () => {
    await start(await findFreePort());
    await until(() => times('completed', 'send_receipt') === 4, { timeoutMs: STARTS_IN_MS, message: 'four receipts' });
    await stop();
    await start(await findFreePort());
    await until(() => times('completed', 'send_receipt') === 1, {
      timeoutMs: STARTS_IN_MS,
      message: 'one receipt more',
    });
    expect(times('enqueued', 'send_receipt')).toBe(1);
    await stop();
  });

  async function start(port: number): Promise<void> {
    const tree = prepareWorkingTree('built');
    expect(basename(realpathSync(join(tree, 'node_modules/typeorm')))).toBe(TYPEORM);
    const compiler = join(tree, 'test/processes/support/register-typescript.cjs');
    printed = '';
    app = spawn(process.execPath, ['-r', compiler, join(tree, 'sample-app/main.ts')], {
      cwd: place.folder,
      env: { ...process.env, PORT: String(port), DATABASE_URL: place.url, JOBS_ADMIN_TOKEN: 'secret' },
    });
    const collect = (text: Buffer): unknown => (printed += text.toString());
    app.stdout!.on('data', collect);
    app.stderr!.on('data', collect);
    await until(() => isRunning() && printed.includes('Stop with'), { timeoutMs: STARTS_IN_MS, message: 'its start' });
  }

  /** Runs the schedule now, because its next tick may be a minute away. */
  async function runDigest(port: number): Promise<void> {
    const url = `http://localhost:${port}/api/jobs/schedules/digest/run`;
    const { status } = await fetch(url, { method: 'POST', headers: { Authorization: 'Bearer secret' } });
    expect(status).toBe(201);
  }

  function isRunning(): true {
    if (app.exitCode !== null) throw new Error(`the sample app ended:\n${printed}`);
    return true;
  }

  /** Counts the lines of the output with this event of the topic. */
  function times(event: string, topic: string): number {
    isRunning();
    return printed.match(new RegExp(`^\\S+ +${event} +${topic}`, 'gm'))?.length ?? 0;
  }

  async function stop(): Promise<void> {
    app.kill('SIGTERM');
    expect(await once(app, 'exit')).toEqual([0, null]);
    expect(printed).toContain('Stopping');
  }
});
