import { EventSubscriber } from 'typeorm';
import { useApps } from './support/apps.js';
import { everyKind, sqliteMemory } from './support/database-kinds.js';
import type { TestApp } from './support/test-app.js';

/** Polling finds nothing during these tests. */
const options = { pollInterval: '1h' } as const;

/** Stores a job in a transaction of the application and ignores errors of its subscribers. */
async function enqueueInTransaction(app: TestApp): Promise<string> {
  let id = '';
  await app.dataSource
    .transaction(async (manager) => ({ id } = await app.jobs.enqueueTx(manager, 'work', null)))
    .catch(() => undefined);
  return id;
}

async function expectCompleted(app: TestApp, id: string): Promise<void> {
  await app.event('enqueued', id);
  expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'done', attempt: 1 });
}

describe.each(everyKind.filter((kind) => kind !== sqliteMemory))('on $label', (kind) => {
  const apps = useApps(kind);

  it('the queue observes commits of a DataSource that was closed and initialized again', async () => {
    const app = await apps.start({ options, handlers: { work: () => 'done' } });
    await app.dataSource.destroy();
    await app.dataSource.initialize();
    await expectCompleted(app, await enqueueInTransaction(app));
    await expectCompleted(app, await enqueueInTransaction(app));
  });
});

describe.each(everyKind)('on $label', (kind) => {
  const apps = useApps(kind);

  it('the queue observes a commit even if a subscriber of the application throws', async () => {
    let isThrowing = false;
    @EventSubscriber()
    class ThrowingSubscriber {
      afterTransactionCommit(): void {
        if (isThrowing) throw new Error('from the subscriber');
      }
    }
    const typeOrm = { subscribers: [ThrowingSubscriber] };
    const app = await apps.start({ typeOrm, options, handlers: { work: () => 'done' } });
    isThrowing = true;
    await expectCompleted(app, await enqueueInTransaction(app));
    isThrowing = false;
  });
});
