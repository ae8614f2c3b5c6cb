import type { Provider } from '@nestjs/common';
import Database from 'better-sqlite3';
import { DataSource } from 'typeorm';
import { hasSqlite3 } from '../support/typeorm.js';
import { until } from '../support/wait.js';
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

/** The mode of the file, as the queue has set it before it looks at the connection of the application. */
function journalModeOf(file: string): unknown {
  const database = new Database(file);
  try {
    return database.pragma('journal_mode', { simple: true });
  } finally {
    database.close();
  }
}

/** A provider that asks the database something before the queue starts. */
function asked(name: string, statement: string): Provider {
  return {
    provide: name,
    inject: [DataSource],
    useFactory: (dataSource: DataSource): Promise<void> => dataSource.query(statement),
  };
}

describe.each(hasSqlite3 ? [sqliteFile, sqlite3File] : [sqliteFile])('commits of jobs on $label', (kind) => {
  const apps = useApps(kind);

  it('wait for the disk, on the connection of the application, too', async () => {
    const app = await apps.start();
    await app.dataSource.transaction((manager) => app.jobs.enqueueTx(manager, 'work', null));
    expect(await levelOf(app)).toBe(FULL);
  });

  it('do so however the application has set its connection', async () => {
    const app = await apps.start({ providers: [asked('LEVEL', 'PRAGMA synchronous = OFF')] });
    expect(await levelOf(app)).toBe(FULL);
  });

  it('do so when the application has a transaction open as the queue starts, which waits for it', async () => {
    const transaction = {
      provide: 'TRANSACTION',
      inject: [DataSource],
      useFactory: async (dataSource: DataSource): Promise<void> => {
        const runner = dataSource.createQueryRunner();
        await runner.startTransaction();
        const { database } = dataSource.options as { database: string };
        void until(() => journalModeOf(database) === 'wal').then(() => runner.commitTransaction());
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
