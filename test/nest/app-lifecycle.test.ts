/**
 * @npm-test memory
 * @matrix nest-11, typeorm-0.3
 */

import { existsSync } from 'node:fs';
import type { INestApplicationContext, OnModuleInit } from '@nestjs/common';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { Job, JobsModuleOptions } from 'nestjs-jobs';
import { InvalidOptionsError, JobHandler, JobsModule, JobsService, QueueUnavailableError } from 'nestjs-jobs';
import { DataSource } from 'typeorm';
import type * as RealTimers from '../../lib/store/runtime/real-timers.js';
import { setTimeout } from '../../lib/store/runtime/real-timers.js';
import { signal, until } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { textLike } from './support/matchers.js';
import { everyKind, postgres, sharedKinds, sqliteFile } from './support/database-kinds.js';

jest.mock('../../lib/store/runtime/real-timers.js', () => {
  const timers = jest.requireActual<typeof RealTimers>('../../lib/store/runtime/real-timers.js');
  return { ...timers, setTimeout: jest.fn(timers.setTimeout) };
});

const WARNING = String.raw`SIGTERM has no listener: call app\.enableShutdownHooks\(\)`;
const HOOKS_LATEST_MS = 250;

describe.each(everyKind)('an application on $label', (kind) => {
  const apps = useApps(kind);

  it('runs jobs from its start on, not before', async () => {
    const app = await apps.create({ handlers: { work: () => 'ran' } });
    const job = await app.jobs.enqueue('work', null);
    await app.jobs.whenIdle();
    expect(await app.job(job.id)).toMatchObject({ status: 'pending', attempt: 0 });
    expect(apps.log.of('error')).toEqual([textLike('whenIdle')]);
    await app.app.init();
    expect(await app.jobAfter('completed', job.id)).toMatchObject({ result: 'ran' });
  });

  it('can enqueue in onModuleInit of another module', async () => {
    @Injectable()
    class Importer implements OnModuleInit {
      job: Job | undefined;

      constructor(private readonly jobs: JobsService) {}

      async onModuleInit(): Promise<void> {
        this.job = await this.jobs.enqueue('import', { from: 'start' });
      }

      @JobHandler('import')
      import(): string {
        return 'imported';
      }
    }
    @Module({ providers: [Importer] })
    class ImportModule {}

    const app = await apps.start({ imports: [ImportModule] });
    const { job } = app.module.get(Importer, { strict: false });
    expect(await app.jobAfter('completed', job!.id)).toMatchObject({ result: 'imported', attempt: 1 });
  });

  it('can call start and stop several times', async () => {
    const app = await apps.start({ handlers: { work: () => null } });
    await Promise.all([app.jobs.start(), app.jobs.start()]);
    const jobs = await app.jobs.enqueueMany(Array.from({ length: 20 }, () => ({ topic: 'work', payload: null })));
    await app.jobs.whenIdle();
    expect(app.eventsOf('started')).toHaveLength(jobs.length);
    await Promise.all([app.jobs.stop(), app.jobs.stop()]);
    await app.jobs.stop();
    const late = await app.jobs.enqueue('work', null);
    await app.jobs.whenIdle();
    expect(await app.job(late.id)).toMatchObject({ status: 'pending', attempt: 0 });
    await app.close();
    await app.app.close();
  });

  it('leaves no timer and no socket after close', async () => {
    // Timers and sockets keep a process alive. Jest's own timers do not change during a test.
    const resources = (): string =>
      process
        .getActiveResourcesInfo()
        .filter((name) => name === 'Timeout' || name.startsWith('TCP'))
        .sort()
        .join();
    const before = resources();
    const app = await apps.start({ handlers: { work: () => null } });
    await app.event('completed', (await app.jobs.enqueue('work', null)).id);
    expect(resources().length).toBeGreaterThan(before.length);
    await app.close();
    // The other end of a socket may delay its close.
    // A timer from before may have ended too.
    const hasEnded = (): boolean => resources().length <= before.length;
    await until(hasEnded, { message: `only ${before}`, timeoutMs: 3_000 });
  });

  it('stores the jobs of pending enqueue calls at close', async () => {
    const app = await apps.start();
    const jobs = Promise.allSettled(Array.from({ length: 3_000 }, () => app.jobs.enqueue('work', null)));
    await app.close();
    expect((await jobs).filter(({ status }) => status === 'rejected')).toEqual([]);
  });

  it('cannot start again after close', async () => {
    const app = await apps.start({ handlers: { work: () => null } });
    await app.close();
    await expect(app.jobs.start()).rejects.toThrow(QueueUnavailableError);
    await expect(app.jobs.start()).rejects.toThrow('cannot start again');
    await app.jobs.stop();
    expect(apps.log.of('error')).toEqual([]);
  });

  it('completes the event stream at close', async () => {
    const app = await apps.start();
    const completed = signal();
    app.jobs.events.subscribe({ complete: completed.resolve });
    await app.close();
    await completed.promise;
    expect(app.events).toEqual([]);
  });
});

