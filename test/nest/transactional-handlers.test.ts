/**
 * @npm-test typeorm-0.3, typeorm-0.3-postgres
 * @matrix nest-11
 */

import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { JobContext } from 'nestjs-jobs';
import { InvalidOptionsError, JobHandler, LeaseLostError } from 'nestjs-jobs';
import type { DataSource, Logger, QueryRunner } from 'typeorm';
import { signal } from '../support/wait.js';
import type { Handler } from './support/apps.js';
import { useApps } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';
import { Receipt } from './support/receipt.js';
import { waitForAbort } from './support/wait-for-abort.js';
import type { TestApp } from './support/test-app.js';
import { textWith } from './support/matchers.js';

const [withTransactions, without] = [
  everyKind.filter((kind) => kind.canRunTransactionalHandlers),
  everyKind.filter((kind) => !kind.canRunTransactionalHandlers),
];
const atOnce = { type: 'fixed', delay: 0 } as const;

/** Records every statement of the application's DataSource with its connection. */
class StatementLog implements Logger {
  readonly statements: { readonly text: string; readonly runner: QueryRunner | undefined }[] = [];

  logQuery(text: string, _parameters?: unknown[], runner?: QueryRunner): void {
    this.statements.push({ text, runner });
  }
  logQueryError(): void {}
  logQuerySlow(): void {}
  logSchemaBuild(): void {}
  logMigration(): void {}
  log(): void {}
}

