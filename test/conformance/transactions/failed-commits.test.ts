import { InvalidOptionsError } from 'nestjs-jobs';
import type { QueryRunner } from 'typeorm';
import { EntityManager } from 'typeorm';
import type { StoreFixture } from '../../support/stores.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { useToldEngine } from '../../support/told-engine.js';

const kinds = storeKinds();
const onSqlite = kinds.filter(({ locksRows }) => !locksRows);

const refusedKey = expect.stringMatching(/foreign key/i) as string;

/** A COMMIT fails that leaves a child without its parent. */
async function createFamily(fixture: StoreFixture): Promise<void> {
  await fixture.sql('CREATE TABLE parents (id int PRIMARY KEY)');
  await fixture.sql('CREATE TABLE children (parent int REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)');
}

describe.each(kinds)('a COMMIT that fails on $label', (kind) => {
  const fixture = useStore(kind);
  const queue = useToldEngine(fixture);

  beforeAll(() => createFamily(fixture));

  /** A transaction with a job, and with a row that its COMMIT refuses. */
  async function begun(): Promise<QueryRunner> {
    const { queryRunner } = (await fixture.begin()).manager;
    await queue.enqueueTx(queryRunner!.manager);
    await queryRunner!.query('INSERT INTO children VALUES (12)');
    return queryRunner!;
  }

  it('stores nothing, and tells of nothing', async () => {
    const runner = await begun();
    await expect(runner.commitTransaction()).rejects.toMatchObject({ message: refusedKey });
    await runner.rollbackTransaction();
    expect([await queue.stored(), queue.told]).toEqual([[], []]);
  });

  it('tells of nothing when a second one does not fail', async () => {
    const runner = await begun();
    await runner.commitTransaction().catch(() => undefined);
    // PostgreSQL has ended it: the next COMMIT is one of nothing.
    const isCommitted = await runner.commitTransaction().then(
      () => true,
      () => false,
    );
    expect(isCommitted).toBe(kind.locksRows);
    await runner.rollbackTransaction().catch(() => undefined);
    expect([await queue.stored(), queue.told]).toEqual([[], []]);
  });
});

describe.each(kinds)('a commit that the queue refuses on $label', (kind) => {
  const fixture = useStore(kind);
  const queue = useToldEngine(fixture);
  const refusal = { constructor: InvalidOptionsError, option: 'manager' };

  beforeAll(() => fixture.sql('CREATE TABLE notes (note text)'));
  beforeEach(() => fixture.sql('DELETE FROM notes'));

  /** A transaction with a row, a job and a call that was refused. */
  async function begun(): Promise<QueryRunner> {
    const { queryRunner } = (await fixture.begin()).manager;
    await queryRunner!.query("INSERT INTO notes VALUES ('beside it')");
    await queue.enqueueTx(queryRunner!.manager);
    const part = fixture.store.joinTransaction(queryRunner!.manager, () => undefined);
    part.settle(new InvalidOptionsError('manager', 'refused'));
    return queryRunner!;
  }

  /** The rows and the jobs that stand, and what was told. */
  const left = async (): Promise<unknown[]> => [
    await fixture.sql('SELECT note FROM notes'),
    await queue.stored(),
    queue.told,
  ];

  it('is refused again by a second commit', async () => {
    const runner = await begun();
    await expect(runner.commitTransaction()).rejects.toMatchObject(refusal);
    await expect(runner.commitTransaction()).rejects.toMatchObject(refusal);
    await runner.rollbackTransaction();
    expect(await left()).toEqual([[], [], []]);
  });

  it('leaves nothing to the next user of the connection, even when nobody rolls back', async () => {
    const runner = await begun();
    await expect(runner.commitTransaction()).rejects.toMatchObject(refusal);
    if (!kind.locksRows) {
      // SQLite has one connection: the transaction stays open until it is rolled back.
      await runner.rollbackTransaction();
    }
    await runner.release();
    await fixture.app.transaction((manager) => manager.query('SELECT 1'));
    expect(await left()).toEqual([[], [], []]);
  });

  it('takes no call while it rolls back, nor after that, by whichever manager', async () => {
    const runner = await begun();
    await expect(runner.commitTransaction()).rejects.toMatchObject(refusal);
    const end = runner.rollbackTransaction();
    await expect(queue.enqueueTx(runner.manager)).rejects.toMatchObject(refusal);
    await end;
    await expect(queue.enqueueTx(new EntityManager(fixture.app, runner))).rejects.toMatchObject(refusal);
    expect(await left()).toEqual([[], [], []]);
  });
});

describe.each(onSqlite)('a transaction whose commit has failed on $label', (kind) => {
  const fixture = useStore(kind);
  const queue = useToldEngine(fixture);

  it('can be mended, and committed', async () => {
    await createFamily(fixture);
    const transaction = await fixture.begin();
    const id = await queue.enqueueTx(transaction.manager);
    await transaction.manager.query('INSERT INTO children VALUES (12)');
    await expect(transaction.commit()).rejects.toMatchObject({ message: refusedKey });
    await transaction.manager.query('INSERT INTO parents VALUES (12)');
    await transaction.commit();
    expect([await queue.stored(), queue.told]).toEqual([[id], [id]]);
  });
});

describe.each(onSqlite)('a transaction that SQLite has rolled back by itself on $label', (kind) => {
  const fixture = useStore(kind);
  const queue = useToldEngine(fixture);

  it('keeps later ones from nothing', async () => {
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
    const stored = await queue.stored();
    expect(stored).toHaveLength(3);
    // Without the driver's word TypeORM takes later ones for parts of the lost one, whose end it waits for.
    expect(stored).toEqual(expect.arrayContaining(queue.told));
  });
});
