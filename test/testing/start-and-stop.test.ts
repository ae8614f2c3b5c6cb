/** @matrix nest-11 */

import { Test } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import { JobsModule, JobsService } from 'nestjs-jobs';
import { JobsTesting, JobsTestingModule } from 'nestjs-jobs/testing';
import { Handlers } from './support/handlers.js';
import { useTestedApps } from './support/tested-app.js';

const start = useTestedApps();

/** What keeps the process alive. */
function countHandles(): number {
  return process.getActiveResourcesInfo().filter((name) => /Timeout|Immediate|TCP|FSEvent/.test(name)).length;
}

describe('an application with the testing kit', () => {
  it.each(['manual', 'inline'] as const)('starts and stops in at most 60 ms in mode %s', async (mode) => {
    const timesMs: number[] = [];
    for (let run = 0; run < 10; run += 1) {
      const since = process.cpuUsage();
      const app = await Test.createTestingModule({
        imports: [
          TypeOrmModule.forRoot({ type: 'better-sqlite3', database: ':memory:' }),
          JobsModule.forRoot({ http: false, ui: false }),
        ],
        providers: [Handlers],
      })
        .overrideModule(JobsModule)
        .useModule(JobsTestingModule.forRoot({ mode }))
        .compile();
      await app.init();
      await app.close();
      // On a quiet machine it takes as long: nothing waits.
      const { user, system } = process.cpuUsage(since);
      timesMs.push((user + system) / 1_000);
    }
    expect(Math.min(...timesMs)).toBeLessThan(60);
  });

  it.each(['manual', 'inline'] as const)('keeps no timer in mode %s, even before it is closed', async (mode) => {
    const before = countHandles();
    const { testing, jobs } = await start({ mode, providers: [Handlers] });
    await jobs.enqueue('a', null);
    await testing.runPending();
    await testing.advance('1h');
    await new Promise(setImmediate);
    expect(countHandles()).toBeLessThanOrEqual(before);
  });

  it('gets a database in memory when it has no DataSource', async () => {
    const app = await Test.createTestingModule({ imports: [JobsModule.forRoot()], providers: [Handlers] })
      .overrideModule(JobsModule)
      .useModule(JobsTestingModule)
      .compile();
    await app.init();
    await app.get(JobsService).enqueue('a', null);
    expect(await app.get(JobsTesting).runPending()).toMatchObject([{ status: 'completed' }]);
    await app.close();
  });

  it('works when its module is imported beside JobsModule', async () => {
    const app = await Test.createTestingModule({
      imports: [JobsModule.forRoot(), JobsTestingModule.forRoot({ mode: 'inline' })],
      providers: [Handlers],
    }).compile();
    await app.init();
    await app.get(JobsService).enqueue('a', 'ran');
    expect(app.get(Handlers).ran).toEqual(['ran']);
    await app.close();
  });

  it('names a missing queue, an unknown mode and an unknown DataSource', async () => {
    const module = await Test.createTestingModule({ imports: [JobsTestingModule.forRoot()] }).compile();
    await expect(module.get(JobsTesting).runPending()).rejects.toThrow('import JobsModule.forRoot()');
    expect(() => JobsTestingModule.forRoot({ mode: 'auto' as never })).toThrow("expected 'manual' or 'inline'");
    await expect(start({ options: { dataSource: 'other' } })).rejects.toThrow("no DataSource is named 'other'");
  });

  it('stops while a handler runs', async () => {
    let onStarted!: () => void;
    const started = new Promise<void>((resolve) => (onStarted = resolve));
    const { module, testing, jobs } = await start({
      options: { shutdownTimeout: '50ms' },
      handlers: {
        slow: async ({ signal }) => {
          onStarted();
          await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
        },
      },
    });
    await jobs.enqueue('slow', null);
    const running = testing.runPending().catch(() => undefined);
    await started;
    await module.close();
    await running;
    await expect(testing.runPending()).rejects.toThrow('not running');
  });
});
