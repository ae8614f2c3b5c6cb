import { DatabaseRefusedError, JobsEngine } from 'nestjs-jobs';
import type { DataSource, EntityManager, QueryRunner } from 'typeorm';
import { newJob, TOPIC } from '../support/job-rows.js';
import { storeKinds, useStore } from '../support/stores.js';

/** A statement of the application's that fails, and whose error it catches. */
const failInVain = (on: EntityManager | QueryRunner): Promise<unknown> =>
  on.query('SELECT no_such_column FROM _jobs').catch(() => undefined);

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

  /** What a transaction with a job comes to: what it rejects with, if it does, the jobs that are stored and the events. */
  async function outcomeOf(work: (manager: EntityManager) => Promise<unknown>): Promise<unknown[]> {
    const transaction = fixture.app.transaction(async (manager) => {
      const { id } = await engine.enqueueTx(manager, TOPIC, null);
      await work(manager);
      return id;
    });
    const outcome = await transaction.catch((error: Error) => error.constructor);
    return [outcome, await stored(), told];
  }

  const refused = [DatabaseRefusedError, [], []];
  const committed = (): unknown[] => {
    const id = expect.stringMatching(/^[0-9a-f-]{36}$/) as string;
    return [id, [id], [expect.stringMatching(/^enqueued /)]];
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
    fixture.app.subscribers.push(subscriber as (typeof fixture.app.subscribers)[number]);
    const outcome = await outcomeOf(() => Promise.resolve());
    fixture.app.subscribers.pop();
    expect(outcome).toEqual(mayBe());
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
    expect(await stored()).toHaveLength(kind.locksRows ? 0 : 1);
  });

  it('leaves its connection to others as it should be, though nobody rolls back', async () => {
    const runner = fixture.app.createQueryRunner();
    await runner.startTransaction();
    await engine.enqueueTx(runner.manager, TOPIC, 1);
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
    const job = await engine.enqueueTx(runner.manager, TOPIC, 1);
    await failInVain(runner);
    await runner.commitTransaction().catch(() => runner.commitTransaction());
    await runner.release();
    expect([await stored(), told]).toEqual(kind.locksRows ? [[], []] : [[job.id], [`enqueued ${job.id}`]]);
  });
});

/** How far from the end of a transaction calls come, in steps of the engine that runs promises. */
const DISTANCES = Array.from({ length: 40 }, (_, index) => index);

const ENDS: [string, (app: DataSource, work: (manager: EntityManager) => void) => Promise<unknown>][] = [
  ['committed', (app, work) => app.transaction(async (manager) => work(manager))],
  [
    'rolled back',
    (app, work) =>
      app.transaction(async (manager) => {
        work(manager);
        throw new Error('no');
      }),
  ],
  [
    'rolled back to a savepoint',
    (app, work) =>
      app.transaction((manager) =>
        manager
          .transaction(async (inner) => {
            work(inner);
            throw new Error('no');
          })
          .catch(() => undefined),
      ),
  ],
];

describe.each(storeKinds())('a call that comes late on $label, where the application has a subscriber', (kind) => {
  const fixture = useStore(kind);
  let engine: JobsEngine;
  let told: string[];

  beforeEach(() => {
    told = [];
    engine = new JobsEngine({ store: fixture.store });
    engine.events.subscribe(({ id }) => told.push(id));
    const subscriber = { beforeTransactionCommit: () => undefined, beforeTransactionRollback: () => undefined };
    fixture.app.subscribers.push(subscriber);
  });
  afterEach(async () => {
    fixture.app.subscribers.pop();
    await engine.close();
  });

  it.each(ENDS)('stores nothing outside of a transaction that is %s', async (how, end) => {
    const late: Promise<string | undefined>[] = [];
    const call = async (manager: EntityManager, distance: number): Promise<string> => {
      for (let step = 0; step < distance; step += 1) await Promise.resolve();
      return (await engine.enqueueTx(manager, TOPIC, null)).id;
    };
    for (const distance of DISTANCES) {
      const work = (manager: EntityManager): void => void late.push(call(manager, distance).catch(() => undefined));
      await end(fixture.app, work).catch(() => undefined);
    }
    const accepted = (await Promise.all(late)).filter((id) => id !== undefined);
    const stored = (await fixture.sql<{ id: string }>('SELECT id FROM _jobs')).map(({ id }) => id);
    // Before and behind a savepoint that is given up calls may come as well.
    const mayBeStored = { committed: accepted, 'rolled back': [] }[how] ?? stored;
    expect(stored.sort()).toEqual([...mayBeStored].sort());
    // Not every driver waits until what is under way is known: there a job may be stored of which nothing is told.
    expect(kind.locksRows ? told.sort() : stored).toEqual(stored);
    expect(stored).toEqual(expect.arrayContaining(told));
  });
});
