/**
 * @matrix all
 * @slow
 */

import { randomUUID } from 'node:crypto';
import { InvalidOptionsError, LeaseLostError, UnknownDataSourceError } from 'nestjs-jobs';
import { createPostgresDatabase, createSqliteFile } from '../support/databases.js';
import { signal, until } from '../support/wait.js';
import type { OrmName } from './support/install-orm.js';
import { installOrm, loadDriver, ORMS } from './support/install-orm.js';
import type { OpenOrm, OrmDriver, OrmTransaction } from './support/orm-driver.js';
import type { OrmQueue } from './support/orm-queue.js';
import { openQueue } from './support/orm-queue.js';

const ON_SQLITE: readonly OrmName[] = ['prisma', 'drizzle', 'kysely', 'knex'];

const cases = ORMS.flatMap((name) => [
  { name, database: 'postgres' as const, label: 'PostgreSQL 18' },
  ...(ON_SQLITE.includes(name) ? [{ name, database: 'sqlite' as const, label: 'a SQLite file' }] : []),
]);

async function createDatabase(database: 'postgres' | 'sqlite'): Promise<{ url: string; remove: () => Promise<void> }> {
  if (database === 'sqlite') {
    const { path, remove } = await createSqliteFile();
    return { url: path, remove };
  }
  const { url, drop } = await createPostgresDatabase('18');
  return { url, remove: drop };
}

