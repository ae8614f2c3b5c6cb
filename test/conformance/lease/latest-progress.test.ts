/**
 * @matrix postgres-18
 * @never postgres-15, memory
 */

import { filter, firstValueFrom } from 'rxjs';
import type { JobEvent, JobsEngineOptions } from 'nestjs-jobs';
import { DatabaseRefusedError, JobsEngine, LeaseLostError, QueueUnavailableError, SnoozeError } from 'nestjs-jobs';
import type { JobContext } from '../../../lib/core/job-handler.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import { RecordingLogger } from '../../support/unit/recording-logger.js';
import { overrideStore } from '../../support/override-store.js';
import { TOPIC } from '../../support/job-rows.js';
import type { StoreFixture } from '../../support/stores.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { signal, until } from '../../support/wait.js';

/** How a handler ends after its last call of `progress`, and the status of the job then. */
const ends: { end: string; status: string; run: (job: JobContext, fixture: StoreFixture) => unknown }[] = [
  { end: 'returns', status: 'completed', run: () => 'done' },
  { end: 'throws without a retry left', status: 'failed', run: () => Promise.reject(new Error('for the test')) },
  { end: 'snoozes', status: 'pending', run: () => Promise.reject(new SnoozeError('1h')) },
  {
    end: 'calls completeTx',
    status: 'completed',
    run: (job, { app }) => app.transaction((manager) => job.completeTx(manager)),
  },
];

