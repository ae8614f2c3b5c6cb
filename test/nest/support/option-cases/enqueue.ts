import type { JobContext } from 'nestjs-jobs';
import { signal, until } from '../../../support/wait.js';
import type { Apps, Handler } from '../apps.js';
import { everyKind } from '../database-kinds.js';
import { waitForAbort } from '../wait-for-abort.js';
import type { OptionCase } from './option-case.js';

const HOUR = 3_600_000;
const inHours = (hours: number) => ({ type: 'fixed', delay: hours * HOUR, jitter: 0 }) as const;

const fail: Handler = () => {
  throw new Error('always');
};

/** The options of enqueue. Each overrides the handler, which overrides the module. */
export const enqueueCases: readonly OptionCase[] = [
  {
    option: 'runAt',
    effect: 'is the earliest start of the job',
    kinds: everyKind,
    expectEffect: expectRunAt,
  },
  {
    option: 'delay',
    effect: 'delays the job, by the clock of the database',
    kinds: everyKind,
    expectEffect: expectDelay,
  },
  {
    option: 'expiresIn',
    effect: 'overrides the handler, and cancels a job that has not started by then',
    kinds: everyKind,
    expectEffect: expectExpiresIn,
  },
  {
    option: 'expiresAt',
    effect: 'overrides the handler, and must be later than the earliest start',
    kinds: everyKind,
    expectEffect: expectExpiresAt,
  },
  {
    option: 'maxRetries',
    effect: 'overrides the handler and the module',
    kinds: everyKind,
    expectEffect: expectMaxRetries,
  },
  {
    option: 'priority',
    effect: 'runs lower values first and overrides the handler',
    kinds: everyKind,
    expectEffect: expectPriority,
  },
  {
    option: 'timeout',
    effect: 'overrides the handler and the module',
    kinds: everyKind,
    expectEffect: expectTimeout,
  },
  {
    option: 'backoff',
    effect: 'overrides the handler and the module',
    kinds: everyKind,
    expectEffect: expectBackoff,
  },
  {
    option: 'uniqueKey',
    effect: 'allows one unfinished job per topic and key',
    kinds: everyKind,
    expectEffect: expectUniqueKey,
  },
  {
    option: 'uniqueUntil',
    effect: 'frees the key when the job starts',
    kinds: everyKind,
    expectEffect: expectUniqueUntil,
  },
  {
    option: 'uniqueFor',
    effect: 'keeps the key after the job has ended',
    kinds: everyKind,
    expectEffect: expectUniqueFor,
  },
  {
    option: 'debounce',
    effect: 'runs once with the last payload, after the last call',
    kinds: everyKind,
    expectEffect: expectDebounce,
  },
  {
    option: 'concurrencyKey',
    effect: 'is stored',
    kinds: everyKind,
    expectEffect: expectConcurrencyKey,
  },
  {
    option: 'labels',
    effect: 'are stored, and find the job',
    kinds: everyKind,
    expectEffect: expectLabels,
  },
  {
    option: 'metadata',
    effect: 'is stored and passed to the handler',
    kinds: everyKind,
    expectEffect: expectMetadata,
  },
];

async function expectRunAt(apps: Apps): Promise<void> {
  const app = await apps.start({ options: { pollInterval: '1h' }, handlers: { work: () => null } });
  const runAt = new Date(Date.now() + 300);
  const job = await app.jobs.enqueue('work', null, { runAt });
  expect(job.runAt).toEqual(runAt);
  const { runAt: due, started } = await app.jobAfter('completed', job.id);
  expect(due).toEqual(runAt);
  expect(started!.getTime() - runAt.getTime()).toBeGreaterThanOrEqual(0);
  expect(started!.getTime() - runAt.getTime()).toBeLessThan(30_000);
}

async function expectDelay(apps: Apps): Promise<void> {
  const app = await apps.start({ options: { pollInterval: '1h' }, handlers: { work: () => null } });
  const job = await app.jobs.enqueue('work', null, { delay: '250ms' });
  expect(Math.abs(job.runAt.getTime() - job.created.getTime() - 250)).toBeLessThanOrEqual(1);
  const { started } = await app.jobAfter('completed', job.id);
  expect(started!.getTime() - job.runAt.getTime()).toBeGreaterThanOrEqual(0);
  expect(started!.getTime() - job.runAt.getTime()).toBeLessThan(30_000);
}

async function expectExpiresIn(apps: Apps): Promise<void> {
  const app = await apps.start({ handlers: { work: [() => null, { expiresIn: '1h' }] } });
  await app.jobs.pause('work');
  const job = await app.jobs.enqueue('work', null, { expiresIn: 1 });
  expect(job.expiresAt!.getTime() - job.created.getTime()).toBe(1);
  expect(await app.jobAfter('expired', job.id)).toMatchObject({
    status: 'cancelled',
    lastError: 'expired',
    expiresAt: job.expiresAt,
    started: null,
  });
  await expect(app.jobs.enqueue('work', null, { delay: '1h', expiresIn: '1h' })).rejects.toMatchObject({
    code: 'INVALID_OPTIONS',
    option: 'expiresIn',
  });
}

