/** @never postgres-18 */

import type { Job, JobEvent } from 'nestjs-jobs';
import { SnoozeError, UnrecoverableError } from 'nestjs-jobs';
import { until } from '../support/wait.js';
import type { Handler } from './support/apps.js';
import { useApps } from './support/apps.js';
import { everyKind, postgres } from './support/database-kinds.js';
import type { TestApp } from './support/test-app.js';
import { some, textWith } from './support/matchers.js';

const inADay = { type: 'fixed', delay: '1d', jitter: 0 } as const;

const handlers: Record<string, Handler> = {
  complete: () => 'done',
  retry: () => {
    throw new Error('not yet');
  },
  fail: () => {
    throw new UnrecoverableError('never');
  },
  snooze: () => {
    throw new SnoozeError('1h');
  },
};

describe.each(everyKind)('job events on $label', (kind) => {
  const apps = useApps(kind);
  let app: TestApp;

  /** Runs a job until its event of the type `last` and returns all events of the job. */
  async function runUntil(topic: string, last: JobEvent['type']): Promise<[Job, JobEvent[]]> {
    app = await apps.start({ options: { backoff: inADay } });
    const job = await app.jobs.enqueue(topic, null);
    // Registers late: otherwise a claim may come before enqueue returns.
    app.jobs.register(topic, handlers[topic]!);
    await app.event(last, job.id);
    return [job, app.events.filter(({ id }) => id === job.id)];
  }

  it('report a completed job', async () => {
    const [{ id, runAt }, events] = await runUntil('complete', 'completed');
    expect(events).toEqual([
      { type: 'enqueued', id, topic: 'complete', runAt, deduplicated: false },
      { type: 'started', id, topic: 'complete', attempt: 1, waitedMs: some(Number) },
      { type: 'completed', id, topic: 'complete', attempt: 1, durationMs: some(Number) },
    ]);
  });

  it('report a job that will be retried', async () => {
    const [{ id }, events] = await runUntil('retry', 'retrying');
    const { runAt } = await app.job(id);
    const error = { message: 'not yet', stack: textWith('Error: not yet') };
    expect(events.slice(2)).toEqual([
      { type: 'retrying', id, topic: 'retry', attempt: 1, durationMs: some(Number), error, retries: 1, runAt },
    ]);
  });

  it('report a permanently failed job', async () => {
    const [{ id }, events] = await runUntil('fail', 'failed');
    const error = { message: 'never', stack: some(String) };
    expect(events.slice(2)).toEqual([
      { type: 'failed', id, topic: 'fail', attempt: 1, durationMs: some(Number), error },
    ]);
  });

  it('report a snoozed job', async () => {
    const [{ id }, events] = await runUntil('snooze', 'snoozed');
    const { runAt } = await app.job(id);
    expect(events.slice(2)).toEqual([
      { type: 'snoozed', id, topic: 'snooze', attempt: 1, durationMs: some(Number), runAt },
    ]);
  });

  it('report a rescued job in the process that rescues it', async () => {
    app = await apps.start();
    const { id } = await app.jobs.enqueue('elsewhere', null);
    await app.rows.update(
      { id },
      {
        status: 'processing',
        attempt: 3,
        lockedBy: 'a dead worker',
        lockedUntil: new Date(Date.now() - 1_000),
        started: new Date(),
      },
    );
    expect(await app.event('rescued', id)).toEqual({ type: 'rescued', id, topic: 'elsewhere', attempt: 3, retries: 1 });
    expect(await app.job(id)).toMatchObject({ status: 'pending', attempt: 3, lockedBy: null });
  });

  it('reach every subscriber, and a late subscriber receives only later events', async () => {
    app = await apps.start({ handlers });
    const first = await app.jobs.enqueue('complete', 1);
    await app.event('completed', first.id);
    const late: string[] = [];
    const subscription = app.jobs.events.subscribe(({ id }) => late.push(id));
    const second = await app.jobs.enqueue('complete', 2);
    await app.event('completed', second.id);
    expect(new Set(late)).toEqual(new Set([second.id]));
    subscription.unsubscribe();
    const third = await app.jobs.enqueue('complete', 3);
    await app.event('completed', third.id);
    expect(late).not.toContain(third.id);
  });

  it('durationMs excludes the time of the next job in the same slot', async () => {
    let beganMs: number | undefined;
    let endedMs = NaN;
    const busy = (): void => {
      const sinceMs = performance.now();
      beganMs ??= sinceMs;
      while (performance.now() - sinceMs < 5);
      endedMs = performance.now();
    };
    app = await apps.start({ options: { concurrency: 1 }, handlers: { busy } });
    await app.jobs.enqueueMany(Array.from({ length: 60 }, () => ({ topic: 'busy', payload: null })));
    await app.jobs.whenIdle();
    const durations = app.eventsOf('completed').map((event) => (event as { durationMs: number }).durationMs);
    const sum = durations.reduce((total, durationMs) => total + durationMs, 0);
    expect(durations).toHaveLength(60);
    // One slot: handlers never overlap.
    expect(sum / (endedMs - beganMs!)).toBeLessThan(1.3);
    expect(Math.min(...durations)).toBeGreaterThanOrEqual(5);
  });

  it('a subscriber that throws stops neither the events nor the jobs', async () => {
    app = await apps.start({ handlers });
    app.jobs.events.subscribe(() => {
      throw new Error('first subscriber');
    });
    app.jobs.events.subscribe({ next: () => Promise.reject(new Error('second subscriber')) as unknown as void });
    const { id } = await app.jobs.enqueue('complete', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ status: 'completed' });
    await until(() => apps.log.of('error').length > 0);
    expect(apps.log.of('error').join()).toContain('first subscriber');
  });
});

