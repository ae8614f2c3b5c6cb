import { setImmediate as nextLoop } from 'node:timers/promises';
import type { StandardSchema } from 'nestjs-jobs';
import { defineJob, InvalidOptionsError } from 'nestjs-jobs';
import type { EntityManager } from 'typeorm';
import { storeKinds, useStore } from '../../support/stores.js';
import { useToldEngine } from '../../support/told-engine.js';
import { signal } from '../../support/wait.js';

const failing = (manager: EntityManager): Promise<unknown> =>
  manager.transaction(async () => {
    await nextLoop();
    throw new Error('given up');
  });
/** One that stands in one that is given up. */
const failingAround = (manager: EntityManager): Promise<unknown> =>
  manager.transaction(async (outer) => {
    await standing(outer);
    throw new Error('given up');
  });
const standing = (manager: EntityManager): Promise<unknown> => manager.transaction(() => nextLoop());

describe.each(storeKinds())('a job that is enqueued beside a savepoint on $label', (kind) => {
  const fixture = useStore(kind);
  const queue = useToldEngine(fixture);

  const both: [string, (savepoint: typeof failing) => (manager: EntityManager) => Promise<unknown>][] = [
    ['before it', (savepoint) => (manager) => Promise.allSettled([queue.enqueueTx(manager), savepoint(manager)])],
    ['after it', (savepoint) => (manager) => Promise.allSettled([savepoint(manager), queue.enqueueTx(manager)])],
  ];

  const givenUp = both.flatMap(([when, work]) => [
    { when, what: 'that', work: work(failing) },
    { when, what: 'the one around it', work: work(failingAround) },
  ]);

  it.each(givenUp)('is stored, or keeps all from committing, when $what is given up: $when', async ({ work }) => {
    const isCommitted = await fixture.app.transaction(work).then(
      () => true,
      () => false,
    );
    const stored = await queue.stored();
    expect(stored).toHaveLength(isCommitted ? 1 : 0);
    expect(queue.told).toEqual(stored);
  });

  it.each(both)('is stored when that stands: %s', async (_when, work) => {
    await fixture.app.transaction(work(standing));
    expect(await queue.stored()).toHaveLength(1);
    expect(queue.told).toHaveLength(1);
  });

  it('keeps all from committing when its schema took until that had begun, which is given up', async () => {
    const begun = signal();
    const validate = (value: unknown): Promise<{ value: unknown }> => begun.promise.then(() => ({ value }));
    const schema: StandardSchema = { '~standard': { version: 1, vendor: 'test', validate } };
    const refused = fixture.app.transaction(async (manager) => {
      const enqueued = queue.engine.enqueueTx(manager, defineJob('checked', { schema }), 1);
      const savepoint = manager.transaction(async () => {
        begun.resolve();
        await enqueued;
        throw new Error('given up');
      });
      await savepoint.catch(() => undefined);
    });
    await expect(refused).rejects.toMatchObject({ constructor: InvalidOptionsError, option: 'manager' });
    expect(await queue.stored()).toEqual([]);
    expect(queue.told).toEqual([]);
  });
});
