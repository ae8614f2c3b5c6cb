import type { Job, JobBatch } from 'nestjs-jobs';
import { defineJob } from 'nestjs-jobs';
import { until } from '../../../support/wait.js';
import type { Apps, Handler } from '../apps.js';
import { HandlerGate } from '../handler-gate.js';
import { everyKind, postgres, sharedKinds } from '../database-kinds.js';
import { waitForAbort } from '../wait-for-abort.js';
import { Receipt } from '../receipt.js';
import type { OptionCase } from './option-case.js';
import { textWith } from '../matchers.js';
import { topicRetentionCases } from './retention.js';

const HOUR = 3_600_000;
const inHours = (hours: number) => ({ type: 'fixed', delay: hours * HOUR, jitter: 0 }) as const;

const fail: Handler = () => {
  throw new Error('always');
};

/** The options of a handler. Each overrides the module. */
export const handlerCases: readonly OptionCase[] = [
  {
    option: 'concurrency',
    effect: 'limits the concurrent jobs of the topic and leaves the other slots to other topics',
    kinds: everyKind,
    expectEffect: expectConcurrency,
  },
  {
    option: 'concurrency',
    effect: 'does not raise the limit of the module',
    kinds: everyKind,
    expectEffect: expectModuleConcurrency,
  },
  {
    option: 'timeout',
    effect: 'overrides the module',
    kinds: everyKind,
    expectEffect: expectTimeout,
  },
  {
    option: 'maxRetries',
    effect: 'overrides the module for jobs enqueued in a process with the handler',
    kinds: everyKind,
    expectEffect: expectMaxRetries,
  },
  {
    option: 'maxRetries',
    effect: 'does not apply to jobs enqueued in a process without the handler',
    kinds: sharedKinds,
    expectEffect: expectMaxRetriesOfProducer,
  },
  {
    option: 'backoff',
    effect: 'overrides the module, as an object and as a function, wherever the job was enqueued',
    kinds: sharedKinds,
    expectEffect: expectBackoff,
  },
  {
    option: 'labels',
    effect: 'are those of jobs enqueued in a process with the handler',
    kinds: everyKind,
    expectEffect: expectLabels,
  },
  {
    option: 'priority',
    effect: 'applies to jobs enqueued in a process with the handler',
    kinds: everyKind,
    expectEffect: expectPriority,
  },
  {
    option: 'expiresIn',
    effect: 'applies to jobs enqueued in a process with the handler, unless their typed topic has its own',
    kinds: everyKind,
    expectEffect: expectExpiresIn,
  },
  {
    option: 'limits',
    effect: 'are in the table before the first claim',
    kinds: everyKind,
    expectEffect: expectLimits,
  },
  ...topicRetentionCases,
  {
    option: 'deadLetter',
    effect: 'stores a job for each job that fails for good',
    kinds: everyKind,
    expectEffect: expectDeadLetter,
  },
  {
    option: 'batch',
    effect: 'limits the jobs of a call',
    kinds: everyKind,
    expectEffect: expectBatch,
  },
  {
    option: 'transactional',
    effect: 'rolls back the writes of a failed handler through job.manager',
    kinds: [postgres],
    expectEffect: expectTransaction,
  },
];

async function expectConcurrency(apps: Apps): Promise<void> {
  const [few, many] = [new HandlerGate(), new HandlerGate()];
  const app = await apps.start({
    options: { concurrency: 6 },
    handlers: { few: [few.handler, { concurrency: 2 }], many: many.handler },
  });
  await app.jobs.enqueueMany(Array.from({ length: 5 }, () => ({ topic: 'few', payload: null, priority: -5 })));
  await few.waitFor(2);
  await app.jobs.enqueueMany(Array.from({ length: 4 }, () => ({ topic: 'many', payload: null })));
  await many.waitFor(4);
  for (let completed = 1; completed <= 5; completed += 1) {
    await few.waitFor(Math.min(2, 6 - completed));
    few.release();
    await until(() => app.eventsOf('completed').length === completed);
  }
  expect(few.most).toBe(2);
  expect(many.most).toBe(4);
  while (many.size > 0) many.release();
}

async function expectModuleConcurrency(apps: Apps): Promise<void> {
  const gate = new HandlerGate();
  const app = await apps.start({
    options: { concurrency: 2 },
    handlers: { work: [gate.handler, { concurrency: 50 }] },
  });
  await app.jobs.enqueueMany(Array.from({ length: 4 }, () => ({ topic: 'work', payload: null })));
  for (let completed = 1; completed <= 4; completed += 1) {
    await gate.waitFor(Math.min(2, 5 - completed));
    gate.release();
    await until(() => app.eventsOf('completed').length === completed);
  }
  expect(gate.most).toBe(2);
}

async function expectLimits(apps: Apps): Promise<void> {
  const app = await apps.create();
  const limits = { concurrency: 50, rate: { limit: 100, per: '1m' } } as const;
  app.jobs.register('work', () => null, { limits });
  app.jobs.register('check', () => app.jobs.limits.get('work'));
  await app.app.init();
  const { id } = await app.jobs.enqueue('check', null);
  expect(await app.jobAfter('completed', id)).toMatchObject({
    result: { concurrency: 50, rate: { limit: 100, per: 60_000, perKey: false } },
  });
}

async function expectDeadLetter(apps: Apps): Promise<void> {
  const app = await apps.start({ handlers: { work: [fail, { maxRetries: 0, deadLetter: 'morgue' }] } });
  const { id } = await app.jobs.enqueue('work', { a: 1 });
  await app.event('failed', id);
  const letters = async () => (await app.jobs.list({ topic: 'morgue' })).items;
  await until(async () => (await letters()).length > 0, { message: 'the dead letter' });
  const items = await letters();
  expect(items).toMatchObject([
    {
      status: 'pending',
      maxRetries: 3,
      payload: { id, topic: 'work', payload: { a: 1 }, lastError: 'always', attempt: 1 },
    },
  ]);
  expect(app.eventsOf('enqueued', items[0]!.id)).toMatchObject([{ topic: 'morgue', runAt: items[0]!.runAt }]);
}

