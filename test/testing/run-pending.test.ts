import { Injectable } from '@nestjs/common';
import type { DeadLetter, JobBatch, JobContext } from 'nestjs-jobs';
import { JobHandler, JobsModule, OnJobFailed, SnoozeError, UnrecoverableError } from 'nestjs-jobs';
import { useTestedApps } from './support/tested-app.js';

const start = useTestedApps();

interface Sum {
  readonly a: number;
  readonly b: number;
}

describe('runPending', () => {
  it('runs jobs only when it is called, and returns them', async () => {
    const { testing, jobs } = await start({
      handlers: { add: ({ payload }: { payload: Sum }) => payload.a + payload.b },
    });
    const { id } = await jobs.enqueue('add', { a: 1, b: 2 });
    expect(await jobs.get(id)).toMatchObject({ status: 'pending' });
    expect(await testing.runPending()).toMatchObject([{ id, status: 'completed', result: 3, attempt: 1 }]);
    expect(await testing.runPending()).toEqual([]);
  });

  it('ends the wait of waitFor', async () => {
    const { testing, jobs } = await start({ handlers: { add: ({ payload }: { payload: Sum }) => payload.a } });
    const { id } = await jobs.enqueue('add', { a: 1, b: 2 });
    const waiting = jobs.waitFor(id);
    await testing.runPending();
    expect(await waiting).toMatchObject({ id, status: 'completed', result: 1 });
  });

  it.each(['manual', 'inline'] as const)('runs the dead letters of failed jobs, in mode %s', async (mode) => {
    const letters: string[] = [];

    @Injectable()
    class Jobs {
      @JobHandler('a', { maxRetries: 0 })
      fail(): void {
        throw new Error('no');
      }

      @OnJobFailed()
      failed({ payload }: JobContext<DeadLetter>): void {
        letters.push(payload.id);
      }
    }
    const { testing, jobs } = await start({ mode, providers: [Jobs] });
    const { id } = await jobs.enqueue('a', 1);
    const ran = await testing.runPending({ recursive: true });
    expect(letters).toEqual([id]);
    expect(ran.map(({ topic }) => topic)).toEqual(mode === 'manual' ? ['a', 'Jobs.failed'] : []);
  });

  it('stores the log lines of the jobs', async () => {
    const { testing, jobs } = await start({ handlers: { add: (job) => job.log('added', job.payload) } });
    const { id } = await jobs.enqueue('add', { a: 1 });
    await testing.runPending();
    expect(await jobs.logs(id)).toMatchObject([{ id: '1.1', message: 'added', data: { a: 1 } }]);
  });

  it('runs one job after another, in the order of priority and due time', async () => {
    const order: string[] = [];
    let running = 0;
    const handle = async (job: { payload: string }): Promise<void> => {
      running += 1;
      await new Promise(setImmediate);
      order.push(`${job.payload} ${running}`);
      running -= 1;
    };
    const { testing, jobs } = await start({ handlers: { one: handle, two: handle } });
    await jobs.enqueue('one', 'a');
    await jobs.enqueue('two', 'b');
    await jobs.enqueue('one', 'urgent', { priority: -5 });
    await jobs.enqueueMany([
      { topic: 'two', payload: 'c' },
      { topic: 'two', payload: 'd' },
    ]);
    await testing.runPending();
    expect(order).toEqual(['urgent 1', 'a 1', 'b 1', 'c 1', 'd 1']);
  });

  it('leaves jobs that handlers enqueue, unless it is recursive', async () => {
    const app = await start({
      handlers: { parent: () => app.jobs.enqueue('child', null).then(() => undefined), child: () => 'done' },
    });
    await app.jobs.enqueue('parent', null);
    expect(await app.testing.runPending()).toMatchObject([{ topic: 'parent' }]);
    expect(await app.statuses()).toEqual(['completed', 'pending']);
    await app.jobs.enqueue('parent', null);
    expect(await app.testing.runPending({ recursive: true })).toMatchObject([
      { topic: 'child' },
      { topic: 'parent' },
      { topic: 'child' },
    ]);
  });

  it('runs jobs of some topics, and a number of them', async () => {
    const handle = (): null => null;
    const { testing, jobs } = await start({ handlers: { a: handle, b: handle, c: handle } });
    for (const topic of ['a', 'b', 'c', 'a', 'b', 'c']) {
      await jobs.enqueue(topic, null);
    }
    expect(await testing.runPending({ topic: 'b' })).toMatchObject([{ topic: 'b' }, { topic: 'b' }]);
    expect(await testing.runPending({ topic: ['a', 'c'], limit: 3 })).toHaveLength(3);
    expect(await testing.runPending()).toMatchObject([{ topic: 'c' }]);
  });

  it('runs delayed jobs and waiting retries with scheduled', async () => {
    let runs = 0;
    const { testing, jobs } = await start({
      handlers: {
        later: () => 'done',
        flaky: () => {
          runs += 1;
          throw new Error(`run ${runs}`);
        },
      },
    });
    await jobs.enqueue('later', null, { delay: '3d' });
    await jobs.enqueue('flaky', null, { maxRetries: 2 });
    expect(await testing.runPending()).toMatchObject([{ topic: 'flaky', status: 'pending', retries: 1 }]);
    expect(await testing.runPending()).toEqual([]);
    const ran = await testing.runPending({ scheduled: true, recursive: true });
    expect(ran.map(({ topic, status }) => `${topic} ${status}`).sort()).toEqual([
      'flaky failed',
      'flaky pending',
      'later completed',
    ]);
  });

  it('rejects with the error of the handler with throwOnFailure', async () => {
    const error = new UnrecoverableError('no such customer');
    const { testing, jobs } = await start({
      handlers: {
        bad: () => {
          throw error;
        },
        text: () => {
          // eslint-disable-next-line @typescript-eslint/only-throw-error -- handlers may
          throw 'plain text';
        },
        snooze: () => {
          throw new SnoozeError('1m');
        },
      },
    });
    const { id } = await jobs.enqueue('bad', null);
    await jobs.enqueue('text', null);
    await jobs.enqueue('snooze', null);
    await expect(testing.runPending({ throwOnFailure: true })).rejects.toBe(error);
    expect(await jobs.get(id)).toMatchObject({ status: 'failed', lastError: 'no such customer' });
    await expect(testing.runPending({ throwOnFailure: true })).rejects.toThrow('plain text');
    expect(await testing.runPending({ throwOnFailure: true })).toMatchObject([{ topic: 'snooze', retries: 0 }]);
  });

  it('leaves jobs that are cancelled, deleted or paused before their turn', async () => {
    const ran: unknown[] = [];
    const app = await start({
      handlers: {
        first: async () => {
          await app.jobs.cancel(second.id);
          await app.jobs.delete(third.id);
          await app.jobs.pause('paused');
        },
        other: (job) => ran.push(job.payload),
        paused: (job) => ran.push(job.payload),
      },
    });
    await app.jobs.enqueue('first', null);
    const second = await app.jobs.enqueue('other', 2);
    const third = await app.jobs.enqueue('other', 3);
    await app.jobs.enqueue('paused', 4);
    await app.jobs.enqueue('other', 5);
    await app.testing.runPending();
    expect(ran).toEqual([5]);
  });

  it('stops after 500 rounds', async () => {
    const app = await start({
      handlers: { endless: () => app.jobs.enqueue('endless', null).then(() => undefined) },
      options: { retention: { completed: 0 } },
    });
    await app.jobs.enqueue('endless', null);
    expect(await app.testing.runPending({ recursive: true, limit: 50 })).toHaveLength(50);
    await expect(app.testing.runPending({ recursive: true })).rejects.toThrow(
      "the handler of 'endless' always enqueue",
    );
  });

  it('returns finished jobs that are not kept', async () => {
    const { testing, jobs } = await start({ handlers: { a: () => null }, options: { retention: { completed: 0 } } });
    const { id } = await jobs.enqueue('a', null);
    expect(await testing.runPending()).toMatchObject([{ id, status: 'completed' }]);
    expect(await jobs.get(id)).toBeNull();
  });

  it('names topics without a handler when nothing ran', async () => {
    const { testing, jobs, log } = await start({ handlers: { welcome_mail: () => null } });
    await jobs.enqueue('welcom_mail', null);
    expect(await testing.runPending()).toEqual([]);
    expect(log.of('error', 'runPending')).toEqual([
      expect.stringMatching(/1 job of 'welcom_mail' is due .* did you mean 'welcome_mail'/),
    ]);
  });

  it('rejects wrong options, calls in handlers, and calls while the application does not run', async () => {
    const app = await start({ handlers: { a: () => app.testing.runPending() } });
    await expect(app.testing.runPending({ recursiv: true } as never)).rejects.toThrow("did you mean 'recursive'?");
    await expect(app.testing.runPending({ topic: ['a', 'aa'] })).rejects.toThrow(
      "topic: 'aa' has no handler in this application; did you mean 'a'?",
    );
    await app.jobs.enqueue('a', null, { maxRetries: 0 });
    expect(await app.testing.runPending()).toMatchObject([
      { lastError: expect.stringContaining('in a handler') as string },
    ]);
    await app.module.close();
    await expect(app.testing.runPending()).rejects.toThrow('the application is not running');
  });

  it('runs no jobs in a producer', async () => {
    const { testing, jobs } = await start({ handlers: { a: () => null }, options: { role: 'producer' } });
    await jobs.enqueue('a', null);
    expect(await testing.runPending()).toEqual([]);
    await testing.expectEnqueued('a');
  });

  it('lets whenIdle say that nothing runs the jobs', async () => {
    const { testing, jobs } = await start({ handlers: { a: () => null } });
    await jobs.whenIdle();
    await jobs.enqueue('a', null);
    await expect(jobs.whenIdle()).rejects.toThrow("mode 'manual' runs none; call runPending()");
    await testing.runPending();
    await jobs.whenIdle();
  });
});

