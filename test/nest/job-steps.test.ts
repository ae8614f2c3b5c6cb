import type { JobContext } from 'nestjs-jobs';
import {
  InvalidOptionsError,
  InvalidPayloadError,
  JobHandler,
  LeaseLostError,
  PayloadTooLargeError,
  SnoozeError,
} from 'nestjs-jobs';
import type { Type } from '@nestjs/common';
import { Injectable } from '@nestjs/common';
import { GuideCode } from '../support/guide-code.js';
import { signal } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { postgres, sqliteFile } from './support/database-kinds.js';

const retrying = { backoff: { type: 'fixed', delay: 0 }, pollInterval: 50 } as const;

describe.each([postgres, sqliteFile])('job.step on $label', (kind) => {
  const apps = useApps(kind);

  it('runs each step once over the attempts of a job, and returns the stored results', async () => {
    const ran: string[] = [];
    const results: unknown[] = [];

    @Injectable()
    class Orders {
      @JobHandler('order')
      async run({ step, attempt }: JobContext): Promise<void> {
        const charge = await step('charge', () => {
          ran.push('charge');
          return { id: 'ch_1', at: new Date(0) };
        });
        const nothing = await step('notify', async () => void ran.push('notify'));
        results.push([charge, nothing]);
        if (attempt === 1) throw new Error('the process is tired');
        if (attempt === 2) throw new SnoozeError(0);
        await step('ship', () => ran.push('ship'));
      }
    }
    const app = await apps.start({ options: retrying, providers: [Orders] });
    const { id } = await app.jobs.enqueue('order', null);
    const job = await app.jobAfter('completed', id);
    expect(ran).toEqual(['charge', 'notify', 'ship']);
    const charge = { id: 'ch_1', at: '1970-01-01T00:00:00.000Z' };
    expect(results).toEqual([1, 2, 3].map(() => [charge, undefined]));
    expect(job).toMatchObject({ attempt: 3, retries: 1 });
    expect(job.steps.map(({ name, result }) => [name, result])).toEqual([
      ['charge', charge],
      ['notify', undefined],
      ['ship', 3],
    ]);
  });
});

