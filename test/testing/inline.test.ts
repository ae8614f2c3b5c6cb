/** @matrix nest-11 */

import type { OnModuleInit } from '@nestjs/common';
import { Injectable } from '@nestjs/common';
import type { JobContext } from 'nestjs-jobs';
import { JobHandler, JobsService, SnoozeError } from 'nestjs-jobs';
import type { EntityManager } from 'typeorm';
import { useTestedApps } from './support/tested-app.js';

const start = useTestedApps();

describe("mode 'inline'", () => {
  it('runs a job before enqueue, enqueueMany and requeue return', async () => {
    const ran: unknown[] = [];
    const { jobs, testing } = await start({
      mode: 'inline',
      handlers: {
        a: (job) => {
          ran.push(job.payload);
          if (job.payload === 'fails') {
            throw new Error('no');
          }
        },
      },
    });
    const { id } = await jobs.enqueue('a', 1);
    expect(ran).toEqual([1]);
    expect(await jobs.get(id)).toMatchObject({ status: 'completed' });
    await jobs.enqueueMany([
      { topic: 'a', payload: 2 },
      { topic: 'a', payload: 3 },
    ]);
    expect(ran).toEqual([1, 2, 3]);
    const failed = await jobs.enqueue('a', 'fails', { maxRetries: 0 });
    expect(await jobs.get(failed.id)).toMatchObject({ status: 'failed', lastError: 'no' });
    await expect(testing.expectNotEnqueued('a')).rejects.toThrow('lastError "no"');
    await jobs.requeue(failed.id, { payload: 4 });
    expect(ran).toEqual([1, 2, 3, 'fails', 4]);
    await jobs.pause('a');
    await jobs.enqueue('a', 5);
    expect(ran).toHaveLength(5);
    await jobs.resume('a');
    expect(ran).toHaveLength(6);
  });

  it('runs a job after the commit of enqueueTx, before transaction() returns', async () => {
    const ran: unknown[] = [];
    const { jobs, dataSource } = await start({ mode: 'inline', handlers: { a: (job) => ran.push(job.payload) } });
    await dataSource.transaction(async (manager) => {
      await jobs.enqueueTx(manager, 'a', 1);
      await manager.transaction(async (inner) => jobs.enqueueTx(inner, 'a', 2));
      expect(ran).toEqual([]);
    });
    expect(ran).toEqual([1, 2]);

    const rolledBack = dataSource.transaction(async (manager: EntityManager) => {
      await jobs.enqueueTx(manager, 'a', 3);
      throw new Error('rolled back');
    });
    await expect(rolledBack).rejects.toThrow('rolled back');
    const runner = dataSource.createQueryRunner();
    await runner.startTransaction();
    await jobs.enqueueTx(runner.manager, 'a', 4);
    await runner.commitTransaction();
    await runner.release();
    await jobs.whenIdle();
    expect(ran).toEqual([1, 2, 4]);
  });

  it('runs the jobs of a handler after the handler', async () => {
    const order: string[] = [];
    const app = await start({
      mode: 'inline',
      handlers: {
        parent: async () => {
          await app.jobs.enqueue('child', null);
          await app.dataSource.transaction((manager) => app.jobs.enqueueTx(manager, 'child', null));
          order.push('parent');
        },
        child: () => order.push('child'),
      },
    });
    await app.jobs.enqueue('parent', null);
    expect(order).toEqual(['parent', 'child', 'child']);
  });

  it('runs delayed jobs and retries when the clock reaches them', async () => {
    const ran: string[] = [];
    let attempts = 0;
    const { jobs, testing } = await start({
      mode: 'inline',
      options: { backoff: { type: 'fixed', delay: '10m', jitter: 0 } },
      handlers: {
        later: () => ran.push('later'),
        flaky: () => {
          attempts += 1;
          ran.push(`flaky ${attempts}`);
          if (attempts < 3) {
            throw new Error('not yet');
          }
        },
        poll: () => {
          throw new SnoozeError('1h');
        },
      },
    });
    await jobs.enqueue('later', null, { delay: '15m' });
    const { id } = await jobs.enqueue('flaky', null);
    expect(ran).toEqual(['flaky 1']);
    await testing.advance('14m');
    expect(ran).toEqual(['flaky 1', 'flaky 2']);
    await testing.advance('16m');
    expect(ran).toEqual(['flaky 1', 'flaky 2', 'later', 'flaky 3']);
    expect(await jobs.get(id)).toMatchObject({ status: 'completed', attempt: 3, retries: 2 });
    const polled = await jobs.enqueue('poll', null);
    await testing.advance('1d');
    expect(await jobs.get(polled.id)).toMatchObject({ status: 'pending', attempt: 25 });
  });

  it('runs jobs that were enqueued before the application had started', async () => {
    const ran: unknown[] = [];
    @Injectable()
    class Early implements OnModuleInit {
      constructor(private readonly jobs: JobsService) {}

      async onModuleInit(): Promise<void> {
        await this.jobs.enqueue('a', 'early');
      }

      @JobHandler('a')
      async handle(job: JobContext): Promise<void> {
        ran.push(job.payload);
      }
    }
    await start({ mode: 'inline', providers: [Early] });
    expect(ran).toEqual(['early']);
  });

  it('lets whenIdle reject when due jobs have no handler', async () => {
    const { jobs } = await start({ mode: 'inline', handlers: { mail: () => null } });
    await jobs.enqueue('mial', null, { delay: '1h' });
    await jobs.whenIdle();
    await jobs.enqueue('mial', null);
    await expect(jobs.whenIdle()).rejects.toThrow(
      "whenIdle: 1 job of 'mial' is due and has no handler in a live process; did you mean 'mail'?",
    );
  });

  it('runs jobs of parallel calls one after another', async () => {
    let running = 0;
    let most = 0;
    const { jobs, dataSource, testing } = await start({
      mode: 'inline',
      handlers: {
        a: async () => {
          most = Math.max(most, (running += 1));
          await dataSourceTurn();
          running -= 1;
        },
      },
    });
    const dataSourceTurn = (): Promise<unknown> => dataSource.query('SELECT 1');
    const transactions = Array.from({ length: 10 }, (_, index) =>
      dataSource.transaction((manager) => jobs.enqueueTx(manager, 'a', index)),
    );
    await Promise.all([...transactions, ...[10, 11, 12].map((index) => jobs.enqueue('a', index))]);
    expect(await testing.expectEnqueued('a', { count: 13 })).toHaveLength(13);
    expect(new Set((await jobs.list({ limit: 50 })).items.map(({ status }) => status))).toEqual(new Set(['completed']));
    expect(most).toBe(1);
  });

  it('reports a handler that always enqueues another job', async () => {
    const app = await start({
      mode: 'inline',
      options: { retention: { completed: 0 } },
      handlers: { endless: () => app.jobs.enqueue('endless', null).then(() => undefined) },
    });
    await expect(app.jobs.enqueue('endless', null)).rejects.toThrow("the handler of 'endless' always enqueue");
    await app.jobs.pause('endless');
    await app.jobs.whenIdle();
  });
});
