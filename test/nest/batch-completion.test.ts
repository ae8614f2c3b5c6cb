import type { EntityManager } from 'typeorm';
import type { JobBatch, JobHandlerOptions } from 'nestjs-jobs';
import { JobStateError, LeaseLostError, UnknownDataSourceError } from 'nestjs-jobs';
import { signal, until } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { sharedKinds } from './support/database-kinds.js';
import { textWith } from './support/matchers.js';
import { Receipt } from './support/receipt.js';
import type { TestApp } from './support/test-app.js';

const SIZE = 20;

type BatchHandler = (jobs: JobBatch<number>) => unknown;

describe.each(sharedKinds)('the jobs of a batch on $label', (kind) => {
  const apps = useApps(kind);
  let app: TestApp;

  async function start(handler: BatchHandler, options: Partial<JobHandlerOptions> = {}): Promise<void> {
    app = await apps.create({
      typeOrm: { entities: [Receipt] },
      options: { backoff: { type: 'fixed', delay: 0 }, pollInterval: '50ms', lease: '3s' },
    });
    app.jobs.register<number>('work', handler, { batch: { size: SIZE }, ...options } as JobHandlerOptions & {
      batch: { size: number };
    });
    await app.app.init();
  }

  async function enqueue(count: number): Promise<string[]> {
    const jobs = await app.jobs.enqueueMany(
      Array.from({ length: count }, (_, payload) => ({ topic: 'work', payload, maxRetries: 5 })),
    );
    return jobs.map(({ id }) => id);
  }

  const completed = (ids: readonly string[]) => Promise.all(ids.map((id) => app.jobAfter('completed', id)));
  const receipts = () => app.dataSource.getRepository(Receipt).find();

  async function writeReceipts(manager: EntityManager, jobs: JobBatch<number>): Promise<void> {
    await manager.insert(
      Receipt,
      jobs.map(({ id, attempt }) => ({ jobId: id, attempt })),
    );
  }

  const writeAndComplete = (jobs: JobBatch<number>): Promise<void> =>
    app.dataSource.transaction(async (manager) => {
      await writeReceipts(manager, jobs);
      await jobs.completeTx(manager);
    });

  it('commit together with the writes of the handler', async () => {
    await start(writeAndComplete);
    const ids = await enqueue(SIZE);
    await completed(ids);
    expect((await receipts()).map(({ jobId, attempt }) => [jobId, attempt]).sort()).toEqual(
      ids.map((id) => [id, 1]).sort(),
    );
    expect(app.eventsOf('completed')).toHaveLength(SIZE);
  });

  it('roll back together, and each runs alone next', async () => {
    const sizes: number[] = [];
    await start(async (jobs) => {
      sizes.push(jobs.length);
      await app.dataSource.transaction(async (manager) => {
        await writeReceipts(manager, jobs);
        await jobs.completeTx(manager);
        if (jobs[0]!.attempt === 1) throw new Error('after completeTx');
      });
    });
    const ids = await enqueue(3);
    for (const job of await completed(ids)) {
      expect(job).toMatchObject({ attempt: 2, retries: 1, lastError: 'after completeTx' });
    }
    expect((await receipts()).map(({ attempt }) => attempt)).toEqual([2, 2, 2]);
    expect(sizes).toEqual([3, 1, 1, 1]);
  });

  it('stay completed when the handler throws after the commit, with one warning', async () => {
    await start(async (jobs) => {
      await writeAndComplete(jobs);
      throw new Error('too late');
    });
    for (const job of await completed(await enqueue(3))) {
      expect(job).toMatchObject({ attempt: 1, retries: 0 });
    }
    expect(apps.log.of('warn')).toEqual([
      textWith('completeTx of 3 jobs had committed; they stay completed: too late'),
    ]);
  });

  it('are held by a completeTx that the handler does not await until all are completed', async () => {
    await start((jobs) =>
      app.dataSource.transaction(async (manager) => {
        await writeReceipts(manager, jobs);
        void jobs.completeTx(manager);
      }),
    );
    const ids = await enqueue(SIZE);
    for (const job of await completed(ids)) {
      expect(job).toMatchObject({ attempt: 1 });
    }
    expect(await receipts()).toHaveLength(SIZE);
  });

  it('that have a mark, or completed in the transaction already, take no part in completeTx of the batch', async () => {
    await start((jobs) =>
      app.dataSource.transaction(async (manager) => {
        jobs[0]!.snooze('1h');
        await jobs[1]!.completeTx(manager, { own: true });
        await jobs.completeTx(manager);
      }),
    );
    const ids = await enqueue(3);
    expect(await app.jobAfter('snoozed', ids[0]!)).toMatchObject({ status: 'pending', retries: 0 });
    const [second, third] = await completed(ids.slice(1));
    expect(second).toMatchObject({ result: { own: true } });
    expect(third).toMatchObject({ result: null });
  });

  it.each([
    ['a cancel of one was requested', JobStateError, (id: string) => app.jobs.cancel(id)],
    ['another attempt owns one', LeaseLostError, (id: string) => app.rows.increment({ id }, 'attempt', 1)],
  ])('roll back together when %s', async (_, expected, disturb) => {
    const errors: unknown[] = [];
    await start(async (jobs) => {
      if (jobs.length === 1) return;
      await disturb(jobs[1]!.id);
      await writeAndComplete(jobs).catch((error: unknown) => errors.push(error));
    });
    const ids = await enqueue(3);
    await until(() => errors.length > 0);
    await completed([ids[0]!, ids[2]!]);
    expect(errors).toEqual([expect.any(expected)]);
    expect(await receipts()).toEqual([]);
  });

  it('cannot complete in a transaction of another DataSource', async () => {
    const errors: unknown[] = [];
    const { DataSource } = await import('typeorm');
    const other = await new DataSource(await apps.anotherDatabase()).initialize();
    apps.afterwards(() => other.destroy());
    await start((jobs) =>
      other.transaction((manager) => jobs.completeTx(manager)).catch((error: unknown) => errors.push(error)),
    );
    await completed(await enqueue(2));
    expect(errors).toEqual([expect.any(UnknownDataSourceError)]);
  });

  it('keep their outcomes when one loses its lease, whose outcome is ignored', async () => {
    await start(async (jobs) => {
      if (jobs.length > 1) {
        await app.rows.increment({ id: jobs[0]!.id }, 'attempt', 1);
        jobs[0]!.complete('stale');
      }
    });
    const ids = await enqueue(3);
    await app.event('lease_lost', ids[0]);
    await completed(ids.slice(1));
    expect(await app.job(ids[0]!)).toMatchObject({ status: 'processing', result: null, attempt: 2 });
  });

  it('lose their leases one by one: the signal of that member alone aborts', async () => {
    const seen: unknown[] = [];
    await start(async (jobs) => {
      if (jobs.length === 1) return;
      await app.rows.increment({ id: jobs[0]!.id }, 'attempt', 1);
      await until(() => jobs[0]!.signal.aborted);
      seen.push(jobs[0]!.signal.reason, jobs[1]!.signal.aborted, jobs.signal.aborted);
    });
    const ids = await enqueue(2);
    await completed([ids[1]!]);
    expect(seen).toEqual([expect.any(LeaseLostError), false, false]);
  });

  it('are renewed while they run and while they wait for a full batch', async () => {
    const gate = signal();
    await start((_jobs) => gate.promise, { batch: { size: 3, wait: '4s' } });
    const waiting = await enqueue(1);
    await until(async () => (await app.job(waiting[0]!)).status === 'processing');
    const { lockedUntil } = await app.job(waiting[0]!);
    await until(async () => (await app.job(waiting[0]!)).lockedUntil! > lockedUntil!);
    const others = await enqueue(2);
    await app.event('started', waiting[0]);
    const running = (await app.job(others[0]!)).lockedUntil!;
    await until(async () => (await app.job(others[0]!)).lockedUntil! > running);
    gate.resolve();
    for (const job of await completed([...waiting, ...others])) {
      expect(job).toMatchObject({ attempt: 1, retries: 0 });
    }
  });

  it('are marked as started when they are last attempts', async () => {
    const starts: unknown[] = [];
    await start(async (jobs) => {
      const rows = await app.dataSource.query<unknown[]>('SELECT unstarted_attempt FROM _jobs ORDER BY id');
      starts.push(...rows);
      jobs[0]!.fail(new Error('last'));
    });
    const jobs = await app.jobs.enqueueMany(
      [1, 2].map((payload) => ({ topic: 'work', payload, maxRetries: payload - 1 })),
    );
    await app.event('completed', jobs[1]!.id);
    expect(await app.jobAfter('failed', jobs[0]!.id)).toMatchObject({ lastError: textWith('last') });
    expect(starts).toEqual([{ unstarted_attempt: null }, { unstarted_attempt: null }]);
  });

  it('of several calls complete once each', async () => {
    const runs = new Map<string, number>();
    await start(async (jobs) => {
      jobs.forEach(({ id }) => runs.set(id, (runs.get(id) ?? 0) + 1));
      await Promise.resolve();
    });
    const ids = await enqueue(500);
    await completed(ids);
    expect([...runs.values()].every((count) => count === 1)).toBe(true);
    expect(runs.size).toBe(500);
  });
});
