/** @matrix typeorm-0.3 */

import type { TestDatabase } from '../nest/support/database-kinds.js';
import { everyKind } from '../nest/support/database-kinds.js';
import { Handlers } from './support/handlers.js';
import { useTestedApps } from './support/tested-app.js';

describe.each(everyKind)('the testing kit on $label', (kind) => {
  const start = useTestedApps();
  let database: TestDatabase;
  beforeEach(async () => {
    database = await kind.create();
  });
  // After the applications have closed.
  afterEach(() => database.remove());

  it.each(['manual', 'inline'] as const)('runs jobs in mode %s', async (mode) => {
    const handlers = new Handlers();
    const { jobs, testing, dataSource } = await start({
      mode,
      database: database.options,
      providers: [{ provide: Handlers, useValue: handlers }],
    });
    await jobs.enqueue('a', 'plain', { uniqueKey: 'k' });
    await dataSource.transaction((manager) => jobs.enqueueTx(manager, 'a', 'in transaction', { delay: '1h' }));
    await jobs.enqueueMany([
      { topic: 'a', payload: 'first' },
      { topic: 'a', payload: 'second' },
    ]);
    await testing.runPending();
    expect(handlers.ran).toEqual(['plain', 'first', 'second']);
    await testing.advance('1h');
    await testing.runPending();
    expect(handlers.ran.sort()).toEqual([
      'first',
      'in transaction',
      ...Array<string>(6).fill('often'),
      'plain',
      'second',
    ]);
    await dataSource.transaction((manager) => jobs.enqueueTx(manager, 'a', 'after', { delay: '2m' }));
    await jobs.enqueue('a', 'keyed', { delay: '2m', uniqueKey: 'k' });
    const [after] = await testing.expectEnqueued('a', { payload: 'after', runAt: '2m' });
    expect(after!.created.getTime()).toBeGreaterThan(Date.now() + 3_500_000);
    await testing.advance('2m');
    expect(await testing.runPending({ topic: 'a' })).toHaveLength(mode === 'manual' ? 2 : 0);
    await jobs.schedules.pause('often');
    await testing.advance('30d');
    await testing.runPending();
    await testing.expectNotEnqueued('a');
  });
});
