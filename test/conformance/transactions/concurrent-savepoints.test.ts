/** @npm-test typeorm-0.3, typeorm-0.3-postgres */

import { setImmediate as nextLoop } from 'node:timers/promises';
import { InvalidOptionsError } from 'nestjs-jobs';
import type { EntityManager } from 'typeorm';
import { storeKinds, useStore } from '../../support/stores.js';
import { useRecordingEngine } from '../../support/recording-engine.js';

const rollBack = (manager: EntityManager): Promise<unknown> =>
  manager.transaction(async () => {
    await nextLoop();
    throw new Error('given up');
  });
/** A released savepoint inside one that is rolled back. */
const rollBackAround = (manager: EntityManager): Promise<unknown> =>
  manager.transaction(async (outer) => {
    await release(outer);
    throw new Error('given up');
  });
const release = (manager: EntityManager): Promise<unknown> => manager.transaction(() => nextLoop());

describe.each(storeKinds())('a job that is enqueued concurrently with a savepoint on $label', (kind) => {
  const fixture = useStore(kind);
  const queue = useRecordingEngine(fixture);

  const savepoints = [
    { what: 'is released', savepoint: release },
    { what: 'is rolled back', savepoint: rollBack },
    { what: 'is released inside one that is rolled back', savepoint: rollBackAround },
  ];

  it.each(savepoints)('is stored when it is enqueued before a savepoint that $what', async ({ savepoint }) => {
    await fixture.app.transaction((manager) => Promise.allSettled([queue.enqueueTx(manager), savepoint(manager)]));
    expect(await queue.listIds()).toHaveLength(1);
    expect(queue.eventIds).toHaveLength(1);
  });

  it.each(savepoints)('is rejected at the start of a savepoint that $what', async ({ savepoint }) => {
    const [, call] = await fixture.app.transaction((manager) =>
      Promise.allSettled([savepoint(manager), queue.enqueueTx(manager)]),
    );
    expect(call).toMatchObject({ status: 'rejected', reason: { constructor: InvalidOptionsError, option: 'manager' } });
    expect(await queue.listIds()).toEqual([]);
    expect(queue.eventIds).toEqual([]);
  });
});
