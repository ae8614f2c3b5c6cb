import { setImmediate as nextLoop } from 'node:timers/promises';
import { InvalidOptionsError } from 'nestjs-jobs';
import type { EntityManager } from 'typeorm';
import { storeKinds, useStore } from '../../support/stores.js';
import { useToldEngine } from '../../support/told-engine.js';

const failing = (manager: EntityManager): Promise<unknown> =>
  manager.transaction(async () => {
    await nextLoop();
    throw new Error('given up');
  });
/** One that is released inside one that is rolled back. */
const failingAround = (manager: EntityManager): Promise<unknown> =>
  manager.transaction(async (outer) => {
    await standing(outer);
    throw new Error('given up');
  });
const standing = (manager: EntityManager): Promise<unknown> => manager.transaction(() => nextLoop());

describe.each(storeKinds())('a job that is enqueued beside a savepoint on $label', (kind) => {
  const fixture = useStore(kind);
  const queue = useToldEngine(fixture);

  const savepoints = [
    { what: 'stands', savepoint: standing },
    { what: 'is rolled back', savepoint: failing },
    { what: 'stands in one that is rolled back', savepoint: failingAround },
  ];

  it.each(savepoints)('is stored when it is called before a savepoint that $what', async ({ savepoint }) => {
    await fixture.app.transaction((manager) => Promise.allSettled([queue.enqueueTx(manager), savepoint(manager)]));
    expect(await queue.stored()).toHaveLength(1);
    expect(queue.told).toHaveLength(1);
  });

  it.each(savepoints)('is refused while a savepoint starts that $what', async ({ savepoint }) => {
    const [, call] = await fixture.app.transaction((manager) =>
      Promise.allSettled([savepoint(manager), queue.enqueueTx(manager)]),
    );
    expect(call).toMatchObject({ status: 'rejected', reason: { constructor: InvalidOptionsError, option: 'manager' } });
    expect(await queue.stored()).toEqual([]);
    expect(queue.told).toEqual([]);
  });
});