describe('job.step', () => {
  const apps = useApps(sqliteFile);

  /** Runs a handler once and returns what it has returned or thrown. */
  const run = async (work: (job: JobContext) => Promise<unknown>): Promise<unknown> => {
    const ended = signal<unknown>();
    const app = await apps.start({
      options: { maxRetries: 0 },
      handlers: {
        work: async (job) => {
          await work(job).then(ended.resolve, ended.resolve);
        },
      },
    });
    const { id } = await app.jobs.enqueue('work', null);
    const result = await ended.promise;
    await app.event('completed', id);
    return result;
  };

  it('refuses a name that was used in the same attempt', async () => {
    const error = await run(async ({ step }) => {
      await step('charge', () => 1);
      await step('charge', () => 2);
    });
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect((error as Error).message).toBe(
      "step 'charge': was called before in this attempt; give each step its own name",
    );
  });

  it.each(['', 'x'.repeat(101), 7, undefined])('refuses the name %p', async (name) => {
    const error = await run(({ step }) => step(name as string, () => 1));
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect((error as Error).message).toContain('step: expected text of 1 to 100 characters');
  });

  it('may be called again with the name of a step that has failed', async () => {
    const result = await run(async ({ step }) => {
      await step('unsteady', () => Promise.reject(new Error('not yet'))).catch(() => undefined);
      return step('unsteady', () => 'now');
    });
    expect(result).toBe('now');
  });

  it('names the step whose result is not JSON', async () => {
    const error = await run(({ step }) => step('count', () => ({ total: 1n })));
    expect(error).toBeInstanceOf(InvalidPayloadError);
    expect((error as Error).message).toBe("step 'count'.total: expected a JSON value, got bigint");
  });

  it('names the sizes when all steps together exceed 64 KiB, and keeps the others', async () => {
    const error = await run(async ({ step }) => {
      await step('first', () => 'x'.repeat(40_000));
      await step('second', () => 'x'.repeat(30_000)).catch(async (thrown: unknown) => {
        await step('small', () => 'fits');
        throw thrown;
      });
    });
    expect(error).toBeInstanceOf(PayloadTooLargeError);
    expect((error as Error).message).toMatch(
      /^the steps of a job, with step 'second' of 300\d\d bytes, must be at most 65536 bytes of JSON text, got 70\d\d\d$/,
    );
  });

  it('runs steps at the same time', async () => {
    const names = ['a', 'b', 'c', 'd'];
    expect(await run(({ step }) => Promise.all(names.map((name) => step(name, () => name))))).toEqual(names);
  });

  it('records nothing and rejects when the lease is lost', async () => {
    const reached = signal();
    const go = signal();
    const ended = signal<unknown>();
    const app = await apps.start({
      options: { lease: 60_000 },
      handlers: {
        work: async (job) => {
          if (job.attempt > 1) return;
          await job.step('first', () => 1);
          const second = job.step('second', async () => {
            reached.resolve();
            await go.promise;
          });
          await second.catch(ended.resolve);
          await job.step('third', () => ended.resolve('a third step ran')).catch(() => undefined);
        },
      },
    });
    const { id } = await app.jobs.enqueue('work', null);
    await reached.promise;
    // Another worker has taken the job.
    await app.rows.update(id, { attempt: 2 });
    go.resolve();
    expect(await ended.promise).toBeInstanceOf(LeaseLostError);
    await app.event('lease_lost', id);
    expect((await app.job(id)).steps).toMatchObject([{ name: 'first' }]);
    expect((await app.job(id)).steps).toHaveLength(1);
  });

  it('starts no step after a cancel', async () => {
    const reached = signal();
    const started: string[] = [];
    const app = await apps.start({
      handlers: {
        work: async ({ step, signal: aborted }) => {
          await step('first', () => started.push('first'));
          reached.resolve();
          await new Promise((resolve) => aborted.addEventListener('abort', resolve));
          await step('second', () => started.push('second'));
        },
      },
    });
    const { id } = await app.jobs.enqueue('work', null);
    await reached.promise;
    await app.jobs.cancel(id);
    expect(await app.jobAfter('cancelled', id)).toMatchObject({ status: 'cancelled', steps: [{ name: 'first' }] });
    expect(started).toEqual(['first']);
  });

  it('goes on where it stopped after a requeue, and starts again with a new payload', async () => {
    const ran: unknown[] = [];
    let isBroken = true;
    const app = await apps.start({
      options: { maxRetries: 0 },
      handlers: {
        work: async ({ step, payload }) => {
          await step('first', () => ran.push(payload));
          if (isBroken) throw new Error('broken');
        },
      },
    });
    const { id } = await app.jobs.enqueue('work', 'one');
    await app.event('failed', id);
    await app.jobs.requeue(id);
    await app.event('failed', id, 2);
    expect(ran).toEqual(['one']);
    isBroken = false;
    await app.jobs.requeue(id, { payload: 'two' });
    await app.event('completed', id);
    expect(ran).toEqual(['one', 'two']);
  });

  it('belongs to each member of a batch', async () => {
    const ran: unknown[] = [];
    const app = await apps.start({ options: retrying });
    app.jobs.register(
      'index',
      async (jobs) => {
        for (const job of jobs) {
          await job.step('load', () => ran.push(job.payload));
        }
        if (jobs[0]!.attempt === 1) throw new Error('once');
      },
      { batch: { size: 2 } },
    );
    const jobs = await app.jobs.enqueueMany(['a', 'b'].map((payload) => ({ topic: 'index', payload })));
    for (const { id } of jobs) {
      expect(await app.jobAfter('completed', id)).toMatchObject({ steps: [{ name: 'load' }] });
    }
    expect([...ran].sort()).toEqual(['a', 'b']);
  });
});

describe('the guide on steps', () => {
  const apps = useApps(sqliteFile);
  const guide = new GuideCode('guide/long-jobs-in-steps.md');

  it('fulfils an order in steps, and waits between steps', async () => {
    const log = jest.spyOn(console, 'log').mockReturnValue(undefined);
    const providers = ['OrderServices', 'OrderJobs', 'ReminderJobs'].map((name) => guide.exportOf<Type<object>>(name));
    const app = await apps.start({ providers });
    const { jobs } = app;
    const { id } = await jobs.enqueue('fulfil_order', { id: 7, cents: 500 });
    expect(await app.jobAfter('completed', id)).toMatchObject({
      steps: [{ name: 'charge', result: { id: `${id}:500` } }, { name: 'ship' }],
    });
    expect(log).toHaveBeenCalledWith(`shipped 7, paid by ${id}:500`);
    const reminder = await jobs.enqueue('remind', null);
    expect(await app.jobAfter('snoozed', reminder.id)).toMatchObject({ status: 'pending', steps: [{ name: 'ask' }] });
    log.mockRestore();
  });
});
