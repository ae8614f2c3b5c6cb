/** @npm-test postgres-15, memory, typeorm-0.3, typeorm-0.3-postgres */

import { setImmediate as nextLoop } from 'node:timers/promises';
import { InvalidOptionsError, UnknownDataSourceError } from 'nestjs-jobs';
import type { JobStore } from '../../../lib/store/job-store.js';
import type { StoreTransaction } from '../../../lib/store/transactions/application-transactions.js';
import { newJob, newJobs } from '../../support/job-rows.js';
import { openStore, storeKinds, useStore } from '../../support/stores.js';

describe.each(storeKinds())("insert in a caller's transaction on $label", (kind) => {
  const fixture = useStore(kind);

  const isThere = async (id: string): Promise<boolean> => (await fixture.store.find([id])).length === 1;

  it('stores jobs when the transaction commits', async () => {
    const jobs = newJobs(3);
    const transaction = await fixture.begin();
    const inserted = await fixture.store.insert(jobs, transaction.manager);
    expect(inserted.map(({ id }) => id)).toEqual(jobs.map(({ id }) => id));
    await transaction.commit();
    expect(await fixture.store.find(jobs.map(({ id }) => id))).toHaveLength(3);
  });

  it('stores nothing when the transaction is rolled back', async () => {
    const job = newJob();
    const transaction = await fixture.begin();
    await fixture.store.insert([job], transaction.manager);
    await transaction.rollback();
    expect(await isThere(job.id)).toBe(false);
  });

  it('shows jobs to the transaction itself before it commits', async () => {
    const job = newJob();
    const transaction = await fixture.begin();
    await fixture.store.insert([job], transaction.manager);
    expect(await fixture.store.find([job.id], transaction.manager)).toMatchObject([{ id: job.id, status: 'pending' }]);
    await transaction.rollback();
  });

  it('removes only the jobs of a savepoint that is rolled back', async () => {
    const [outside, inside, after] = newJobs(3);
    await fixture.app.transaction(async (manager) => {
      await fixture.store.insert([outside!], manager);
      const savepoint = manager.transaction(async (inner) => {
        await fixture.store.insert([inside!], inner);
        throw new Error('inner');
      });
      await expect(savepoint).rejects.toThrow('inner');
      await fixture.store.insert([after!], manager);
    });
    expect(await isThere(outside!.id)).toBe(true);
    expect(await isThere(inside!.id)).toBe(false);
    expect(await isThere(after!.id)).toBe(true);
  });

  it('leaves the transaction usable when a job is rejected inside a savepoint', async () => {
    const job = newJob();
    await fixture.app.transaction(async (manager) => {
      const savepoint = manager.transaction((inner) => fixture.store.insert([newJob({ priority: 5_000 })], inner));
      await expect(savepoint).rejects.toThrow();
      await fixture.store.insert([job], manager);
    });
    expect(await isThere(job.id)).toBe(true);
  });

  it('rejects a manager of another DataSource', async () => {
    const other = await fixture.kind.createDatabase();
    const app = await other.app().initialize();
    const transaction = await fixture.begin(app);
    const job = newJob();
    await expect(fixture.store.insert([job], transaction.manager)).rejects.toThrow(UnknownDataSourceError);
    await transaction.rollback();
    await app.destroy();
    await other.remove();
    expect(await isThere(job.id)).toBe(false);
  });

  it('rejects a manager without an open transaction', async () => {
    const job = newJob();
    const transaction = await fixture.begin();
    await transaction.commit();
    for (const manager of [fixture.app.manager, transaction.manager]) {
      const refused = fixture.store.insert([job], manager);
      await expect(refused).rejects.toMatchObject({ constructor: InvalidOptionsError, option: 'manager' });
    }
    expect(await isThere(job.id)).toBe(false);
  });
});

describe.each(storeKinds().filter((kind) => kind.canHaveTwoConnections))(
  "insert in a caller's transaction, read by other connections, on $label",
  (kind) => {
    const fixture = useStore(kind);

    it('hides jobs from other connections until the transaction commits', async () => {
      const job = newJob();
      const transaction = await fixture.begin();
      await fixture.store.insert([job], transaction.manager);
      expect(await fixture.store.find([job.id])).toEqual([]);
      expect(await fixture.store.scan([{ topic: job.topic, after: -1, before: 1 }])).toMatchObject({ waiting: [] });
      await transaction.commit();
      expect(await fixture.store.find([job.id])).toHaveLength(1);
    });
  },
);

