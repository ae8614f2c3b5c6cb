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

/** How much a commit of the application's own connection waits for. */
async function levelOf({ dataSource }: TestApp): Promise<number> {
  const [row] = await dataSource.query<{ synchronous: number }[]>('PRAGMA synchronous');
  return row!.synchronous;
}

/** A provider that asks the database something before the queue starts. */
function asked(name: string, statement: string): Provider {
  return {
    provide: name,
    inject: [DataSource],
    useFactory: (dataSource: DataSource): Promise<void> => dataSource.query(statement),
  };
}

describe.each([sqliteFile, ...(hasSqlite3 ? [sqlite3File] : [])])('commits of jobs on $label', (kind) => {
  const apps = useApps(kind);

  it('wait for the disk on the connection of the application, too', async () => {
    expect(await levelOf(await apps.start())).toBe(FULL);
  });
});

describe('commits of jobs on the connection of the application', () => {
  const apps = useApps(sqliteFile);

  it('do so however the application has set it', async () => {
    const app = await apps.start({ providers: [asked('LEVEL', 'PRAGMA synchronous = OFF')] });
    expect(await levelOf(app)).toBe(FULL);
  });

  it('do so from the end of a transaction on that is open as the queue starts, which does not wait for it', async () => {
    const runners: QueryRunner[] = [];
    const transaction = {
      provide: 'TRANSACTION',
      inject: [DataSource],
      useFactory: async (dataSource: DataSource): Promise<void> => {
        runners.push(dataSource.createQueryRunner());
        await runners[0]!.startTransaction();
      },
    };
    // What makes the tables waits for it; the second start has none to make.
    await apps.start({ options: { sqlite: { synchronous: 'normal' } } });
    const app = await apps.start({ providers: [transaction] });
    expect(await levelOf(app)).not.toBe(FULL);
    await runners[0]!.commitTransaction();
    expect(await levelOf(app)).toBe(FULL);
  });

  it('do so while the application goes through rows', async () => {
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
    expect(await levelOf(app)).toBe(FULL);
  });

  it('do so with the next start, when the file is in WAL mode already', async () => {
    await apps.start();
    expect(await levelOf(await apps.start())).toBe(FULL);
  });

  it('do so again after the first transaction when the connection was made anew', async () => {
    const app = await apps.start();
    await app.dataSource.destroy();
    await app.dataSource.initialize();
    await app.dataSource.transaction((manager) => app.jobs.enqueueTx(manager, 'work', null));
    expect(await levelOf(app)).toBe(FULL);
  });

  it('wait for as much as the application wants where that is more', async () => {
    const app = await apps.start({ providers: [asked('LEVEL', 'PRAGMA synchronous = EXTRA')] });
    expect(await levelOf(app)).toBe(EXTRA);
  });

  it('are as the application has them with `normal`', async () => {
    const app = await apps.start({
      options: { sqlite: { synchronous: 'normal' } },
      providers: [asked('LEVEL', 'PRAGMA synchronous = OFF')],
    });
    expect(await levelOf(app)).toBe(0);
  });
});
