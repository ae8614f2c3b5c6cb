/** @npm-test memory, typeorm-0.3, typeorm-0.3-postgres */

import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { JobsEngine } from 'nestjs-jobs';
import type { EntityManager, QueryRunner } from 'typeorm';
import { useRecordingEngine } from '../../support/recording-engine.js';
import { storeKinds, useStore } from '../../support/stores.js';

/** Fits into the cache of SQLite, so that it is written to the file at the COMMIT. */
const LARGE = 500_000;

/** Limits the size of the files that this process writes: a write beyond it fails, as on a full disk. */
function limitFiles(bytes: number | 'unlimited'): void {
  execFileSync('prlimit', [`--pid=${process.pid}`, `--fsize=${bytes}:unlimited`]);
}

const onFiles = storeKinds().filter((kind) => !kind.locksRows && kind.canHaveTwoConnections);

describe.each(onFiles)('a COMMIT on a full disk on $label', (kind) => {
  const fixture = useStore(kind);
  const queue = useRecordingEngine(fixture);

  beforeAll(() => fixture.sql('CREATE TABLE files (content blob)'));
  beforeEach(() => fixture.sql('DELETE FROM files'));
  afterEach(() => limitFiles('unlimited'));

  function fillDisk(): void {
    const { database } = fixture.app.options as { database: string };
    limitFiles(Math.max(...[database, `${database}-wal`].map((file) => statSync(file).size)) + 1);
  }

  const writeLarge = (on: EntityManager | QueryRunner): Promise<unknown> =>
    on.query(`INSERT INTO files VALUES (zeroblob(${LARGE}))`);

  /** Returns the ids that another connection sees. */
  async function readIds(): Promise<string[]> {
    const other = await fixture.openAnother();
    expect(await other.app.query('SELECT count(*) AS files FROM files')).toEqual([{ files: 0 }]);
    return (await other.app.query<{ id: string }[]>('SELECT id FROM _jobs')).map(({ id }) => id);
  }

  it('rejects, stores nothing, and later transactions commit', async () => {
    fillDisk();
    for (let count = 0; count < 3; count += 1) {
      const refused = fixture.app.transaction(async (manager) => {
        await queue.enqueueTx(manager);
        await writeLarge(manager);
      });
      await expect(refused).rejects.toMatchObject({
        driverError: { code: expect.stringMatching(/^SQLITE_/) as string },
      });
    }
    limitFiles('unlimited');
    const ids = await Promise.all([1, 2, 3].map(() => fixture.app.transaction((manager) => queue.enqueueTx(manager))));
    expect((await readIds()).sort()).toEqual(ids.sort());
    expect(queue.eventIds.sort()).toEqual(ids);
  });

  it('with a query runner leaves it usable, with or without a rollback', async () => {
    const runner = fixture.app.createQueryRunner();
    for (const isRolledBack of [true, false]) {
      await runner.startTransaction();
      const lost = await queue.enqueueTx(runner.manager);
      await writeLarge(runner);
      fillDisk();
      await expect(runner.commitTransaction()).rejects.toThrow();
      limitFiles('unlimited');
      await expect(writeLarge(runner)).rejects.toThrow();
      await expect(runner.commitTransaction()).rejects.toThrow();
      if (isRolledBack) await runner.rollbackTransaction();
      expect(queue.eventIds).not.toContain(lost);
    }
    await runner.startTransaction();
    const id = await queue.enqueueTx(runner.manager);
    await runner.commitTransaction();
    await runner.release();
    expect(await readIds()).toEqual([id]);
    expect(queue.eventIds).toEqual([id]);
  });

  it('of a handler fails the attempt, and the next one completes the job', async () => {
    const engine = new JobsEngine({ store: fixture.store, backoff: { type: 'fixed', delay: 0 } });
    engine.register('pay', async (job) => {
      const done = fixture.app.transaction(async (manager) => {
        await job.completeTx(manager);
        if (job.attempt === 1) {
          await writeLarge(manager);
          fillDisk();
        }
      });
      await done.finally(() => limitFiles('unlimited'));
    });
    const { id } = await engine.enqueue('pay', null);
    await engine.start();
    await engine.whenIdle();
    expect(await engine.jobs.get(id)).toMatchObject({ status: 'completed', attempt: 2 });
    expect(await readIds()).toEqual([id]);
    await engine.close();
  });
});

const onSqlite = storeKinds().filter(({ locksRows }) => !locksRows);

describe.each(onSqlite)('a statement on a full disk on $label', (kind) => {
  const fixture = useStore(kind);
  const queue = useRecordingEngine(fixture);

  it('rolls back its transaction, and later transactions commit', async () => {
    await fixture.sql('CREATE TABLE files (content blob)');
    const [{ pages }] = (await fixture.sql('SELECT page_count AS pages FROM pragma_page_count')) as [{ pages: number }];
    await fixture.sql(`PRAGMA max_page_count = ${pages}`);
    const refused = fixture.app.transaction(async (manager) => {
      await queue.enqueueTx(manager);
      await manager.query(`INSERT INTO files VALUES (zeroblob(${LARGE}))`);
    });
    await expect(refused).rejects.toMatchObject({ driverError: { code: 'SQLITE_FULL' } });
    await fixture.sql('PRAGMA max_page_count = 1000000');
    const id = await fixture.app.transaction((manager) => queue.enqueueTx(manager));
    expect([await queue.listIds(), queue.eventIds]).toEqual([[id], [id]]);
  });
});