describe.each(withTransactions)('a transactional handler on $label', (kind) => {
  const apps = useApps(kind);
  let app: TestApp;
  let log: StatementLog;

  async function start(work: Handler, options: object = {}): Promise<void> {
    log = new StatementLog();
    app = await apps.start({
      typeOrm: { entities: [Receipt], logging: true, logger: log },
      options: { backoff: atOnce, ...options },
      handlers: { work: [work, { transactional: true }] },
    });
  }

  const write = (job: JobContext): Promise<unknown> =>
    job.manager.insert(Receipt, { jobId: job.id, attempt: job.attempt });
  const receipts = (): Promise<Receipt[]> => app.dataSource.getRepository(Receipt).find();

  it('commits its writes through job.manager together with its completion', async () => {
    await start(async (job) => {
      await write(job);
      expect(await receipts()).toEqual([]);
      expect(await app.job(job.id)).toMatchObject({ status: 'processing' });
      return { receipt: 1 };
    });
    const { id } = await app.jobs.enqueue('work', null);
    const job = await app.jobAfter('completed', id);
    expect(job).toMatchObject({ status: 'completed', result: { receipt: 1 }, attempt: 1, lastError: null });
    expect(await receipts()).toMatchObject([{ jobId: id, attempt: 1 }]);
  });

  it('completes the job in the last statement before COMMIT, on the connection of job.manager', async () => {
    let runner: QueryRunner | undefined;
    await start(async (job) => {
      runner = job.manager.queryRunner;
      await write(job);
    });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('completed', id);
    const texts = log.statements.filter((statement) => statement.runner === runner).map(({ text }) => text.trim());
    expect(texts).toHaveLength(5);
    expect(texts[0]).toMatch(/^START TRANSACTION/);
    expect(texts[1]).toBe('SET TRANSACTION ISOLATION LEVEL READ COMMITTED');
    expect(texts[2]).toMatch(/^INSERT INTO "receipts"/);
    expect(texts[3]).toMatch(/^UPDATE public\._jobs SET status = 'completed'[\s\S]*attempt = /);
    expect(texts[4]).toBe('COMMIT');
  });

  it('rolls back its writes if it throws, and is retried', async () => {
    await start(async (job) => {
      await write(job);
      if (job.attempt < 3) throw new Error(`failed in ${job.attempt}`);
    });
    const { id } = await app.jobs.enqueue('work', null);
    const job = await app.jobAfter('completed', id);
    expect(job).toMatchObject({ attempt: 3, retries: 2, lastError: 'failed in 2' });
    expect(await receipts()).toMatchObject([{ attempt: 3 }]);
  });

  it('rolls back if one of its statements failed, even if it catches the error', async () => {
    await start(
      async (job) => {
        await write(job);
        await job.manager.query('SELECT no_such_column FROM receipts').catch(() => undefined);
        return 'as if nothing had happened';
      },
      { maxRetries: 0 },
    );
    const { id } = await app.jobs.enqueue('work', null);
    const job = await app.jobAfter('failed', id);
    expect(job).toMatchObject({ status: 'failed', result: null, lastError: textWith('aborted') });
    expect(await receipts()).toEqual([]);
  });

  it('rolls back if another attempt owns the job', async () => {
    let signalled: unknown;
    await start(async (job) => {
      await write(job);
      await app.rows.increment({ id: job.id }, 'attempt', 1);
      signalled = job.signal;
    });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('lease_lost', id);
    expect(signalled).toBeDefined();
    expect(await receipts()).toEqual([]);
    expect(await app.job(id)).toMatchObject({ status: 'processing', attempt: 2, result: null });
    await app.rows.delete({ id });
  });

  it('rolls back at its timeout and at a cancel', async () => {
    await start(
      async (job: JobContext<string>) => {
        await write(job);
        if (job.payload === 'cancel') await app.jobs.cancel(job.id);
        return waitForAbort(job);
      },
      { maxRetries: 0 },
    );
    const late = await app.jobs.enqueue('work', 'late', { timeout: 200 });
    const cancelled = await app.jobs.enqueue('work', 'cancel');
    expect(await app.jobAfter('failed', late.id)).toMatchObject({ lastError: textWith('timeout') });
    expect(await app.jobAfter('cancelled', cancelled.id)).toMatchObject({ status: 'cancelled' });
    expect(await receipts()).toEqual([]);
  });

  it('ends cancelled without its writes if it returns after a cancel', async () => {
    await start(async (job) => {
      await write(job);
      await app.jobs.cancel(job.id);
      return 'done';
    });
    const { id } = await app.jobs.enqueue('work', null);
    expect(await app.jobAfter('cancelled', id)).toMatchObject({ status: 'cancelled', retries: 0 });
    expect(await receipts()).toEqual([]);
  });

  it('can enqueue the next job in the same transaction', async () => {
    await start(async (job) => {
      await app.jobs.enqueueTx(job.manager, 'next', { attempt: job.attempt });
      if (job.attempt === 1) throw new Error('once more');
    });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('completed', id);
    expect((await app.jobs.list({ topic: 'next' })).items).toMatchObject([{ payload: { attempt: 2 } }]);
  });

  it("leaves connections of the application's pool for its other statements", async () => {
    const full = signal();
    let inside = 0;
    const work = async (): Promise<void> => {
      inside += 1;
      if (inside === 2) full.resolve();
      await full.promise;
      await app.dataSource.query('SELECT 1');
    };
    const inTransaction = [work, { transactional: true }] as const;
    app = await apps.start({
      typeOrm: { poolSize: 3 },
      handlers: { one: inTransaction, another: inTransaction, third: inTransaction },
    });
    const topics = ['one', 'another', 'third', 'one', 'another', 'third', 'one', 'another', 'third'];
    const jobs = await app.jobs.enqueueMany(topics.map((topic) => ({ topic, payload: null })));
    await full.promise;
    // The other jobs wait in the database, where another process can claim them.
    expect(app.eventsOf('started')).toHaveLength(2);
    for (const { id } of jobs) {
      expect(await app.jobAfter('completed', id)).toMatchObject({ status: 'completed', attempt: 1 });
    }
  });

  it('is not called if it was cancelled while it waited for a connection', async () => {
    const calls: string[] = [];
    await start((job) => calls.push(job.id));
    const size = (app.dataSource.driver as unknown as { master: { options: { max: number } } }).master.options.max;
    const others = Array.from({ length: size }, () => app.dataSource.createQueryRunner());
    try {
      await Promise.all(others.map((other) => other.connect()));
      const { id } = await app.jobs.enqueue('work', null);
      await app.event('started', id);
      await app.jobs.cancel(id);
      await others[0]!.release();
      expect(await app.jobAfter('cancelled', id)).toMatchObject({ status: 'cancelled', attempt: 1 });
      expect(calls).toEqual([]);
    } finally {
      await Promise.all(others.map((other) => other.release()));
    }
  });

  it('can complete the job itself with another result', async () => {
    await start(async (job) => {
      await write(job);
      await job.completeTx(job.manager, 'by hand');
      return 'by the queue';
    });
    const { id } = await app.jobs.enqueue('work', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'by hand', attempt: 1, retries: 0 });
    expect(await receipts()).toMatchObject([{ jobId: id }]);
  });

  it('completes the job after its own completeTx was rolled back to a savepoint', async () => {
    await start(async (job) => {
      await write(job);
      await job.manager.query('SAVEPOINT own');
      await job.completeTx(job.manager, 'undone');
      await job.manager.query('ROLLBACK TO SAVEPOINT own');
      return 'by the queue';
    });
    const { id } = await app.jobs.enqueue('work', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'by the queue', attempt: 1, retries: 0 });
    expect(await receipts()).toMatchObject([{ jobId: id, attempt: 1 }]);
  });

  it('rolls back if a completeTx without await is rejected', async () => {
    await start(async (job) => {
      await write(job);
      await app.jobs.cancel(job.id);
      void job.completeTx(job.manager, 'unheard');
      return 'done';
    });
    const { id } = await app.jobs.enqueue('work', null);
    expect(await app.jobAfter('cancelled', id)).toMatchObject({ status: 'cancelled', result: null });
    expect(await receipts()).toEqual([]);
  });

  it('completes the job after another transaction with completeTx has rolled back', async () => {
    await start(async (job) => {
      await write(job);
      const other = app.dataSource.transaction(async (manager) => {
        await job.completeTx(manager, 'elsewhere');
        throw new Error('rolled back');
      });
      await other.catch(() => undefined);
      return 'here';
    });
    const { id } = await app.jobs.enqueue('work', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'here', attempt: 1 });
    expect(await receipts()).toMatchObject([{ jobId: id }]);
  });

  it('can be a decorated method with transactional: true', async () => {
    @Injectable()
    class ReceiptJobs {
      constructor(@InjectDataSource() private readonly dataSource: DataSource) {}

      @JobHandler('receipt', { transactional: true, maxRetries: 0 })
      async write(job: JobContext<boolean>): Promise<number> {
        await job.manager.insert(Receipt, { jobId: job.id, attempt: 1 });
        if (!job.payload) throw new Error('no');
        return this.dataSource.getRepository(Receipt).count();
      }
    }
    app = await apps.start({ typeOrm: { entities: [Receipt] }, providers: [ReceiptJobs] });
    const no = await app.jobs.enqueue('receipt', false);
    await app.event('failed', no.id);
    const yes = await app.jobs.enqueue('receipt', true);
    expect(await app.jobAfter('completed', yes.id)).toMatchObject({ result: 0 });
    expect(await receipts()).toMatchObject([{ jobId: yes.id }]);
  });
});

describe.each(without)('transactional: true on $label', (kind) => {
  const apps = useApps(kind);

  it('stops the start and names the handler and completeTx', async () => {
    @Injectable()
    class ReceiptJobs {
      @JobHandler('receipt', { transactional: true })
      write(): void {}
    }
    const error = await apps.refusal({ providers: [ReceiptJobs] });
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toMatch(/transactional.*'receipt'.*ReceiptJobs\.write.*completeTx/);
  });

  it('is rejected by register', async () => {
    const app = await apps.start();
    expect(() => app.jobs.register('receipt', () => 1, { transactional: true })).toThrow(/completeTx/);
  });
});

describe.each(everyKind)('job.manager on $label', (kind) => {
  const apps = useApps(kind);

  it('throws in a handler that is not transactional and names the topic', async () => {
    const app = await apps.start({ options: { maxRetries: 0 }, handlers: { work: (job) => job.manager } });
    const { id } = await app.jobs.enqueue('work', null);
    const { error } = await app.event('failed', id);
    expect(error.message).toMatch(/^manager: .*'work'.*transactional: true/);
    expect(error.message).not.toContain(LeaseLostError.name);
  });
});