describe.each(storeKinds().filter((kind) => kind.locksRows))('two open transactions on $label', (kind) => {
  const fixture = useStore(kind);

  it('commit or roll back independently, beside a third insert', async () => {
    const [committed, rolledBack, beside] = newJobs(3);
    const first = await fixture.begin();
    const second = await fixture.begin();
    await fixture.store.insert([committed!], first.manager);
    await fixture.store.insert([rolledBack!], second.manager);
    await fixture.store.insert([beside!]);
    await second.rollback();
    await first.commit();
    const rows = await fixture.sql<{ id: string }>('SELECT id FROM _jobs ORDER BY id');
    expect(rows.map(({ id }) => id)).toEqual([committed!.id, beside!.id]);
  });
});

describe.each(storeKinds().filter((kind) => kind.locksRows))('a failed transaction on $label', (kind) => {
  const fixture = useStore(kind);

  it('rejects an insert with its own error, not as an outage', async () => {
    const [lost, stored] = newJobs(2);
    const transaction = await fixture.begin();
    const { queryRunner } = transaction.manager;
    await queryRunner!.startTransaction();
    await expect(queryRunner!.query('SELECT 1 / 0')).rejects.toThrow('division by zero');
    const refused = fixture.store.insert([lost!], transaction.manager);
    await expect(refused).rejects.toMatchObject({ constructor: InvalidOptionsError, option: 'manager' });
    await expect(refused).rejects.toThrow('an earlier statement of its transaction has failed');
    await queryRunner!.rollbackTransaction();
    await fixture.store.insert([stored!], transaction.manager);
    await transaction.commit();
    expect((await fixture.store.find([lost!.id, stored!.id])).map(({ id }) => id)).toEqual([stored!.id]);
  });

  it('rejects an insert as read-only when it started as read-only', async () => {
    const refused = fixture.app.transaction(async (manager) => {
      await manager.query('SET TRANSACTION READ ONLY');
      await fixture.store.insert([newJob()], manager);
    });
    await expect(refused).rejects.toMatchObject({ code: 'QUEUE_UNAVAILABLE', isUncertain: false });
    await expect(refused).rejects.toThrow('transaction is read-only');
  });
});

const inFiles = storeKinds().filter((kind) => kind.canHaveTwoConnections && !kind.locksRows);

describe.each(inFiles)('a transaction that read before another process wrote, on $label', (kind) => {
  const fixture = useStore(kind);

  it('rejects an insert with an error that names the remedy', async () => {
    const another = await fixture.openAnother();
    const transaction = await fixture.begin();
    await transaction.manager.query('SELECT count(*) FROM _jobs');
    await another.store.insert([newJob()]);
    const refused = fixture.store.insert([newJob()], transaction.manager);
    await expect(refused).rejects.toMatchObject({ code: 'QUEUE_UNAVAILABLE', isUncertain: false });
    await expect(refused).rejects.toThrow('roll back and retry');
    await transaction.rollback();
  });
});

/** Joins the transaction with a call that ends at once. */
const joinTransaction = (store: JobStore, tx: StoreTransaction, done: (committed: boolean) => void): void =>
  store.joinTransaction(tx, done).finish();

