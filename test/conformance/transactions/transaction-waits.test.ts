/** @npm-test memory, typeorm-0.3, typeorm-0.3-postgres */

import { setImmediate as nextLoop } from 'node:timers/promises';
import { createJobStore, JobsEngine, QueueUnavailableError } from 'nestjs-jobs';
import type { QueryRunner } from 'typeorm';
import { useRecordingEngine } from '../../support/recording-engine.js';
import { openStore, storeKinds, useStore } from '../../support/stores.js';
import { signal, until } from '../../support/wait.js';

const onSqlite = storeKinds().filter(({ locksRows }) => !locksRows);
const LOCK_TIMEOUT_MS = 100;

const refuse = (): never => {
  throw new Error('refused');
};

describe.each(onSqlite)('the wait for a transaction on $label', (kind) => {
  const fixture = useStore(kind, { sqlite: { lockTimeout: LOCK_TIMEOUT_MS, synchronous: 'normal' } });
  const queue = useRecordingEngine(fixture);

  it('ends after lockTimeout with an error that names the running transaction', async () => {
    const gate = signal();
    const running = fixture.app.transaction(() => gate.promise);
    const error: unknown = await fixture.app.transaction(refuse).catch((reason: unknown) => reason);
    gate.resolve();
    expect(error).toBeInstanceOf(QueueUnavailableError);
    expect((error as Error).message).toContain('transaction-waits.test');
    await running;
    expect(await fixture.app.transaction(() => Promise.resolve('next'))).toBe('next');
  });

  it('ends after lockTimeout with an error that counts the transactions before it', async () => {
    const gates = [signal(), signal()];
    const before = gates.map(({ promise }) => fixture.app.transaction(() => promise));
    const waiting = fixture.app.transaction(refuse).catch((reason: unknown) => reason);
    gates[0]!.resolve();
    expect(((await waiting) as Error).message).toMatch(/1 of this process ran before it.*lockTimeout/);
    gates[1]!.resolve();
    await Promise.all(before);
  });

  it('of the queue ends with an error that names the running transaction', async () => {
    const gate = signal();
    const running = fixture.app.transaction(async (manager) => {
      await queue.enqueueTx(manager);
      await gate.promise;
    });
    await fixture.untilLockWait();
    const error = await queue.engine.enqueue('mail', null).catch((reason: unknown) => reason);
    gate.resolve();
    await running;
    expect(error).toBeInstanceOf(QueueUnavailableError);
    expect((error as Error).message).toMatch(/transaction-waits\.test.*enqueueTx/);
  });

  it('continues when the queue closes', async () => {
    const opened = await openStore(await kind.createDatabase());
    const { app } = opened;
    const gate = signal();
    const running = app.transaction(() => gate.promise);
    const waiting = app.transaction(() => Promise.resolve('done'));
    await nextLoop();
    await opened.store.close();
    gate.resolve();
    await running;
    expect(await waiting).toBe('done');
    await opened.close();
  });

  it('ends when the DataSource is destroyed', async () => {
    const opened = await openStore(await kind.createDatabase(), {
      lease: '1m',
      sqlite: { lockTimeout: '1m' },
    });
    const { app } = opened;
    const gate = signal();
    const running = app.transaction(() => gate.promise).catch((error: unknown) => error);
    const waiting = app.transaction(refuse).catch((error: unknown) => error);
    await nextLoop();
    await opened.store.close();
    await app.destroy();
    expect(await waiting).toBeInstanceOf(QueueUnavailableError);
    gate.resolve();
    expect(await running).toBeInstanceOf(Error);
    await app.initialize();
    expect(await app.transaction((manager) => manager.query('SELECT 1 AS one'))).toEqual([{ one: 1 }]);
    await opened.close();
  });
});

describe.each(onSqlite)('the queue on $label', (kind) => {
  const fixture = useStore(kind);
  const queue = useRecordingEngine(fixture);

  it('writes between transactions of the application without a pause', async () => {
    const { engine } = queue;
    engine.register('mail', () => undefined);
    await engine.start();
    let isOver = false;
    const transact = async (): Promise<void> => {
      while (!isOver) await fixture.app.transaction(() => new Promise((resolve) => setTimeout(resolve, 5)));
    };
    const busy = Promise.all([transact(), transact(), transact()]);
    for (let count = 0; count < 10; count += 1) {
      await engine.enqueue('mail', null);
    }
    await engine.whenIdle();
    isOver = true;
    await busy;
    expect(await engine.stats.get()).toMatchObject({ completed: 10, total: 10 });
  });
});

/** Begins a transaction that is not that of the caller: only this function has used its runner. */
async function begin(runner: QueryRunner): Promise<void> {
  await runner.startTransaction();
  await runner.query("INSERT INTO notes VALUES ('first')");
}

describe.each(onSqlite)('a DataSource on $label', (kind) => {
  it('that has a transaction open when the queue starts runs the next one after it', async () => {
    const database = await kind.createDatabase();
    const app = await database.app().initialize();
    const runner = app.createQueryRunner();
    const { store } = createJobStore(app, {});
    await app.query('CREATE TABLE notes (note text)');
    // In memory, and with sqlite3, the tables of the queue are created after the transaction.
    const opened = begin(runner).then(() => store.open());
    await until(() => Object.keys(app.driver).includes('createQueryRunner'));
    const second = app.transaction((manager) => manager.query("INSERT INTO notes VALUES ('second')"));
    await nextLoop();
    await runner.rollbackTransaction();
    await Promise.all([second, opened]);
    expect(await app.query('SELECT note FROM notes')).toEqual([{ note: 'second' }]);
    await store.close();
    await app.destroy();
    await database.remove();
  });

  it('with serializeTransactions: false has the query runner of TypeORM', async () => {
    const opened = await openStore(await kind.createDatabase(), { sqlite: { serializeTransactions: false } });
    const { app } = opened;
    expect(app.createQueryRunner()).toBe(app.createQueryRunner());
    expect(Object.keys(app.driver)).not.toContain('createQueryRunner');
    expect(Object.keys(app.manager)).not.toContain('transaction');
    await opened.close();
  });

  it('with two queues serializes its transactions once', async () => {
    const opened = await openStore(await kind.createDatabase());
    const { app } = opened;
    const { store } = createJobStore(app, {});
    const driver = { ...app.driver };
    await store.open();
    expect({ ...app.driver }).toEqual(driver);
    const engine = new JobsEngine({ store });
    await Promise.all([1, 2].map(() => app.transaction((manager) => engine.enqueueTx(manager, 'mail', null))));
    expect((await engine.stats.get()).total).toBe(2);
    await engine.close();
    await store.close();
    await opened.close();
  });
});