describe.each(storeKinds())('job.progress on $label', (kind) => {
  const fixture = useStore(kind);
  let engine: JobsEngine;
  let logger: RecordingLogger;

  afterEach(() => engine.close());

  const open = (verbs: Partial<JobStore> = {}, options: Omit<JobsEngineOptions, 'store'> = {}): void => {
    logger = new RecordingLogger();
    engine = new JobsEngine({ maxRetries: 0, logger, ...options, store: overrideStore(fixture.store, verbs) });
  };

  /** Runs one job and returns its id. */
  const run = async (handler: (job: JobContext) => unknown): Promise<string> => {
    engine.register(TOPIC, handler);
    await engine.start();
    const { id } = await engine.enqueue(TOPIC, null);
    return id;
  };

  const eventOf = (type: JobEvent['type']): Promise<JobEvent> =>
    firstValueFrom(engine.events.pipe(filter((event) => event.type === type)));

  it.each(ends)('stores the last value when the handler $end, while no write of progress ends', async (each) => {
    open({ recordProgress: () => new Promise(() => undefined) });
    const id = await run(async (job) => {
      await job.progress(1);
      void job.progress(99);
      await job.progress({ done: 100 });
      return each.run(job, fixture);
    });
    await engine.whenIdle();
    expect(await fixture.job(id)).toMatchObject({ status: each.status, progress: { done: 100 } });
  });

  it('stores the last value of a job that is cancelled', async () => {
    open({ recordProgress: () => new Promise(() => undefined) });
    const hasReported = signal();
    const id = await run(async (job) => {
      await job.progress('half');
      hasReported.resolve();
      await new Promise((resolve) => job.signal.addEventListener('abort', resolve));
      throw job.signal.reason;
    });
    await hasReported.promise;
    await engine.jobs.cancel(id);
    await engine.whenIdle();
    expect(await fixture.job(id)).toMatchObject({ status: 'cancelled', progress: 'half' });
  });

  it('stores the last value of a job that shutdown releases', async () => {
    open({ recordProgress: () => new Promise(() => undefined) }, { shutdownTimeout: 1 });
    const hasReported = signal();
    const id = await run(async (job) => {
      await job.progress('half');
      hasReported.resolve();
      await new Promise((resolve) => job.signal.addEventListener('abort', resolve));
    });
    await hasReported.promise;
    await engine.close();
    expect(await fixture.job(id)).toMatchObject({ progress: 'half' });
  });

  it('keeps the last value when completeTx is rolled back and the handler throws', async () => {
    open();
    const id = await run(async (job) => {
      await fixture.app.transaction(async (manager) => {
        await job.completeTx(manager);
        await job.progress('last');
        throw new Error('rolled back');
      });
    });
    await engine.whenIdle();
    expect(await fixture.job(id)).toMatchObject({ status: 'failed', progress: 'last' });
  });

  it('shows the latest value while the handler runs', async () => {
    open();
    const end = signal();
    const id = await run(async (job) => {
      await job.progress(1);
      await job.progress(2);
      await end.promise;
    });
    await until(async () => (await fixture.job(id)).progress === 2);
    expect(await fixture.job(id)).toMatchObject({ status: 'processing' });
    end.resolve();
    await engine.whenIdle();
    expect(await fixture.job(id)).toMatchObject({ status: 'completed', progress: 2 });
  });

  it('resolves in an outage, which is logged once and does not fail the job', async () => {
    let isOut = true;
    let refusals = 0;
    open({
      recordProgress: (entries) => {
        refusals += isOut ? 1 : 0;
        return isOut
          ? Promise.reject(new QueueUnavailableError('the database does not reply'))
          : fixture.store.recordProgress(entries);
      },
    });
    const end = signal();
    const id = await run(async (job) => {
      await job.progress(1);
      await end.promise;
    });
    await until(() => refusals === 1);
    expect((await fixture.job(id)).progress).toBeNull();
    isOut = false;
    await until(async () => (await fixture.job(id)).progress === 1);
    end.resolve();
    await engine.whenIdle();
    expect(await fixture.job(id)).toMatchObject({ status: 'completed', progress: 1 });
    expect(logger.of('warn')).toEqual([
      'progress of 1 job could not be saved: the database does not reply; the latest values are kept and written later',
    ]);
  });

  it('aborts the handler when the write finds that the lease is lost, and rejects from then on', async () => {
    open();
    const hasReported = signal();
    const late: unknown[] = [];
    const isAborted = signal();
    const id = await run(async (job) => {
      await job.progress(1);
      hasReported.resolve();
      await new Promise((resolve) => job.signal.addEventListener('abort', resolve));
      late.push(job.signal.reason, await job.progress(2).catch((error: unknown) => error));
      isAborted.resolve();
    });
    const lost = eventOf('lease_lost');
    await hasReported.promise;
    await fixture.set(id, { attempt: 7 });
    await isAborted.promise;
    await lost;
    expect(late).toEqual([expect.any(LeaseLostError), expect.any(LeaseLostError)]);
    expect((await fixture.job(id)).progress).toBeNull();
  });

  it.each([
    ['a BigInt', { count: 1n }, 'progress.count'],
    ['NaN', [0, NaN], 'progress[1]'],
    ['a function', { done: () => 1 }, 'progress.done'],
    ['undefined', undefined, 'progress'],
    ['undefined in a list', { list: [undefined] }, 'progress.list[0]'],
  ])('rejects %s and names its path', async (_title, value, path) => {
    open();
    const errors: unknown[] = [];
    const id = await run(async (job) => {
      await job.progress('kept');
      errors.push(await job.progress(value).catch((error: unknown) => error));
    });
    await engine.whenIdle();
    expect(errors).toEqual([expect.objectContaining({ code: 'INVALID_PAYLOAD', path })]);
    expect(await fixture.job(id)).toMatchObject({ status: 'completed', progress: 'kept' });
  });

  it('rejects without an unhandled rejection when nothing awaits the call', async () => {
    open();
    const unhandled = jest.fn();
    process.on('unhandledRejection', unhandled);
    const id = await run((job) => {
      void job.progress(undefined);
    });
    await engine.whenIdle();
    process.off('unhandledRejection', unhandled);
    expect(unhandled).not.toHaveBeenCalled();
    expect(await fixture.job(id)).toMatchObject({ status: 'completed' });
  });

  it('rejects a cycle, and accepts text that the database cannot store', async () => {
    open();
    const errors: unknown[] = [];
    const id = await run(async (job) => {
      const cycle: unknown[] = [];
      cycle.push(cycle);
      errors.push(await job.progress(cycle).catch((error: unknown) => error));
      await job.progress('a\u0000b\ud800');
    });
    await engine.whenIdle();
    expect(errors).toEqual([expect.objectContaining({ code: 'INVALID_PAYLOAD', path: 'progress[0]' })]);
    expect((await fixture.job(id)).progress).toBe('a\uFFFDb\uFFFD');
  });

  it('replaces a value over 64 KiB by a note', async () => {
    open();
    const id = await run((job) => job.progress('x'.repeat(70_000)));
    await engine.whenIdle();
    expect((await fixture.job(id)).progress).toEqual({ truncated: true, bytes: 70_002 });
  });

  it('does not fail the outcome when the database refuses the value', async () => {
    const refusal = new DatabaseRefusedError('refused by a trigger');
    open({
      recordProgress: () => Promise.reject(refusal),
      settle: (settlements, discardStatuses) =>
        settlements.some(({ progress }) => progress !== undefined)
          ? Promise.reject(refusal)
          : fixture.store.settle(settlements, discardStatuses),
    });
    const id = await run(async (job) => {
      await job.progress(1);
      return 'result';
    });
    await engine.whenIdle();
    expect(await fixture.job(id)).toMatchObject({ status: 'completed', result: 'result', progress: null });
    expect(logger.of('warn')).toEqual([expect.stringMatching(/^progress of job .* could not be saved/)]);
    expect(logger.of('error')).toEqual([]);
  });

  it('does not delay a close, which logs unconfirmed outcomes', async () => {
    const isSettling = signal();
    const mayFail = signal();
    open(
      {
        // Acts like a database that does not respond.
        settle: () => {
          isSettling.resolve();
          return mayFail.promise.then(() => Promise.reject(new QueueUnavailableError('for the test')));
        },
      },
      { shutdownTimeout: 100 },
    );
    await run((job) => job.progress(10));
    await isSettling.promise;
    await engine.close();
    expect(logger.of('warn')).toContainEqual(expect.stringMatching(/^1 outcomes were not confirmed/));
    mayFail.resolve();
  });
});

