import { Injectable } from '@nestjs/common';
import type { DeadLetter, JobBatch, JobContext } from 'nestjs-jobs';
import { defineJob, encryptPayloads, JobHandler, OnJobFailed, UnrecoverableError } from 'nestjs-jobs';
import { z } from 'zod';
import { until } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { sqliteFile } from './support/database-kinds.js';

const Payment = defineJob<{ orderId: number }>('payment', { maxRetries: 0 });

// The store is tested on each database: test/conformance/dead-letter.
describe('dead letters', () => {
  const apps = useApps(sqliteFile);

  it('are stored and handled, however a job fails for good', async () => {
    const Checked = defineJob('checked', { schema: z.object({ n: z.number() }), maxRetries: 0, deadLetter: 'dead' });
    const received: [string, number, string][] = [];

    @Injectable()
    class Jobs {
      @JobHandler('retried', { maxRetries: 1, backoff: { type: 'fixed', delay: 1, jitter: 0 }, deadLetter: 'dead' })
      retried(): void {
        throw new Error('always');
      }

      @JobHandler('hopeless', { deadLetter: 'dead' })
      hopeless(): void {
        throw new UnrecoverableError('no such order');
      }

      @JobHandler(Checked)
      checked(): void {}

      @JobHandler('slow', { timeout: 20, maxRetries: 0, deadLetter: 'dead' })
      async slow(job: JobContext): Promise<void> {
        await new Promise((_, reject) => job.signal.addEventListener('abort', () => reject(new Error('aborted'))));
      }

      @JobHandler('batched', { batch: { size: 2 }, maxRetries: 0, deadLetter: 'dead' })
      batched(jobs: JobBatch<number>): void {
        jobs.filter(({ payload }) => payload === 2).forEach((job) => job.fail(new Error('second')));
      }

      @JobHandler('cancelled', { deadLetter: 'dead' })
      cancelled(): void {}

      @JobHandler('dead', { maxRetries: 0 })
      dead({ payload: { topic, attempt, lastError } }: JobContext<DeadLetter>): void {
        received.push([topic, attempt, lastError]);
        throw new Error('a dead letter that fails has none of its own');
      }
    }
    const app = await apps.start({ providers: [Jobs] });
    const { id } = await app.jobs.enqueue('cancelled', null, { delay: '1h' });
    await app.jobs.cancel(id);
    // The schema of an older version accepted this payload.
    const checked = await app.jobs.enqueue(Checked, { n: 1 }, { delay: '1h' });
    await app.rows.update({ id: checked.id }, { payload: { n: 'x' } });
    await app.jobs.promote(checked.id);
    await app.jobs.enqueueMany([
      ...['retried', 'hopeless', 'slow'].map((topic) => ({ topic, payload: null })),
      ...[1, 2].map((payload) => ({ topic: 'batched', payload })),
    ]);
    await until(() => app.eventsOf('failed').filter(({ topic }) => topic === 'dead').length >= 5);
    expect(received.map(([topic, attempt]) => `${topic} ${attempt}`).sort()).toEqual(
      ['batched 1', 'checked 1', 'hopeless 1', 'retried 2', 'slow 1'], // prettier-ignore
    );
    expect((await app.jobs.list({ topic: 'dead' })).total).toBe(5);
  });

  it('run the methods of @OnJobFailed, each for its topic or for all, with retries', async () => {
    const received: string[] = [];

    @Injectable()
    class Alerts {
      @OnJobFailed()
      any({ payload: { topic } }: JobContext<DeadLetter>): void {
        received.push(`any ${topic}`);
        throw new UnrecoverableError('a failed alert alerts nobody');
      }
    }

    @Injectable()
    class Payments {
      @JobHandler(Payment)
      capture(): void {
        throw new Error('declined');
      }

      @JobHandler('mail', { maxRetries: 0 })
      mail(): void {
        throw new Error('no such address');
      }

      @OnJobFailed(Payment, { maxRetries: 1, backoff: { type: 'fixed', delay: 1, jitter: 0 } })
      release({ payload, attempt }: JobContext<DeadLetter<{ orderId: number }>>): void {
        received.push(`${payload.payload.orderId} ${payload.lastError} ${attempt}`);
        if (attempt === 1) {
          throw new Error('try again');
        }
      }
    }
    const app = await apps.start({ providers: [Payments, Alerts] });
    await app.jobs.enqueue(Payment, { orderId: 7 });
    await app.jobs.enqueue('mail', null);
    await until(() => received.length >= 4, { message: 'all failures' });
    await app.jobs.whenIdle();
    expect(received.sort()).toEqual(['7 declined 1', '7 declined 2', 'any mail', 'any payment']);
    const targets = (await app.jobs.topics.list()).map(({ topic, deadLetters }) => [topic, deadLetters]);
    expect(Object.fromEntries(targets)).toEqual({
      'Alerts.any': [],
      'Payments.release': [],
      mail: ['Alerts.any'],
      payment: ['Alerts.any', 'Payments.release'],
    });
    const { items } = await app.jobs.list({ topic: 'Payments.release' });
    expect(items).toMatchObject([{ status: 'completed', maxRetries: 1, payload: { payload: { orderId: 7 } } }]);
  });

  it('hold the payload as the codec has stored it, and give the handler the plain one', async () => {
    const received: unknown[] = [];

    @Injectable()
    class Jobs {
      @JobHandler('secret', { maxRetries: 0 })
      work(): void {
        throw new Error('no');
      }

      @OnJobFailed('secret', { maxRetries: 0 })
      first(job: JobContext<DeadLetter<{ pin: number }>>): void {
        received.push(job.payload.payload);
        throw new Error('this one fails, too');
      }

      @OnJobFailed('Jobs.first')
      second(job: JobContext<DeadLetter<DeadLetter<{ pin: number }>>>): void {
        received.push(job.payload.payload.payload);
      }
    }
    const codec = encryptPayloads({ current: 'a', keys: { a: '07'.repeat(32) }, rejectPlain: true });
    const app = await apps.start({ options: { codec }, providers: [Jobs] });
    const { id } = await app.jobs.enqueue('secret', { pin: 1234 });
    await until(() => received.length === 2, { message: 'both dead letters' });
    expect(received).toEqual([{ pin: 1234 }, { pin: 1234 }]);
    const { items } = await app.jobs.list({ topic: 'Jobs.first' });
    expect(items).toMatchObject([{ payload: { id, payload: { $encrypted: 'A256GCM' } } }]);
  });

  it('have the topic of @JobHandler on the same method, which may handle several topics', async () => {
    const received: string[] = [];

    @Injectable()
    class Jobs {
      @JobHandler('a', { maxRetries: 0 })
      @JobHandler('b', { maxRetries: 0 })
      work(): void {
        throw new Error('no');
      }

      @OnJobFailed('a')
      @OnJobFailed('b')
      @JobHandler('failures', { maxRetries: 5 })
      failed(job: JobContext<DeadLetter>): void {
        received.push(`${job.topic} ${job.payload.topic} ${job.maxRetries}`);
      }
    }
    const app = await apps.start({ providers: [Jobs] });
    await app.jobs.enqueueMany(['a', 'b'].map((topic) => ({ topic, payload: null })));
    await until(() => received.length === 2, { message: 'both failures' });
    expect(received.sort()).toEqual(['failures a 5', 'failures b 5']);
  });

  it.each<[string, () => object, RegExp]>([
    ['of a topic without a handler', unknownTopic, /@OnJobFailed of Jobs.failed: 'mial' has no handler .*'mail'/],
    ['that are their own', () => registered({ deadLetter: 'mail' }), /deadLetter: .* mail → mail$/],
    ['in a cycle', cycle, /deadLetter: .*(a → b → a|b → a → b)$/],
    ['of a method that handles its own failures', ownFailures, /deadLetter: .* mail → mail$/],
    ['with options twice', optionsTwice, /^@OnJobFailed: on Jobs.failed: .*options already/],
    ['of a method with several topics', severalTopics, /^@OnJobFailed: on Jobs.failed: .*several topics/],
  ])('%s stop the application', async (_, create, message) => {
    await expect(apps.start({ providers: [create() as never] })).rejects.toMatchObject({
      code: 'INVALID_OPTIONS',
      message: expect.stringMatching(message) as unknown,
    });
  });
});

