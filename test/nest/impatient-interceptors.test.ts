import type { NestInterceptor } from '@nestjs/common';
import { Injectable, UseInterceptors } from '@nestjs/common';
import type { JobContext } from 'nestjs-jobs';
import { JobHandler } from 'nestjs-jobs';
import { from, map, race } from 'rxjs';
import { signal, until } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { sqliteMemory } from './support/database-kinds.js';
import { textLike } from './support/matchers.js';

/** What ends the patience of the interceptor, by throwing or with an answer of its own, and what lets the handler return. */
let impatience = signal<() => unknown>();
let end = signal();
/** The jobs that handlers were given, one for each call. */
let calls: JobContext[] = [];

/** As one with `timeout` of RxJS would. */
const impatient: NestInterceptor = {
  intercept: (_context, next) => race(next.handle(), from(impatience.promise).pipe(map((answer) => answer()))),
};

@Injectable()
class SlowJobs {
  @UseInterceptors(impatient)
  @JobHandler('slow')
  async work(job: JobContext): Promise<string> {
    calls.push(job);
    await end.promise;
    return 'done';
  }
}

describe('a handler for which an interceptor has stopped waiting', () => {
  const apps = useApps(sqliteMemory);
  const tooSlow = (): never => {
    throw new Error('too slow');
  };

  beforeEach(() => {
    [impatience, end, calls] = [signal(), signal(), []];
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

  it('is told to end, and no other attempt runs beside it here', async () => {
    const { app, id } = await start();
    impatience.resolve(tooSlow);
    expect(await app.event('retrying', id)).toMatchObject({ attempt: 1, error: { message: 'too slow' } });
    // The next attempt was claimed, and given back.
    expect(await app.event('snoozed', id)).toMatchObject({ attempt: 2, reason: 'release' });
    expect(calls).toHaveLength(1);
    expect(calls[0]!.signal.reason).toMatchObject({ name: 'JobAbortedError', reason: 'timeout' });

    impatience = signal();
    end.resolve();
    await app.event('completed', id);
    expect(calls).toHaveLength(2);
    expect(await app.job(id)).toMatchObject({ status: 'completed', result: 'done', retries: 1 });
  });

  it('keeps its slot, and a warning says so', async () => {
    const { app, id } = await start();
    impatience.resolve(() => 'enough');
    expect(await app.event('completed', id)).toMatchObject({ attempt: 1 });
    expect(await app.job(id)).toMatchObject({ result: 'enough' });
    await until(() => apps.log.of('warn').length > 0, { message: 'a warning' });
    expect(apps.log.of('warn')).toEqual([textLike(`handler of 'slow' ignores its signal.*job ${id} attempt 1`)]);
    end.resolve();
    await app.jobs.whenIdle();
  });
});
