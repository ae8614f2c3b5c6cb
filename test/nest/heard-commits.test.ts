import { EventSubscriber } from 'typeorm';
import { useApps } from './support/apps.js';
import { everyKind, sqliteMemory } from './support/database-kinds.js';
import type { TestApp } from './support/test-app.js';

/** Polling finds nothing in the time of these tests. */
const options = { pollInterval: '1h' };

/** Stores a job in a transaction of the application's; what its subscribers make of the commit is no matter. */
async function enqueueInTransaction(app: TestApp): Promise<string> {
  let id = '';
  await app.dataSource
    .transaction(async (manager) => ({ id } = await app.jobs.enqueueTx(manager, 'work', null)))
    .catch(() => undefined);
  return id;
}

async function expectRun(app: TestApp, id: string): Promise<void> {
  await app.event('enqueued', id);
  expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'done', attempt: 1 });
}

describe.each(everyKind.filter((kind) => kind !== sqliteMemory))('on $label', (kind) => {
  const apps = useApps(kind);

  it('a DataSource that was closed and initialized again tells of its commits as before', async () => {
    const app = await apps.start({ options, handlers: { work: () => 'done' } });
    await app.dataSource.destroy();
    await app.dataSource.initialize();
    await expectRun(app, await enqueueInTransaction(app));
    await expectRun(app, await enqueueInTransaction(app));
  });
});

describe.each(everyKind)('on $label', (kind) => {
  const apps = useApps(kind);

  it('a subscriber of the application that throws keeps no commit from the queue', async () => {
    let isRefusing = false;
    @EventSubscriber()
    class RefusingSubscriber {
      afterTransactionCommit(): void {
        if (isRefusing) throw new Error('the subscriber says no');
      }
    }
    const typeOrm = { subscribers: [RefusingSubscriber] };
    const app = await apps.start({ typeOrm, options, handlers: { work: () => 'done' } });
    isRefusing = true;
    await expectRun(app, await enqueueInTransaction(app));
    isRefusing = false;
  });
});
