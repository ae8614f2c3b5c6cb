import { existsSync } from 'node:fs';
import type { INestApplicationContext, OnModuleInit } from '@nestjs/common';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { Job, JobsModuleOptions } from 'nestjs-jobs';
import { InvalidOptionsError, JobHandler, JobsModule, JobsService, QueueUnavailableError } from 'nestjs-jobs';
import { DataSource } from 'typeorm';
import type * as RealTimers from '../../lib/store/real-timers.js';
import { setTimeout } from '../../lib/store/real-timers.js';
import { signal, until } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { textLike } from './support/matchers.js';
import { everyKind, postgres, sharedKinds, sqliteFile } from './support/database-kinds.js';

jest.mock('../../lib/store/real-timers.js', () => {
  const timers = jest.requireActual<typeof RealTimers>('../../lib/store/real-timers.js');
  return { ...timers, setTimeout: jest.fn(timers.setTimeout) };
});

const WARNING = String.raw`SIGTERM has no listener: call app\.enableShutdownHooks\(\)`;
const HOOKS_LATEST_MS = 250;

describe.each(everyKind)('the life of an application on $label', (kind) => {
  const apps = useApps(kind);

  it('begins to run jobs by itself when the application starts, and not before', async () => {
    const app = await apps.create({ handlers: { work: () => 'ran' } });
    const job = await app.jobs.enqueue('work', null);
    await app.jobs.whenIdle();
    expect(await app.job(job.id)).toMatchObject({ status: 'pending', attempt: 0 });
    expect(apps.log.of('error')).toEqual([textLike('whenIdle was called before the queue has started')]);
    await app.app.init();
    expect(await app.jobAfter('completed', job.id)).toMatchObject({ result: 'ran' });
  });

  it('lets another module enqueue in its onModuleInit', async () => {
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

  it('may be told to start and to stop more than once', async () => {
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

  it('leaves no timer and no socket behind when it has closed', async () => {
    // What keeps a process alive; Jest's own timers stay the same while a test runs.
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
    // The other end of a socket has a say in when it is closed.
    await until(() => resources() === before, { message: `only ${before}`, timeoutMs: 3_000 });
    expect(resources()).toBe(before);
  });

  it('stores what was being enqueued when it began to close', async () => {
    const app = await apps.start();
    const jobs = Promise.allSettled(Array.from({ length: 3_000 }, () => app.jobs.enqueue('work', null)));
    await app.close();
    expect((await jobs).filter(({ status }) => status === 'rejected')).toEqual([]);
  });

  it('cannot be started again when it has closed', async () => {
    const app = await apps.start({ handlers: { work: () => null } });
    await app.close();
    await expect(app.jobs.start()).rejects.toThrow(QueueUnavailableError);
    await expect(app.jobs.start()).rejects.toThrow('cannot start again');
    await app.jobs.stop();
    expect(apps.log.of('error')).toEqual([]);
  });

  it('completes the stream of events when it has closed', async () => {
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

  describe('some time after its start', () => {
    beforeEach(() => jest.mocked(setTimeout).mockClear());

    const looks = (): [() => void, number?][] =>
      jest.mocked(setTimeout).mock.calls.filter(([, ms]) => ms === HOOKS_LATEST_MS);

    /** The look for a listener of SIGTERM, without the wait for it. */
    const look = (): void => {
      expect(looks()).toHaveLength(1);
      looks()[0]![0]();
    };

    it('warns when SIGTERM has no listener', async () => {
      expect(process.listenerCount('SIGTERM')).toBe(0);
      await start();
      look();
      expect(apps.log.of('warn')).toEqual([textLike(WARNING)]);
    });

    it('does not warn when enableShutdownHooks was called after its providers had started', async () => {
      await start();
      await new Promise(setImmediate);
      context.enableShutdownHooks();
      look();
      expect(apps.log.of('warn')).toEqual([]);
    });

    it('does not warn when it only produces: nothing of it has to drain', async () => {
      await start({ role: 'producer' });
      expect(looks()).toEqual([]);
    });
  });
});

describe('an application with HTTP', () => {
  const apps = useApps(sharedKinds[0]!);

  it('does not warn when enableShutdownHooks was called before it listens', async () => {
    const app = await apps.start({ handlers: { work: () => null } });
    await app.app.listen(0, '127.0.0.1');
    await app.event('completed', (await app.jobs.enqueue('work', null)).id);
    expect(apps.log.of('warn')).toEqual([]);
  });
});

describe.each(sharedKinds)(
  'an application on $label of which another provider fails in its onApplicationBootstrap',
  (kind) => {
    const apps = useApps(kind);

    it('has a whole queue, which runs jobs until it is closed, and then leaves none running', async () => {
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

describe('the files of SQLite', () => {
  const apps = useApps(sqliteFile);

  it('are closed when the application has closed: no journal is left beside the database', async () => {
    const app = await apps.start({ handlers: { work: () => null } });
    await app.event('completed', (await app.jobs.enqueue('work', null)).id);
    const path = app.dataSource.options.database as string;
    expect(existsSync(`${path}-wal`)).toBe(true);
    await app.close();
    expect(existsSync(`${path}-wal`)).toBe(false);
  });
});

describe('connections', () => {
  const apps = useApps(postgres);
  let outside: DataSource;

  beforeEach(async () => {
    outside = await new DataSource(apps.address).initialize();
    apps.afterwards(() => outside.destroy());
  });

  const others = async (): Promise<string[]> => {
    const rows = await outside.query<{ name: string }[]>(
      `SELECT application_name AS name FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
    );
    return rows.map(({ name }) => name);
  };

  it('are all closed when the application has closed', async () => {
    const app = await apps.start({ handlers: { work: () => null } });
    await app.event('completed', (await app.jobs.enqueue('work', null)).id);
    expect((await others()).filter((name) => name === 'nestjs-jobs').length).toBeGreaterThanOrEqual(2);
    await app.close();
    // An idle connection would end by itself, after ten seconds.
    await until(async () => (await others()).length === 0, { message: 'no connection', timeoutMs: 5_000 });
    expect(await others()).toEqual([]);
  });

  it("of the queue's own are closed when a handler stops the application from starting", async () => {
    @Injectable()
    class BrokenJobs {
      @JobHandler('broken', { maxRetries: -1 })
      broken(): void {}
    }
    const error = await apps.refusal({ providers: [BrokenJobs] });
    expect(error.message).toContain('maxRetries');
    await until(async () => !(await others()).includes('nestjs-jobs'), {
      message: 'no connection of the queue',
      timeoutMs: 5_000,
    });
  });

  it.each([true, false])(
    "of the queue's own are closed when a table _jobs of somebody else stops the application, with migrate: %s",
    async (migrate) => {
      await outside.query('CREATE TABLE _jobs (id integer)');
      const error = await apps.refusal({ options: { migrate } });
      await until(async () => !(await others()).includes('nestjs-jobs'), {
        message: 'no connection of the queue',
        timeoutMs: 5_000,
      });
      expect(error).toBeInstanceOf(InvalidOptionsError);
      expect(error.message).toMatch(migrate ? /^migrate: .*nothing was changed/ : /^migrate: is false/);
    },
  );
});
