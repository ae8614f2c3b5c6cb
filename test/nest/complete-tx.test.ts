/** @matrix typeorm-0.3, typeorm-0.3-postgres */

import type { JobContext } from 'nestjs-jobs';
import { InvalidOptionsError, JobStateError, LeaseLostError, UnknownDataSourceError } from 'nestjs-jobs';
import { DataSource } from 'typeorm';
import { signal } from '../support/wait.js';
import type { Handler } from './support/apps.js';
import { useApps } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';
import { Receipt } from './support/receipt.js';
import type { TestApp } from './support/test-app.js';
import { some, textLike, textWith } from './support/matchers.js';

const atOnce = { type: 'fixed', delay: 0 } as const;

/** Triggers that reject the completion of a first attempt in its transaction, and no other outcome. */
function createRefusingTriggers(isPostgres: boolean): string[] {
  const isRefused = `NEW.attempt = 1 AND NEW.result = '"refused"'`;
  return isPostgres
    ? [
        `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$`,
        `CREATE TRIGGER refusing BEFORE UPDATE ON _jobs FOR EACH ROW WHEN (${isRefused}) EXECUTE FUNCTION refuse()`,
      ]
    : [`CREATE TRIGGER refusing BEFORE UPDATE ON _jobs WHEN ${isRefused} BEGIN SELECT RAISE(ABORT, 'no'); END`];
}