async function expectExpiresAt(apps: Apps): Promise<void> {
  const app = await apps.start({ handlers: { work: [() => null, { expiresIn: '1h' }] } });
  const runAt = new Date('2035-01-01T00:00:00.000Z');
  const expiresAt = new Date(runAt.getTime() + 1);
  expect(await app.jobs.enqueue('work', null, { runAt, expiresAt })).toMatchObject({ runAt, expiresAt });
  // The second has the expiry of the handler.
  for (const options of [{ runAt, expiresAt: runAt }, { runAt }]) {
    await expect(app.jobs.enqueue('work', null, options)).rejects.toThrow(/the job could never start/);
  }
  const [past] = await app.jobs.enqueueMany([{ topic: 'work', payload: null, expiresAt: new Date(0) }]);
  await app.event('expired', past!.id);
}

async function expectMaxRetries(apps: Apps): Promise<void> {
  const app = await apps.start({
    options: { maxRetries: 5, backoff: { type: 'fixed', delay: 0 } },
    handlers: { work: [fail, { maxRetries: 4 }] },
  });
  for (const maxRetries of [1, 0]) {
    const job = await app.jobs.enqueue('work', null, { maxRetries });
    expect(job.maxRetries).toBe(maxRetries);
    expect(await app.jobAfter('failed', job.id)).toMatchObject({ attempt: maxRetries + 1, retries: maxRetries });
  }
}

async function expectPriority(apps: Apps): Promise<void> {
  const order: string[] = [];
  const start = signal();
  const app = await apps.start({
    options: { concurrency: 1 },
    handlers: {
      first: () => start.promise,
      work: [(job: JobContext<string>) => void order.push(job.payload), { priority: 3 }],
      other: (job: JobContext<string>) => void order.push(job.payload),
    },
  });
  const first = await app.jobs.enqueue('first', null);
  await app.event('started', first.id);
  await app.jobs.enqueueMany([
    { topic: 'work', payload: 'last', priority: 1_000 },
    { topic: 'work', payload: 'of the handler' },
    { topic: 'work', payload: 'zero', priority: 0 },
    { topic: 'other', payload: 'between', priority: 2 },
    { topic: 'work', payload: 'urgent', priority: -1_000 },
  ]);
  start.resolve();
  await app.jobs.whenIdle();
  expect(order).toEqual(['urgent', 'zero', 'between', 'of the handler', 'last']);
  expect((await app.jobs.list({ topic: 'work' })).items.map(({ priority }) => priority)).toEqual([-1_000, 0, 3, 1_000]);
}

async function expectTimeout(apps: Apps): Promise<void> {
  const app = await apps.start({
    options: { timeout: '1h', maxRetries: 0 },
    handlers: { work: [waitForAbort, { timeout: '2h' }] },
  });
  const job = await app.jobs.enqueue('work', null, { timeout: '60ms' });
  expect(job.timeoutMs).toBe(60);
  const { lastError, timeoutMs } = await app.jobAfter('failed', job.id);
  expect(lastError).toContain('60 ms');
  expect(timeoutMs).toBe(60);
}

async function expectBackoff(apps: Apps): Promise<void> {
  const app = await apps.start({
    options: { backoff: inHours(1) },
    handlers: { work: [fail, { backoff: inHours(2) }], computed: [fail, { backoff: () => 2 * HOUR }] },
  });
  for (const topic of ['work', 'computed']) {
    const { id } = await app.jobs.enqueue(topic, null, { backoff: inHours(3) });
    const { runAt, updated } = await app.jobAfter('retrying', id);
    expect(Math.abs(runAt.getTime() - updated.getTime() - 3 * HOUR)).toBeLessThanOrEqual(1);
  }
}

async function expectUniqueKey(apps: Apps): Promise<void> {
  const end = signal();
  const app = await apps.start({ handlers: { work: () => end.promise } });
  const first = await app.jobs.enqueue('work', 1, { uniqueKey: 'a' });
  const second = await app.jobs.enqueue('work', 2, { uniqueKey: 'a' });
  expect(first).toMatchObject({ uniqueKey: 'a', payload: 1 });
  expect(first.deduplicated).toBe(false);
  expect(second).toMatchObject({ id: first.id, payload: 1, deduplicated: true });
  await app.event('started', first.id);
  expect(await app.jobs.enqueue('work', 3, { uniqueKey: 'a' })).toMatchObject({
    id: first.id,
    status: 'processing',
  });
  expect((await app.jobs.enqueue('work', 4, { uniqueKey: 'b' })).id).not.toBe(first.id);
  expect((await app.jobs.enqueue('other', 5, { uniqueKey: 'a' })).id).not.toBe(first.id);
  end.resolve();
  await app.event('completed', first.id);
  expect((await app.jobs.enqueue('work', 6, { uniqueKey: 'a' })).id).not.toBe(first.id);
  expect(await app.jobs.stats()).toMatchObject({ total: 4 });
  expect(app.eventsOf('enqueued').filter(({ deduplicated }) => deduplicated)).toHaveLength(2);
}

