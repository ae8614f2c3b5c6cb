/** @matrix typeorm-0.3 */

import type { Provider } from '@nestjs/common';
import type { Database } from 'better-sqlite3';
import type { QueryRunner } from 'typeorm';
import { DataSource } from 'typeorm';
import { hasSqlite3 } from '../support/typeorm.js';
import { useApps } from './support/apps.js';
import { sqlite3File, sqliteFile } from './support/database-kinds.js';
import type { TestApp } from './support/test-app.js';

const FULL = 2;
const EXTRA = 3;

/** Reads `synchronous` of the application's connection. */
async function readSynchronous({ dataSource }: TestApp): Promise<number> {
  const [row] = await dataSource.query<{ synchronous: number }[]>('PRAGMA synchronous');
  return row!.synchronous;
}

/** Returns a provider that runs a statement before the queue starts. */
function runAtStart(name: string, statement: string): Provider {
  return {
    provide: name,
    inject: [DataSource],
    useFactory: (dataSource: DataSource): Promise<void> => dataSource.query(statement),
  };
}

describe.each([sqliteFile, ...(hasSqlite3 ? [sqlite3File] : [])])('SQLite `synchronous` on $label', (kind) => {
  const apps = useApps(kind);

  it('is FULL on the connection of the application', async () => {
    expect(await readSynchronous(await apps.start())).toBe(FULL);
  });
});

describe('SQLite `synchronous` on the connection of the application', () => {
  const apps = useApps(sqliteFile);

  it('is FULL even if the application has set it to OFF', async () => {
    const app = await apps.start({ providers: [runAtStart('LEVEL', 'PRAGMA synchronous = OFF')] });
    expect(await readSynchronous(app)).toBe(FULL);
  });

  it('is FULL after a transaction that was open at startup, which the start does not wait for', async () => {
    const runners: QueryRunner[] = [];
    const transaction = {
      provide: 'TRANSACTION',
      inject: [DataSource],
      useFactory: async (dataSource: DataSource): Promise<void> => {
        runners.push(dataSource.createQueryRunner());
        await runners[0]!.startTransaction();
      },
    };
    // Creating the tables waits for the transaction; the second start creates none.
    await apps.start({ options: { sqlite: { synchronous: 'normal' } } });
    const app = await apps.start({ providers: [transaction] });
    expect(await readSynchronous(app)).not.toBe(FULL);
    await runners[0]!.commitTransaction();
    expect(await readSynchronous(app)).toBe(FULL);
  });

  it('is FULL if the application was iterating rows at startup', async () => {
    const open: { rows?: Iterator<unknown> } = {};
    const iteration = {
      provide: 'ITERATION',
      inject: [DataSource],
      useFactory: ({ driver }: DataSource): void => {
        const { databaseConnection } = driver as unknown as { databaseConnection: Database };
        open.rows = databaseConnection.prepare('SELECT 1 UNION ALL SELECT 2').iterate();
        open.rows.next();
      },
    };
    const app = await apps.start({ providers: [iteration] });
    open.rows!.return!();
    expect(await readSynchronous(app)).toBe(FULL);
  });

  it('is FULL at the next start, when the file is already in WAL mode', async () => {
    await apps.start();
    expect(await readSynchronous(await apps.start())).toBe(FULL);
  });

  it('is FULL again after the first transaction of a reopened DataSource', async () => {
    const app = await apps.start();
    await app.dataSource.destroy();
    await app.dataSource.initialize();
    await app.dataSource.transaction((manager) => app.jobs.enqueueTx(manager, 'work', null));
    expect(await readSynchronous(app)).toBe(FULL);
  });

  it('stays EXTRA if the application has set that', async () => {
    const app = await apps.start({ providers: [runAtStart('LEVEL', 'PRAGMA synchronous = EXTRA')] });
    expect(await readSynchronous(app)).toBe(EXTRA);
  });

  it("stays as the application has set it with `synchronous: 'normal'`", async () => {
    const app = await apps.start({
      options: { sqlite: { synchronous: 'normal' } },
      providers: [runAtStart('LEVEL', 'PRAGMA synchronous = OFF')],
    });
    expect(await readSynchronous(app)).toBe(0);
  });
});
