import { DatabaseRefusedError } from 'nestjs-jobs';
import type { EntityManager, QueryRunner } from 'typeorm';
import { newJob } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { useToldEngine } from '../../support/told-engine.js';

/** A statement of the application's that fails, and whose error it catches. */
const failInVain = (on: EntityManager | QueryRunner): Promise<unknown> =>
  on.query('SELECT no_such_column FROM _jobs').catch(() => undefined);

describe.each(storeKinds())('a transaction in which the error of a statement was caught on $label', (kind) => {
  const fixture = useStore(kind);
  const queue = useToldEngine(fixture);

  /** What a transaction with a job comes to: what it rejects with, if it does, the jobs that are stored and the events. */
  async function outcomeOf(work: (manager: EntityManager) => Promise<unknown>): Promise<unknown[]> {
    const transaction = fixture.app.transaction(async (manager) => {
      const id = await queue.enqueueTx(manager);
      await work(manager);
      return id;
    });
    const outcome = await transaction.catch((error: Error) => error.constructor);
    return [outcome, await queue.stored(), queue.told];
  }

  const refused = [DatabaseRefusedError, [], []];
  const committed = (): unknown[] => {
    const id = expect.stringMatching(/^[0-9a-f-]{36}$/) as string;
    return [id, [id], [id]];
  };
  const mayBe = (): unknown[] => (kind.locksRows ? refused : committed());

  it('stores the job, or says that it does not', async () => {
    expect(await outcomeOf(failInVain)).toEqual(mayBe());
  });

  it('stores the job, or says that it does not, when nobody awaits the statement', async () => {
    expect(await outcomeOf(async (manager) => void failInVain(manager))).toEqual(mayBe());
  });

  it('stores the job, or says that it does not, when a subscriber of the application has sent the statement', async () => {
    const subscriber = {
      beforeTransactionCommit: ({ queryRunner }: { queryRunner: QueryRunner }) => failInVain(queryRunner),
    };
    fixture.subscribe(subscriber);
    expect(await outcomeOf(() => Promise.resolve())).toEqual(mayBe());
  });

  it('stores the job where the statement had a savepoint of its own', async () => {
    const work = (manager: EntityManager): Promise<unknown> =>
      manager.transaction((inner) => inner.query('SELECT no_such_column FROM _jobs')).catch(() => undefined);
    expect(await outcomeOf(work)).toEqual(committed());
  });

  it('is left alone where the queue has no part in it', async () => {
    await fixture.app.transaction(async (manager) => {
      await fixture.store.insert([newJob()], manager);
      await failInVain(manager);
    });
    expect(await queue.stored()).toHaveLength(kind.locksRows ? 0 : 1);
  });

  it('leaves its connection to others as it should be, though nobody rolls back', async () => {
    const runner = fixture.app.createQueryRunner();
    await runner.startTransaction();
    await queue.enqueueTx(runner.manager);
    await failInVain(runner);
    const isRefused = await runner.commitTransaction().then(
      () => false,
      () => true,
    );
    expect(isRefused).toBe(kind.locksRows);
    expect(await runner.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await runner.rollbackTransaction().catch(() => undefined);
    await runner.release();
  });

  it('is not told as committed by a second commit', async () => {
    const runner = fixture.app.createQueryRunner();
    await runner.startTransaction();
    const id = await queue.enqueueTx(runner.manager);
    await failInVain(runner);
    await runner.commitTransaction().catch(() => runner.commitTransaction());
    await runner.release();
    expect([await queue.stored(), queue.told]).toEqual(kind.locksRows ? [[], []] : [[id], [id]]);
  });
});
