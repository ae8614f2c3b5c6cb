/** @matrix nest-11 */

import type { CanActivate, CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { Injectable, ParseIntPipe, UseGuards, UseInterceptors } from '@nestjs/common';
import type { JobContext } from 'nestjs-jobs';
import { defineJob, JobHandler, Payload, UnrecoverableError } from 'nestjs-jobs';
import { map } from 'rxjs';
import type { EntityManager } from 'typeorm';
import { z } from 'zod';
import { createPostgresDatabase, postgresVersions } from '../support/databases.js';
import { useTestedApps } from './support/tested-app.js';

const start = useTestedApps();

class Guard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    return context.switchToRpc().getData<JobContext<{ allowed?: boolean }>>().payload.allowed ?? true;
  }
}

class Doubling implements NestInterceptor {
  intercept(_: ExecutionContext, next: CallHandler) {
    return next.handle().pipe(map((value: number) => value * 2));
  }
}

const Checked = defineJob('checked', { schema: z.object({ day: z.iso.date().transform((text) => new Date(text)) }) });

@Injectable()
class Handlers {
  @JobHandler('stepped')
  async stepped({ step }: JobContext): Promise<unknown> {
    return [await step('first', () => new Date(0)), await step('second', () => undefined)];
  }

  @UseGuards(Guard)
  @UseInterceptors(Doubling)
  @JobHandler('piped', { parameters: 'decorated' })
  async piped(@Payload('count', ParseIntPipe) count: number): Promise<number> {
    return count;
  }

  @JobHandler(Checked)
  async checked(job: JobContext<{ day: Date }>): Promise<boolean> {
    return job.payload.day instanceof Date;
  }

  @JobHandler('facts', { maxRetries: 5 })
  async facts(job: JobContext): Promise<object> {
    const { attempt, retries, maxRetries, metadata, payload, signal } = job;
    await job.progress(0.5);
    return { attempt, retries, maxRetries, metadata, payload, isAborted: signal.aborted };
  }

  @JobHandler('in_transaction')
  async complete(job: JobContext<EntityManager | null>): Promise<string> {
    await this.manager!.transaction((manager) => job.completeTx(manager, 'done'));
    return 'returned';
  }

  manager: EntityManager | undefined;
}

describe('run', () => {
  it('runs the steps of the handler', async () => {
    const { testing } = await start({ providers: [Handlers] });
    expect(await testing.run('stepped', null)).toEqual(['1970-01-01T00:00:00.000Z', undefined]);
    expect(await testing.run('stepped', null, { attempt: 2 })).toHaveLength(2);
  });

  it('calls a handler through its guards, pipes and interceptors, without a row', async () => {
    const { testing, jobs } = await start({ providers: [Handlers] });
    expect(await testing.run('piped', { count: '21' })).toBe(42);
    await expect(testing.run('piped', { count: 'many' })).rejects.toThrow(UnrecoverableError);
    await expect(testing.run('piped', { count: '1', allowed: false })).rejects.toThrow('Guard');
    expect((await jobs.list()).total).toBe(0);
  });

  it('validates the payload with the schema of the topic', async () => {
    const { testing } = await start({ providers: [Handlers] });
    expect(await testing.run(Checked, { day: '2026-01-31' })).toBe(true);
    await expect(testing.run(Checked, { day: 'today' })).rejects.toThrow(UnrecoverableError);
  });

  it('passes the payload through JSON, and the given members', async () => {
    const { testing } = await start({ providers: [Handlers] });
    expect(await testing.run('facts', { at: new Date(0), gone: undefined })).toEqual({
      attempt: 1,
      retries: 0,
      maxRetries: 5,
      metadata: null,
      payload: { at: '1970-01-01T00:00:00.000Z' },
      isAborted: false,
    });
    const options = { attempt: 3, maxRetries: 2, metadata: { tenant: 7 } };
    expect(await testing.run('facts', null, options)).toMatchObject({ ...options, retries: 2 });
    await expect(testing.run('facts', NaN)).rejects.toThrow('payload');
  });

  it('lets completeTx succeed', async () => {
    const { testing, module, dataSource } = await start({ providers: [Handlers] });
    module.get(Handlers).manager = dataSource.manager;
    expect(await testing.run('in_transaction', null)).toBe('returned');
  });

  it('names the nearest topic when there is no handler', async () => {
    const { testing } = await start({ providers: [Handlers] });
    await expect(testing.run('fact', null)).rejects.toThrow(
      "topic: 'fact' has no handler in this application; did you mean 'facts'?",
    );
  });
});

describe('on PostgreSQL', () => {
  let database: Awaited<ReturnType<typeof createPostgresDatabase>>;
  beforeAll(async () => {
    database = await createPostgresDatabase(postgresVersions()[0]!);
  });
  afterAll(() => database.drop());

  it('runs transactional handlers, alone and as jobs', async () => {
    @Injectable()
    class Transactional {
      @JobHandler('insert', { transactional: true })
      async insert(job: JobContext<number>): Promise<void> {
        await job.manager.query('INSERT INTO numbers VALUES ($1)', [job.payload]);
        if (job.payload < 0) {
          throw new UnrecoverableError('negative');
        }
      }
    }
    const { testing, jobs, dataSource } = await start({
      providers: [Transactional],
      database: { type: 'postgres', url: database.url },
    });
    await dataSource.query('CREATE TABLE numbers (n int)');
    await testing.run('insert', 1);
    await expect(testing.run('insert', -1)).rejects.toThrow('negative');
    await dataSource.transaction((manager) => jobs.enqueueTx(manager, 'insert', 2));
    expect(await testing.runPending()).toMatchObject([{ status: 'completed' }]);
    expect(await dataSource.query('SELECT n FROM numbers ORDER BY n')).toEqual([{ n: 1 }, { n: 2 }]);
  });
});
