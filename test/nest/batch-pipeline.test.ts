/** @never postgres-18 */

import type { CanActivate, ExecutionContext, NestInterceptor, PipeTransform } from '@nestjs/common';
import { BadRequestException, Inject, Injectable, Scope, UseGuards, UseInterceptors } from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import type { JobBatch } from 'nestjs-jobs';
import { CurrentJob, defineJob, InvalidOptionsError, isJobContext, JobHandler, Payload } from 'nestjs-jobs';
import { EMPTY, of } from 'rxjs';
import { z } from 'zod';
import type { AppParts } from './support/apps.js';
import { useApps } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';
import { textWith } from './support/matchers.js';
import type { TestApp } from './support/test-app.js';

interface Doc {
  id: number;
}

/** What ran, in order. */
let seen: unknown[] = [];

@Injectable()
class RecordingGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const jobs = context.getArgByIndex<JobBatch<Doc>>(0);
    seen.push(['guard', isJobContext(context), context.getArgs().length, jobs.map(({ payload }) => payload.id)]);
    return jobs.every(({ payload }) => payload.id !== 13);
  }
}

@Injectable()
class RecordingInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: { handle(): unknown }) {
    seen.push(['interceptor', context.getHandler().name]);
    return next.handle() as never;
  }
}

const recording: PipeTransform = {
  transform: (docs: Doc[]) => {
    seen.push(['pipe', docs.length]);
    if (docs.some(({ id }) => id < 0)) throw new BadRequestException('id must not be negative');
    return docs;
  },
};

const batch = { size: 10 } as const;

@Injectable()
class DocJobs {
  @JobHandler('guarded', { batch })
  @UseGuards(RecordingGuard)
  @UseInterceptors(RecordingInterceptor)
  guarded(jobs: JobBatch<Doc>): void {
    seen.push(['handler', jobs.length]);
  }

  @JobHandler('decorated', { batch })
  decorated(@Payload(recording) docs: readonly Doc[], @CurrentJob() jobs: JobBatch<Doc>, @Payload('id') ids: number[]) {
    seen.push(['handler', docs.map(({ id }) => id), jobs.map(({ attempt }) => attempt), ids]);
  }

  @JobHandler('observable', { batch })
  observable(jobs: JobBatch<Doc>) {
    return jobs.length > 1 ? of(1, 2) : EMPTY;
  }
}

@Injectable({ scope: Scope.REQUEST })
class ScopedJobs {
  constructor(@Inject(REQUEST) private readonly request: JobBatch<Doc>) {}

  @JobHandler('scoped', { batch })
  scoped(jobs: JobBatch<Doc>): void {
    seen.push(['scoped', this.request === jobs, jobs.length]);
  }
}

class DocDto {
  id!: number;
}

