import type { CanActivate, NestInterceptor, PipeTransform } from '@nestjs/common';
import {
  Catch,
  createParamDecorator,
  Inject,
  Injectable,
  Scope,
  UseFilters,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import type { JobContext } from 'nestjs-jobs';
import { CurrentJob, JobHandler } from 'nestjs-jobs';
import { catchError, of } from 'rxjs';
import { signal } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { sqliteMemory } from './support/database-kinds.js';

const LEASE_MS = 300;

/** Topics of the handlers that were called. */
let called: string[] = [];
/** Resolves with the job that waits before its handler. */
let waiting = signal<JobContext>();
let admitted = signal();

const admit = async (job: JobContext): Promise<boolean> => {
  waiting.resolve(job);
  await admitted.promise;
  return true;
};

const guard: CanActivate = { canActivate: (context) => admit(context.getArgByIndex<JobContext>(0)) };
const interceptor: NestInterceptor = {
  intercept: async (context, next) => {
    await admit(context.getArgByIndex<JobContext>(0));
    return next.handle();
  },
};
const excusing: NestInterceptor = {
  intercept: (_context, next) => next.handle().pipe(catchError(() => of('excused'))),
};
const pipe: PipeTransform<JobContext> = { transform: async (job) => (await admit(job), job) };
const Asked = createParamDecorator((_data, context) => admit(context.getArgByIndex<JobContext>(0)));

@Catch()
class ExcusingFilter {
  catch(): string {
    return 'excused';
  }
}

@Injectable()
class DelayedJobs {
  @UseGuards(guard)
  @JobHandler('guard')
  guarded(job: JobContext): void {
    called.push(job.topic);
  }

  @UseInterceptors(interceptor)
  @JobHandler('interceptor')
  intercepted(job: JobContext): void {
    called.push(job.topic);
  }

  @JobHandler('pipe')
  piped(@CurrentJob(pipe) job: JobContext): void {
    called.push(job.topic);
  }

  @JobHandler('decorator')
  decorated(@Asked() _asked: boolean, @CurrentJob() job: JobContext): void {
    called.push(job.topic);
  }

  @UseGuards(guard)
  @UseInterceptors(excusing)
  @UseFilters(ExcusingFilter)
  @JobHandler('guard with excuses')
  excusedGuard(job: JobContext): void {
    called.push(job.topic);
  }

  @UseInterceptors(excusing, interceptor)
  @UseFilters(ExcusingFilter)
  @JobHandler('interceptor with excuses')
  excusedInterceptor(job: JobContext): void {
    called.push(job.topic);
  }
}

const ADMISSION = Symbol('admission');

@Injectable({ scope: Scope.REQUEST })
class ScopedJobs {
  constructor(@Inject(ADMISSION) readonly admission: boolean) {}

  @JobHandler('scope')
  scoped(job: JobContext): void {
    called.push(job.topic);
  }
}

const providers = [
  DelayedJobs,
  ScopedJobs,
  { provide: ADMISSION, scope: Scope.REQUEST, inject: [REQUEST], useFactory: admit },
];

describe('an attempt that ends before its handler is called', () => {
  const apps = useApps(sqliteMemory);

  beforeEach(() => {
    called = [];
    waiting = signal();
    admitted = signal();
  });
  afterEach(() => admitted.resolve());

  it.each(['guard', 'interceptor', 'pipe', 'decorator', 'scope', 'guard with excuses', 'interceptor with excuses'])(
    'does not call it: %s',
    async (topic) => {
      const app = await apps.start({ providers });
      const { id } = await app.jobs.enqueue(topic, null);
      const job = await waiting.promise;
      const aborted = new Promise((resolve) => job.signal.addEventListener('abort', resolve));
      await app.jobs.cancel(id);
      await aborted;
      admitted.resolve();
      expect(await app.jobAfter('cancelled', id)).toMatchObject({ status: 'cancelled', result: null });
      expect(called).toEqual([]);
    },
  );

  it.each(['guard', 'interceptor', 'pipe', 'decorator', 'scope', 'guard with excuses', 'interceptor with excuses'])(
    'does not call it after the event loop was blocked for longer than the lease: %s',
    async (topic) => {
      const app = await apps.start({ providers, options: { lease: LEASE_MS } });
      const { id } = await app.jobs.enqueue(topic, null);
      await waiting.promise;
      const sinceMs = performance.now();
      while (performance.now() - sinceMs < 1.2 * LEASE_MS);
      admitted.resolve();
      const { attempt } = await app.jobAfter('completed', id);
      expect(attempt).toBeGreaterThan(1);
      expect(called).toEqual([topic]);
    },
  );

  it.each(['guard with excuses', 'interceptor with excuses'])(
    'is released at shutdown and does not call it: %s',
    async (topic) => {
      const app = await apps.start({ providers, options: { shutdownTimeout: 1 } });
      const { id } = await app.jobs.enqueue(topic, null);
      const job = await waiting.promise;
      job.signal.addEventListener('abort', () => admitted.resolve());
      await app.close();
      expect(called).toEqual([]);
      expect(app.eventsOf('released', id)).toHaveLength(1);
      expect(app.eventsOf('completed', id)).toEqual([]);
    },
  );
});