describe('jobs with a concurrency key', () => {
  it('run, in turns of their keys, and when the clock reaches them', async () => {
    const ran: unknown[] = [];
    const { testing, jobs } = await start({ handlers: { a: (job) => ran.push(job.payload) } });
    await jobs.enqueue('a', 1, { concurrencyKey: 'x' });
    await jobs.enqueue('a', 2);
    await jobs.enqueue('a', 3, { concurrencyKey: 'y', delay: '1h' });
    await jobs.enqueue('a', 4, { concurrencyKey: 'x' });
    expect(await testing.runPending()).toHaveLength(3);
    expect(ran.sort()).toEqual([1, 2, 4]);
    await testing.advance('1h');
    expect(await testing.runPending()).toMatchObject([{ payload: 3, status: 'completed' }]);
  });
});

describe('the override', () => {
  it('keeps the options of forRootAsync', async () => {
    const { testing, jobs } = await start({
      jobsModule: JobsModule.forRootAsync({ useFactory: async () => ({ maxRetries: 7 }), http: false, ui: false }),
      handlers: { a: () => null },
    });
    expect(await jobs.enqueue('a', null)).toMatchObject({ maxRetries: 7 });
    expect(await testing.runPending()).toHaveLength(1);
  });

  it('works with isGlobal: false', async () => {
    const { testing, jobs } = await start({ options: { isGlobal: false }, handlers: { a: () => null } });
    await jobs.enqueue('a', null);
    expect(await testing.runPending()).toHaveLength(1);
  });

  it('rejects topics without a handler with strictTopics', async () => {
    const { jobs } = await start({ options: { strictTopics: true }, handlers: { a_topic: () => null } });
    await jobs.enqueue('a_topic', null);
    await expect(jobs.enqueue('a_topik', null)).rejects.toThrow("did you mean 'a_topic'?");
  });
});

describe('batch handlers', () => {
  it('run full batches, and the rest without waiting', async () => {
    const sizes: number[] = [];
    const { testing, jobs } = await start();
    const handle = (batch: JobBatch<number>): void => {
      sizes.push(batch.length);
      batch.filter(({ payload }) => payload < 0).forEach((job) => job.fail(new Error('negative')));
    };
    jobs.register('index', handle, { batch: { size: 3, wait: '10m' } });
    await jobs.enqueueMany([1, 2, 3, 4, -5].map((payload) => ({ topic: 'index', payload })));
    expect(await testing.runPending()).toHaveLength(5);
    expect(sizes).toEqual([3, 2]);
    expect(await testing.runPending({ scheduled: true })).toMatchObject([{ payload: -5, lastError: 'negative' }]);
    await testing.run('index', 1);
    await expect(testing.run('index', -1)).rejects.toThrow('negative');
  });
});
