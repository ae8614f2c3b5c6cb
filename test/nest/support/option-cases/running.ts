import { AsyncLocalStorage } from 'node:async_hooks';
import type { CanActivate } from '@nestjs/common';
import { Injectable } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { EventEmitter2, EventEmitterModule } from '@nestjs/event-emitter';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { ContextOptions, JobEvent } from 'nestjs-jobs';
import { JobHandler, PayloadTooLargeError } from 'nestjs-jobs';
import { findFreePort } from '../../../support/free-port.js';
import { signal, until } from '../../../support/wait.js';
import type { Apps, Handler } from '../apps.js';
import { HandlerGate } from '../handler-gate.js';
import { everyKind, postgres, sharedKinds, sqliteFile, sqliteMemory } from '../database-kinds.js';
import { waitForAbort } from '../wait-for-abort.js';
import type { OptionCase } from './option-case.js';
import { textWith } from '../matchers.js';

const manyJobs = (count: number, topic = 'work'): { topic: string; payload: number }[] =>
  Array.from({ length: count }, (_, payload) => ({ topic, payload }));

function fail(): never {
  throw new Error('always');
}

/** The options that decide which jobs run, how many, and for how long. */
export const runningCases: readonly OptionCase[] = [
  {
    option: 'role',
    effect: "'producer' never claims, and 'worker' claims",
    kinds: sharedKinds,
    expectEffect: expectOnlyWorkersToClaim,
  },
  {
    option: 'concurrency',
    effect: 'limits the concurrent jobs',
    kinds: everyKind,
    expectEffect: expectConcurrency,
  },
  {
    option: 'topics',
    effect: 'restricts the claimed topics and warns about a topic without a handler',
    kinds: everyKind,
    expectEffect: expectOnlyNamedTopics,
  },
  {
    option: 'pollInterval',
    effect: 'finds jobs without a notification',
    kinds: everyKind,
    expectEffect: expectPolling,
  },
  {
    option: 'lease',
    effect: 'is the duration of a claim',
    kinds: everyKind,
    expectEffect: expectLease,
  },
  {
    option: 'timeout',
    effect: 'limits the duration of an attempt',
    kinds: everyKind,
    expectEffect: expectTimeout,
  },
  {
    option: 'maxRetries',
    effect: 'limits the retries of a job',
    kinds: everyKind,
    expectEffect: expectMaxRetries,
  },
  {
    option: 'backoff',
    effect: 'is the delay before a retry',
    kinds: everyKind,
    expectEffect: expectBackoff,
  },
  {
    option: 'payloadMaxBytes',
    effect: 'lowers or raises the limit of a payload at enqueue and requeue',
    kinds: everyKind,
    expectEffect: expectPayloadLimit,
  },
  {
    option: 'shutdownTimeout',
    effect: 'is the wait for running handlers at close',
    kinds: everyKind,
    expectEffect: expectShutdownTimeout,
  },
  {
    option: 'strictTopics',
    effect: 'rejects a call that uses a topic without a live handler',
    kinds: everyKind,
    expectEffect: expectStrictTopics,
  },
  {
    option: 'operationLog',
    effect: 'logs the transitions of jobs at debug level',
    kinds: everyKind,
    expectEffect: expectOperationLog,
  },
  {
    option: 'log',
    effect: "'json' logs objects",
    kinds: [sqliteFile],
    expectEffect: expectJsonLog,
  },
  {
    option: 'logs',
    effect: 'bounds the log of a job; 0 stores no line',
    kinds: [sqliteFile],
    expectEffect: expectLogLines,
  },
  {
    option: 'context',
    effect: 'carries values of the caller to the handler',
    kinds: [postgres, sqliteFile],
    expectEffect: expectContext,
  },
  {
    option: 'codec',
    effect: 'encodes payloads in the table',
    kinds: [sqliteFile],
    expectEffect: expectCodec,
  },
  {
    option: 'telemetry',
    effect: 'makes a span for each enqueue and each attempt',
    kinds: [sqliteFile],
    expectEffect: expectTelemetry,
  },
  {
    option: 'events.bridge',
    effect: 'forwards events to @nestjs/event-emitter',
    kinds: [sqliteFile],
    expectEffect: expectBridge,
  },
  {
    option: 'probe',
    effect: 'serves /ready on a port',
    kinds: [sqliteFile],
    expectEffect: expectProbe,
  },
  {
    option: 'globalEnhancers',
    effect: 'runs the global guards of the application',
    kinds: [postgres, sqliteFile, sqliteMemory],
    expectEffect: expectGlobalGuards,
  },
];

