import type { Job } from 'nestjs-jobs';
import { DatabaseRefusedError, JobsEngine } from 'nestjs-jobs';
import type { EntityManager } from 'typeorm';
import { newJob, TOPIC } from '../support/job-rows.js';
import { storeKinds, useStore } from '../support/stores.js';

/** A statement of the application's that fails, and whose error it catches. */
const failInVain = (manager: EntityManager): Promise<unknown> =>
  manager.query('SELECT no_such_column FROM _jobs').catch(() => undefined);

describe.each(storeKinds())('a transaction in which the error of a statement was caught on $label', (kind) => {
  const fixture = useStore(kind);
  let engine: JobsEngine;
  let told: string[];

  beforeEach(() => {
    told = [];
    engine = new JobsEngine({ store: fixture.store });
    engine.events.subscribe(({ type, id }) => told.push(`${type} ${id}`));
  });
  afterEach(() => engine.close());

  const stored = async (): Promise<string[]> =>
    (await fixture.sql<{ id: string }>('SELECT id FROM _jobs')).map(({ id }) => id);

  it('stores the job, or says that it does not', async () => {
    let job!: Job;
    const transaction = fixture.app.transaction(async (manager) => {
      job = await engine.enqueueTx(manager, TOPIC, null);
      await failInVain(manager);
    });
    const outcome = await transaction.catch((error: Error) => error.constructor);
    expect([outcome, await stored(), told]).toEqual(
      kind.locksRows ? [DatabaseRefusedError, [], []] : [undefined, [job.id], [`enqueued ${job.id}`]],
    );
  });

  it('stores the job where the statement had a savepoint of its own', async () => {
    const job = await fixture.app.transaction(async (manager) => {
      const enqueued = await engine.enqueueTx(manager, TOPIC, null);
      const failing = manager.transaction((inner) => inner.query('SELECT no_such_column FROM _jobs'));
      await expect(failing).rejects.toMatchObject({ message: expect.stringContaining('no_such_column') as string });
      return enqueued;
    });
    expect(await stored()).toEqual([job.id]);
    expect(told).toEqual([`enqueued ${job.id}`]);
  });

  it('is left alone where the queue has no part in it', async () => {
    await fixture.app.transaction(async (manager) => {
      await fixture.store.insert([newJob()], manager);
      await failInVain(manager);
    });
    expect(await stored()).toHaveLength(kind.locksRows ? 0 : 1);
  });

  it('leaves its connection usable', async () => {
    const runner = fixture.app.createQueryRunner();
    await runner.startTransaction();
    await engine.enqueueTx(runner.manager, TOPIC, 1);
    await failInVain(runner.manager);
    await runner.commitTransaction().catch(() => runner.rollbackTransaction());
    await runner.startTransaction();
    const job = await engine.enqueueTx(runner.manager, TOPIC, 2);
    await runner.commitTransaction();
    await runner.release();
    expect(await stored()).toContain(job.id);
  });
});

/** How a driver may stand that does not know, or not yet, that the transaction has failed. */
const ignorances: [string, object][] = [
  ['cannot tell', { getTransactionStatus: undefined }],
  ['has been told nothing', { getTransactionStatus: () => null }],
  ['has not read the whole answer', { getTransactionStatus: () => 'T', readyForQuery: false }],
];

describe.each(storeKinds().filter((kind) => kind.locksRows))('a driver on $label', (kind) => {
  const fixture = useStore(kind);

  it.each(ignorances)('that %s how its transaction stands is not relied on', async (_how, what) => {
    const engine = new JobsEngine({ store: fixture.store });
    const runner = fixture.app.createQueryRunner();
    const client = (await runner.connect()) as object;
    const enqueue = async (fails: boolean): Promise<void> => {
      await runner.startTransaction();
      await engine.enqueueTx(runner.manager, TOPIC, fails);
      if (fails) await failInVain(runner.manager);
      // Only the question is put to it, and not the statement that follows.
      const connect = runner.connect.bind(runner);
      runner.connect = () => {
        runner.connect = connect;
        return Promise.resolve(Object.create(client, Object.getOwnPropertyDescriptors(what)) as never);
      };
      await runner.commitTransaction();
    };
    await expect(enqueue(true)).rejects.toMatchObject({
      constructor: DatabaseRefusedError,
      message: expect.stringContaining('a statement in it has failed, and its error was caught') as string,
    });
    await runner.rollbackTransaction();
    await enqueue(false);
    await runner.release();
    expect(await fixture.sql('SELECT payload FROM _jobs')).toEqual([{ payload: false }]);
    await engine.close();
  });
});