describe.each(cases)('transactions of $name on $label', ({ name, database }) => {
  let driver: OrmDriver;
  let orm: OpenOrm;
  let queue: OrmQueue;
  let url: string;
  const leftOvers: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    installOrm(name);
    driver = loadDriver(name);
    const created = await createDatabase(database);
    url = created.url;
    leftOvers.push(created.remove);
    queue = await openQueue(database, url);
    leftOvers.push(() => queue.close());
    orm = await driver.open(database, url);
    leftOvers.push(() => orm.close());
  }, 300_000);

  beforeEach(async () => {
    queue.events.length = 0;
    await queue.sql('DELETE FROM effects');
  });

  afterAll(async () => {
    for (const close of leftOvers.splice(0).reverse()) await close();
  });

  const isSync = (): boolean => database === 'sqlite' && driver.isSynchronous === true;
  const effects = async (): Promise<unknown[]> =>
    (await queue.sql('SELECT id FROM effects ORDER BY id')).map(({ id }) => id);
  const insertEffect = (tx: OrmTransaction, id: string): Promise<unknown> =>
    tx.run(`INSERT INTO effects (id) VALUES ('${id}')`);

  /** Writes and enqueues in one tick, for transactions that end with it. */
  const writeAndEnqueue = async (tx: OrmTransaction, effect: string, topic = 'idle'): Promise<string> => {
    const written = insertEffect(tx, effect);
    const stored = queue.engine.enqueueTx(tx.adapt(), topic, { effect });
    await written;
    return (await stored).id;
  };

  it('commits the job and the write together', async () => {
    const id = await orm.transact((tx) => writeAndEnqueue(tx, 'a'));
    expect(await queue.engine.jobs.get(id)).toMatchObject({
      topic: 'idle',
      payload: { effect: 'a' },
      status: 'pending',
    });
    expect(await effects()).toEqual(['a']);
    await until(() => queue.events.length > 0);
    expect(queue.events[0]).toMatchObject({ type: 'enqueued', id, uncommitted: true });
  });

  it('rolls both back', async () => {
    const id = await orm.transact((tx) => writeAndEnqueue(tx, 'a'), true);
    expect(await queue.engine.jobs.get(id)).toBeNull();
    expect(await effects()).toEqual([]);
  });

  it('stores several jobs, with links, keys and a group', async () => {
    const key = randomUUID();
    const jobs = await orm.transact(async (tx) => {
      const first = queue.engine.enqueueMany(
        [
          { ref: 'parent', topic: 'idle', payload: 1 },
          { topic: 'idle', payload: 2, dependsOn: ['parent'] },
          { topic: 'idle', payload: 3, uniqueKey: key, runAt: new Date(Date.now() + 60_000) },
        ],
        tx.adapt(),
      );
      // Linked jobs take several statements.
      if (!isSync()) await first;
      const second = queue.engine.enqueueTx(tx.adapt(), 'idle', 4, { uniqueKey: key });
      const group = queue.engine.groups.enqueue([{ topic: 'idle', payload: 5 }], { name: 'g' }, tx.adapt());
      return { first: await first, second: await second, group: await group };
    });
    expect(jobs.second).toMatchObject({ id: jobs.first[2]!.id, deduplicated: true, payload: 3 });
    const stored = await Promise.all(jobs.first.map(({ id }) => queue.engine.jobs.get(id)));
    expect(stored.map((job) => job?.payload)).toEqual([1, 2, 3]);
    expect(await queue.engine.groups.get(jobs.group.id)).toMatchObject({ name: 'g', finished: null });
  });

  it('undoes the job with a savepoint', async () => {
    const ids = await orm.transact(async (tx) => {
      const first = writeAndEnqueue(tx, 'a');
      if (!isSync()) await first;
      const begun = tx.run('SAVEPOINT app');
      if (!isSync()) await begun;
      const second = writeAndEnqueue(tx, 'b');
      if (!isSync()) await second;
      await tx.run('ROLLBACK TO SAVEPOINT app');
      return [await first, await second];
    });
    expect(await queue.engine.jobs.get(ids[0]!)).not.toBeNull();
    expect(await queue.engine.jobs.get(ids[1]!)).toBeNull();
    expect(await effects()).toEqual(['a']);
  });

  if (database === 'postgres') {
    it('rejects in a transaction in which a statement has failed', async () => {
      const error = await orm
        .transact(async (tx) => {
          await tx.run('SELECT * FROM missing').catch(() => undefined);
          await queue.engine.enqueueTx(tx.adapt(), 'idle', null);
        })
        .then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
      expect(error).toBeInstanceOf(InvalidOptionsError);
      expect((error as Error).message).toMatch(
        /^tx: .+: expected .+, got one in which an earlier statement has failed/,
      );
    });

    it('rejects in a read-only transaction', async () => {
      const stored = orm.transact(async (tx) => {
        await tx.run('SET TRANSACTION READ ONLY');
        await queue.engine.enqueueTx(tx.adapt(), 'idle', null);
      });
      await expect(stored).rejects.toThrow(/: the transaction is read-only; pass/);
    });
  }

  it('refuses the client in place of the transaction', async () => {
    const adaptThenEnqueue = async (): Promise<unknown> => queue.engine.enqueueTx(orm.adaptClient(), 'idle', null);
    await expect(adaptThenEnqueue()).rejects.toThrow(InvalidOptionsError);
    await expect(adaptThenEnqueue()).rejects.toThrow(/^tx: .+: expected .+, got /);
  });

  it('refuses a transaction that has ended', async () => {
    const { adapted } = await orm.transact(async (tx) => ({ adapted: tx.adapt() }));
    const count = async (): Promise<unknown> => (await queue.sql('SELECT count(*) AS n FROM _jobs'))[0]!.n;
    const before = await count();
    const stored = queue.engine.enqueueTx(adapted, 'idle', null);
    /* eslint-disable jest/no-conditional-expect -- postgres.js and Drizzle on node-postgres do not tell the end */
    if (driver.knowsEnd || isSync()) {
      await expect(stored).rejects.toThrow(InvalidOptionsError);
      await expect(stored).rejects.toThrow(/^tx: .+: expected .+, got /);
      expect(await count()).toEqual(before);
    } else {
      // The job is stored whole, in a transaction of its own.
      expect(await queue.engine.jobs.get((await stored).id)).not.toBeNull();
    }
    /* eslint-enable jest/no-conditional-expect */
  });

  it.each(['with', 'without'])('refuses a database %s a queue of its own', async (kind) => {
    const other = await createDatabase(database);
    leftOvers.push(other.remove);
    const otherQueue = await openQueue(database, other.url);
    leftOvers.push(() => otherQueue.close());
    if (kind === 'without') {
      await otherQueue.sql('DROP TABLE _jobs');
    }
    const otherOrm = await driver.open(database, other.url);
    leftOvers.push(() => otherOrm.close());
    await expect(otherOrm.transact((tx) => queue.engine.enqueueTx(tx.adapt(), 'idle', null), true)).rejects.toThrow(
      UnknownDataSourceError,
    );
  });

  it('stores each job of 64 callers at once', async () => {
    const ids = await Promise.all(
      Array.from({ length: 64 }, (_, index) => orm.transact((tx) => writeAndEnqueue(tx, `e${index}`), index % 4 === 3)),
    );
    const stored = await Promise.all(ids.map((id) => queue.engine.jobs.get(id)));
    expect(stored.map((job) => job !== null)).toEqual(ids.map((_, index) => index % 4 !== 3));
    expect(await effects()).toHaveLength(48);
  });

  describe('with a worker', () => {
    let worker: OrmQueue;
    let isRolledBack: (attempt: number) => boolean;
    const attempts: number[] = [];
    let late: unknown;

    beforeAll(async () => {
      worker = await openQueue(database, url, { topics: ['work', 'plain'] });
      worker.engine.register('plain', () => 'done');
      worker.engine.register('work', async (job) => {
        attempts.push(job.attempt);
        await orm.transact(async (tx) => {
          const written = insertEffect(tx, `${job.id}`);
          const completed = job.completeTx(tx.adapt(), { attempt: job.attempt });
          await written;
          await completed;
        }, isRolledBack(job.attempt));
      });
      await worker.engine.start();
    });

    beforeEach(() => {
      attempts.length = 0;
      late = undefined;
    });

    afterAll(() => worker.close());

    it('runs a job soon after its commit', async () => {
      const id = await orm.transact((tx) => writeAndEnqueue(tx, 'a', 'plain'));
      const committed = performance.now();
      await until(async () => (await queue.engine.jobs.get(id))?.status === 'completed');
      expect(performance.now() - committed).toBeLessThan(1_500);
    });

    it('completes the job with the write', async () => {
      isRolledBack = () => false;
      const { id } = await queue.engine.enqueue('work', null);
      const job = await until(async () => {
        const found = await queue.engine.jobs.get(id);
        return found?.status === 'completed' && found;
      });
      expect(job).toMatchObject({ attempt: 1, result: { attempt: 1 } });
      expect(await effects()).toEqual([id]);
      await until(() => worker.events.some((event) => event.type === 'completed' && event.id === id));
      expect(attempts).toEqual([1]);
    });

    it('retries the attempt when the transaction rolls back', async () => {
      isRolledBack = (attempt) => attempt === 1;
      const { id } = await queue.engine.enqueue('work', null);
      const job = await until(async () => {
        const found = await queue.engine.jobs.get(id);
        return found?.status === 'completed' && found;
      });
      expect(job).toMatchObject({ attempt: 2, retries: 1 });
      expect(await effects()).toEqual([id]);
    });

    it('refuses the completion of a late worker', async () => {
      const claimed = signal();
      const taken = signal();
      const name = `late-${randomUUID()}`;
      const slow = await openQueue(database, url, { topics: [name], lease: '300ms' });
      leftOvers.push(() => slow.close());
      const done = signal();
      slow.engine.register(name, async (job) => {
        if (job.attempt > 1) return;
        claimed.resolve();
        await taken.promise;
        late = await orm
          .transact(async (tx) => {
            const written = insertEffect(tx, 'late');
            const completed = job.completeTx(tx.adapt());
            await Promise.all([written, completed]);
          }, isSync())
          .catch((error: unknown) => error);
        done.resolve();
      });
      await slow.engine.start();
      const { id } = await queue.engine.enqueue(name, null);
      await claimed.promise;
      // Another attempt has taken the job over.
      await queue.sql(`UPDATE _jobs SET attempt = attempt + 1 WHERE id = '${id}'`);
      taken.resolve();
      await done.promise;
      expect(late).toBeInstanceOf(LeaseLostError);
      expect(await effects()).toEqual([]);
      await slow.engine.stop();
    });
  });
});