async function expectOnlyWorkersToClaim(apps: Apps): Promise<void> {
  const producer = await apps.start({
    options: { role: 'producer', pollInterval: 10 },
    handlers: { work: () => 'p' },
  });
  expect(apps.log.of('log', 'runs no jobs')).toEqual([textWith("role 'producer'")]);
  const jobs = await producer.jobs.enqueueMany(manyJobs(20));
  await producer.jobs.whenIdle();
  expect(await producer.jobs.stats()).toMatchObject({ pending: 20, total: 20 });
  const worker = await apps.start({ options: { role: 'worker' }, handlers: { work: () => 'w' } });
  for (const { id } of jobs) {
    expect(await worker.jobAfter('completed', id)).toMatchObject({ result: 'w', attempt: 1 });
  }
  expect(producer.eventsOf('started')).toEqual([]);
}

async function expectConcurrency(apps: Apps): Promise<void> {
  const gate = new HandlerGate();
  const app = await apps.start({
    options: { concurrency: 2 },
    handlers: { work: gate.handler, other: gate.handler },
  });
  await app.jobs.enqueueMany([...manyJobs(4), ...manyJobs(3, 'other')]);
  for (let completed = 1; completed <= 7; completed += 1) {
    await gate.waitFor(Math.min(2, 8 - completed));
    gate.release();
    await until(() => app.eventsOf('completed').length === completed);
  }
  expect(gate.most).toBe(2);
}

async function expectOperationLog(apps: Apps): Promise<void> {
  for (const operationLog of [false, true]) {
    // Each process has a topic of its own, so that it runs the job itself.
    const topic = `mail.${operationLog}`;
    const app = await apps.start({ options: { operationLog }, handlers: { [topic]: () => 1 } });
    const { id } = await app.jobs.enqueue(topic, null);
    await app.jobAfter('completed', id);
    expect(apps.log.of('debug', id).length > 0).toBe(operationLog);
  }
}

async function expectStrictTopics(apps: Apps): Promise<void> {
  const app = await apps.start({ options: { strictTopics: true }, handlers: { mail: () => 1 } });
  await expect(app.jobs.enqueue('mial', null)).rejects.toThrow("no live process handles 'mial'; did you mean 'mail'?");
  expect(await app.jobs.enqueue('mail', null)).toMatchObject({ status: 'pending' });
}

async function expectOnlyNamedTopics(apps: Apps): Promise<void> {
  const app = await apps.start({
    options: { topics: ['mine', 'unhandled'] },
    handlers: { mine: () => 1, other: () => 2 },
  });
  const other = await app.jobs.enqueue('other', null, { priority: -100 });
  const mine = await app.jobs.enqueue('mine', null);
  await app.event('completed', mine.id);
  await app.jobs.whenIdle();
  expect(await app.job(other.id)).toMatchObject({ status: 'pending', attempt: 0 });
  expect(apps.log.of('warn', "topics names 'unhandled'")).toHaveLength(1);
}

async function expectPolling(apps: Apps): Promise<void> {
  const app = await apps.start({ options: { pollInterval: 20 }, handlers: { work: () => null } });
  const template = await app.jobs.enqueue('work', null);
  const since = performance.now();
  for (let round = 1; round <= 10; round += 1) {
    await until(() => app.eventsOf('completed').length === round);
    // Written directly to the database, so no notification is sent.
    const id = template.id.replace(/.{4}$/, `f${String(round).padStart(3, '0')}`);
    const { created } = template;
    await app.rows.insert({ id, topic: 'work', payload: round, runAt: created, created, updated: created });
  }
  await until(() => app.eventsOf('completed').length === 11);
  // Polling at the default interval of 1 s would take 10 s.
  expect(performance.now() - since).toBeLessThan(6_000);
}

