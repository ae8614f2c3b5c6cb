import { format, inspect } from 'node:util';
import type { ArgumentsHost, NestInterceptor } from '@nestjs/common';
import { Catch, Injectable, UseFilters, UseInterceptors } from '@nestjs/common';
import { finalize, isObservable, lastValueFrom, of } from 'rxjs';
import type { JobContext, JobsModuleOptions } from 'nestjs-jobs';
import { CurrentJob, JobHandler, Payload } from 'nestjs-jobs';
import type { Handler } from './support/apps.js';
import { useApps } from './support/apps.js';
import { sqliteFile } from './support/database-kinds.js';
import type { TestApp } from './support/test-app.js';

/** Handlers read members that the type does not have. */
type AnyJob = Record<string, unknown>;

const payload = { rows: 3, message: 'hello' };

/** Runs a job once and returns the job. */
async function runJob(app: TestApp, topic = 'work') {
  const { id } = await app.jobs.enqueue(topic, payload);
  await app.jobs.whenIdle();
  return app.job(id);
}

describe('a handler that reads a member of the job', () => {
  const apps = useApps(sqliteFile);
  const options: JobsModuleOptions = { maxRetries: 0 };
  const start = (read: (job: never) => unknown, more: JobsModuleOptions = {}): Promise<TestApp> =>
    apps.start({ options: { ...options, ...more }, handlers: { work: read as Handler } });

  it.each<[string, string]>([
    ['rows', "the job has no member 'rows'; the payload is job.payload: read job.payload.rows"],
    ['message', "the job has no member 'message'; the payload is job.payload: read job.payload.message"],
    ['playload', "the job has no member 'playload'; did you mean 'payload'?"],
    ['data', "the job has no member 'data'; did you mean 'payload'?"],
    ['attempts', "the job has no member 'attempts'; did you mean 'attempt'?"],
    ['somethingElse', "the job has no member 'somethingElse'; known are id, topic, payload"],
  ])('fails the attempt and names the right one for %s', async (name, message) => {
    const job = await runJob(await start((job: AnyJob) => job[name]));
    expect(job).toMatchObject({ status: 'failed', lastError: expect.stringContaining(message) as string });
  });

  it.each([
    ['a decorated method', 'alone'],
    ['a method with decorated parameters', 'decorated'],
  ])('fails the attempt in %s', async (_, topic) => {
    @Injectable()
    class ReadingJobs {
      @JobHandler('alone')
      alone(job: object): unknown {
        return (job as AnyJob)['rows'];
      }

      @JobHandler('decorated')
      decorated(@Payload('rows') rows: number, @CurrentJob() job: AnyJob): unknown {
        return [rows, job['rows']];
      }
    }
    const app = await apps.start({ options, providers: [ReadingJobs] });
    const { lastError } = await runJob(app, topic);
    expect(lastError).toContain('read job.payload.rows');
  });

  it('fails the attempt of a registered function with global enhancers', async () => {
    const app = await start((job: AnyJob) => job['rows'], { globalEnhancers: true });
    expect((await runJob(app)).lastError).toContain('read job.payload.rows');
  });

  it('can read every member, copy the job, print it and compare it', async () => {
    const app = await start(async (job: JobContext<typeof payload>) => {
      const { id, signal, ...rest } = job;
      expect(rest).toMatchObject({ payload, attempt: 1, metadata: null });
      expect({ ...job }).toMatchObject({ id, payload });
      expect(job).toEqual(job);
      expect(job).not.toEqual({ rows: 3 });
      expect(job).toMatchObject({ id, payload: { rows: 3 } });
      expect(JSON.parse(JSON.stringify(job))).toMatchObject({ id, payload });
      expect(inspect(job)).toContain(id);
      expect('rows' in job).toBe(false);
      expect(format('%s %o', job, job)).toContain(id);
      expect(await Promise.resolve(job)).toBe(job);
      expect([isObservable(job), await lastValueFrom(of(job))]).toEqual([false, job]);
      expect(signal.aborted).toBe(false);
      // pino reads the first two of an object to log, axios the third of a body to send.
      expect(['msg', 'err', 'append'].map((name) => (job as unknown as AnyJob)[name])).toEqual(
        Array(3).fill(undefined),
      );
      expect(() => job.manager).toThrow('only transactional handlers have one');
      await job.progress({ done: 1 });
      return job.constructor.name;
    });
    expect(await runJob(app)).toMatchObject({ lastError: null, status: 'completed', progress: { done: 1 } });
  });

  it('gets the job that its interceptors and filters get, which may read any member', async () => {
    const seen: unknown[] = [];
    const read = (context: ArgumentsHost, when: string): void => {
      const job = context.getArgByIndex<AnyJob>(0);
      seen.push([when, job, job['user'], job['rows']]);
    };
    const reading: NestInterceptor = {
      intercept(context, next) {
        read(context, 'before');
        return next.handle().pipe(finalize(() => read(context, 'after')));
      },
    };
    @Catch()
    class ReadingFilter {
      catch(error: unknown, context: ArgumentsHost): never {
        read(context, 'filter');
        throw error;
      }
    }
    @Injectable()
    class WatchedJobs {
      @JobHandler('work')
      @UseInterceptors(reading)
      @UseFilters(ReadingFilter)
      async run(job: object): Promise<unknown> {
        await Promise.resolve();
        seen.push(['handler', job]);
        return (job as AnyJob)['rows'];
      }
    }
    const app = await apps.start({ options, providers: [WatchedJobs] });
    expect((await runJob(app)).lastError).toContain('read job.payload.rows');
    const [, job] = seen[0] as [string, object];
    expect(seen).toEqual([
      ['before', job, undefined, undefined],
      ['handler', job],
      ['after', job, undefined, undefined],
      ['filter', job, undefined, undefined],
    ]);
    expect(new Set(seen.map((each) => (each as unknown[])[1])).size).toBe(1);
  });

  it('can add a member and return the job itself', async () => {
    const app = await start((job: AnyJob) => {
      job['tenant'] = 'a';
      expect(job['tenant']).toBe('a');
      return job;
    });
    expect(await runJob(app)).toMatchObject({ lastError: null, status: 'completed' });
  });

  it('gets undefined for any other member in production', async () => {
    const { NODE_ENV } = process.env;
    process.env['NODE_ENV'] = 'production';
    try {
      const app = await start((job: AnyJob) => ({ rows: job['rows'] ?? 'none' }));
      expect(await runJob(app)).toMatchObject({ status: 'completed', result: { rows: 'none' } });
    } finally {
      process.env['NODE_ENV'] = NODE_ENV;
    }
  });
});
