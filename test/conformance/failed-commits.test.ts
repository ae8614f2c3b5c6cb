import { setImmediate as nextLoop } from 'node:timers/promises';
import { DatabaseRefusedError } from 'nestjs-jobs';
import type { QueryRunner } from 'typeorm';
import { storeKinds, useStore } from '../support/stores.js';
import { useToldEngine } from '../support/told-engine.js';

const kinds = storeKinds();
const refusedKey = expect.stringMatching(/foreign key/i) as string;

describe.each(kinds)('a COMMIT that fails on $label', (kind) => {
  const fixture = useStore(kind);
  const queue = useToldEngine(fixture);

  beforeAll(async () => {
    await fixture.sql('CREATE TABLE parents (id int PRIMARY KEY)');
    await fixture.sql('CREATE TABLE children (parent int REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)');
  });

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

describe.each(kinds.filter(({ locksRows }) => locksRows))('a commit that the queue refuses on $label', (kind) => {
  const fixture = useStore(kind);
  const queue = useToldEngine(fixture);

  it('leaves nothing to whoever has the connection next, though nobody rolls back', async () => {
    await fixture.sql('CREATE TABLE notes (note text)');
    const runner = fixture.app.createQueryRunner();
    await runner.startTransaction();
    await runner.query("INSERT INTO notes VALUES ('beside it')");
    const givenUp = async (): Promise<void> => {
      await nextLoop();
      throw new Error('given up');
    };
    await Promise.allSettled([queue.enqueueTx(runner.manager), runner.manager.transaction(givenUp)]);
    await expect(runner.commitTransaction()).rejects.toMatchObject({ option: 'manager' });
    await runner.release();
    await fixture.app.transaction((manager) => manager.query('SELECT 1'));
    expect(await fixture.sql('SELECT note FROM notes')).toEqual([]);
    expect([await queue.stored(), queue.told]).toEqual([[], []]);
  });
});

describe.each(kinds.filter(({ locksRows }) => !locksRows))(
  'a transaction whose commit has failed on $label',
  (kind) => {
    const fixture = useStore(kind);
    const queue = useToldEngine(fixture);

    it('can be mended, and committed', async () => {
      await fixture.sql('CREATE TABLE parents (id int PRIMARY KEY)');
      await fixture.sql('CREATE TABLE children (parent int REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)');
      const transaction = await fixture.begin();
      const id = await queue.enqueueTx(transaction.manager);
      await transaction.manager.query('INSERT INTO children VALUES (12)');
      await expect(transaction.commit()).rejects.toMatchObject({ message: refusedKey });
      await transaction.manager.query('INSERT INTO parents VALUES (12)');
      await transaction.commit();
      expect([await queue.stored(), queue.told]).toEqual([[id], [id]]);
    });

    it('can be committed when a refusal that kept it from that is pardoned', async () => {
      const transaction = await fixture.begin();
      const part = fixture.store.joinTransaction(transaction.manager, () => undefined);
      part.settled(new Error('refused'));
      await expect(transaction.commit()).rejects.toThrow('refused');
      part.pardon();
      const id = await queue.enqueueTx(transaction.manager);
      await transaction.commit();
      expect([await queue.stored(), queue.told]).toEqual([[id], [id]]);
    });
  },
);

describe.each(kinds.filter(({ tellsOfOwnEnds }) => tellsOfOwnEnds))(
  'what ROLLBACK of a conflict undoes on $label',
  (kind) => {
    const fixture = useStore(kind);
    const queue = useToldEngine(fixture);

    it('is not committed, though a savepoint has begun another transaction', async () => {
      await fixture.sql('CREATE TABLE once (id int PRIMARY KEY)');
      await fixture.sql('INSERT INTO once VALUES (1)');
      const lost = fixture.app.transaction(async (manager) => {
        await queue.enqueueTx(manager);
        await manager.query('INSERT OR ROLLBACK INTO once VALUES (1)').catch(() => undefined);
        await manager.transaction(() => Promise.reject(new Error('given up'))).catch(() => undefined);
      });
      await expect(lost).rejects.toMatchObject({ constructor: DatabaseRefusedError });
      expect([await queue.stored(), queue.told]).toEqual([[], []]);
      const id = await fixture.app.transaction((manager) => queue.enqueueTx(manager));
      expect([await queue.stored(), queue.told]).toEqual([[id], [id]]);
    });
  },
);