async function expectUniqueUntil(apps: Apps): Promise<void> {
  const end = signal();
  const app = await apps.start({ options: { pollInterval: '1h' }, handlers: { work: () => end.promise } });
  const options = { uniqueKey: 'a', uniqueUntil: 'started' } as const;
  const first = await app.jobs.enqueue('work', 1, options);
  await app.event('started', first.id);
  const [second, third] = [await app.jobs.enqueue('work', 2, options), await app.jobs.enqueue('work', 3)];
  expect(second).toMatchObject({ uniqueKey: 'a', deduplicated: false });
  end.resolve();
  for (const { id } of [first, second, third]) {
    expect(await app.jobAfter('completed', id)).toMatchObject({ attempt: 1 });
  }
}

async function expectUniqueFor(apps: Apps): Promise<void> {
  const app = await apps.start({
    options: { pollInterval: '1h', retention: { completed: 0 } },
    handlers: { work: () => null },
  });
  const options = { uniqueKey: 'a', uniqueFor: '1s' } as const;
  const first = await app.jobs.enqueue('work', 1, options);
  await app.event('completed', first.id);
  await app.jobs.whenIdle();
  expect(await app.jobs.enqueue('work', 2, options)).toMatchObject({ id: first.id, payload: 1, deduplicated: true });
  expect(await app.jobs.getByKey('work', 'a')).toMatchObject({ id: first.id, status: 'completed' });
  const next = await until(async () => {
    const job = await app.jobs.enqueue('work', 3, options);
    return job.deduplicated ? undefined : job;
  });
  expect(next!.created.getTime() - first.created.getTime()).toBeGreaterThanOrEqual(1_000 - 1);
}

async function expectDebounce(apps: Apps): Promise<void> {
  const app = await apps.start({
    options: { pollInterval: '1h' },
    handlers: { work: ({ payload }: JobContext<number>) => payload },
  });
  const options = { uniqueKey: 'a', debounce: '300ms' } as const;
  await app.jobs.pause('work');
  const first = await app.jobs.enqueue('work', 1, options);
  expect(first).toMatchObject({ deduplicated: false, uniqueKey: 'a' });
  expect(first.replaced).toBeUndefined();
  expect(first.runAt.getTime() - first.created.getTime()).toBe(300);
  const second = await app.jobs.enqueue('work', 2, options);
  expect(second).toMatchObject({ id: first.id, payload: 2, deduplicated: true, replaced: true });
  await app.jobs.resume('work');
  const { result, started, attempt } = await app.jobAfter('completed', first.id);
  expect({ result, attempt }).toEqual({ result: 2, attempt: 1 });
  expect(started!.getTime() - second.runAt.getTime()).toBeGreaterThanOrEqual(0);
  expect(started!.getTime() - second.runAt.getTime()).toBeLessThan(30_000);
  expect(app.eventsOf('replaced')).toEqual([{ type: 'replaced', id: first.id, topic: 'work', runAt: second.runAt }]);
  expect(app.eventsOf('enqueued')).toHaveLength(1);
}

async function expectConcurrencyKey(apps: Apps): Promise<void> {
  const app = await apps.start({});
  const job = await app.jobs.enqueue('work', 1, { concurrencyKey: 'tenant-7' });
  expect(job).toMatchObject({ concurrencyKey: 'tenant-7' });
  expect(await app.jobs.get(job.id)).toMatchObject({ concurrencyKey: 'tenant-7' });
}

async function expectLabels(apps: Apps): Promise<void> {
  const app = await apps.start({});
  const job = await app.jobs.enqueue('work', 1, { labels: ['vip', 'team:billing'] });
  expect(job).toMatchObject({ labels: ['vip', 'team:billing'] });
  const { items } = await app.jobs.list({ label: ['team:billing', 'vip'] });
  expect(items).toMatchObject([{ id: job.id, labels: ['vip', 'team:billing'] }]);
}

async function expectMetadata(apps: Apps): Promise<void> {
  const metadata = { requestId: 'r-1', tags: ['a', 'é'], nested: { deep: null } };
  const app = await apps.start({ handlers: { work: (job) => job.metadata } });
  const job = await app.jobs.enqueue('work', null, { metadata });
  expect(job.metadata).toEqual(metadata);
  expect(await app.jobAfter('completed', job.id)).toMatchObject({ metadata, result: metadata });
}
