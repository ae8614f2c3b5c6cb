/** @matrix postgres-18 */

import type { JobContext } from 'nestjs-jobs';
import { defineJob, IdleTimeoutError, InvalidOptionsError } from 'nestjs-jobs';
import { signal } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { sharedKinds } from './support/database-kinds.js';

/** Repeats the test: the known lanes depend on the timing of earlier scans. */
const ROUNDS = 20;

describe.each(sharedKinds)('a paused topic on $label', (kind) => {
  const apps = useApps(kind);
  /** No process polls during a test. */
  const options = { pollInterval: '10m' } as const;

  it('is claimed by no process until resume, which reaches all processes', async () => {
    const handlers = { work: () => 'done', other: () => 'done' };
    const [one, two] = [await apps.start({ options, handlers }), await apps.start({ options, handlers })];
    await one.jobs.pause('work');
    const jobs = await one.jobs.enqueueMany(Array.from({ length: 20 }, () => ({ topic: 'work', payload: null })));
    const other = await two.jobs.enqueue('other', null);
    await two.jobs.whenIdle();
    await one.jobs.whenIdle();
    expect(await one.job(other.id)).toMatchObject({ status: 'completed' });
    expect(await one.jobs.stats('work')).toMatchObject({ pending: 20, processing: 0, total: 20 });

    await two.jobs.resume('work');
    await two.jobs.whenIdle();
    await one.jobs.whenIdle();
    for (const { id } of jobs) {
      expect(await one.job(id)).toMatchObject({ status: 'completed', attempt: 1 });
    }
  });

  it('is resumed in another process that did not call pause', async () => {
    const worker = await apps.start({ options, handlers: { work: () => 'done' } });
    const admin = await apps.start({ options: { ...options, role: 'producer' } });
    await admin.jobs.pause('work');
    const { id } = await admin.jobs.enqueue('work', null);
    await worker.jobs.whenIdle();
    expect(await worker.job(id)).toMatchObject({ status: 'pending', attempt: 0 });
    await admin.jobs.resume('work');
    expect(await worker.jobAfter('completed', id)).toMatchObject({ attempt: 1 });
  });

  it('starts with its most urgent job after resume', async () => {
    const order: unknown[] = [];
    const handlers = { work: ({ payload }: JobContext) => void order.push(payload) };
    const app = await apps.start({ options: { ...options, concurrency: 1 }, handlers });
    let ordered = 0;
    for (let round = 1; round <= ROUNDS; round += 1) {
      await app.jobs.pause('work');
      for (const priority of [5, -5, 0]) {
        await app.jobs.enqueue('work', priority, { priority });
      }
      await app.jobs.resume('work');
      await app.jobs.whenIdle();
      expect(order).toHaveLength(3);
      ordered += order.splice(0).join() === '-5,0,5' ? 1 : 0;
    }
    // A claim that was sent before the pause may reach a busy server after the resume. It asks only for the default priority.
    expect(ordered).toBeGreaterThanOrEqual(ROUNDS - 2);
  });

  it('keeps its priority order if it was resumed while empty and without a free slot', async () => {
    const end = signal();
    const order: string[] = [];
    const run = async ({ topic }: JobContext): Promise<void> => {
      order.push(topic);
      await end.promise;
    };
    const app = await apps.start({ options: { ...options, concurrency: 1 }, handlers: { work: run, bulk: run } });
    const first = await app.jobs.enqueue('bulk', null);
    await app.jobs.enqueue('bulk', null);
    await app.event('started', first.id);
    await app.jobs.pause('work');
    await app.jobs.resume('work');
    await app.jobs.enqueue('work', null, { priority: -10 });
    end.resolve();
    await app.jobs.whenIdle();
    expect(order).toEqual(['bulk', 'work', 'bulk']);
  });

  it('lets running jobs end and keeps their retries pending', async () => {
    const end = signal();
    const app = await apps.start({
      options: { ...options, backoff: { type: 'fixed', delay: 0 } },
      handlers: {
        work: async ({ attempt }) => {
          await end.promise;
          if (attempt === 1) throw new Error('once');
        },
      },
    });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('started', id);
    await app.jobs.pause('work');
    end.resolve();
    await app.event('retrying', id);
    await app.jobs.whenIdle();
    expect(await app.job(id)).toMatchObject({ status: 'pending', attempt: 1, retries: 1 });
    await app.jobs.resume('work');
    expect(await app.jobAfter('completed', id)).toMatchObject({ attempt: 2 });
  });

  it('stays paused after a restart', async () => {
    const handlers = { work: () => 'done' };
    const before = await apps.start({ options, handlers });
    await before.jobs.pause('work');
    const { id } = await before.jobs.enqueue('work', null);
    await before.close();

    const after = await apps.start({ options, handlers });
    await after.jobs.whenIdle();
    expect(await after.job(id)).toMatchObject({ status: 'pending', attempt: 0 });
    await after.jobs.resume('work');
    expect(await after.jobAfter('completed', id)).toMatchObject({ attempt: 1 });
  });

  it('can be a typed topic, and whenIdle does not wait for it', async () => {
    const Work = defineJob<{ a: number }>('work');
    const end = signal();
    const app = await apps.start({ options, handlers: { work: () => 'done', long: () => end.promise } });
    await app.jobs.pause(Work);
    await app.jobs.pause(Work);
    const { id } = await app.jobs.enqueue(Work, { a: 1 });
    await app.jobs.whenIdle();

    const long = await app.jobs.enqueue('long', null);
    const idleError = (await app.jobs.whenIdle({ timeout: 50 }).catch((error: unknown) => error)) as IdleTimeoutError;
    expect(idleError).toBeInstanceOf(IdleTimeoutError);
    expect(idleError.message).toContain('long');
    expect(idleError.message).not.toContain('work');
    end.resolve();
    await app.event('completed', long.id);

    await app.jobs.resume(Work);
    await app.jobs.resume(Work);
    expect(await app.jobAfter('completed', id)).toMatchObject({ attempt: 1 });
  });

  it.each([[''], ['x'.repeat(256)], [5], [null], [undefined]])(
    'pause and resume reject the topic %p',
    async (topic) => {
      const app = await apps.start({ options: { ...options, role: 'producer' } });
      await expect(app.jobs.pause(topic as string)).rejects.toThrow(InvalidOptionsError);
      await expect(app.jobs.resume(topic as string)).rejects.toThrow(/^topic: /);
    },
  );
});
