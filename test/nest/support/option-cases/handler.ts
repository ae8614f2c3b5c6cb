import { until } from '../../../support/wait.js';
import type { Apps, Handler } from '../apps.js';
import { Crowd } from '../crowd.js';
import { everyKind, postgres, sharedKinds } from '../database-kinds.js';
import { obey } from '../obedient-handler.js';
import { Receipt } from '../receipt.js';
import type { OptionCase } from './option-case.js';
import { textWith } from '../matchers.js';

const HOUR = 3_600_000;
const inHours = (hours: number) => ({ type: 'fixed', delay: hours * HOUR, jitter: 0 }) as const;

const fail: Handler = () => {
  throw new Error('always');
};

/** What a handler says of its topic; each wins over the module. */
export const handlerCases: readonly OptionCase[] = [
  {
    option: 'concurrency',
    effect: 'is the most jobs of the topic at once, while other topics use the slots that are left',
    kinds: everyKind,
    expectEffect: expectConcurrency,
  },
  {
    option: 'concurrency',
    effect: 'does not lift the limit of the module',
    kinds: everyKind,
    expectEffect: expectConcurrencyWithinTheModules,
  },
  {
    option: 'timeout',
    effect: 'wins over the module',
    kinds: everyKind,
    expectEffect: expectTimeout,
  },
  {
    option: 'maxRetries',
    effect: 'wins over the module, for jobs enqueued where the handler is known',
    kinds: everyKind,
    expectEffect: expectMaxRetries,
  },
  {
    option: 'maxRetries',
    effect: 'is unknown where the handler is not: the default of the module that enqueues is fixed in the row',
    kinds: sharedKinds,
    expectEffect: expectMaxRetriesOfTheProducer,
  },
  {
    option: 'backoff',
    effect: 'wins over the module, as an object and as a function, wherever the job was enqueued',
    kinds: sharedKinds,
    expectEffect: expectBackoff,
  },
  {
    option: 'priority',
    effect: 'is that of the jobs of the topic, enqueued where the handler is known',
    kinds: everyKind,
    expectEffect: expectPriority,
  },
  {
    option: 'transactional',
    effect: 'rolls back what a failing handler wrote through job.manager',
    kinds: [postgres],
    expectEffect: expectTransaction,
  },
];

async function expectConcurrency(apps: Apps): Promise<void> {
  const [few, many] = [new Crowd(), new Crowd()];
  const app = await apps.start({
    options: { concurrency: 6 },
    handlers: { few: [few.handler, { concurrency: 2 }], many: many.handler },
  });
  await app.jobs.enqueueMany(Array.from({ length: 5 }, () => ({ topic: 'few', payload: null, priority: -5 })));
  await few.grows(2);
  await app.jobs.enqueueMany(Array.from({ length: 4 }, () => ({ topic: 'many', payload: null })));
  await many.grows(4);
  for (let completed = 1; completed <= 5; completed += 1) {
    await few.grows(Math.min(2, 6 - completed));
    few.letOneGo();
    await until(() => app.eventsOf('completed').length === completed);
  }
  expect(few.most).toBe(2);
  expect(many.most).toBe(4);
  while (many.size > 0) many.letOneGo();
}

async function expectConcurrencyWithinTheModules(apps: Apps): Promise<void> {
  const crowd = new Crowd();
  const app = await apps.start({
    options: { concurrency: 2 },
    handlers: { work: [crowd.handler, { concurrency: 50 }] },
  });
  await app.jobs.enqueueMany(Array.from({ length: 4 }, () => ({ topic: 'work', payload: null })));
  for (let completed = 1; completed <= 4; completed += 1) {
    await crowd.grows(Math.min(2, 5 - completed));
    crowd.letOneGo();
    await until(() => app.eventsOf('completed').length === completed);
  }
  expect(crowd.most).toBe(2);
}

async function expectTimeout(apps: Apps): Promise<void> {
  const app = await apps.start({
    options: { timeout: '1h', maxRetries: 0 },
    handlers: { work: [obey, { timeout: '70ms' }] },
  });
  const job = await app.jobs.enqueue('work', null);
  expect(job.timeoutMs).toBeNull();
  expect(await app.jobAfter('failed', job.id)).toMatchObject({
    lastError: textWith('timeout of 70 ms'),
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

async function expectMaxRetriesOfTheProducer(apps: Apps): Promise<void> {
  const desk = await apps.start({ options: { role: 'producer', maxRetries: 1 } });
  const job = await desk.jobs.enqueue('work', null);
  const worker = await apps.start({
    options: { backoff: { type: 'fixed', delay: 0 } },
    handlers: { work: [fail, { maxRetries: 4 }] },
  });
  expect(await worker.jobAfter('failed', job.id)).toMatchObject({ attempt: 2, maxRetries: 1 });
}

async function expectBackoff(apps: Apps): Promise<void> {
  const desk = await apps.start({ options: { role: 'producer', backoff: inHours(1) } });
  const worker = await apps.start({
    options: { backoff: inHours(2) },
    handlers: { work: [fail, { backoff: inHours(3) }], computed: [fail, { backoff: () => '3h' }] },
  });
  for (const topic of ['work', 'computed']) {
    const { id } = await desk.jobs.enqueue(topic, null);
    const { runAt, updated } = await worker.jobAfter('retrying', id);
    expect(Math.abs(runAt.getTime() - updated.getTime() - 3 * HOUR)).toBeLessThanOrEqual(1);
  }
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
  // Before the application starts, so that nothing runs until all are there.
  const jobs = await app.jobs.enqueueMany(['low', 'normal', 'high'].map((topic) => ({ topic, payload: null })));
  expect(jobs.map(({ priority }) => priority)).toEqual([7, 0, -7]);
  await app.app.init();
  await app.jobs.whenIdle();
  expect(order).toEqual(['high', 'normal', 'low']);
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
