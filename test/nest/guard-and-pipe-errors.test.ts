/**
 * @matrix nest-11
 * @never postgres-18
 */

import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:net';
import { open } from 'node:fs/promises';
import type { CanActivate, PipeTransform } from '@nestjs/common';
import {
  BadGatewayException,
  Catch,
  createParamDecorator,
  ForbiddenException,
  HttpException,
  Injectable,
  ServiceUnavailableException,
  UseFilters,
  UseGuards,
  UseInterceptors,
  ValidationPipe,
} from '@nestjs/common';
import type { JobContext } from 'nestjs-jobs';
import { CurrentJob, JobHandler, Payload, QueueUnavailableError, SnoozeError, UnrecoverableError } from 'nestjs-jobs';
import { catchError } from 'rxjs';
import { DataSource } from 'typeorm';
import { findFreePort } from '../support/free-port.js';
import { useApps } from './support/apps.js';
import { everyKind, sqliteMemory } from './support/database-kinds.js';
import type { TestApp } from './support/test-app.js';

const atOnce = { maxRetries: 1, backoff: { type: 'fixed', delay: 0 } } as const;

/** The behaviour of the guard, the pipe, the decorator or the handler under test. */
let act: (job: JobContext) => unknown;

const guard: CanActivate = {
  canActivate: async (context) => (await act(context.getArgByIndex<JobContext>(0))) === undefined,
};
const pipe: PipeTransform<JobContext> = { transform: (job) => act(job) };
const Asked = createParamDecorator((_data, context) => act(context.getArgByIndex<JobContext>(0)));
const idle: PipeTransform = { transform: (value: unknown) => value };
const sharedError = new ForbiddenException('shared');

@Catch()
class RethrowingFilter {
  catch(error: unknown): never {
    throw error;
  }
}
@Catch()
class RewordingFilter {
  catch(): never {
    throw new Error('reworded');
  }
}

@Injectable()
class CheckedJobs {
  @UseGuards(guard)
  @JobHandler('guard', atOnce)
  guarded(): string {
    return 'allowed';
  }

  @JobHandler('pipe', atOnce)
  piped(@CurrentJob(pipe) _job: JobContext, @Payload(idle) _payload: unknown): string {
    return 'allowed';
  }

  @JobHandler('decorator', atOnce)
  decorated(@Asked(idle) _value: unknown): void {}

  @JobHandler('handler', atOnce)
  handled(@Payload(idle) _payload: unknown, @CurrentJob() job: JobContext): unknown {
    return act(job);
  }

  @UseFilters(RethrowingFilter)
  @UseInterceptors({
    intercept: (_context, next) =>
      next.handle().pipe(
        catchError((error: unknown) => {
          throw error;
        }),
      ),
  })
  @JobHandler('rethrown', atOnce)
  rethrown(@CurrentJob(pipe) _job: JobContext): void {}

  @UseFilters(RewordingFilter)
  @JobHandler('reworded', atOnce)
  reworded(@CurrentJob(pipe) _job: JobContext): void {}

  @UseGuards({
    canActivate: (context) => {
      if (context.getArgByIndex<JobContext>(0).payload === 'refused') {
        throw sharedError;
      }
      return true;
    },
  })
  @JobHandler('shared error', atOnce)
  sharedError(): never {
    throw sharedError;
  }
}

const throwsError = (error: unknown) => (): never => {
  throw error;
};

async function failToConnect(): Promise<never> {
  const port = await findFreePort();
  return new Promise((_resolve, reject) => connect(port, '127.0.0.1').on('error', reject));
}

const failToFetch = async (): Promise<unknown> => fetch(`http://127.0.0.1:${await findFreePort()}`);