describe.each(storeKinds().filter(({ locksRows }) => locksRows))('job.progress on $label', (kind) => {
  const fixture = useStore(kind);

  it('is written after the transaction that locks the row of its job', async () => {
    let skipped = 0;
    const store = overrideStore(fixture.store, {
      recordProgress: async (entries) => {
        const states = await fixture.store.recordProgress(entries);
        skipped += states.filter(({ state }) => state === 'locked').length;
        return states;
      },
    });
    const engine = new JobsEngine({ store });
    const [mayReport, end] = [signal(), signal()];
    engine.register(TOPIC, async (job) => {
      await mayReport.promise;
      await job.progress('kept');
      await end.promise;
    });
    await engine.start();
    const { id } = await engine.enqueue(TOPIC, null);
    await until(async () => (await fixture.job(id)).status === 'processing');
    const transaction = await fixture.begin();
    await transaction.manager.query('SELECT id FROM _jobs WHERE id = $1 FOR UPDATE', [id]);
    mayReport.resolve();
    await until(() => skipped > 0);
    await transaction.rollback();
    await until(async () => (await fixture.job(id)).progress === 'kept');
    end.resolve();
    await engine.close();
  });
});

describe.each(storeKinds().filter(({ locksRows }) => locksRows))(
  'job.progress of a transactional handler on $label',
  (kind) => {
    const fixture = useStore(kind);

    it('is stored when the job is completed', async () => {
      const engine = new JobsEngine({ store: fixture.store });
      engine.register(TOPIC, (job) => void job.progress(10), { transactional: true });
      await engine.start();
      const { id } = await engine.enqueue(TOPIC, null);
      await engine.whenIdle();
      await engine.close();
      expect(await fixture.job(id)).toMatchObject({ status: 'completed', progress: 10 });
    });
  },
);
