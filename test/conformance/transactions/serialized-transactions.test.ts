/** @npm-test memory, typeorm-0.3, typeorm-0.3-postgres */

import { fork } from 'node:child_process';
import { once as onceEmitted } from 'node:events';
import { join } from 'node:path';
import { setImmediate as nextLoop } from 'node:timers/promises';
import { DatabaseRefusedError } from 'nestjs-jobs';
import type { DataSource, EntityManager, QueryRunner, Repository } from 'typeorm';
import { EntitySchema } from 'typeorm';
import type { StoreFixture, StoreKind } from '../../support/stores.js';
import { hasSqlite3 } from '../../support/typeorm.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { signal } from '../../support/wait.js';
import { prepareWorkingTree } from '../../support/working-tree.js';

interface Note {
  note: string;
}

const NoteSchema = new EntitySchema<Note>({
  name: 'Note',
  tableName: 'notes',
  columns: { note: { type: 'text', primary: true } },
});

const onSqlite = storeKinds().filter(({ locksRows }) => !locksRows);

/** Longer than any test takes: a transaction that waits for itself fails the test. */
const withTimeout = { sqlite: { lockTimeout: 20_000, synchronous: 'normal' }, lease: 60_000 } as const;

/** Gives the table `notes` to the tests of a describe. */
function useNotes(kind: StoreKind): StoreFixture & { readonly notes: Repository<Note> } {
  const fixture = useStore({ ...kind, createDatabase: () => createDatabase(kind) }, withTimeout);
  beforeAll(() => fixture.sql('CREATE TABLE notes (note text PRIMARY KEY)'));
  beforeEach(() => fixture.sql('DELETE FROM notes'));
  Object.defineProperty(fixture, 'notes', { get: () => fixture.app.getRepository(NoteSchema) });
  return fixture as StoreFixture & { readonly notes: Repository<Note> };
}

async function createDatabase(kind: StoreKind): ReturnType<StoreKind['createDatabase']> {
  const database = await kind.createDatabase();
  return { ...database, app: (options) => database.app({ entities: [NoteSchema], ...options }) };
}

const write = (on: EntityManager | QueryRunner | DataSource, note: string): Promise<unknown> =>
  on.query(`INSERT INTO notes VALUES ('${note}')`);

/** Begins a transaction without an await before it, as the first thing that the function does. */
async function runWithRunner(app: DataSource, work: (runner: QueryRunner) => Promise<unknown>): Promise<void> {
  const runner = app.createQueryRunner();
  await runner.startTransaction();
  try {
    await work(runner);
    await runner.commitTransaction();
  } catch (error) {
    await runner.rollbackTransaction();
    throw error;
  } finally {
    await runner.release();
  }
}

/** Begins a transaction that is not that of the caller: only this function has used its runner. */
async function beginAndWrite(app: DataSource, note: string, runner = app.createQueryRunner()): Promise<QueryRunner> {
  await runner.startTransaction();
  await write(runner, note);
  return runner;
}

const refuse = (): never => {
  throw new Error('refused');
};

