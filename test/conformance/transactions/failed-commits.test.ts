/** @npm-test typeorm-0.3, typeorm-0.3-postgres */

import { InvalidOptionsError } from 'nestjs-jobs';
import type { QueryRunner } from 'typeorm';
import { EntityManager } from 'typeorm';
import type { StoreFixture } from '../../support/stores.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { useRecordingEngine } from '../../support/recording-engine.js';

const kinds = storeKinds();
const onSqlite = kinds.filter(({ locksRows }) => !locksRows);

const foreignKeyMessage = expect.stringMatching(/foreign key/i) as string;

/** Creates tables on which a COMMIT fails for a child without a parent. */
async function createFamily(fixture: StoreFixture): Promise<void> {
  await fixture.sql('CREATE TABLE parents (id int PRIMARY KEY)');
  await fixture.sql('CREATE TABLE children (parent int REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)');
}

describe.each(kinds)('a COMMIT that fails on $label', (kind) => {
  const fixture = useStore(kind);
  const queue = useRecordingEngine(fixture);

  beforeAll(() => createFamily(fixture));

  /** Begins a transaction with a job and a row that makes its COMMIT fail. */
  async function beginTransaction(): Promise<QueryRunner> {
    const { queryRunner } = (await fixture.begin()).manager;
    await queue.enqueueTx(queryRunner!.manager);
    await queryRunner!.query('INSERT INTO children VALUES (12)');
    return queryRunner!;
  }

  it('stores nothing and emits no event', async () => {
    const runner = await beginTransaction();
    await expect(runner.commitTransaction()).rejects.toMatchObject({ message: foreignKeyMessage });
    await runner.rollbackTransaction();
    expect([await queue.listIds(), queue.eventIds]).toEqual([[], []]);
  });

  it('emits no event when a second COMMIT succeeds', async () => {
    const runner = await beginTransaction();
    await runner.commitTransaction().catch(() => undefined);
    // PostgreSQL has ended the transaction: the next COMMIT has nothing to commit.
    const isCommitted = await runner.commitTransaction().then(
      () => true,
      () => false,
    );
    expect(isCommitted).toBe(kind.locksRows);
    await runner.rollbackTransaction().catch(() => undefined);
    expect([await queue.listIds(), queue.eventIds]).toEqual([[], []]);
  });
});

describe.each(kinds)('a commit that the queue rejects on $label', (kind) => {
  const fixture = useStore(kind);
  const queue = useRecordingEngine(fixture);
  const rejection = { constructor: InvalidOptionsError, option: 'manager' };

  beforeAll(() => fixture.sql('CREATE TABLE notes (note text)'));
  beforeEach(() => fixture.sql('DELETE FROM notes'));

  /** Begins a transaction with a row, a job and a rejected call. */
  async function beginTransaction(): Promise<QueryRunner> {
    const { queryRunner } = (await fixture.begin()).manager;
    await queryRunner!.query("INSERT INTO notes VALUES ('beside it')");
    await queue.enqueueTx(queryRunner!.manager);
    const part = fixture.store.joinTransaction(queryRunner!.manager, () => undefined);
    await part.finish(new InvalidOptionsError('manager', 'refused'));
    return queryRunner!;
  }

  /** Returns the stored rows, the stored jobs and the events. */
  const readState = async (): Promise<unknown[]> => [
    await fixture.sql('SELECT note FROM notes'),
    await queue.listIds(),
    queue.eventIds,
  ];

  it('is rejected again by a second commit', async () => {
    const runner = await beginTransaction();
    await expect(runner.commitTransaction()).rejects.toMatchObject(rejection);
    await expect(runner.commitTransaction()).rejects.toMatchObject(rejection);
    await runner.rollbackTransaction();
    expect(await readState()).toEqual([[], [], []]);
  });

  it('does not affect the next user of the connection, even without a rollback', async () => {
    const runner = await beginTransaction();
    await expect(runner.commitTransaction()).rejects.toMatchObject(rejection);
    if (!kind.locksRows) {
      // SQLite has one connection: the transaction stays open until it is rolled back.
      await runner.rollbackTransaction();
    }
    await runner.release();
    await fixture.app.transaction((manager) => manager.query('SELECT 1'));
    expect(await readState()).toEqual([[], [], []]);
  });

  it('accepts no call during and after its rollback, with any manager', async () => {
    const runner = await beginTransaction();
    await expect(runner.commitTransaction()).rejects.toMatchObject(rejection);
    const end = runner.rollbackTransaction();
    await expect(queue.enqueueTx(runner.manager)).rejects.toMatchObject(rejection);
    await end;
    await expect(queue.enqueueTx(new EntityManager(fixture.app, runner))).rejects.toMatchObject(rejection);
    expect(await readState()).toEqual([[], [], []]);
  });
});

describe.each(onSqlite)('a transaction whose commit has failed on $label', (kind) => {
  const fixture = useStore(kind);
  const queue = useRecordingEngine(fixture);

  it('can be corrected and committed', async () => {
    await createFamily(fixture);
    const transaction = await fixture.begin();
    const id = await queue.enqueueTx(transaction.manager);
    await transaction.manager.query('INSERT INTO children VALUES (12)');
    await expect(transaction.commit()).rejects.toMatchObject({ message: foreignKeyMessage });
    await transaction.manager.query('INSERT INTO parents VALUES (12)');
    await transaction.commit();
    expect([await queue.listIds(), queue.eventIds]).toEqual([[id], [id]]);
  });
});

describe.each(onSqlite)('a transaction that SQLite rolled back itself on $label', (kind) => {
  const fixture = useStore(kind);
  const queue = useRecordingEngine(fixture);

  it('does not affect later transactions', async () => {
    await fixture.sql('CREATE TABLE once (id int PRIMARY KEY)');
    await fixture.sql('INSERT INTO once VALUES (1)');
    const lost = fixture.app.transaction(async (manager) => {
      await queue.enqueueTx(manager);
      await manager.query('INSERT OR ROLLBACK INTO once VALUES (1)').catch(() => undefined);
    });
    await expect(lost).rejects.toMatchObject({ message: expect.any(String) as string });
    for (let index = 0; index < 3; index += 1) {
      await fixture.app.transaction((manager) => queue.enqueueTx(manager));
    }
    const stored = await queue.listIds();
    expect(stored).toHaveLength(3);
    // TypeORM does not know of the rollback and treats later transactions as savepoints of the lost one.
    expect(stored).toEqual(expect.arrayContaining(queue.eventIds));
  });
});