async function fetchInvalidHttp(): Promise<unknown> {
  const server = createServer((socket) => socket.end('no HTTP\r\n\r\n'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return fetch(`http://127.0.0.1:${port}`).finally(() => server.close());
}

const aggregate = (...errors: unknown[]): AggregateError => new AggregateError(errors);
const createSystemError = (): Error => Object.assign(new Error('read ECONNRESET'), { errno: -104, syscall: 'read' });

describe('an error of a guard or a pipe', () => {
  const apps = useApps(sqliteMemory);

  async function runJob(topic: string): Promise<[app: TestApp, id: string]> {
    const app = await apps.start({ providers: [CheckedJobs] });
    const { id } = await app.jobs.enqueue(topic, null);
    await app.jobs.whenIdle();
    return [app, id];
  }

  const refusals: [string, () => unknown, string][] = [
    ['a custom error', throwsError(new TypeError('no tenant')), 'no tenant'],
    ['a client error', throwsError(new HttpException('slow down', 429)), 'slow down'],
    ['text', throwsError('not today'), 'not today'],
    ['nothing', throwsError(undefined), 'thrown value: undefined'],
    ['null', throwsError(null), 'thrown value: null'],
    ['a rejection', () => Promise.reject(new RangeError('too many')), 'too many'],
    ['an UnrecoverableError', throwsError(new UnrecoverableError('for good')), 'for good'],
    [
      'an AggregateError with one permanent error',
      throwsError(aggregate(createSystemError(), new Error('no tenant'))),
      'AggregateError',
    ],
    ['a client error with a cause', throwsError(new ForbiddenException('no', { cause: createSystemError() })), 'no'],
  ];
  const topics = ['guard', 'pipe', 'rethrown'] as const;

  it.each(topics.flatMap((topic) => refusals.map(([what, does, text]) => [topic, what, does, text] as const)))(
    'fails the job without a retry: %s, %s',
    async (topic, _, does, text) => {
      act = does;
      const [app, id] = await runJob(topic);
      const job = await app.job(id);
      expect(job).toMatchObject({ status: 'failed', attempt: 1, retries: 0 });
      expect(job.lastError).toContain(text);
    },
  );

  const outages: [string, () => unknown][] = [
    ['a server error', throwsError(new ServiceUnavailableException())],
    ['another server error', throwsError(new BadGatewayException('upstream'))],
    ['a refused connection', failToConnect],
    ['a failed fetch', failToFetch],
    ['a fetch with an invalid response', fetchInvalidHttp],
    ['a driver timeout', throwsError(new Error('Query read timeout'))],
    ['a fetch timeout', () => Promise.reject(new DOMException('too slow', 'TimeoutError'))],
    ['a missing file', () => open('/nowhere/at/all')],
    ['a socket hang-up', throwsError(Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' }))],
    ['an unavailable queue', throwsError(new QueueUnavailableError('no lock'))],
    ['a pool without a free connection', throwsError(new Error('timeout exceeded when trying to connect'))],
    [
      'an AggregateError of temporary errors',
      throwsError(aggregate(createSystemError(), new QueueUnavailableError('no lock'))),
    ],
    ['an error caused by a temporary error', throwsError(new Error('tenant?', { cause: createSystemError() }))],
  ];

  it.each(['guard', 'pipe'].flatMap((topic) => outages.map(([what, does]) => [topic, what, does] as const)))(
    'is retried if it is temporary: %s, %s',
    async (topic, _, does) => {
      act = (job) => (job.attempt === 1 ? does() : undefined);
      const [app, id] = await runJob(topic);
      expect(await app.job(id)).toMatchObject({ status: 'completed', attempt: 2, retries: 1, result: 'allowed' });
    },
  );

  it('snoozes the job if it is a SnoozeError', async () => {
    act = throwsError(new SnoozeError('1h'));
    for (const topic of ['guard', 'pipe']) {
      const [app, id] = await runJob(topic);
      expect(await app.job(id)).toMatchObject({ status: 'pending', attempt: 1, retries: 0 });
    }
  });

  it.each(['decorator', 'handler'])('differs from an error of a %s, which is retried', async (topic) => {
    act = (job) => {
      if (job.attempt === 1) throw new ForbiddenException();
      return 'second';
    };
    const [app, id] = await runJob(topic);
    expect(await app.job(id)).toMatchObject({ status: 'completed', attempt: 2, retries: 1 });
  });

  it('is replaced by the error of a filter', async () => {
    act = throwsError(new ForbiddenException());
    const [app, id] = await runJob('reworded');
    expect(await app.job(id)).toMatchObject({ status: 'failed', attempt: 2, lastError: 'reworded' });
  });

  it('may be shared with a handler, whose jobs are still retried', async () => {
    const app = await apps.start({ providers: [CheckedJobs] });
    const refused = await app.jobs.enqueue('shared error', 'refused');
    const failed = await app.jobs.enqueue('shared error', 'allowed');
    await app.jobs.whenIdle();
    expect(await app.job(refused.id)).toMatchObject({ status: 'failed', attempt: 1 });
    expect(await app.job(failed.id)).toMatchObject({ status: 'failed', attempt: 2, retries: 1 });
  });
});

describe.each(everyKind)('a pipe that queries the database on $label', (kind) => {
  const apps = useApps(kind);

  it('is retried if its statement fails', async () => {
    @Injectable()
    class AskingPipe implements PipeTransform {
      constructor(private readonly dataSource: DataSource) {}

      transform(attempt: number): Promise<unknown> {
        return this.dataSource.query(attempt === 1 ? 'SELECT column_that FROM is_nowhere' : 'SELECT 1 AS one');
      }
    }
    const Attempt = createParamDecorator((_data, context) => context.getArgByIndex<JobContext>(0).attempt);
    @Injectable()
    class AskingJobs {
      @JobHandler('asked', atOnce)
      asked(@Attempt(AskingPipe) _answer: unknown, @Payload(new ValidationPipe()) _payload: unknown): void {}
    }
    const app = await apps.start({ providers: [AskingJobs] });
    const { id } = await app.jobs.enqueue('asked', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ attempt: 2, retries: 1 });
  });
});
