/**
 * @matrix all
 * @slow
 */

import { randomUUID } from 'node:crypto';
import { InvalidOptionsError, LeaseLostError, UnknownDataSourceError } from 'nestjs-jobs';
import { signal, until } from '../support/wait.js';
import type { OrmQueue } from './support/orm-queue.js';
import { everyOrm, insertEffect, useOrm } from './support/use-orm.js';

describe.each(everyOrm)('transactions of $name on $label', ({ name, database }) => {
  const world = useOrm(name, database);

  it('commits the job and the write together', async () => {
    const id = await world.orm.transact((tx) => world.writeAndEnqueue(tx, 'a'));
    expect(await world.queue.engine.jobs.get(id)).toMatchObject({
      topic: 'idle',
      payload: { effect: 'a' },
      status: 'pending',
    });
    expect(await world.effects()).toEqual(['a']);
    await until(() => world.queue.events.length > 0);
    expect(world.queue.events[0]).toMatchObject({ type: 'enqueued', id });
    expect('uncommitted' in world.queue.events[0]!).toBe(!world.driver.reportsCommit);
  });

  it('rolls both back', async () => {
    const id = await world.orm.transact((tx) => world.writeAndEnqueue(tx, 'a'), true);
    expect(await world.queue.engine.jobs.get(id)).toBeNull();
    expect(await world.effects()).toEqual([]);
  });

  it('stores several jobs, with links, keys and a group', async () => {
    const key = randomUUID();
    const jobs = await world.orm.transact(async (tx) => {
      const first = world.queue.engine.enqueueMany(
        [
          { ref: 'parent', topic: 'idle', payload: 1 },
          { topic: 'idle', payload: 2, dependsOn: ['parent'] },
          { topic: 'idle', payload: 3, uniqueKey: key, runAt: new Date(Date.now() + 60_000) },
        ],
        tx.adapt(),
      );
      // Linked jobs take several statements.
      if (!world.isSynchronous) await first;
      const second = world.queue.engine.enqueueTx(tx.adapt(), 'idle', 4, { uniqueKey: key });
      const group = world.queue.engine.groups.enqueue([{ topic: 'idle', payload: 5 }], { name: 'g' }, tx.adapt());
      return { first: await first, second: await second, group: await group };
    });
    expect(jobs.second).toMatchObject({ id: jobs.first[2]!.id, deduplicated: true, payload: 3 });
    const stored = await Promise.all(jobs.first.map(({ id }) => world.queue.engine.jobs.get(id)));
    expect(stored.map((job) => job?.payload)).toEqual([1, 2, 3]);
    expect(await world.queue.engine.groups.get(jobs.group.id)).toMatchObject({ name: 'g', finished: null });
  });

  it('undoes the job with a savepoint', async () => {
    const ids = await world.orm.transact(async (tx) => {
      const first = world.writeAndEnqueue(tx, 'a');
      if (!world.isSynchronous) await first;
      const begun = tx.run('SAVEPOINT app');
      if (!world.isSynchronous) await begun;
      const second = world.writeAndEnqueue(tx, 'b');
      if (!world.isSynchronous) await second;
      await tx.run('ROLLBACK TO SAVEPOINT app');
      return [await first, await second];
    });
    expect(await world.queue.engine.jobs.get(ids[0]!)).not.toBeNull();
    expect(await world.queue.engine.jobs.get(ids[1]!)).toBeNull();
    expect(await world.effects()).toEqual(['a']);
  });

  if (database === 'postgres') {
    it('rejects in a transaction in which a statement has failed', async () => {
      const error = await world.orm
        .transact(async (tx) => {
          await tx.run('SELECT * FROM missing').catch(() => undefined);
          await world.queue.engine.enqueueTx(tx.adapt(), 'idle', null);
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
      const stored = world.orm.transact(async (tx) => {
        await tx.run('SET TRANSACTION READ ONLY');
        await world.queue.engine.enqueueTx(tx.adapt(), 'idle', null);
      });
      await expect(stored).rejects.toThrow(/: the transaction is read-only; pass/);
    });
  }

  it('refuses the client in place of the transaction', async () => {
    const adaptThenEnqueue = async (): Promise<unknown> =>
      world.queue.engine.enqueueTx(world.orm.adaptClient(), 'idle', null);
    await expect(adaptThenEnqueue()).rejects.toThrow(InvalidOptionsError);
    await expect(adaptThenEnqueue()).rejects.toThrow(/^tx: .+: expected .+, got /);
  });

  it('refuses a transaction that has ended', async () => {
    const { adapted } = await world.orm.transact(async (tx) => ({ adapted: tx.adapt() }));
    const before = await world.countJobs();
    const stored = world.queue.engine.enqueueTx(adapted, 'idle', null);
    /* eslint-disable jest/no-conditional-expect -- postgres.js and Drizzle on node-postgres do not tell the end */
    if (world.driver.knowsEnd || world.isSynchronous) {
      await expect(stored).rejects.toThrow(InvalidOptionsError);
      await expect(stored).rejects.toThrow(/^tx: .+: expected .+, got /);
      expect(await world.countJobs()).toEqual(before);
    } else {
      // The job is stored whole, in a transaction of its own.
      expect(await world.queue.engine.jobs.get((await stored).id)).not.toBeNull();
    }
    /* eslint-enable jest/no-conditional-expect */
  });

  it.each(['with', 'without'])('refuses a database %s a queue of its own', async (kind) => {
    const url = await world.createDatabase();
    const otherQueue = await world.openQueue({}, url);
    if (kind === 'without') {
      await otherQueue.sql('DROP TABLE _jobs');
    }
    const otherOrm = await world.openOrm(url);
    await expect(
      otherOrm.transact((tx) => world.queue.engine.enqueueTx(tx.adapt(), 'idle', null), true),
    ).rejects.toThrow(UnknownDataSourceError);
  });

  it('stores each job of 64 callers at once', async () => {
    const ids = await Promise.all(
      Array.from({ length: 64 }, (_, index) =>
        world.orm.transact((tx) => world.writeAndEnqueue(tx, `e${index}`), index % 4 === 3),
      ),
    );
    const stored = await Promise.all(ids.map((id) => world.queue.engine.jobs.get(id)));
    expect(stored.map((job) => job !== null)).toEqual(ids.map((_, index) => index % 4 !== 3));
    expect(await world.effects()).toHaveLength(48);
  });

  describe('with a worker', () => {
    let worker: OrmQueue;
    let isRolledBack: (attempt: number) => boolean;
    const attempts: number[] = [];
    let late: unknown;

    beforeAll(async () => {
      worker = await world.openQueue({ topics: ['work', 'plain'] });
      worker.engine.register('plain', () => 'done');
      worker.engine.register('work', async (job) => {
        attempts.push(job.attempt);
        await world.orm.transact(async (tx) => {
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

    afterAll(() => worker.engine.stop());

    it('runs a job soon after its commit', async () => {
      const id = await world.orm.transact((tx) => world.writeAndEnqueue(tx, 'a', 'plain'));
      const committed = performance.now();
      await until(async () => (await world.queue.engine.jobs.get(id))?.status === 'completed');
      expect(performance.now() - committed).toBeLessThan(1_500);
    });

    it('completes the job with the write', async () => {
      isRolledBack = () => false;
      const { id } = await world.queue.engine.enqueue('work', null);
      const job = await until(async () => {
        const found = await world.queue.engine.jobs.get(id);
        return found?.status === 'completed' && found;
      });
      expect(job).toMatchObject({ attempt: 1, result: { attempt: 1 } });
      expect(await world.effects()).toEqual([id]);
      await until(() => worker.events.some((event) => event.type === 'completed' && event.id === id));
      expect(attempts).toEqual([1]);
    });

    it('retries the attempt when the transaction rolls back', async () => {
      isRolledBack = (attempt) => attempt === 1;
      const { id } = await world.queue.engine.enqueue('work', null);
      const job = await until(async () => {
        const found = await world.queue.engine.jobs.get(id);
        return found?.status === 'completed' && found;
      });
      expect(job).toMatchObject({ attempt: 2, retries: 1 });
      expect(await world.effects()).toEqual([id]);
    });

    it('refuses the completion of a late worker', async () => {
      const claimed = signal();
      const taken = signal();
      const name = `late-${randomUUID()}`;
      const slow = await world.openQueue({ topics: [name], lease: '300ms' });
      const done = signal();
      slow.engine.register(name, async (job) => {
        if (job.attempt > 1) return;
        claimed.resolve();
        await taken.promise;
        late = await world.orm
          .transact(async (tx) => {
            const written = insertEffect(tx, 'late');
            const completed = job.completeTx(tx.adapt());
            await Promise.all([written, completed]);
          }, world.isSynchronous)
          .catch((error: unknown) => error);
        done.resolve();
      });
      await slow.engine.start();
      const { id } = await world.queue.engine.enqueue(name, null);
      await claimed.promise;
      // Another attempt has taken the job over.
      await world.queue.sql(`UPDATE _jobs SET attempt = attempt + 1 WHERE id = '${id}'`);
      taken.resolve();
      await done.promise;
      expect(late).toBeInstanceOf(LeaseLostError);
      expect(await world.effects()).toEqual([]);
      await slow.engine.stop();
    });
  });
});
