/**
 * @matrix nest-11
 * @never postgres-18
 */

import { AsyncLocalStorage } from 'node:async_hooks';
import { useApps } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';
import type { TestApp } from './support/test-app.js';

/** Some packages keep the transaction, the tenant or the request of the caller here. */
const context = new AsyncLocalStorage<string>();

describe.each(everyKind)('handlers on $label do not inherit the AsyncLocalStorage', (kind) => {
  const apps = useApps(kind);
  let app: TestApp;
  let seen: (string | undefined)[];

  beforeEach(async () => {
    seen = [];
    app = await apps.start({ handlers: { work: () => void seen.push(context.getStore()) } });
  });

  const enqueue = (): Promise<unknown> =>
    app.jobs.enqueueMany(Array.from({ length: 20 }, () => ({ topic: 'work', payload: null })));

  it('of the caller of enqueue', async () => {
    await context.run('a request', () => Promise.all(Array.from({ length: 20 }, () => app.jobs.enqueue('work', null))));
    await app.jobs.whenIdle();
    expect(seen).toEqual(Array.from({ length: 20 }, () => undefined));
  });

  it('of the caller of start', async () => {
    await app.jobs.stop();
    await enqueue();
    await context.run('a request', () => app.jobs.start());
    await app.jobs.whenIdle();
    expect(seen).toEqual(Array.from({ length: 20 }, () => undefined));
  });

  it('of an enqueue that wakes the queue', async () => {
    await context.run('a request', () => app.jobs.start());
    await context.run('a request', enqueue);
    await app.jobs.whenIdle();
    expect(seen).toEqual(Array.from({ length: 20 }, () => undefined));
  });
});

describe.each(everyKind)('AsyncLocalStorage.enterWith on $label', (kind) => {
  const apps = useApps(kind);

  it('in one handler does not affect other handlers', async () => {
    const tenant = new AsyncLocalStorage<string>();
    const seen: (string | undefined)[] = [];
    const app = await apps.start({
      options: { concurrency: 4 },
      handlers: {
        work: async ({ id }) => {
          seen.push(tenant.getStore());
          tenant.enterWith(id);
          await new Promise(setImmediate);
          return tenant.getStore();
        },
      },
    });
    const jobs = await app.jobs.enqueueMany(Array.from({ length: 50 }, () => ({ topic: 'work', payload: null })));
    await app.jobs.whenIdle();
    expect(seen).toEqual(jobs.map(() => undefined));
    for (const { id } of jobs) {
      expect(await app.job(id)).toMatchObject({ result: id });
    }
  });
});
