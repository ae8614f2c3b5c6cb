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

describe.each(hasSqlite3 ? [sqliteFile, sqlite3File] : [sqliteFile])('commits of jobs on $label', (kind) => {
  const apps = useApps(kind);

  it('wait for the disk, on the connection of the application, too', async () => {
    const app = await apps.start();
    await app.dataSource.transaction((manager) => app.jobs.enqueueTx(manager, 'work', null));
    expect(await levelOf(app)).toBe(FULL);
  });

  it('do so however the application has set its connection, and wait for a transaction that is open at the start', async () => {
    const transaction = {
      provide: 'TRANSACTION',
      inject: [DataSource],
      useFactory: async (dataSource: DataSource): Promise<void> => {
        await dataSource.query('PRAGMA synchronous = OFF');
        const runner = dataSource.createQueryRunner();
        await runner.startTransaction();
        // Before the queue begins it is not over: it asks the database more than once.
        setImmediate(() => setImmediate(() => void runner.commitTransaction()));
      },
    };
    const app = await apps.start({ providers: [transaction] });
    expect(await levelOf(app)).toBe(FULL);
  });

  it('do so with the next start, when the file is in WAL mode already', async () => {
    await apps.start();
    expect(await levelOf(await apps.start())).toBe(FULL);
  });

  it('wait for as much as the application wants where that is more', async () => {
    const dataSource = {
      provide: 'LEVEL',
      inject: [DataSource],
      useFactory: (app: DataSource): Promise<void> => app.query('PRAGMA synchronous = EXTRA'),
    };
    expect(await levelOf(await apps.start({ providers: [dataSource] }))).toBe(EXTRA);
  });

  it('are as the application has them with `normal`', async () => {
    const app = await apps.start({
      options: { sqlite: { synchronous: 'normal' } },
      providers: [
        {
          provide: 'LEVEL',
          inject: [DataSource],
          useFactory: (dataSource: DataSource): Promise<void> => dataSource.query('PRAGMA synchronous = OFF'),
        },
      ],
    });
    expect(await levelOf(app)).toBe(0);
  });
});