function registered(options: { deadLetter: string }): object {
  @Injectable()
  class Jobs {
    @JobHandler('mail', options)
    mail(): void {}
  }
  return Jobs;
}

function cycle(): object {
  @Injectable()
  class Jobs {
    @JobHandler('a', { deadLetter: 'b' })
    a(): void {}

    @JobHandler('b', { deadLetter: 'a' })
    b(): void {}
  }
  return Jobs;
}

function unknownTopic(): object {
  @Injectable()
  class Jobs {
    @JobHandler('mail')
    mail(): void {}

    @OnJobFailed('mial')
    failed(): void {}
  }
  return Jobs;
}

function ownFailures(): object {
  @Injectable()
  class Jobs {
    @JobHandler('mail')
    @OnJobFailed('mail')
    mail(): void {}
  }
  return Jobs;
}

function optionsTwice(): object {
  @Injectable()
  class Jobs {
    @JobHandler('mail')
    mail(): void {}

    @JobHandler('failures')
    @OnJobFailed('mail', { maxRetries: 1 })
    failed(): void {}
  }
  return Jobs;
}

function severalTopics(): object {
  @Injectable()
  class Jobs {
    @JobHandler('mail')
    mail(): void {}

    @JobHandler('a')
    @JobHandler('b')
    @OnJobFailed('mail')
    failed(): void {}
  }
  return Jobs;
}