describe.each(storeKinds())('a call in a transaction on $label', (kind) => {
  const fixture = useStore(kind);

  it('delays the end of the transaction, which accepts no further call', async () => {
    const transaction = await fixture.begin();
    const part = fixture.store.joinTransaction(transaction.manager, () => undefined);
    const ended = jest.fn();
    const end = transaction.commit().then(ended);
    await nextLoop();
    expect(ended).not.toHaveBeenCalled();
    expect(() => fixture.store.joinTransaction(transaction.manager, () => undefined)).toThrow(InvalidOptionsError);
    part.finish();
    await end;
    expect(ended).toHaveBeenCalledTimes(1);
  });

  it('is rejected in a TypeORM subscriber that runs before the commit', async () => {
    const refusals: unknown[] = [];
    const subscriber = {
      beforeTransactionCommit: ({ manager }: { manager: StoreTransaction }) => {
        try {
          fixture.store.joinTransaction(manager, () => undefined);
        } catch (error) {
          refusals.push(error);
        }
      },
    };
    fixture.subscribe(subscriber);
    await fixture.app.transaction((manager) => manager.query('SELECT 1'));
    expect(refusals).toEqual([expect.any(InvalidOptionsError)]);
  });

  it('is rejected in a transaction that has ended, even when another one has started since', async () => {
    const first = await fixture.begin();
    await first.rollback();
    const second = await fixture.begin();
    expect(() => fixture.store.joinTransaction(first.manager, () => undefined)).toThrow(InvalidOptionsError);
    await second.rollback();
  });

  it('prevents the commit when it was rejected', async () => {
    const job = newJob();
    const refused = fixture.app.transaction(async (manager) => {
      await fixture.store.insert([job], manager);
      await fixture.store.joinTransaction(manager, () => undefined).finish(new Error('refused'));
    });
    await expect(refused).rejects.toThrow('refused');
    expect(await fixture.store.find([job.id])).toEqual([]);
  });

  it('reports a commit once, when other connections can see it', async () => {
    const answers: boolean[] = [];
    const transaction = await fixture.begin();
    joinTransaction(fixture.store, transaction.manager, (committed) => answers.push(committed));
    const job = newJob();
    await fixture.store.insert([job], transaction.manager);
    expect(answers).toEqual([]);
    await transaction.commit();
    expect(answers).toEqual([true]);
    await fixture.app.transaction((manager) => fixture.store.insert([newJob()], manager));
    expect(answers).toEqual([true]);
  });

  it('reports a rollback once', async () => {
    const answers: boolean[] = [];
    const transaction = await fixture.begin();
    joinTransaction(fixture.store, transaction.manager, (committed) => answers.push(committed));
    await transaction.rollback();
    expect(answers).toEqual([false]);
  });

  it('calls several callbacks in their order', async () => {
    const calls: string[] = [];
    await fixture.app.transaction(async (manager) => {
      joinTransaction(fixture.store, manager, () => calls.push('first'));
      joinTransaction(fixture.store, manager, () => calls.push('second'));
    });
    expect(calls).toEqual(['first', 'second']);
  });

  it('reports the rollback of the savepoint around the call at once', async () => {
    const calls: string[] = [];
    await fixture.app.transaction(async (manager) => {
      joinTransaction(fixture.store, manager, (committed) => calls.push(`outside ${committed}`));
      const savepoint = manager.transaction(async (inner) => {
        joinTransaction(fixture.store, inner, (committed) => calls.push(`inside ${committed}`));
        throw new Error('inner');
      });
      await expect(savepoint).rejects.toThrow('inner');
      expect(calls).toEqual(['inside false']);
    });
    expect(calls).toEqual(['inside false', 'outside true']);
  });

  it('waits for the outermost transaction when a savepoint is released', async () => {
    const calls: string[] = [];
    const whole = fixture.app.transaction(async (manager) => {
      await manager.transaction(async (inner) => {
        joinTransaction(fixture.store, inner, (committed) => calls.push(`released ${committed}`));
      });
      expect(calls).toEqual([]);
      // The rollback of a later savepoint of the same depth does not affect the released one.
      await expect(manager.transaction(() => Promise.reject(new Error('sibling')))).rejects.toThrow('sibling');
      expect(calls).toEqual([]);
      throw new Error('outer');
    });
    await expect(whole).rejects.toThrow('outer');
    expect(calls).toEqual(['released false']);
  });

  it('reports that nothing was committed when the commit fails', async () => {
    await fixture.sql('CREATE TABLE parent (id integer PRIMARY KEY)');
    await fixture.sql('CREATE TABLE child (parent_id integer REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)');
    const answers: boolean[] = [];
    const job = newJob();
    const refused = fixture.app.transaction(async (manager) => {
      await fixture.store.insert([job], manager);
      joinTransaction(fixture.store, manager, (committed) => answers.push(committed));
      await manager.query('INSERT INTO child VALUES (1)');
    });
    await expect(refused).rejects.toThrow(/foreign key/i);
    expect(answers).toEqual([false]);
    expect(await fixture.store.find([job.id])).toEqual([]);
  });

  it('rejects a manager without an open transaction', () => {
    const call = (): void => joinTransaction(fixture.store, fixture.app.manager, () => undefined);
    expect(call).toThrow(InvalidOptionsError);
  });

  it('does not affect the next transaction of the same connection', async () => {
    const answers: string[] = [];
    const first = await fixture.begin();
    joinTransaction(fixture.store, first.manager, (committed) => answers.push(`first ${committed}`));
    await first.rollback();
    const second = await fixture.begin();
    joinTransaction(fixture.store, second.manager, (committed) => answers.push(`second ${committed}`));
    await second.commit();
    expect(answers).toEqual(['first false', 'second true']);
  });

  it('reports nothing after the store is closed', async () => {
    const answers: boolean[] = [];
    const other = await fixture.kind.createDatabase();
    const opened = await openStore(other);
    const transaction = await fixture.begin(opened.app);
    joinTransaction(opened.store, transaction.manager, (committed) => answers.push(committed));
    await opened.store.close();
    await transaction.commit();
    await opened.app.destroy();
    await other.remove();
    expect(answers).toEqual([]);
  });
});
