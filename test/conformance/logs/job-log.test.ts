/** @never typeorm-0.3 */

import { filter, firstValueFrom } from 'rxjs';
import type { JobsEngineOptions } from 'nestjs-jobs';
import { InvalidOptionsError, InvalidPayloadError, JobsEngine, QueueUnavailableError } from 'nestjs-jobs';
import type { JobBatch, JobContext } from '../../../lib/core/job-handler.js';
import type { JobLogLine } from '../../../lib/core/job-log.js';
import type { LogStore } from '../../../lib/store/logs/log-store.js';
import { TOPIC } from '../../support/job-rows.js';
import { overrideStore } from '../../support/override-store.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { RecordingLogger } from '../../support/unit/recording-logger.js';
import { signal, until } from '../../support/wait.js';

const kind = storeKinds().find(({ isMain, locksRows }) => isMain && !locksRows)!;

describe('job.log', () => {
  const fixture = useStore(kind);
  let engine: JobsEngine;
  let logger: RecordingLogger;

  const open = (options: Omit<JobsEngineOptions, 'store'> = {}, write?: LogStore['write']): void => {
    logger = new RecordingLogger();
    const { logs } = fixture.store;
    const overridden: LogStore = {
      write: write ?? ((sets, maxLines) => logs.write(sets, maxLines)),
      read: (id, after, limit) => logs.read(id, after, limit),
      prune: (after, limit) => logs.prune(after, limit),
      delete: (ids) => logs.delete(ids),
      watched: (ids) => logs.watched(ids),
    };
    const store = overrideStore(fixture.store, { logs: overridden });
    engine = new JobsEngine({ maxRetries: 0, logger, ...options, store });
  };

  afterEach(() => engine.close());

  /** Runs one job to its end and returns its id. */
  const run = async (handler: (job: JobContext) => unknown): Promise<string> => {
    engine.register(TOPIC, handler);
    await engine.start();
    const { id } = await engine.enqueue(TOPIC, null);
    await engine.whenIdle();
    return id;
  };
  const messages = (lines: readonly JobLogLine[]): string[] => lines.map(({ message }) => message);

  it('stores lines in their order, with level, data and attempt', async () => {
    open();
    const id = await run(({ log }) => {
      log('begin');
      log('read', { rows: 3 }, 'debug');
      log('odd \u0000\ud800', null, 'warn');
      log('bad', ['x'], 'error');
    });
    expect(await engine.jobs.logs(id)).toEqual([
      { id: '1.1', attempt: 1, level: 'info', message: 'begin', data: null, time: expect.any(Date) as Date },
      { id: '1.2', attempt: 1, level: 'debug', message: 'read', data: { rows: 3 }, time: expect.any(Date) as Date },
      { id: '1.3', attempt: 1, level: 'warn', message: 'odd \uFFFD\uFFFD', data: null, time: expect.any(Date) as Date },
      { id: '1.4', attempt: 1, level: 'error', message: 'bad', data: ['x'], time: expect.any(Date) as Date },
    ]);
    expect(await engine.jobs.logs(id, { after: '1.2', limit: 1 })).toMatchObject([{ id: '1.3' }]);
  });

  it('stores all lines before the event and the outcome', async () => {
    open();
    engine.register(TOPIC, (job) => job.log('last'));
    await engine.start();
    const completed = firstValueFrom(engine.events.pipe(filter(({ type }) => type === 'completed')));
    const { id } = await engine.enqueue(TOPIC, null);
    await completed;
    expect(messages(await engine.jobs.logs(id))).toEqual(['last']);
  });

  it('shows lines while the handler runs', async () => {
    open();
    const end = signal();
    const started = signal<string>();
    engine.register(TOPIC, async (job) => {
      job.log('begin');
      started.resolve(job.id);
      await end.promise;
    });
    await engine.start();
    await engine.enqueue(TOPIC, null);
    const id = await started.promise;
    await until(async () => (await engine.jobs.logs(id)).length === 1, { message: 'the line' });
    expect(await fixture.job(id)).toMatchObject({ status: 'processing' });
    end.resolve();
    await engine.whenIdle();
  });

  it('keeps the newest lines of all attempts', async () => {
    open({ logs: { maxLines: 4 }, maxRetries: 1, backoff: { type: 'fixed', delay: 0 } });
    const id = await run((job) => {
      ['a', 'b', 'c'].forEach((each) => job.log(`${each}${job.attempt}`));
      throw new Error('for the test');
    });
    expect(messages(await engine.jobs.logs(id))).toEqual(['c1', 'a2', 'b2', 'c2']);
  });

  it('bounds a line to 4 KiB', async () => {
    open();
    const id = await run((job) => {
      job.log('é'.repeat(3_000), { some: 'data' });
      job.log('short', 'x'.repeat(5_000));
    });
    const [long, short] = await engine.jobs.logs(id);
    expect(long).toMatchObject({ message: 'é'.repeat(2_048), data: { truncated: true, bytes: 15 } });
    expect(short).toMatchObject({ message: 'short', data: { truncated: true, bytes: 5_002 } });
  });

  it('throws at the call for data that is not JSON, another level and another message', async () => {
    open();
    const errors: unknown[] = [];
    const capture = (call: () => void): void => {
      try {
        call();
      } catch (error) {
        errors.push(error);
      }
    };
    const id = await run((job) => {
      capture(() => job.log('a', { count: 1n }));
      capture(() => job.log('b', 1, 'warning' as 'warn'));
      capture(() => job.log({ text: 'c' } as unknown as string));
      job.log('kept');
    });
    expect(errors).toEqual([
      expect.objectContaining({ constructor: InvalidPayloadError, path: 'data.count' }),
      expect.objectContaining({ constructor: InvalidOptionsError, option: 'level' }),
      expect.objectContaining({ constructor: InvalidPayloadError, path: 'message' }),
    ]);
    expect(String(errors[1])).toContain("got 'warning'; did you mean 'warn'?");
    expect(messages(await engine.jobs.logs(id))).toEqual(['kept']);
    expect(await fixture.job(id)).toMatchObject({ status: 'completed' });
  });

  it('ignores lines after the end of the attempt, and warns once', async () => {
    open();
    let late: JobContext['log'] = () => undefined;
    const id = await run((job) => {
      late = job.log;
      job.log('in time');
    });
    late('late');
    late('late again');
    expect(messages(await engine.jobs.logs(id))).toEqual(['in time']);
    expect(logger.of('warn')).toEqual([
      `job.log was called after the end of attempt 1 of job ${id} ('${TOPIC}'); the line is ignored`,
    ]);
  });

  it('does not fail the job in an outage, and stores the lines afterwards', async () => {
    let isOut = true;
    open({}, (sets, maxLines) =>
      isOut
        ? Promise.reject(new QueueUnavailableError('the database does not reply'))
        : fixture.store.logs.write(sets, maxLines),
    );
    const id = await run((job) => {
      job.log('one');
      job.log('two');
    });
    expect(await fixture.job(id)).toMatchObject({ status: 'completed' });
    expect(await engine.jobs.logs(id)).toEqual([]);
    isOut = false;
    await until(async () => (await engine.jobs.logs(id)).length > 0, { message: 'the lines' });
    expect(messages(await engine.jobs.logs(id))).toEqual(['one', 'two']);
    expect(logger.of('warn')).toHaveLength(1);
  });

  it('works for each member of a batch', async () => {
    open();
    const batch = { size: 10 };
    const run = (jobs: JobBatch): void => {
      jobs.forEach((job) => job.log('begin'));
      jobs.forEach((job) => job.log('end', job.payload));
    };
    engine.register(TOPIC, run, { batch });
    const jobs = await engine.enqueueMany([1, 2].map((payload) => ({ topic: TOPIC, payload })));
    await engine.start();
    await engine.whenIdle();
    for (const { id, payload } of jobs) {
      expect(await engine.jobs.logs(id)).toMatchObject([{ message: 'begin' }, { message: 'end', data: payload }]);
    }
  });

  it('keeps the lines of a job that completes in a transaction of the application', async () => {
    open();
    const id = await run((job) =>
      fixture.app.transaction(async (manager) => {
        job.log('inside');
        await job.completeTx(manager);
      }),
    );
    expect(await fixture.job(id)).toMatchObject({ status: 'completed' });
    expect(messages(await engine.jobs.logs(id))).toEqual(['inside']);
  });

  it('rejects invalid options of logs, and returns no lines for an unknown job', async () => {
    open();
    await expect(engine.jobs.logs('x', { after: '17' })).rejects.toMatchObject({ option: 'after' });
    await expect(engine.jobs.logs('x', { limit: 1_001 })).rejects.toMatchObject({ option: 'limit' });
    expect(await engine.jobs.logs('x')).toEqual([]);
  });
});