describe.each(onSqlite)('transactions on $label', (kind) => {
  const fixture = useNotes(kind);

  const readNotes = async (): Promise<string[]> =>
    (await fixture.sql<Note>('SELECT note FROM notes ORDER BY rowid')).map(({ note }) => note);

  it('run one at a time, in the order in which they were started', async () => {
    const steps: string[] = [];
    const step = (name: string) => async (): Promise<void> => {
      steps.push(`${name} begins`);
      await nextLoop();
      steps.push(`${name} ends`);
    };
    const { app } = fixture;
    await Promise.all([
      app.transaction(step('first')),
      runWithRunner(app, step('second')),
      app.createEntityManager().transaction(step('third')),
      app.transaction('SERIALIZABLE', step('fourth')),
    ]);
    expect(steps).toEqual(['first', 'second', 'third', 'fourth'].flatMap((name) => [`${name} begins`, `${name} ends`]));
  });

  it('continue after one that fails', async () => {
    const { app } = fixture;
    const calls = await Promise.allSettled([
      app.transaction(async (manager) => {
        await write(manager, 'first');
        refuse();
      }),
      app.transaction((manager) => write(manager, 'second')),
      app.transaction((manager) => manager.query('no SQL')),
      app.transaction((manager) => write(manager, 'fourth')),
    ]);
    expect(calls.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'rejected', 'fulfilled']);
    expect(await readNotes()).toEqual(['second', 'fourth']);
  });

  it('that are not awaited do not become part of each other', async () => {
    const { app } = fixture;
    const gate = signal();
    const first = app.transaction(async (manager) => {
      await write(manager, 'first');
      await gate.promise;
      refuse();
    });
    await nextLoop();
    const second = app.transaction((manager) => write(manager, 'second'));
    const third = fixture.notes.save({ note: 'third' });
    const fourth = runWithRunner(app, (runner) => write(runner, 'fourth'));
    gate.resolve();
    await expect(first).rejects.toThrow('refused');
    await Promise.all([second, third, fourth]);
    expect((await readNotes()).sort()).toEqual(['fourth', 'second', 'third']);
  });

  it('begun by a function before its first await do not include what its caller starts', async () => {
    const { app } = fixture;
    const gate = signal();
    const later = async (): Promise<void> => {
      await nextLoop();
      const saved = fixture.notes.save({ note: 'saved' });
      const nested = app.transaction((manager) => write(manager, 'second'));
      await nextLoop();
      gate.resolve();
      await Promise.all([saved, nested]);
    };
    const failing = runWithRunner(app, async (runner) => {
      await write(runner, 'first');
      await gate.promise;
      refuse();
    });
    const same = runWithRunner(app, (runner) => write(runner, 'same'));
    const calls = await Promise.allSettled([failing, same, later()]);
    expect(calls.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled']);
    expect((await readNotes()).sort()).toEqual(['same', 'saved', 'second']);
  });

  it('that begin while a subscriber handles the commit of another do not wait for it', async () => {
    fixture.subscribe({ afterTransactionCommit: once(() => fixture.notes.save({ note: 'audit' })) });
    await fixture.app.transaction((manager) => write(manager, 'first'));
    expect(await readNotes()).toEqual(['first', 'audit']);
  });

  it('continue after one that a subscriber refuses before or after its BEGIN', async () => {
    for (const event of ['beforeTransactionStart', 'afterTransactionStart']) {
      fixture.subscribe({ [event]: once(() => Promise.reject(new Error('refused'))) });
      await expect(fixture.app.transaction((manager) => write(manager, event))).rejects.toThrow('refused');
      fixture.subscribe({ [event]: once(() => Promise.reject(new Error('refused'))) });
      await expect(fixture.app.createQueryRunner().startTransaction()).rejects.toThrow('refused');
    }
    await fixture.app.transaction((manager) => write(manager, 'last'));
    expect(await readNotes()).toEqual(['last']);
  });

  describe('nested in another', () => {
    const ways: [string, (outer: EntityManager) => Promise<unknown>][] = [
      ['dataSource.transaction', () => fixture.app.transaction((inner) => write(inner, 'inner'))],
      ['manager.transaction', (outer) => outer.transaction((inner) => write(inner, 'inner'))],
      ['save() of a repository', () => fixture.notes.save({ note: 'inner' })],
      ['a query runner', () => runWithRunner(fixture.app, (runner) => write(runner, 'inner'))],
    ];

    it.each(ways)('with %s are part of it', async (_, nested) => {
      await fixture.app.transaction(async (outer) => {
        await write(outer, 'outer');
        await nested(outer);
      });
      expect(await readNotes()).toEqual(['outer', 'inner']);
    });

    it.each(ways)('with %s are rolled back with it', async (_, nested) => {
      const outer = fixture.app.transaction(async (manager) => {
        await nested(manager);
        expect(await readNotes()).toEqual(['inner']);
        refuse();
      });
      await expect(outer).rejects.toThrow('refused');
      expect(await readNotes()).toEqual([]);
    });

    it.each(ways)('with %s are part of the transaction of a query runner that has been used', async (_, nested) => {
      const outer = runWithRunner(fixture.app, async (runner) => {
        await write(runner.manager, 'outer');
        await nested(runner.manager);
        expect(await readNotes()).toEqual(['outer', 'inner']);
        refuse();
      });
      await expect(outer).rejects.toThrow('refused');
      expect(await readNotes()).toEqual([]);
    });

    it('with savepoints are rolled back alone', async () => {
      await fixture.app.transaction(async (outer) => {
        await write(outer, 'outer');
        const inner = fixture.app.transaction(async (manager) => {
          await write(manager, 'inner');
          refuse();
        });
        await expect(inner).rejects.toThrow('refused');
      });
      expect(await readNotes()).toEqual(['outer']);
    });

    it('in a subscriber are part of it', async () => {
      fixture.subscribe({ afterInsert: once(() => fixture.notes.save({ note: 'audit' })) });
      await fixture.notes.save({ note: 'first' });
      expect(await readNotes()).toEqual(['first', 'audit']);
    });

    it('after its end are independent', async () => {
      const gate = signal();
      let late!: Promise<unknown>;
      await fixture.app.transaction(async (manager) => {
        await write(manager, 'first');
        late = gate.promise.then(() => fixture.app.transaction((inner) => write(inner, 'late')));
      });
      const failing = fixture.app.transaction(async (manager) => {
        await write(manager, 'second');
        gate.resolve();
        await nextLoop();
        refuse();
      });
      await expect(failing).rejects.toThrow('refused');
      await late;
      expect(await readNotes()).toEqual(['first', 'late']);
    });

    it('and not awaited make it reject, and nothing is stored', async () => {
      const gate = signal();
      let inner!: Promise<unknown>;
      const outer = fixture.app.transaction(async (manager) => {
        await write(manager, 'outer');
        inner = manager
          .transaction(async (nested) => {
            await gate.promise;
            await write(nested, 'inner');
          })
          .catch((error: unknown) => error);
        await nextLoop();
      });
      await expect(outer).rejects.toBeInstanceOf(DatabaseRefusedError);
      gate.resolve();
      expect(await inner).toBeInstanceOf(Error);
      await fixture.app.transaction((manager) => write(manager, 'next'));
      expect(await readNotes()).toEqual(['next']);
    });

    it('concurrently do not prevent later transactions', async () => {
      await fixture.app
        .transaction((outer) =>
          Promise.allSettled(
            ['a', 'b', 'c'].map((note) =>
              outer.transaction(async (inner) => {
                await write(inner, note);
                if (note === 'b') refuse();
              }),
            ),
          ),
        )
        .catch((error: unknown) => error);
      await fixture.sql('DELETE FROM notes');
      await fixture.app.transaction((manager) => write(manager, 'next'));
      await fixture.app
        .transaction(async (manager) => {
          await write(manager, 'rolled back');
          refuse();
        })
        .catch(() => undefined);
      expect(await readNotes()).toEqual(['next']);
    });
  });

  describe('with a query runner', () => {
    it('that is released before their end are rolled back, and the next one begins', async () => {
      const runner = await beginAndWrite(fixture.app, 'forgotten');
      const next = fixture.app.transaction((manager) => write(manager, 'next'));
      await runner.release();
      await next;
      expect(await readNotes()).toEqual(['next']);
      await expect(runner.query('SELECT 1')).rejects.toThrow();
    });

    it('that is released while they wait do not begin', async () => {
      const gate = signal();
      const running = fixture.app.transaction(() => gate.promise);
      const runner = fixture.app.createQueryRunner();
      const waiting = runner.startTransaction();
      await runner.release();
      gate.resolve();
      await expect(waiting).rejects.toBeInstanceOf(DatabaseRefusedError);
      await running;
      await fixture.app.transaction((manager) => write(manager, 'next'));
      expect(await readNotes()).toEqual(['next']);
    });

    it('can be repeated on the same runner', async () => {
      const runner = fixture.app.createQueryRunner();
      for (const note of ['first', 'second']) {
        await runner.startTransaction();
        await write(runner, note);
        await (note === 'first' ? runner.rollbackTransaction() : runner.commitTransaction());
      }
      await runner.release();
      expect(await readNotes()).toEqual(['second']);
    });

    it('survive the release of a runner that nested code has created', async () => {
      await runWithRunner(fixture.app, async (runner) => {
        await write(runner.manager, 'outer');
        await fixture.app.createQueryRunner().release();
        await fixture.notes.count();
        await write(runner, 'after');
      });
      expect(await readNotes()).toEqual(['outer', 'after']);
    });
  });
});

