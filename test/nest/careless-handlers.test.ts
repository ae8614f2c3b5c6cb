import { AsyncLocalStorage } from 'node:async_hooks';
import { useApps } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';

describe.each(everyKind)('handlers that take no care on $label', (kind) => {
  const apps = useApps(kind);

  it('keep what they enter for their AsyncLocalStorage to themselves', async () => {
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
