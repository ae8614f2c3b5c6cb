/** @matrix nest-11 */

import { Injectable } from '@nestjs/common';
import {
  InvalidOptionsError,
  JobsEngine,
  JobSchedule,
  QueueUnavailableError,
  SnoozeError,
  UnrecoverableError,
} from 'nestjs-jobs';
import { until } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { postgres, sqliteFile } from './support/database-kinds.js';
import { HandlerGate } from './support/handler-gate.js';
import { waitForAbort } from './support/wait-for-abort.js';

const none = { completed: 0, failed: 0, retried: 0, snoozed: 0, cancelled: 0, released: 0 };

@Injectable()
class Digest {
  ran = 0;

  @JobSchedule({ every: '2s' }, { name: 'digest', startAt: new Date('2020-01-01T00:00:00Z'), missed: 'last' })
  run(): void {
    this.ran += 1;
  }
}

describe.each([postgres, sqliteFile])('runDue on $label', (kind) => {
  const apps = useApps(kind);
  const handlers = {
    work: () => null,
    retry: () => Promise.reject(new Error('not yet')),
    fail: () => Promise.reject(new UnrecoverableError('never')),
    snooze: () => Promise.reject(new SnoozeError('1h')),
  };

  it("runs what is due with the role 'producer', counts it, and claims nothing before and after", async () => {
    const app = await apps.start({ options: { role: 'producer', concurrency: 3 }, handlers });
    await app.jobs.enqueueMany([
      ...Array.from({ length: 20 }, (_, payload) => ({ topic: 'work', payload })),
      ...['retry', 'fail', 'snooze'].map((topic) => ({ topic, payload: 1 })),
      { topic: 'work', payload: 'later', delay: '1h' as const },
    ]);
    expect(app.eventsOf('started')).toEqual([]);
    expect(await app.jobs.runDue({ for: '50s' })).toEqual({
      ...none,
      completed: 20,
      failed: 1,
      retried: 1,
      snoozed: 1,
    });
    expect(await app.jobs.stats()).toMatchObject({ completed: 20, failed: 1, pending: 3 });
    await app.jobs.enqueue('work', 'after');
    expect(app.eventsOf('started')).toHaveLength(23);
    expect(await app.jobs.runDue()).toEqual({ ...none, completed: 1 });
    expect(await app.jobs.runDue()).toEqual(none);
    expect(await app.jobs.workers()).toEqual([]);
  });

  it('runs jobs that its handlers enqueue, and jobs of other processes', async () => {
    const app = await apps.start({ options: { role: 'producer' } });
    const other = await apps.start({ options: { role: 'producer' } });
    app.jobs.register<number>('countdown', async ({ payload }) => {
      if (payload > 0) await app.jobs.enqueue('countdown', payload - 1);
    });
    await other.jobs.enqueue('countdown', 3);
    expect(await app.jobs.runDue({ for: '50s' })).toEqual({ ...none, completed: 4 });
  });

  it('starts at most limit jobs, and leaves the others as they were', async () => {
    const app = await apps.start({ options: { role: 'producer' }, handlers });
    await app.jobs.enqueueMany(Array.from({ length: 30 }, (_, payload) => ({ topic: 'work', payload })));
    expect(await app.jobs.runDue({ limit: 7 })).toMatchObject({ completed: 7 });
    expect(app.eventsOf('started')).toHaveLength(7);
    expect(await app.jobs.stats()).toMatchObject({ completed: 7, pending: 23, processing: 0 });
    expect((await app.jobs.list({ status: 'retrying' })).total).toBe(0);
    expect(await app.jobs.runDue()).toMatchObject({ completed: 23 });
  });

  it('starts limit jobs whose start is marked first', async () => {
    const app = await apps.start({ options: { role: 'producer', maxRetries: 0 }, handlers });
    await app.jobs.enqueueMany([1, 2, 3].map((payload) => ({ topic: 'work', payload })));
    for (let left = 3; left > 0; left -= 1) {
      expect(await app.jobs.runDue({ limit: 1 })).toMatchObject({ completed: 1 });
      expect(await app.jobs.stats()).toMatchObject({ completed: 4 - left, pending: left - 1, processing: 0 });
    }
    await app.jobs.enqueueMany(
      [1, 2, 3].map((payload) => ({ topic: 'work', payload, maxRetries: 3, expiresIn: '1h' as const })),
    );
    expect(await app.jobs.runDue({ limit: 2 })).toMatchObject({ completed: 2 });
  });

  it.each([0, 3])('counts all jobs of a batch that has begun, with maxRetries %i', async (maxRetries) => {
    const app = await apps.start({ options: { role: 'producer', maxRetries } });
    const sizes: number[] = [];
    app.jobs.register('batch', (jobs) => void sizes.push(jobs.length), { batch: { size: 2 } });
    await app.jobs.enqueueMany(Array.from({ length: 12 }, (_, payload) => ({ topic: 'batch', payload })));
    expect(await app.jobs.runDue({ limit: 1 })).toMatchObject({ completed: 2 });
    expect(await app.jobs.runDue({ limit: 3 })).toMatchObject({ completed: 4 });
    expect(sizes).toEqual([2, 2, 2]);
    expect(await app.jobs.stats()).toMatchObject({ completed: 6, pending: 6, processing: 0 });
  });

  it('stops claiming when the time is over, and waits for the handlers that run', async () => {
    const gate = new HandlerGate();
    const app = await apps.start({ options: { role: 'producer', concurrency: 1 }, handlers: { work: gate.handler } });
    await app.jobs.enqueueMany([1, 2, 3].map((payload) => ({ topic: 'work', payload })));
    const run = app.jobs.runDue({ for: '1s' });
    await gate.waitFor(1);
    await expect(app.jobs.runDue()).rejects.toThrow('another call runs in this process');
    await until(() => apps.log.of('log', 'waiting up to').length > 0);
    gate.release();
    expect(await run).toMatchObject({ completed: 1 });
    expect(gate.most).toBe(1);
    expect(await app.jobs.stats()).toMatchObject({ completed: 1, pending: 2, processing: 0 });
  });

  it('releases handlers that do not end within shutdownTimeout', async () => {
    const app = await apps.start({
      options: { role: 'producer', shutdownTimeout: '100ms' },
      handlers: { work: waitForAbort },
    });
    const { id } = await app.jobs.enqueue('work', 1);
    expect(await app.jobs.runDue({ for: '500ms' })).toEqual({ ...none, released: 1 });
    expect(await app.job(id)).toMatchObject({ status: 'pending', retries: 0 });
  });

  it('fires the ticks of schedules that are due, and runs their jobs', async () => {
    const app = await apps.start({ options: { role: 'producer' }, providers: [Digest] });
    await app.jobs.runDue();
    const before = app.module.get(Digest).ran;
    const { nextTick } = (await app.jobs.schedules.get('digest'))!;
    await until(() => Date.now() > nextTick!.getTime());
    expect((await app.jobs.runDue()).completed).toBeGreaterThan(0);
    expect(app.module.get(Digest).ran).toBeGreaterThan(before);
  });

  it('waits and counts in a process that claims anyway, and goes on after', async () => {
    const app = await apps.start({ options: { role: 'all' }, handlers });
    await app.jobs.enqueueMany([1, 2, 3].map((payload) => ({ topic: 'work', payload })));
    const { completed } = await app.jobs.runDue();
    expect(app.eventsOf('completed')).toHaveLength(3);
    expect(completed).toBeLessThanOrEqual(3);
    const { id } = await app.jobs.enqueue('work', 4);
    await app.event('completed', id);
    await expect(app.jobs.runDue({ limit: 1 })).rejects.toThrow(InvalidOptionsError);
    await app.jobs.stop();
    await app.jobs.enqueue('work', 5);
    expect(await app.jobs.runDue({ limit: 1 })).toEqual({ ...none, completed: 1 });
  });

  it.each(['all', 'producer'] as const)('leaves a process of the role %s as start wants it', async (role) => {
    const gate = new HandlerGate();
    const app = await apps.start({ options: { role, concurrency: 3 }, handlers });
    app.jobs.register('first', gate.handler);
    await app.jobs.stop();
    await app.jobs.enqueue('first', 1, { priority: -1 });
    await app.jobs.enqueueMany([2, 3].map((payload) => ({ topic: 'work', payload })));
    const run = app.jobs.runDue({ limit: 1 });
    await gate.waitFor(1);
    const started = app.jobs.start();
    gate.release();
    await Promise.all([run, started]);
    const { id } = await app.jobs.enqueue('work', 4);
    const counts = role === 'producer' ? await app.jobs.runDue() : undefined;
    expect(counts?.completed).toBe(role === 'producer' ? 3 : undefined);
    await app.event('completed', id);
    await app.event('completed', undefined, 4);
    await app.jobs.stop();
    expect(await app.jobs.workers()).toEqual([]);
  });

  it('goes on claiming when start is called beside it, and not after stop', async () => {
    const app = await apps.start({ handlers });
    await app.jobs.stop();
    await Promise.all([app.jobs.start(), app.jobs.runDue()]);
    await app.event('completed', (await app.jobs.enqueue('work', 1)).id);
    await app.jobs.stop();
    await Promise.all([app.jobs.runDue(), app.jobs.start()]);
    await app.event('completed', (await app.jobs.enqueue('work', 2)).id);
    await Promise.all([app.jobs.runDue(), app.jobs.stop()]);
    expect(await app.jobs.workers()).toEqual([]);
  });

  it.each(['all', 'producer'] as const)(
    'is rejected after a process of the role %s has stopped claiming',
    async (role) => {
      const app = await apps.start({ options: { role }, handlers });
      app.module.get(JobsEngine).stopClaiming();
      await app.jobs.enqueue('work', 1);
      await expect(app.jobs.runDue()).rejects.toThrow(QueueUnavailableError);
      await app.jobs.start();
      await app.jobs.runDue();
      expect(app.eventsOf('completed')).toHaveLength(1);
    },
  );

  it('runs the jobs of a process that was killed', async () => {
    const app = await apps.start({ options: { role: 'producer' }, handlers });
    const { id } = await app.jobs.enqueue('work', 1);
    const lockedUntil = new Date(Date.now() - 60_000);
    await app.rows.update({ id }, { status: 'processing', attempt: 1, lockedBy: 'killed', lockedUntil });
    expect(await app.jobs.runDue()).toEqual({ ...none, completed: 1 });
    expect(await app.job(id)).toMatchObject({ retries: 1, attempt: 2 });
  });

  it('ends with the application', async () => {
    const gate = new HandlerGate();
    const app = await apps.start({ options: { role: 'producer' }, handlers: { work: gate.handler } });
    await app.jobs.enqueue('work', 1);
    const run = app.jobs.runDue({ for: '1h' });
    await gate.waitFor(1);
    const closed = app.close();
    gate.release();
    expect(await run).toEqual({ ...none, completed: 1 });
    await closed;
    await expect(app.jobs.runDue()).rejects.toThrow(QueueUnavailableError);
  });

  it('rejects wrong options', async () => {
    const app = await apps.start({ options: { role: 'producer' } });
    await expect(app.jobs.runDue({ for: 0 })).rejects.toThrow('runDue.for: expected a duration');
    await expect(app.jobs.runDue({ limit: 0 })).rejects.toThrow('runDue.limit: expected a whole number');
    await expect(app.jobs.runDue({ fro: '1s' } as object)).rejects.toThrow("did you mean 'for'?");
  });
});
