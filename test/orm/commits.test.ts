/**
 * @matrix all
 * @slow
 */

import { setImmediate } from 'node:timers/promises';
import { until } from '../support/wait.js';
import type { OrmTransaction } from './support/orm-driver.js';
import { useOrm } from './support/use-orm.js';

const cases = [
  { name: 'knex', database: 'postgres' },
  { name: 'knex', database: 'sqlite' },
  { name: 'sequelize', database: 'postgres' },
] as const;

describe.each(cases)('the commit of $name on $database', ({ name, database }) => {
  const world = useOrm(name, database);
  const enqueued = (): unknown[] => world.queue.events.map((event) => 'id' in event && event.id);
  const enqueue = async (tx: OrmTransaction): Promise<string> =>
    (await world.queue.engine.enqueueTx(tx.adapt(), 'idle', null)).id;

  /** Waits for the event of a job that commits after those of the test. */
  const untilReported = async (): Promise<unknown[]> => {
    const id = await world.orm.transact(enqueue);
    await until(() => enqueued().includes(id));
    return enqueued().filter((other) => other !== id);
  };
  it('comes before the events of its jobs', async () => {
    const ids = await world.orm.transact(async (tx) => {
      // More than an emitter accepts without a warning.
      const stored: string[] = [];
      for (let count = 0; count < 12; count += 1) stored.push(await enqueue(tx));
      await setImmediate();
      expect(enqueued()).toEqual([]);
      return stored;
    });
    expect(await untilReported()).toEqual(ids);
    expect(world.queue.events.some((event) => 'uncommitted' in event)).toBe(false);
  });

  it('that is a rollback has no event', async () => {
    await world.orm.transact(enqueue, true);
    expect(await untilReported()).toEqual([]);
  });

  it('has no events of a savepoint that was rolled back', async () => {
    const ids = await world.orm.transact(async (tx) => {
      const first = await enqueue(tx);
      await tx.nest!(enqueue, true);
      return [first, await tx.nest!(enqueue)];
    });
    expect(await untilReported()).toEqual(ids);
  });

  it('that is a rollback has no events of its savepoints', async () => {
    await world.orm.transact((tx) => tx.nest!(enqueue), true);
    expect(await untilReported()).toEqual([]);
  });

  if (database === 'postgres') {
    it('that fails has no event', async () => {
      await world.queue.sql('CREATE TABLE children (id text REFERENCES effects (id) DEFERRABLE INITIALLY DEFERRED)');
      const failed = world.orm.transact(async (tx) => {
        await tx.run(`INSERT INTO children VALUES ('missing')`);
        await enqueue(tx);
      });
      await expect(failed).rejects.toThrow(/foreign key/i);
      expect(await untilReported()).toEqual([]);
    });
  }
});
