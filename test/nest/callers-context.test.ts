import { AsyncLocalStorage } from 'node:async_hooks';
import { useApps } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';
import type { TestApp } from './support/test-app.js';

/** Where packages keep the transaction, the tenant or the request of whoever calls. */
const context = new AsyncLocalStorage<string>();

describe.each(everyKind)('handlers on $label are not in the AsyncLocalStorage', (kind) => {
  const apps = useApps(kind);
  let app: TestApp;
  let seen: (string | undefined)[];

  beforeEach(async () => {
    seen = [];
    app = await apps.start({ handlers: { work: () => void seen.push(context.getStore()) } });
  });

  const enqueue = (): Promise<unknown> =>
    app.jobs.enqueueMany(Array.from({ length: 20 }, () => ({ topic: 'work', payload: null })));

  it('of whoever enqueues', async () => {
    await context.run('a request', () => Promise.all(Array.from({ length: 20 }, () => app.jobs.enqueue('work', null))));
    await app.jobs.whenIdle();
    expect(seen).toEqual(Array.from({ length: 20 }, () => undefined));
  });

  it('of whoever starts the queue', async () => {
    await app.jobs.stop();
    await enqueue();
    await context.run('a request', () => app.jobs.start());
    await app.jobs.whenIdle();
    expect(seen).toEqual(Array.from({ length: 20 }, () => undefined));
  });

  it('of whoever lets the queue claim again while it runs', async () => {
    await context.run('a request', () => app.jobs.start());
    await context.run('a request', enqueue);
    await app.jobs.whenIdle();
    expect(seen).toEqual(Array.from({ length: 20 }, () => undefined));
  });
});
