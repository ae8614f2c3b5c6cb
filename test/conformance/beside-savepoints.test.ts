import { setImmediate as nextLoop } from 'node:timers/promises';
import type { StandardSchema } from 'nestjs-jobs';
import { defineJob, InvalidOptionsError, JobsEngine } from 'nestjs-jobs';
import type { EntityManager } from 'typeorm';
import { TOPIC } from '../support/job-rows.js';
import { storeKinds, useStore } from '../support/stores.js';
import { signal } from '../support/wait.js';

const failing = (manager: EntityManager): Promise<unknown> =>
  manager.transaction(async () => {
    await nextLoop();
    throw new Error('given up');
  });
const standing = (manager: EntityManager): Promise<unknown> => manager.transaction(() => nextLoop());

describe.each(storeKinds())('a job that is enqueued beside a savepoint on $label', (kind) => {
  const fixture = useStore(kind);
  let engine: JobsEngine;
  let told: string[];

  beforeEach(() => {
    told = [];
    engine = new JobsEngine({ store: fixture.store });
    engine.events.subscribe(({ id }) => told.push(id));
  });
  afterEach(() => engine.close());

  const enqueue = (manager: EntityManager): Promise<unknown> => engine.enqueueTx(manager, TOPIC, null);
  const both: [string, (savepoint: typeof failing) => (manager: EntityManager) => Promise<unknown>][] = [
    ['before it', (savepoint) => (manager) => Promise.allSettled([enqueue(manager), savepoint(manager)])],
    ['after it', (savepoint) => (manager) => Promise.allSettled([savepoint(manager), enqueue(manager)])],
  ];

  it.each(both)('is stored, or keeps all from committing, when that is given up: %s', async (_when, work) => {
    const isCommitted = await fixture.app.transaction(work(failing)).then(
      () => true,
      () => false,
    );
    const stored = await fixture.sql<{ id: string }>('SELECT id FROM _jobs');
    expect(stored).toHaveLength(isCommitted ? 1 : 0);
    expect(told).toEqual(stored.map(({ id }) => id));
  });

  it.each(both)('is stored when that stands: %s', async (_when, work) => {
    await fixture.app.transaction(work(standing));
    expect(await fixture.sql('SELECT id FROM _jobs')).toHaveLength(1);
    expect(told).toHaveLength(1);
  });

  it('keeps all from committing when its schema took until that had begun, which is given up', async () => {
    const begun = signal();
    const validate = (value: unknown): Promise<{ value: unknown }> => begun.promise.then(() => ({ value }));
    const schema: StandardSchema = { '~standard': { version: 1, vendor: 'test', validate } };
    const refused = fixture.app.transaction(async (manager) => {
      const enqueued = engine.enqueueTx(manager, defineJob('checked', { schema }), 1);
      const savepoint = manager.transaction(async () => {
        begun.resolve();
        await enqueued;
        throw new Error('given up');
      });
      await savepoint.catch(() => undefined);
    });
    await expect(refused).rejects.toMatchObject({ constructor: InvalidOptionsError, option: 'manager' });
    expect(await fixture.sql('SELECT id FROM _jobs')).toEqual([]);
    expect(told).toEqual([]);
  });
});