async function expectBatch(apps: Apps): Promise<void> {
  const app = await apps.create();
  const sizes: number[] = [];
  app.jobs.register('work', (jobs: JobBatch) => void sizes.push(jobs.length), { batch: { size: 2 }, concurrency: 1 });
  // Enqueues before the application starts, so that the first call has enough jobs.
  await app.jobs.enqueueMany([1, 2, 3].map((payload) => ({ topic: 'work', payload })));
  await app.app.init();
  await app.jobs.whenIdle();
  expect(sizes).toEqual([2, 1]);
}

async function expectTimeout(apps: Apps): Promise<void> {
  const app = await apps.start({
    options: { timeout: '1h', maxRetries: 0 },
    handlers: { work: [waitForAbort, { timeout: '70ms' }] },
  });
  const job = await app.jobs.enqueue('work', null);
  expect(job.timeoutMs).toBeNull();
  expect(await app.jobAfter('failed', job.id)).toMatchObject({
    lastError: textWith('70 ms'),
    timeoutMs: null,
  });
}

async function expectMaxRetries(apps: Apps): Promise<void> {
  const app = await apps.start({
    options: { maxRetries: 5, backoff: { type: 'fixed', delay: 0 } },
    handlers: { work: [fail, { maxRetries: 2 }], never: [fail, { maxRetries: 0 }] },
  });
  const job = await app.jobs.enqueue('work', null);
  const never = await app.jobs.enqueue('never', null);
  expect([job.maxRetries, never.maxRetries]).toEqual([2, 0]);
  expect(await app.jobAfter('failed', job.id)).toMatchObject({ attempt: 3, maxRetries: 2 });
  expect(await app.jobAfter('failed', never.id)).toMatchObject({ attempt: 1, maxRetries: 0 });
}

async function expectMaxRetriesOfProducer(apps: Apps): Promise<void> {
  const producer = await apps.start({ options: { role: 'producer', maxRetries: 1 } });
  const job = await producer.jobs.enqueue('work', null);
  const worker = await apps.start({
    options: { backoff: { type: 'fixed', delay: 0 } },
    handlers: { work: [fail, { maxRetries: 4 }] },
  });
  expect(await worker.jobAfter('failed', job.id)).toMatchObject({ attempt: 2, maxRetries: 1 });
}

async function expectBackoff(apps: Apps): Promise<void> {
  const producer = await apps.start({ options: { role: 'producer', backoff: inHours(1) } });
  const worker = await apps.start({
    options: { backoff: inHours(2) },
    handlers: { work: [fail, { backoff: inHours(3) }], computed: [fail, { backoff: () => '3h' }] },
  });
  for (const topic of ['work', 'computed']) {
    const { id } = await producer.jobs.enqueue(topic, null);
    const { runAt, updated } = await worker.jobAfter('retrying', id);
    expect(Math.abs(runAt.getTime() - updated.getTime() - 3 * HOUR)).toBeLessThanOrEqual(1);
  }
}

async function expectLabels(apps: Apps): Promise<void> {
  const app = await apps.start({ handlers: { work: [() => undefined, { labels: ['team:billing'] }] } });
  const { id } = await app.jobs.enqueue('work', 1, { labels: ['vip'] });
  expect(await app.jobs.get(id)).toMatchObject({ labels: ['team:billing', 'vip'] });
}

async function expectPriority(apps: Apps): Promise<void> {
  const order: string[] = [];
  const app = await apps.create({
    options: { concurrency: 1 },
    handlers: {
      low: [() => void order.push('low'), { priority: 7 }],
      normal: () => void order.push('normal'),
      high: [() => void order.push('high'), { priority: -7 }],
    },
  });
  // Enqueues before the application starts, so that nothing runs until all jobs exist.
  const jobs = await app.jobs.enqueueMany(['low', 'normal', 'high'].map((topic) => ({ topic, payload: null })));
  expect(jobs.map(({ priority }) => priority)).toEqual([7, 0, -7]);
  await app.app.init();
  await app.jobs.whenIdle();
  expect(order).toEqual(['high', 'normal', 'low']);
}

async function expectExpiresIn(apps: Apps): Promise<void> {
  const app = await apps.start({ handlers: { work: [() => null, { expiresIn: '1h' }] } });
  await app.jobs.pause('work');
  const expiryMs = ({ expiresAt, created }: Job): number => expiresAt!.getTime() - created.getTime();
  expect(expiryMs(await app.jobs.enqueue('work', null))).toBe(HOUR);
  expect(expiryMs(await app.jobs.enqueue(defineJob('work', { expiresIn: '2h' }), null))).toBe(2 * HOUR);
  expect((await app.jobs.enqueue('other', null)).expiresAt).toBeNull();
}

async function expectTransaction(apps: Apps): Promise<void> {
  const app = await apps.start({
    typeOrm: { entities: [Receipt] },
    options: { maxRetries: 0 },
    handlers: {
      work: [
        async (job) => {
          await job.manager.insert(Receipt, { jobId: job.id, attempt: 1 });
          if (!job.payload) throw new Error('no');
        },
        { transactional: true },
      ],
    },
  });
  const no = await app.jobs.enqueue('work', false);
  await app.event('failed', no.id);
  const yes = await app.jobs.enqueue('work', true);
  await app.event('completed', yes.id);
  expect(await app.dataSource.getRepository(Receipt).find()).toMatchObject([{ jobId: yes.id }]);
}
