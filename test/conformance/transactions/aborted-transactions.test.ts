/** @npm-test typeorm-0.3, typeorm-0.3-postgres */

import { DatabaseRefusedError } from 'nestjs-jobs';
import type { EntityManager, QueryRunner } from 'typeorm';
import { newJob } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { useRecordingEngine } from '../../support/recording-engine.js';

/** Runs a failing statement of the application and ignores its error. */
const failSilently = (on: EntityManager | QueryRunner): Promise<unknown> =>
  on.query('SELECT no_such_column FROM _jobs').catch(() => undefined);

describe.each(storeKinds())('a transaction that ignored the error of a statement on $label', (kind) => {
  const fixture = useStore(kind);
  const queue = useRecordingEngine(fixture);

  /** Runs a transaction with a job. Returns its result or error class, the stored jobs and the events. */
  async function runTransaction(work: (manager: EntityManager) => Promise<unknown>): Promise<unknown[]> {
    const transaction = fixture.app.transaction(async (manager) => {
      const id = await queue.enqueueTx(manager);
      await work(manager);
      return id;
    });
    const outcome = await transaction.catch((error: Error) => error.constructor);
    return [outcome, await queue.listIds(), queue.eventIds];
  }

  const rejected = [DatabaseRefusedError, [], []];
  const committed = (): unknown[] => {
    const id = expect.stringMatching(/^[0-9a-f-]{36}$/) as string;
    return [id, [id], [id]];
  };
  const createExpected = (): unknown[] => (kind.locksRows ? rejected : committed());

  it('stores the job or rejects', async () => {
    expect(await runTransaction(failSilently)).toEqual(createExpected());
  });

  it('stores the job or rejects when the statement was not awaited', async () => {
    expect(await runTransaction(async (manager) => void failSilently(manager))).toEqual(createExpected());
  });

  it('stores the job or rejects when a subscriber of the application sent the statement', async () => {
    const subscriber = {
      beforeTransactionCommit: ({ queryRunner }: { queryRunner: QueryRunner }) => failSilently(queryRunner),
    };
    fixture.subscribe(subscriber);
    expect(await runTransaction(() => Promise.resolve())).toEqual(createExpected());
  });

  it('stores the job when the statement had its own savepoint', async () => {
    const work = (manager: EntityManager): Promise<unknown> =>
      manager.transaction((inner) => inner.query('SELECT no_such_column FROM _jobs')).catch(() => undefined);
    expect(await runTransaction(work)).toEqual(committed());
  });

  it('is not affected when it has no job', async () => {
    await fixture.app.transaction(async (manager) => {
      await fixture.store.insert([newJob()], manager);
      await failSilently(manager);
    });
    expect(await queue.listIds()).toHaveLength(kind.locksRows ? 0 : 1);
  });

  it('leaves a usable connection without a rollback', async () => {
    const runner = fixture.app.createQueryRunner();
    await runner.startTransaction();
    await queue.enqueueTx(runner.manager);
    await failSilently(runner);
    const isRejected = await runner.commitTransaction().then(
      () => false,
      () => true,
    );
    expect(isRejected).toBe(kind.locksRows);
    expect(await runner.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await runner.rollbackTransaction().catch(() => undefined);
    await runner.release();
  });

  it('emits no event after a second commit', async () => {
    const runner = fixture.app.createQueryRunner();
    await runner.startTransaction();
    const id = await queue.enqueueTx(runner.manager);
    await failSilently(runner);
    await runner.commitTransaction().catch(() => runner.commitTransaction());
    await runner.release();
    expect([await queue.listIds(), queue.eventIds]).toEqual(kind.locksRows ? [[], []] : [[id], [id]]);
  });
});