async function expectLease(apps: Apps): Promise<void> {
  const end = signal();
  const app = await apps.start({ options: { lease: '17s' }, handlers: { work: () => end.promise } });
  const { id } = await app.jobs.enqueue('work', null);
  await app.event('started', id);
  const { lockedUntil, started } = await app.job(id);
  expect(lockedUntil!.getTime() - started!.getTime()).toBe(17_000);
  end.resolve();
}

async function expectTimeout(apps: Apps): Promise<void> {
  const app = await apps.start({ options: { timeout: '40ms', maxRetries: 0 }, handlers: { work: waitForAbort } });
  const { id } = await app.jobs.enqueue('work', null);
  expect(await app.jobAfter('failed', id)).toMatchObject({
    lastError: textWith('40 ms'),
  });
}

async function expectMaxRetries(apps: Apps): Promise<void> {
  const backoff = { type: 'fixed', delay: 0 } as const;
  const app = await apps.start({ options: { maxRetries: 5, backoff }, handlers: { work: fail } });
  const job = await app.jobs.enqueue('work', null);
  expect(job.maxRetries).toBe(5);
  expect(await app.jobAfter('failed', job.id)).toMatchObject({ attempt: 6, retries: 5, maxRetries: 5 });
}

async function expectBackoff(apps: Apps): Promise<void> {
  const app = await apps.start({
    options: { backoff: { type: 'fixed', delay: '3h', jitter: 0 } },
    handlers: { work: fail },
  });
  const { id } = await app.jobs.enqueue('work', null);
  const { runAt, updated } = await app.jobAfter('retrying', id);
  expect(Math.abs(runAt.getTime() - updated.getTime() - 3 * 3_600_000)).toBeLessThanOrEqual(1);
}

async function expectPayloadLimit(apps: Apps): Promise<void> {
  const small = await apps.start({ options: { payloadMaxBytes: 20 } });
  const { id } = await small.jobs.enqueue('work', 'é'.repeat(9));
  await expect(small.jobs.enqueue('work', `a${'é'.repeat(9)}`)).rejects.toMatchObject({ bytes: 21, bytesMax: 20 });
  await small.jobs.cancel(id);
  await expect(small.jobs.requeue(id, { payload: 'x'.repeat(19) })).rejects.toThrow(PayloadTooLargeError);
  await small.close();
  const large = await apps.start({ options: { payloadMaxBytes: 2_000_000 } });
  const payload = 'x'.repeat(1_999_998);
  const job = await large.jobs.enqueue('work', payload);
  expect((await large.job(job.id)).payload).toBe(payload);
}

async function expectShutdownTimeout(apps: Apps): Promise<void> {
  const app = await apps.start({ options: { shutdownTimeout: 30 }, handlers: { work: waitForAbort } });
  const { id } = await app.jobs.enqueue('work', null);
  await app.event('started', id);
  const since = performance.now();
  await app.close();
  expect(performance.now() - since).toBeLessThan(10_000);
  expect(app.eventsOf('released', id)).toHaveLength(1);
  expect(apps.log.of('warn', 'shutdownTimeout (30 ms)')).toHaveLength(1);
}

async function expectJsonLog(apps: Apps): Promise<void> {
  const app = await apps.start({ options: { log: 'json', maxRetries: 0 }, handlers: { work: fail } });
  const { id } = await app.jobs.enqueue('work', null);
  await app.event('failed', id);
  const [record] = apps.log.records.filter(({ event }) => event === 'failed');
  expect(record).toMatchObject({ job_id: id, topic: 'work', attempt: 1, error: 'always' });
  expect(record!.message).toMatch(RegExp(`^failed work ${id} attempt 1 in .* ms: always$`));
  expect(record!.duration_ms).toBeGreaterThanOrEqual(0);
  expect(apps.log.records.map(({ event }) => event)).toEqual(expect.arrayContaining(['enqueued', 'started', 'failed']));
}