describe.each(everyKind)('job events of a transaction of the caller on $label', (kind) => {
  const apps = useApps(kind);

  it('are emitted after its commit', async () => {
    const app = await apps.start({ handlers, options: { pollInterval: '1h' } });
    // Waits for the first claims: a later poll could find the jobs before this process observes the commit.
    await app.jobs.whenIdle();
    let enqueued: Job | undefined;
    await app.dataSource.transaction(async (manager) => {
      enqueued = await app.jobs.enqueueTx(manager, 'complete', null);
      await app.jobs.enqueueMany([{ topic: 'complete', payload: 2 }], { manager });
      await app.jobs.get(enqueued.id);
      expect(app.events).toEqual([]);
    });
    await until(() => app.eventsOf('completed').length === 2);
    expect(app.events.slice(0, 2)).toMatchObject([{ type: 'enqueued', id: enqueued!.id }, { type: 'enqueued' }]);
  });

  it('are not emitted after a rollback of the transaction or of a savepoint', async () => {
    const app = await apps.start({ handlers });
    const error = new Error('rolled back');
    const rolledBack = app.dataSource.transaction(async (manager) => {
      await app.jobs.enqueueTx(manager, 'complete', 'rolled back');
      throw error;
    });
    await expect(rolledBack).rejects.toBe(error);
    const kept = await app.dataSource.transaction(async (manager) => {
      const inner = manager.transaction(async (nested) => {
        await app.jobs.enqueueTx(nested, 'complete', 'in a savepoint');
        throw error;
      });
      await expect(inner).rejects.toBe(error);
      await manager.transaction((nested) => app.jobs.enqueueTx(nested, 'complete', 'in a savepoint that stays'));
      return app.jobs.enqueueTx(manager, 'complete', 'outside');
    });
    await app.event('completed', kept.id);
    await app.jobs.whenIdle();
    const { items } = await app.jobs.list();
    expect(items.map(({ payload }) => payload)).toEqual(['outside', 'in a savepoint that stays']);
    expect(
      app
        .eventsOf('enqueued')
        .map(({ id }) => id)
        .sort(),
    ).toEqual(items.map(({ id }) => id).sort());
  });

  it('are not emitted for a savepoint if the outer transaction rolls back', async () => {
    const app = await apps.start({ handlers });
    const rolledBack = app.dataSource.transaction(async (manager) => {
      await manager.transaction((nested) => app.jobs.enqueueTx(nested, 'complete', null));
      throw new Error('rolled back');
    });
    await expect(rolledBack).rejects.toThrow('rolled back');
    await app.jobs.whenIdle();
    expect(app.events).toEqual([]);
    expect(await app.jobs.stats()).toMatchObject({ total: 0 });
  });
});

describe('job events of concurrent transactions', () => {
  const apps = useApps(postgres);

  it('are emitted only for the transaction that commits', async () => {
    const app = await apps.start({ handlers });
    const open = app.dataSource.createQueryRunner();
    await open.startTransaction();
    await app.jobs.enqueueTx(open.manager, 'complete', 'open');
    const { id } = await app.dataSource.transaction((manager) => app.jobs.enqueueTx(manager, 'complete', 'committed'));
    await app.event('completed', id);
    await open.rollbackTransaction();
    await open.release();
    expect(app.eventsOf('enqueued')).toMatchObject([{ id }]);
  });
});