describe.each(sharedKinds)('an application context without HTTP on $label', (kind) => {
  const apps = useApps(kind);
  let context: INestApplicationContext;

  async function start(options?: JobsModuleOptions): Promise<void> {
    @Injectable()
    class WorkJobs {
      @JobHandler('work')
      work(): string {
        return 'in a context';
      }
    }
    @Module({ imports: [apps.typeOrm(), JobsModule.forRoot(options)], providers: [WorkJobs] })
    class WorkerModule {}

    context = await NestFactory.createApplicationContext(WorkerModule, { logger: apps.log });
    apps.afterwards(() => context.close());
  }

  it('runs jobs', async () => {
    await start();
    const jobs = context.get(JobsService);
    const { id } = await jobs.enqueue('work', null);
    await jobs.whenIdle();
    expect(await jobs.get(id)).toMatchObject({ status: 'completed', result: 'in a context' });
  });

  describe('after its start', () => {
    beforeEach(() => jest.mocked(setTimeout).mockClear());

    const listenerChecks = (): [() => void, number?][] =>
      jest.mocked(setTimeout).mock.calls.filter(([, ms]) => ms === HOOKS_LATEST_MS);

    /** Runs the check for a SIGTERM listener without its delay. */
    const checkListener = (): void => {
      expect(listenerChecks()).toHaveLength(1);
      listenerChecks()[0]![0]();
    };

    it('warns if SIGTERM has no listener', async () => {
      expect(process.listenerCount('SIGTERM')).toBe(0);
      await start();
      checkListener();
      expect(apps.log.of('warn')).toEqual([textLike(WARNING)]);
    });

    it('does not warn if enableShutdownHooks was called after the start of its providers', async () => {
      await start();
      await new Promise(setImmediate);
      context.enableShutdownHooks();
      checkListener();
      expect(apps.log.of('warn')).toEqual([]);
    });

    it('does not warn with the role producer', async () => {
      await start({ role: 'producer' });
      expect(listenerChecks()).toEqual([]);
    });
  });
});

describe('an application with HTTP', () => {
  const apps = useApps(sharedKinds[0]!);

  it('does not warn if enableShutdownHooks was called before listen', async () => {
    const app = await apps.start({ handlers: { work: () => null } });
    await app.app.listen(0, '127.0.0.1');
    await app.event('completed', (await app.jobs.enqueue('work', null)).id);
    expect(apps.log.of('warn')).toEqual([]);
  });
});

describe.each(sharedKinds)(
  'an application on $label with another provider that fails in onApplicationBootstrap',
  (kind) => {
    const apps = useApps(kind);

    it('runs jobs until close and then leaves none running', async () => {
      const end = signal();
      const fail = (): never => {
        throw new Error('no cache');
      };
      const app = await apps.create({
        handlers: { work: () => end.promise.then(() => 'ran') },
        providers: [{ provide: 'CACHE', useValue: { onApplicationBootstrap: fail } }],
      });
      await expect(app.app.init()).rejects.toThrow('no cache');
      const [first, second] = await app.jobs.enqueueMany([1, 2].map((payload) => ({ topic: 'work', payload })));
      await app.event('started', second!.id);
      const closing = app.close();
      end.resolve();
      await closing;
      await expect(app.jobs.start()).rejects.toThrow(QueueUnavailableError);
      expect(app.dataSource.isInitialized).toBe(false);

      const other = await apps.start({ options: { role: 'producer' } });
      expect(await other.job(first!.id)).toMatchObject({ status: 'completed', result: 'ran', attempt: 1 });
      expect(await other.job(second!.id)).toMatchObject({ status: 'completed', result: 'ran', attempt: 1 });
    });
  },
);

describe('the files of a SQLite database', () => {
  const apps = useApps(sqliteFile);

  it('include no journal after the application closes', async () => {
    const app = await apps.start({ handlers: { work: () => null } });
    await app.event('completed', (await app.jobs.enqueue('work', null)).id);
    const path = app.dataSource.options.database as string;
    expect(existsSync(`${path}-wal`)).toBe(true);
    await app.close();
    expect(existsSync(`${path}-wal`)).toBe(false);
  });
});

describe('PostgreSQL connections', () => {
  const apps = useApps(postgres);
  let outside: DataSource;

  beforeEach(async () => {
    outside = await new DataSource(apps.address).initialize();
    apps.afterwards(() => outside.destroy());
  });

  const readConnections = async (): Promise<string[]> => {
    const rows = await outside.query<{ name: string }[]>(
      `SELECT application_name AS name FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
    );
    return rows.map(({ name }) => name);
  };

  it('are all closed with the application', async () => {
    const app = await apps.start({ handlers: { work: () => null } });
    await app.event('completed', (await app.jobs.enqueue('work', null)).id);
    expect((await readConnections()).filter((name) => name === 'nestjs-jobs').length).toBeGreaterThanOrEqual(2);
    await app.close();
    // Without close, an idle connection would end after ten seconds.
    await until(async () => (await readConnections()).length === 0, { message: 'no connection', timeoutMs: 8_000 });
    expect(await readConnections()).toEqual([]);
  });

  it('of the queue are closed if a handler stops the start', async () => {
    @Injectable()
    class BrokenJobs {
      @JobHandler('broken', { maxRetries: -1 })
      broken(): void {}
    }
    const error = await apps.refusal({ providers: [BrokenJobs] });
    expect(error.message).toContain('maxRetries');
    await until(async () => !(await readConnections()).includes('nestjs-jobs'), {
      message: 'no connection of the queue',
      timeoutMs: 5_000,
    });
  });

  it.each([true, false])(
    'of the queue are closed if a foreign table _jobs stops the start, with migrate: %s',
    async (migrate) => {
      await outside.query('CREATE TABLE _jobs (id integer)');
      const error = await apps.refusal({ options: { migrate } });
      await until(async () => !(await readConnections()).includes('nestjs-jobs'), {
        message: 'no connection of the queue',
        timeoutMs: 5_000,
      });
      expect(error).toBeInstanceOf(InvalidOptionsError);
      expect(error.message).toMatch(migrate ? /forRoot: migrate: / : /forRoot: migrate: is false/);
    },
  );
});