async function expectLogLines(apps: Apps): Promise<void> {
  for (const maxLines of [0, 2]) {
    // Each process has a topic of its own, so that it runs the job itself.
    const topic = `lines.${maxLines}`;
    const handle: Handler = (job) => ['a', 'b', 'c'].forEach((message) => job.log(message));
    const app = await apps.start({ options: { logs: { maxLines } }, handlers: { [topic]: handle } });
    const { id } = await app.jobs.enqueue(topic, null);
    await app.jobAfter('completed', id);
    const lines = await app.jobs.logs(id);
    expect(lines.map(({ message }) => message)).toEqual(['a', 'b', 'c'].slice(3 - maxLines));
  }
}

async function expectContext(apps: Apps): Promise<void> {
  const tenants = new AsyncLocalStorage<string>();
  const context: ContextOptions = {
    capture: () => tenants.getStore(),
    run: (id: string, next) => tenants.run(id, next),
  };
  const app = await apps.start({ options: { context }, handlers: { work: () => tenants.getStore() ?? 'none' } });
  const { id } = await tenants.run('seven', () => app.jobs.enqueue('work', null));
  expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'seven', metadata: { $context: 'seven' } });
  const other = await app.jobs.enqueue('work', null);
  expect(await app.jobAfter('completed', other.id)).toMatchObject({ result: 'none', metadata: null });
}

async function expectCodec(apps: Apps): Promise<void> {
  const codec = { encode: (payload: unknown) => [payload], decode: ([payload]: unknown[]) => payload };
  const app = await apps.start({ options: { codec }, handlers: { work: (job) => job.payload as unknown } });
  const { id } = await app.jobs.enqueue('work', 'plain');
  expect(await app.jobAfter('completed', id)).toMatchObject({ payload: ['plain'], result: 'plain' });
}

async function expectTelemetry(apps: Apps): Promise<void> {
  const exporter = new InMemorySpanExporter();
  const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  const app = await apps.start({ options: { telemetry: { tracerProvider } }, handlers: { work: () => null } });
  const { id } = await app.jobs.enqueue('work', null);
  await app.event('completed', id);
  expect(exporter.getFinishedSpans().map(({ name }) => name)).toEqual(['enqueue work', 'process work']);
}

async function expectBridge(apps: Apps): Promise<void> {
  const app = await apps.start({
    imports: [EventEmitterModule.forRoot()],
    options: { events: { bridge: 'jobs/' } },
    handlers: { work: () => null },
  });
  const forwarded: JobEvent[] = [];
  app.module.get(EventEmitter2).on('jobs/completed', (event: JobEvent) => void forwarded.push(event));
  const { id } = await app.jobs.enqueue('work', null);
  expect(await app.event('completed', id)).toBe(forwarded[0]);
}

async function expectProbe(apps: Apps): Promise<void> {
  const port = await findFreePort();
  await apps.start({ options: { probe: port } });
  expect((await fetch(`http://127.0.0.1:${port}/ready`)).status).toBe(200);
}

async function expectGlobalGuards(apps: Apps): Promise<void> {
  @Injectable()
  class ClosedGuard implements CanActivate {
    canActivate(): boolean {
      return false;
    }
  }
  @Injectable()
  class GuardedJobs {
    @JobHandler('guarded', { maxRetries: 0 })
    run(): void {}
  }
  const providers = [GuardedJobs, { provide: APP_GUARD, useClass: ClosedGuard }];
  const open = await apps.start({ providers });
  await open.event('completed', (await open.jobs.enqueue('guarded', null)).id);
  await open.close();
  const guarded = await apps.start({ providers, options: { globalEnhancers: true } });
  await guarded.event('failed', (await guarded.jobs.enqueue('guarded', null)).id);
}