describe.each(everyKind)('the pipeline of a batch handler on $label', (kind) => {
  const apps = useApps(kind);
  let app: TestApp;

  beforeEach(() => {
    seen = [];
  });

  async function start(parts: AppParts): Promise<void> {
    app = await apps.start({ ...parts, options: { backoff: { type: 'fixed', delay: 0 }, ...parts.options } });
  }

  async function enqueue(topic: string, ...ids: number[]): Promise<string[]> {
    const jobs = await app.jobs.enqueueMany(ids.map((id) => ({ topic, payload: { id } })));
    return jobs.map((job) => job.id);
  }

  const completed = (ids: string[]) => Promise.all(ids.map((id) => app.jobAfter('completed', id)));

  it('runs guards and interceptors once a call, with the batch as the argument', async () => {
    await start({ providers: [DocJobs] });
    await completed(await enqueue('guarded', 1, 2, 3));
    expect(seen).toEqual([
      ['guard', true, 1, [1, 2, 3]],
      ['interceptor', 'guarded'],
      ['handler', 3],
    ]);
  });

  it('runs each job alone after a guard refused several, and fails the refused one without a retry', async () => {
    await start({ providers: [DocJobs] });
    const [good, bad] = await enqueue('guarded', 1, 13);
    expect(await app.jobAfter('completed', good!)).toMatchObject({ retries: 1 });
    expect(await app.jobAfter('failed', bad!)).toMatchObject({ attempt: 2, lastError: textWith('RecordingGuard') });
  });

  it('passes the payloads as arrays to parameters with @Payload() and the batch to @CurrentJob()', async () => {
    await start({ providers: [DocJobs] });
    await completed(await enqueue('decorated', 1, 2));
    expect(seen).toEqual([
      ['pipe', 2],
      ['handler', [1, 2], [1, 1], [1, 2]],
    ]);
  });

  it('runs each job alone after a pipe rejected several, and fails the rejected one without a retry', async () => {
    await start({ providers: [DocJobs] });
    const [good, bad] = await enqueue('decorated', 1, -1);
    expect(await app.jobAfter('completed', good!)).toMatchObject({ retries: 1 });
    expect(await app.jobAfter('failed', bad!)).toMatchObject({ attempt: 2, lastError: textWith('negative') });
  });

  it('waits for the end of an Observable', async () => {
    await start({ providers: [DocJobs] });
    expect(await completed(await enqueue('observable', 1, 2))).toMatchObject([{ result: null }, { result: null }]);
  });

  it('creates one request-scoped instance a call, whose REQUEST is the batch', async () => {
    await start({ providers: [ScopedJobs] });
    await completed(await enqueue('scoped', 1, 2));
    expect(seen).toEqual([['scoped', true, 2]]);
  });

  it('fails a member alone when the schema of the topic rejects its payload', async () => {
    const Index = defineJob('index', { schema: z.object({ id: z.number().transform((id) => id * 2) }) });
    await start({});
    // Before the handler is registered, nothing knows the schema.
    const [valid, wrong, other] = await app.jobs.enqueueMany(
      [1, 'text', 3].map((id) => ({ topic: 'index', payload: { id } })),
    );
    app.jobs.register(
      Index,
      (jobs) => {
        seen.push(jobs.map(({ payload }) => payload.id));
        jobs[0]!.complete({ id: jobs[0]!.payload.id });
      },
      { batch },
    );
    expect(await app.jobAfter('failed', wrong!.id)).toMatchObject({ attempt: 1, lastError: textWith('payload.id') });
    expect(await app.jobAfter('completed', valid!.id)).toMatchObject({ result: { id: 2 } });
    expect(await app.jobAfter('completed', other!.id)).toMatchObject({ result: null });
    expect(seen).toEqual([[2, 6]]);
  });

  it('does not call the handler when the schema rejects every member', async () => {
    const Index = defineJob('index', { schema: z.object({ id: z.number() }) });
    await start({});
    const wrong = await app.jobs.enqueue('index', null);
    app.jobs.register(Index, (jobs) => void seen.push(jobs.length), { batch });
    await app.jobAfter('failed', wrong.id);
    expect(seen).toEqual([]);
  });

  it('says where the members of the job are when a handler reads one of the batch', async () => {
    await start({ options: { maxRetries: 0 } });
    app.jobs.register('old', (jobs) => (jobs as unknown as { payload: Doc }).payload.id, { batch });
    const [id] = await enqueue('old', 1);
    expect(await app.jobAfter('failed', id!)).toMatchObject({ lastError: textWith('read job.payload') });
  });

  it.each([
    ['no parameter', [], 'takes no parameter'],
    ['the class of a payload', [DocDto], 'takes a DocDto'],
    ['text', [String], 'takes a String'],
  ])('stops the application when the method takes %s', async (_, types, text) => {
    class WrongJobs {
      index(..._jobs: unknown[]): void {}
    }
    Reflect.defineMetadata('design:paramtypes', types, WrongJobs.prototype, 'index');
    const descriptor = Object.getOwnPropertyDescriptor(WrongJobs.prototype, 'index')!;
    (JobHandler('wrong', { batch }) as MethodDecorator)(WrongJobs.prototype, 'index', descriptor);
    const error = await apps.refusal({ providers: [WrongJobs] });
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toContain(`on WrongJobs.index: ${text}`);
  });

  it('stops the application when @Payload() of a batch handler has the class of one payload', async () => {
    class WrongJobs {
      @JobHandler('wrong', { batch, parameters: 'decorated' })
      index(@Payload() _doc: DocDto): void {}
    }
    expect((await apps.refusal({ providers: [WrongJobs] })).message).toContain('takes a DocDto');
  });

  it.each([
    [{ batch: {} }, 'batch.size'],
    [{ batch: { size: 1 } }, 'batch.size: expected a whole number from 2 to 1000, got 1'],
    [{ batch: { size: 1_001 } }, 'batch.size'],
    [{ batch: { size: 10, wait: '2h' } }, 'batch.wait: expected a duration from 0ms to 1h'],
    [{ batch: { size: 10, delay: 1 } }, 'batch.delay: unknown option'],
    [{ batch: 100 }, 'batch: expected an object with size and wait, got 100'],
    [{ batch, transactional: true }, 'transactional: contradicts batch'],
  ])('rejects the options %j', async (options, text) => {
    app = await apps.create();
    expect(() => app.jobs.register('x', (_jobs: JobBatch) => 1, options as never)).toThrow(text);
  });

  it('rejects a registered function without parameters', async () => {
    app = await apps.create();
    expect(() => app.jobs.register('x', () => 1, { batch })).toThrow('got one without parameters');
  });

  it('is no property of the topic', () => {
    expect(() => defineJob('x', { batch } as never)).toThrow('belongs to the handler');
  });

  it('applies global enhancers to a registered batch handler', async () => {
    app = await apps.create({ options: { globalEnhancers: true } });
    app.app.useGlobalInterceptors(new RecordingInterceptor());
    app.jobs.register('work', (jobs) => void seen.push(jobs.length), { batch });
    await app.app.init();
    await completed(await enqueue('work', 1, 2));
    expect(seen).toEqual([['interceptor', 'handle'], 2]);
  });
});
