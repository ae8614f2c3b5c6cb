/** @matrix nest-11 */

import type { NestInterceptor } from '@nestjs/common';
import { Injectable, UseInterceptors } from '@nestjs/common';
import type { JobContext } from 'nestjs-jobs';
import { JobHandler } from 'nestjs-jobs';
import { from, map, race } from 'rxjs';
import { signal, until } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { sqliteMemory } from './support/database-kinds.js';
import { textLike } from './support/matchers.js';

/** Ends the wait of the interceptor with an error or a value. `end` lets the handler return. */
let timeout = signal<() => unknown>();
let end = signal();
/** The job of each call of the handler. */
let calls: JobContext[] = [];

/** Like an interceptor with the RxJS operator `timeout`. */
const timeoutInterceptor: NestInterceptor = {
  intercept: (_context, next) => race(next.handle(), from(timeout.promise).pipe(map((act) => act()))),
};

@Injectable()
class SlowJobs {
  @UseInterceptors(timeoutInterceptor)
  @JobHandler('slow')
  async work(job: JobContext): Promise<string> {
    calls.push(job);
    await end.promise;
    return 'done';
  }
}

describe('a handler whose interceptor stopped waiting', () => {
  const apps = useApps(sqliteMemory);
  const tooSlow = (): never => {
    throw new Error('too slow');
  };

  beforeEach(() => {
    [timeout, end, calls] = [signal(), signal(), []];
  });

  async function start() {
    const app = await apps.start({
      providers: [SlowJobs],
      options: { concurrency: 2, pollInterval: 10, backoff: { type: 'fixed', delay: 0 } },
    });
    const { id } = await app.jobs.enqueue('slow', null);
    await app.event('started', id);
    return { app, id };
  }

  it('receives an abort, and no second attempt runs next to it', async () => {
    const { app, id } = await start();
    timeout.resolve(tooSlow);
    expect(await app.event('retrying', id)).toMatchObject({ attempt: 1, error: { message: 'too slow' } });
    // The next attempt was claimed and released.
    expect(await app.event('released', id)).toMatchObject({ attempt: 2 });
    expect(calls).toHaveLength(1);
    expect(calls[0]!.signal.reason).toMatchObject({ name: 'JobAbortedError', reason: 'timeout' });

    timeout = signal();
    end.resolve();
    await app.event('completed', id);
    expect(calls).toHaveLength(2);
    expect(await app.job(id)).toMatchObject({ status: 'completed', result: 'done', retries: 1 });
  });

  it('keeps its slot, and a warning is logged', async () => {
    const { app, id } = await start();
    timeout.resolve(() => 'enough');
    expect(await app.event('completed', id)).toMatchObject({ attempt: 1 });
    expect(await app.job(id)).toMatchObject({ result: 'enough' });
    await until(() => apps.log.of('warn').length > 0, { message: 'a warning' });
    expect(apps.log.of('warn')).toEqual([textLike(`handler of 'slow' has not returned .*job ${id} attempt 1`)]);
    end.resolve();
    await app.jobs.whenIdle();
  });
});
