import { AsyncLocalStorage } from 'node:async_hooks';
import { until } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';

describe.each(everyKind)('handlers that take no care on $label', (kind) => {
  const apps = useApps(kind);

  describe('and do not wait for what they ask', () => {
    const onUnhandled = jest.fn();
    beforeEach(() => {
      onUnhandled.mockClear();
      process.on('unhandledRejection', onUnhandled);
    });
    afterEach(() => process.removeListener('unhandledRejection', onUnhandled));

    it('complete, and do not end the process when that is refused', async () => {
      const refused = jest.fn();
      const app = await apps.start({
        handlers: {
          work: (job) => {
            void job.progress({ at: 1 });
            // The job's rejection, not the one of what hangs on it.
            const answer = job.completeTx(app.dataSource.manager);
            setImmediate(() => void answer.catch(refused));
            return 'done';
          },
        },
      });
      const jobs = await app.jobs.enqueueMany(Array.from({ length: 50 }, () => ({ topic: 'work', payload: null })));
      await app.jobs.whenIdle();
      for (const { id } of jobs) {
        expect(await app.job(id)).toMatchObject({ status: 'completed', result: 'done', attempt: 1 });
      }
      await until(() => refused.mock.calls.length === jobs.length);
      expect(onUnhandled).not.toHaveBeenCalled();
    });
  });

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
