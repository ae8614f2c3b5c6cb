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
import { freePort } from '../support/free-port.js';
import { useApps } from './support/apps.js';
import { everyKind, sqliteMemory } from './support/database-kinds.js';
import type { TestApp } from './support/test-app.js';

const atOnce = { maxRetries: 1, backoff: { type: 'fixed', delay: 0 } } as const;

/** What the guard, the pipe, the decorator and the handler of this test do with a job of their topic. */
let act: (job: JobContext) => unknown;

const guard: CanActivate = {
  canActivate: async (context) => (await act(context.getArgByIndex<JobContext>(0))) === undefined,
};
const pipe: PipeTransform<JobContext> = { transform: (job) => act(job) };
const Asked = createParamDecorator((_data, context) => act(context.getArgByIndex<JobContext>(0)));
const idle: PipeTransform = { transform: (value: unknown) => value };
const hasty = new ForbiddenException('always the same');

@Catch()
class RethrowingFilter {
  catch(error: unknown): never {
    throw error;
  }
}
@Catch()
class RewordingFilter {
  catch(): never {
    throw new Error('in other words');
  }
}

@Injectable()
class JudgedJobs {
  @UseGuards(guard)
  @JobHandler('guard', atOnce)
  guarded(): string {
    return 'let in';
  }

  @JobHandler('pipe', atOnce)
  piped(@CurrentJob(pipe) _job: JobContext, @Payload(idle) _payload: unknown): string {
    return 'let in';
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
        throw hasty;
      }
      return true;
    },
  })
  @JobHandler('hasty', atOnce)
  hasty(): never {
    throw hasty;
  }
}

const throwing = (error: unknown) => (): never => {
  throw error;
};

async function refusedConnection(): Promise<never> {
  const port = await freePort();
  return new Promise((_resolve, reject) => connect(port, '127.0.0.1').on('error', reject));
}

const failedFetch = async (): Promise<unknown> => fetch(`http://127.0.0.1:${await freePort()}`);

async function garbledFetch(): Promise<unknown> {
  const server = createServer((socket) => socket.end('no HTTP\r\n\r\n'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return fetch(`http://127.0.0.1:${port}`).finally(() => server.close());
}

const together = (...errors: unknown[]): AggregateError => new AggregateError(errors);
const systemError = (): Error => Object.assign(new Error('read ECONNRESET'), { errno: -104, syscall: 'read' });

describe('what a guard or a pipe throws', () => {
  const apps = useApps(sqliteMemory);

  async function judged(topic: string): Promise<[app: TestApp, id: string]> {
    const app = await apps.start({ providers: [JudgedJobs] });
    const { id } = await app.jobs.enqueue(topic, null);
    await app.jobs.whenIdle();
    return [app, id];
  }

  const refusals: [string, () => unknown, string][] = [
    ['an error of its own', throwing(new TypeError('no tenant')), 'no tenant'],
    ['a client error', throwing(new HttpException('slow down', 429)), 'slow down'],
    ['text', throwing('not today'), 'not today'],
    ['nothing', throwing(undefined), 'thrown value: undefined'],
    ['null', throwing(null), 'thrown value: null'],
    ['a rejection', () => Promise.reject(new RangeError('too many')), 'too many'],
    ['what ends a job', throwing(new UnrecoverableError('for good')), 'for good'],
    ['errors of which one is its own', throwing(together(systemError(), new Error('no tenant'))), 'AggregateError'],
    ['a client error that has a cause', throwing(new ForbiddenException('no', { cause: systemError() })), 'no'],
  ];
  const places = ['guard', 'pipe', 'rethrown'] as const;

  it.each(places.flatMap((topic) => refusals.map(([what, does, text]) => [topic, what, does, text] as const)))(
    'fails the job without a retry: %s, %s',
    async (topic, _, does, text) => {
      act = does;
      const [app, id] = await judged(topic);
      const job = await app.job(id);
      expect(job).toMatchObject({ status: 'failed', attempt: 1, retries: 0 });
      expect(job.lastError).toContain(text);
    },
  );

  const outages: [string, () => unknown][] = [
    ['a server error', throwing(new ServiceUnavailableException())],
    ['a server error of another', throwing(new BadGatewayException('upstream'))],
    ['a refused connection', refusedConnection],
    ['a failed fetch', failedFetch],
    ['a fetch whose answer is no HTTP', garbledFetch],
    ['a driver that waits no longer', throwing(new Error('Query read timeout'))],
    ['a fetch that took too long', () => Promise.reject(new DOMException('too slow', 'TimeoutError'))],
    ['a file that is not there', () => open('/nowhere/at/all')],
    ['a socket that hung up', throwing(Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' }))],
    ['a queue without its database', throwing(new QueueUnavailableError('no lock'))],
    ['a pool without a connection', throwing(new Error('timeout exceeded when trying to connect'))],
    ['errors that are all of this kind', throwing(together(systemError(), new QueueUnavailableError('no lock')))],
    ['an error that one of these has caused', throwing(new Error('tenant?', { cause: systemError() }))],
  ];

  it.each(['guard', 'pipe'].flatMap((topic) => outages.map(([what, does]) => [topic, what, does] as const)))(
    'says nothing about the job and is tried again: %s, %s',
    async (topic, _, does) => {
      act = (job) => (job.attempt === 1 ? does() : undefined);
      const [app, id] = await judged(topic);
      expect(await app.job(id)).toMatchObject({ status: 'completed', attempt: 2, retries: 1, result: 'let in' });
    },
  );

  it('may put the job back', async () => {
    act = throwing(new SnoozeError('1h'));
    for (const topic of ['guard', 'pipe']) {
      const [app, id] = await judged(topic);
      expect(await app.job(id)).toMatchObject({ status: 'pending', attempt: 1, retries: 0 });
    }
  });

  it.each(['decorator', 'handler'])('is another matter than what a %s throws, which is tried again', async (topic) => {
    act = (job) => {
      if (job.attempt === 1) throw new ForbiddenException();
      return 'second';
    };
    const [app, id] = await judged(topic);
    expect(await app.job(id)).toMatchObject({ status: 'completed', attempt: 2, retries: 1 });
  });

  it('is judged by what a filter makes of it', async () => {
    act = throwing(new ForbiddenException());
    const [app, id] = await judged('reworded');
    expect(await app.job(id)).toMatchObject({ status: 'failed', attempt: 2, lastError: 'in other words' });
  });

  it('does not stain the same error where a handler throws it', async () => {
    const app = await apps.start({ providers: [JudgedJobs] });
    const refused = await app.jobs.enqueue('hasty', 'refused');
    const failed = await app.jobs.enqueue('hasty', 'let in');
    await app.jobs.whenIdle();
    expect(await app.job(refused.id)).toMatchObject({ status: 'failed', attempt: 1 });
    expect(await app.job(failed.id)).toMatchObject({ status: 'failed', attempt: 2, retries: 1 });
  });
});

describe.each(everyKind)('a pipe that asks the database on $label', (kind) => {
  const apps = useApps(kind);

  it('is asked again when the database has refused its statement', async () => {
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
