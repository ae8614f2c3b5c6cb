/**
 * @matrix all
 * @slow
 */

import { InvalidOptionsError } from 'nestjs-jobs';
import { until } from '../support/wait.js';
import { useOrm } from './support/use-orm.js';

const TIMEOUT_MS = 300;

describe.each(['postgres', 'sqlite'] as const)('a transaction of Prisma on %s', (database) => {
  const world = useOrm('prisma', database);

  it('that has timed out refuses the job and names the transaction', async () => {
    let stored: unknown;
    const ended = world.orm.transact(
      async (tx) => {
        await world.writeAndEnqueue(tx, 'before');
        const isRefused = (): Promise<boolean> =>
          Promise.resolve(tx.run('SELECT 1')).then(
            () => false,
            () => true,
          );
        await until(isRefused, { message: 'the end of the transaction' });
        stored = await world.queue.engine.enqueueTx(tx.adapt(), 'idle', null).catch((error: unknown) => error);
      },
      false,
      TIMEOUT_MS,
    );
    await expect(ended).rejects.toThrow(/expired transaction|timeout/i);
    expect(stored).toBeInstanceOf(InvalidOptionsError);
    expect((stored as Error).message).toMatch(/^tx: .*Prisma.*: expected .+, got /);
    expect(await world.countJobs()).toBe(0);
    expect(await world.effects()).toEqual([]);
  });
});