describe.each(everyKind)('completeTx on $label', (kind) => {
  const apps = useApps(kind);
  let app: TestApp;

  async function start(work: Handler, options: object = {}): Promise<void> {
    app = await apps.start({
      typeOrm: { entities: [Receipt] },
      options: { backoff: atOnce, ...options },
      handlers: { work },
    });
  }

  /** Writes a receipt and completes the job in one transaction. */
  function writeAndComplete(job: JobContext, result?: unknown): Promise<void> {
    return app.dataSource.transaction(async (manager) => {
      await manager.insert(Receipt, { jobId: job.id, attempt: job.attempt });
      await job.completeTx(manager, result);
    });
  }

  const receipts = (): Promise<Receipt[]> => app.dataSource.getRepository(Receipt).find();

  it('commits the job together with the writes of the handler and stores the given result', async () => {
    await start(async (job) => {
      await writeAndComplete(job, { sent: true });
      return 'not this';
    });
    const { id } = await app.jobs.enqueue('work', null);
    const job = await app.jobAfter('completed', id);
    expect(job).toMatchObject({ status: 'completed', result: { sent: true }, attempt: 1, lockedBy: null });
    expect(await receipts()).toMatchObject([{ jobId: id, attempt: 1 }]);
    expect(app.eventsOf('completed', id)).toHaveLength(1);
    expect(app.eventsOf('lease_lost', id)).toHaveLength(0);
  });

  it.each([
    ['when the handler returns', (): void => undefined],
    [
      'when the handler fails after it',
      (): void => {
        throw new Error('too late to fail');
      },
    ],
  ])('calls no backoff function %s', async (_when, end) => {
    const asked: unknown[] = [];
    const backoff = (retry: number, error: unknown): number => asked.push([retry, error]);
    app = await apps.start({
      typeOrm: { entities: [Receipt] },
      handlers: { work: [(job) => writeAndComplete(job).then(end), { backoff }] },
    });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('completed', id);
    expect(asked).toEqual([]);
  });

  it('rolls back with its transaction, and the job is retried', async () => {
    await start((job) =>
      app.dataSource.transaction(async (manager) => {
        await manager.insert(Receipt, { jobId: job.id, attempt: job.attempt });
        await job.completeTx(manager, job.attempt);
        if (job.attempt === 1) throw new Error('after completeTx');
      }),
    );
    const { id } = await app.jobs.enqueue('work', null);
    const job = await app.jobAfter('completed', id);
    expect(job).toMatchObject({
      status: 'completed',
      attempt: 2,
      retries: 1,
      result: 2,
      lastError: 'after completeTx',
    });
    expect(await receipts()).toMatchObject([{ jobId: id, attempt: 2 }]);
  });

  it('does not complete the job if the handler catches the rollback', async () => {
    await start(async (job) => {
      if (job.attempt > 1) return writeAndComplete(job);
      return app.dataSource
        .transaction(async (manager) => {
          await manager.insert(Receipt, { jobId: job.id, attempt: job.attempt });
          await job.completeTx(manager);
          throw new Error('swallowed');
        })
        .catch(() => 'returned');
    });
    const { id } = await app.jobs.enqueue('work', null);
    const job = await app.jobAfter('completed', id);
    expect(await receipts()).toMatchObject([{ jobId: id, attempt: 2 }]);
    expect(job).toMatchObject({ status: 'completed', attempt: 2, retries: 1 });
  });

  it('completes the job after a caught SQL error only if the database commits', async () => {
    await start((job) =>
      app.dataSource.transaction(async (manager) => {
        await manager.insert(Receipt, { jobId: job.id, attempt: job.attempt });
        await job.completeTx(manager);
        if (job.attempt === 1) await manager.query('SELECT no_such_column FROM _jobs').catch(() => undefined);
      }),
    );
    const { id } = await app.jobs.enqueue('work', null);
    const job = await app.jobAfter('completed', id);
    const isPostgres = app.dataSource.options.type === 'postgres';
    const attempt = isPostgres ? 2 : 1;
    const lastError = isPostgres ? textWith('rolled back') : null;
    expect(job).toMatchObject({ status: 'completed', attempt, lastError });
    expect(await receipts()).toMatchObject([{ jobId: id, attempt }]);
  });

  describe('if the database rejects the completion and the handler returns', () => {
    it.each([
      ['around the transaction', (job: JobContext) => writeAndComplete(job, 'refused').catch(() => 'returned')],
      [
        'inside the transaction',
        (job: JobContext) =>
          app.dataSource.transaction(async (manager) => {
            await manager.insert(Receipt, { jobId: job.id, attempt: job.attempt });
            await job.completeTx(manager, 'refused').catch(() => undefined);
            return 'returned';
          }),
      ],
      [
        'without await',
        (job: JobContext) =>
          app.dataSource.transaction(async (manager) => {
            await manager.insert(Receipt, { jobId: job.id, attempt: job.attempt });
            void job.completeTx(manager, 'refused');
          }),
      ],
    ])('never completes the job without the writes of the transaction, error caught %s', async (_where, work) => {
      await start(work);
      for (const statement of createRefusingTriggers(app.dataSource.options.type === 'postgres')) {
        await app.dataSource.query(statement);
      }
      const { id } = await app.jobs.enqueue('work', null);
      const job = await app.jobAfter('completed', id);
      expect(await receipts()).toMatchObject([{ jobId: id, attempt: job.attempt }]);
    });
  });

  it('keeps the committed transaction if the handler throws afterwards', async () => {
    await start(async (job) => {
      await writeAndComplete(job, 'kept');
      throw new Error('too late to fail');
    });
    const { id } = await app.jobs.enqueue('work', null);
    const job = await app.jobAfter('completed', id);
    expect(job).toMatchObject({ status: 'completed', result: 'kept', attempt: 1, lastError: null });
    expect(await receipts()).toHaveLength(1);
    expect(app.eventsOf('retrying', id)).toEqual([]);
    expect(apps.log.of('warn')).toEqual([textLike(`job ${id} stays completed`)]);
  });

  it('ignores a progress value that the handler passes after the commit', async () => {
    const isAborted = signal<boolean>();
    await start(async (job) => {
      await job.progress(99);
      await writeAndComplete(job, 'kept');
      await job.progress(100);
      isAborted.resolve(job.signal.aborted);
    });
    const { id } = await app.jobs.enqueue('work', null);
    const job = await app.jobAfter('completed', id);
    expect(job).toMatchObject({ status: 'completed', result: 'kept', attempt: 1, lastError: null, progress: 99 });
    expect(await isAborted.promise).toBe(false);
    expect(app.eventsOf('lease_lost', id)).toEqual([]);
  });

  it('keeps the committed transaction if the handler exceeds its timeout afterwards', async () => {
    const end = signal();
    await start(
      async (job) => {
        await writeAndComplete(job, 'kept');
        await end.promise;
      },
      { timeout: 100 },
    );
    const { id } = await app.jobs.enqueue('work', null);
    const job = await app.jobAfter('completed', id);
    expect(job).toMatchObject({ status: 'completed', result: 'kept', attempt: 1, lastError: null });
    end.resolve();
    await app.jobs.whenIdle();
    expect(await receipts()).toHaveLength(1);
  });

  it('rejects for a job that another attempt owns, and the transaction rolls back', async () => {
    let error: unknown;
    await start(async (job) => {
      // The state after a rescue and a claim by another worker.
      await app.rows.increment({ id: job.id }, 'attempt', 1);
      await writeAndComplete(job).catch((thrown: unknown) => (error = thrown));
    });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('lease_lost', id);
    expect(error).toBeInstanceOf(LeaseLostError);
    expect(error).toMatchObject({ id, attempt: 1 });
    expect(await receipts()).toEqual([]);
    expect(await app.job(id)).toMatchObject({ status: 'processing', attempt: 2 });
    await app.rows.delete({ id });
  });

  it('rolls back the whole transaction after a rejection, even if the handler catches it', async () => {
    let error: unknown;
    await start(async (job) => {
      await app.rows.increment({ id: job.id }, 'attempt', 1);
      await app.dataSource
        .transaction(async (manager) => {
          await manager.insert(Receipt, { jobId: job.id, attempt: job.attempt });
          await job.completeTx(manager).catch(() => undefined);
        })
        .catch((thrown: unknown) => (error = thrown));
    });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('lease_lost', id);
    expect(error).toBeInstanceOf(LeaseLostError);
    expect(await receipts()).toEqual([]);
    await app.rows.delete({ id });
  });

  it('allows the outer transaction to commit if its savepoint was rolled back', async () => {
    await start(async (job) => {
      await app.jobs.cancel(job.id);
      await app.dataSource.transaction(async (manager) => {
        await manager.insert(Receipt, { jobId: job.id, attempt: job.attempt });
        await manager.transaction((inner) => job.completeTx(inner)).catch(() => undefined);
      });
    });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('cancelled', id);
    expect(await receipts()).toMatchObject([{ jobId: id }]);
  });

  it('completes the job again after a rollback to a savepoint of the handler', async () => {
    await start((job) =>
      app.dataSource.transaction(async (manager) => {
        await manager.insert(Receipt, { jobId: job.id, attempt: job.attempt });
        await manager.query('SAVEPOINT own');
        await job.completeTx(manager, 'undone');
        await manager.query('ROLLBACK TO SAVEPOINT own');
        await job.completeTx(manager, 'kept');
      }),
    );
    const { id } = await app.jobs.enqueue('work', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'kept', attempt: 1 });
    expect(await receipts()).toMatchObject([{ jobId: id, attempt: 1 }]);
  });

  it('allows the transaction to commit after a second call, which rejects', async () => {
    let error: unknown;
    await start((job) =>
      app.dataSource.transaction(async (manager) => {
        await manager.insert(Receipt, { jobId: job.id, attempt: job.attempt });
        await job.completeTx(manager, 'first');
        await job.completeTx(manager, 'second').catch((thrown: unknown) => (error = thrown));
      }),
    );
    const { id } = await app.jobs.enqueue('work', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'first', attempt: 1 });
    expect(error).toBeInstanceOf(LeaseLostError);
    expect(await receipts()).toMatchObject([{ jobId: id, attempt: 1 }]);
  });

  it('is retried if it was called after its transaction had failed', async () => {
    const errors: unknown[] = [];
    await start(async (job) => {
      if (job.attempt > 1) return writeAndComplete(job);
      let late: Promise<unknown> | undefined;
      await app.dataSource
        .transaction((manager) => {
          late = manager.query('SELECT 1').then(() => job.completeTx(manager));
          return Promise.reject(new Error('503'));
        })
        .catch(() => late)
        .catch((error: unknown) => errors.push(error));
      return 'returned';
    });
    const { id } = await app.jobs.enqueue('work', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ attempt: 2, retries: 1 });
    expect(errors).toEqual([some(InvalidOptionsError)]);
  });

  it('is retried if the transaction fails at the same time', async () => {
    const ends: unknown[] = [];
    await start(async (job) => {
      if (job.attempt > 1) return writeAndComplete(job);
      await app.dataSource.transaction((manager) =>
        Promise.all([
          Promise.reject(new Error('503')),
          manager
            .insert(Receipt, { jobId: job.id, attempt: job.attempt })
            .then(() => job.completeTx(manager))
            .then(
              () => ends.push('accepted'),
              (error: unknown) => ends.push(error),
            ),
          app.jobs.enqueueTx(manager, 'other', null).catch(() => undefined),
        ]),
      );
    });
    const { id } = await app.jobs.enqueue('work', null);
    const job = await app.jobAfter('completed', id);
    expect(job).toMatchObject({ attempt: 2, lastError: '503' });
    expect(ends).toHaveLength(1);
    expect(await receipts()).toMatchObject([{ jobId: id, attempt: 2 }]);
    expect(await app.jobs.list({ topic: 'other' })).toMatchObject({ total: 0 });
  });

  it('rejects for a job with a requested cancel', async () => {
    let error: unknown;
    await start(async (job) => {
      await app.jobs.cancel(job.id);
      await writeAndComplete(job).catch((thrown: unknown) => (error = thrown));
    });
    const { id } = await app.jobs.enqueue('work', null);
    const job = await app.jobAfter('cancelled', id);
    expect(error).toBeInstanceOf(JobStateError);
    expect(job).toMatchObject({ status: 'cancelled', attempt: 1 });
    expect(await receipts()).toEqual([]);
  });

  it('rejects a second call', async () => {
    let error: unknown;
    await start(async (job) => {
      await writeAndComplete(job, 'first');
      await writeAndComplete(job, 'second').catch((thrown: unknown) => (error = thrown));
    });
    const { id } = await app.jobs.enqueue('work', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'first' });
    expect(error).toBeInstanceOf(LeaseLostError);
    expect(await receipts()).toHaveLength(1);
  });

  it('rejects a manager without an open transaction and a manager of another DataSource', async () => {
    const otherDataSource = await new DataSource({ type: 'better-sqlite3', database: ':memory:' }).initialize();
    apps.afterwards(() => otherDataSource.destroy());
    const errors: unknown[] = [];
    await start(async (job) => {
      errors.push(await job.completeTx(app.dataSource.manager).catch((error: unknown) => error));
      errors.push(
        await otherDataSource.transaction((manager) => job.completeTx(manager)).catch((error: unknown) => error),
      );
      return 'completed';
    });
    const { id } = await app.jobs.enqueue('work', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'completed' });
    expect(errors).toEqual([some(InvalidOptionsError), some(UnknownDataSourceError)]);
  });
});