// TypeORM 0.3 ignores the errors of `afterQuery`.
if (!hasSqlite3) {
  describe.each(onSqlite)('transactions with a subscriber on $label', (kind) => {
    const fixture = useNotes(kind);

    it('continue after afterQuery has rejected the statement BEGIN', async () => {
      fixture.subscribe({ afterQuery: once(() => Promise.reject(new Error('refused'))) });
      await expect(fixture.app.transaction((manager) => write(manager, 'first'))).rejects.toThrow('refused');
      await fixture.app.transaction((manager) => write(manager, 'last'));
      expect(await fixture.notes.find()).toEqual([{ note: 'last' }]);
    });
  });
}

describe.each(onSqlite.filter(({ canHaveTwoConnections }) => canHaveTwoConnections))(
  'the first transaction of a process on $label',
  (kind) => {
    it('does not include another that is started beside it', async () => {
      const database = await kind.createDatabase();
      const { type, database: file } = database.app().options as { type: string; database: string };
      const tests = join(prepareWorkingTree('sources'), 'test');
      const child = fork(
        join(tests, 'conformance/programs/first-transaction.ts'),
        [JSON.stringify({ type, database: file })],
        { execArgv: ['-r', join(tests, 'processes/support/register-typescript.cjs')], timeout: 50_000 },
      );
      const reports: unknown[] = [];
      child.on('message', (report) => reports.push(report));
      expect(await onceEmitted(child, 'exit')).toEqual([0, null]);
      expect(reports).toEqual([[{ note: 'second' }]]);
      await database.remove();
    }, 60_000);
  },
);

/** Calls `work` on the first event only. */
function once<T>(work: () => T): () => T | undefined {
  let isCalled = false;
  return () => {
    if (isCalled) return undefined;
    isCalled = true;
    return work();
  };
}
