import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } from '@opentelemetry/core';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { Controller, Inject, Injectable, Post } from '@nestjs/common';
import type { INestApplication } from '@nestjs/common';
import { getDataSourceToken } from '@nestjs/typeorm';
import { JobHandler, JobsService, SnoozeError } from 'nestjs-jobs';
import type { JobBatch, JobContext, TelemetryOptions } from 'nestjs-jobs';
import type { DataSource } from 'typeorm';
import { useApps } from '../nest/support/apps.js';
import { postgres, sqliteFile } from '../nest/support/database-kinds.js';
import type { TestApp } from '../nest/support/test-app.js';
import { signal, until } from '../support/wait.js';

const exporter = new InMemorySpanExporter();
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
const tracer = provider.getTracer('test');

beforeAll(() => {
  trace.setGlobalTracerProvider(provider);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(
    new CompositePropagator({ propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()] }),
  );
});
afterEach(() => exporter.reset());
afterAll(() => {
  trace.disable();
  context.disable();
  propagation.disable();
});

@Controller()
class OrdersController {
  constructor(
    @Inject(JobsService) private readonly jobs: JobsService,
    @Inject(getDataSourceToken()) private readonly dataSource: DataSource,
  ) {}

  @Post('orders')
  async order(): Promise<string> {
    const { id } = await this.dataSource.transaction((manager) => this.jobs.enqueueTx(manager, 'bill', { order: 7 }));
    return id;
  }
}

@Injectable()
class OrderJobs {
  baggage: string | undefined;

  constructor(@Inject(JobsService) private readonly jobs: JobsService) {}

  @JobHandler('bill')
  async bill(): Promise<void> {
    this.baggage = propagation.getActiveBaggage()?.getEntry('tenant')?.value;
    await this.jobs.enqueueMany([
      { topic: 'mail', payload: 1 },
      { topic: 'mail', payload: 2 },
    ]);
  }

  @JobHandler('mail')
  async mail(): Promise<void> {
    await new Promise(setImmediate);
    tracer.startSpan('send').end();
  }
}

/** The middleware of an instrumented application: a span for each request. */
function instrument(app: INestApplication): void {
  app.use((request: { headers: object }, _response: unknown, next: () => void) => {
    const parent = propagation.extract(context.active(), request.headers);
    const span = tracer.startSpan('POST /orders', { kind: SpanKind.SERVER }, parent);
    context.with(trace.setSpan(parent, span), next);
    span.end();
  });
}

function find(name: string): ReadableSpan[] {
  return exporter.getFinishedSpans().filter((span) => span.name === name);
}

const idOf = (span: ReadableSpan): string => span.spanContext().spanId;
const traceOf = (span: ReadableSpan): string => span.spanContext().traceId;

describe.each([postgres, sqliteFile])('one trace on $label', (kind) => {
  const apps = useApps(kind);

  const startApp = async (telemetry: TelemetryOptions): Promise<TestApp> => {
    const test = await apps.create({ options: { telemetry }, controllers: [OrdersController], providers: [OrderJobs] });
    instrument(test.app);
    await test.app.listen(0);
    return test;
  };
  const order = async (test: TestApp): Promise<string> => {
    const response = await fetch(`${await test.app.getUrl()}/orders`, {
      method: 'POST',
      headers: { baggage: 'tenant=seven' },
    });
    const id = await response.text();
    await test.event('completed', undefined, 3);
    return id;
  };

  it("with traces: 'parent' leads from an HTTP request through enqueueTx and the handler to a nested enqueue", async () => {
    const app = await startApp({ traces: 'parent' });
    const id = await order(app);
    const [[request], [enqueue], [bill], [nested], mails, sends] = [
      'POST /orders', 'enqueue bill', 'process bill', 'enqueue mail', 'process mail', 'send',
    ].map(find) as [ReadableSpan[], ReadableSpan[], ReadableSpan[], ReadableSpan[], ReadableSpan[], ReadableSpan[]]; // prettier-ignore
    expect(new Set(exporter.getFinishedSpans().map(traceOf)).size).toBe(1);
    expect(enqueue!.parentSpanContext?.spanId).toBe(idOf(request!));
    expect(bill!.parentSpanContext?.spanId).toBe(idOf(enqueue!));
    expect(bill!.links.map((link) => link.context.spanId)).toEqual([idOf(enqueue!)]);
    expect(nested!.parentSpanContext?.spanId).toBe(idOf(bill!));
    expect(mails.map((mail) => mail.parentSpanContext?.spanId)).toEqual([idOf(nested!), idOf(nested!)]);
    expect(sends.map((send) => send.parentSpanContext?.spanId).sort()).toEqual(mails.map(idOf).sort());
    expect(app.module.get(OrderJobs).baggage).toBe('seven');

    expect(enqueue).toMatchObject({
      kind: SpanKind.PRODUCER,
      attributes: {
        'messaging.system': 'nestjs_jobs',
        'messaging.operation.name': 'enqueue',
        'messaging.operation.type': 'send',
        'messaging.destination.name': 'bill',
        'messaging.message.id': id,
      },
    });
    expect(nested!.attributes).toMatchObject({
      'messaging.destination.name': 'mail',
      'messaging.batch.message_count': 2,
    });
    expect(bill).toMatchObject({
      kind: SpanKind.CONSUMER,
      status: { code: SpanStatusCode.UNSET },
      attributes: {
        'messaging.system': 'nestjs_jobs',
        'messaging.operation.name': 'process',
        'messaging.operation.type': 'process',
        'messaging.destination.name': 'bill',
        'messaging.message.id': id,
        'messaging.nestjs_jobs.attempt': 1,
        'messaging.nestjs_jobs.outcome': 'completed',
      },
    });
    expect((await app.job(id)).metadata).toEqual({
      $trace: { traceparent: `00-${traceOf(enqueue!)}-${idOf(enqueue!)}-01`, baggage: 'tenant=seven' },
    });
  });

  it('by default starts a trace at each attempt, linked to the enqueue', async () => {
    const app = await startApp({});
    await order(app);
    const [[request], [enqueue], [bill], [nested], mails] = [
      'POST /orders', 'enqueue bill', 'process bill', 'enqueue mail', 'process mail',
    ].map(find) as [ReadableSpan[], ReadableSpan[], ReadableSpan[], ReadableSpan[], ReadableSpan[]]; // prettier-ignore
    expect(traceOf(enqueue!)).toBe(traceOf(request!));
    expect(bill!.parentSpanContext).toBeUndefined();
    expect(bill!.links.map((link) => link.context.spanId)).toEqual([idOf(enqueue!)]);
    expect(traceOf(nested!)).toBe(traceOf(bill!));
    expect(mails.map((mail) => mail.links[0]!.context.spanId)).toEqual([idOf(nested!), idOf(nested!)]);
    expect(new Set([request!, bill!, ...mails].map(traceOf)).size).toBe(4);
  });
});

describe('spans', () => {
  const apps = useApps(sqliteFile);

  it('have the status of each outcome', async () => {
    class ProviderError extends Error {}
    const app = await apps.start({
      options: { telemetry: {}, maxRetries: 1, backoff: { type: 'fixed', delay: 0 } },
      handlers: {
        flaky: ({ attempt }: JobContext) => {
          if (attempt === 1) throw new ProviderError('no answer');
        },
        lost: () => Promise.reject(new TypeError('x is not a function')),
        snoozed: ({ attempt }: JobContext) => {
          if (attempt === 1) throw new SnoozeError(1);
        },
      },
    });
    for (const topic of ['flaky', 'lost', 'snoozed']) await app.jobs.enqueue(topic, null);
    await until(() => exporter.getFinishedSpans().filter(({ kind }) => kind === SpanKind.CONSUMER).length === 6);
    const seen = (topic: string): unknown[] =>
      find(`process ${topic}`).map(({ status, attributes, events }) => [
        attributes['messaging.nestjs_jobs.attempt'],
        attributes['messaging.nestjs_jobs.outcome'],
        status.code,
        attributes['error.type'],
        events[0]?.attributes?.['exception.message'],
      ]);
    const { ERROR, UNSET } = SpanStatusCode;
    expect(seen('flaky')).toEqual([
      [1, 'retrying', ERROR, 'ProviderError', 'no answer'],
      [2, 'completed', UNSET, undefined, undefined],
    ]);
    expect(seen('lost')).toEqual([
      [1, 'retrying', ERROR, 'TypeError', 'x is not a function'],
      [2, 'failed', ERROR, 'TypeError', 'x is not a function'],
    ]);
    expect(seen('snoozed')).toEqual([
      [1, 'snoozed', UNSET, undefined, undefined],
      [2, 'completed', UNSET, undefined, undefined],
    ]);
  });

  it('are one for each job of a batch', async () => {
    const app = await apps.create({ options: { telemetry: { traces: 'parent' } } });
    const register = app.jobs.register.bind(app.jobs) as (topic: string, handler: unknown, options: object) => void;
    const handler = (jobs: JobBatch): void => {
      tracer.startSpan('index').end();
      jobs[1]!.fail(new RangeError('too long'));
    };
    register('index', handler, { batch: { size: 2, wait: '1m' }, maxRetries: 0 });
    await app.app.init();
    await Promise.all([1, 2].map((payload) => app.jobs.enqueue('index', payload)));
    await app.event('failed');
    await app.event('completed');
    const [done, failed] = find('process index').toSorted((a, b) => a.status.code - b.status.code);
    expect(done).toMatchObject({ attributes: { 'messaging.nestjs_jobs.outcome': 'completed' } });
    expect(failed).toMatchObject({
      attributes: { 'messaging.nestjs_jobs.outcome': 'failed', 'error.type': 'RangeError' },
    });
    const enqueued = find('enqueue index').map(idOf);
    expect([done, failed].map((span) => span!.parentSpanContext!.spanId).sort()).toEqual(enqueued.sort());
    expect([idOf(done!), idOf(failed!)]).toContain(find('index')[0]!.parentSpanContext!.spanId);
  });

  it('have an error when the lease was lost', async () => {
    const end = signal();
    const app = await apps.start({ options: { telemetry: {} }, handlers: { work: () => end.promise } });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('started', id);
    await app.rows.update({ id }, { lockedUntil: new Date(Date.now() - 60_000) });
    await app.event('rescued', id);
    end.resolve();
    await app.event('lease_lost', id);
    expect(find('process work')).toMatchObject([
      {
        status: { code: SpanStatusCode.ERROR },
        attributes: { 'messaging.nestjs_jobs.outcome': 'lease_lost', 'error.type': 'lease_lost' },
      },
    ]);
  });

  it('have the errors of enqueues and guards', async () => {
    const app = await apps.start({ options: { telemetry: {} } });
    await expect(app.jobs.enqueue('work', 1n)).rejects.toThrow('bigint');
    expect(find('enqueue work')).toMatchObject([
      { status: { code: SpanStatusCode.ERROR }, attributes: { 'error.type': 'InvalidPayloadError' } },
    ]);
    await expect(app.jobs.enqueue({} as string, 1)).rejects.toThrow();
    expect(find('enqueue')).toHaveLength(1);
  });

  it('are not made with traces: false, nor by default', async () => {
    for (const telemetry of [{ traces: false as const }, undefined, false as const]) {
      const app = await apps.start({ options: { telemetry }, handlers: { work: () => null } });
      const { id, metadata } = await app.jobs.enqueue('work', null);
      expect(metadata).toBeNull();
      await app.event('completed', id);
      await app.close();
    }
    expect(exporter.getFinishedSpans()).toEqual([]);
  });

  it('go to the provider and the propagator of the options', async () => {
    const ownExporter = new InMemorySpanExporter();
    const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(ownExporter)] });
    const telemetry = { tracerProvider, propagator: new W3CBaggagePropagator() };
    const app = await apps.start({ options: { telemetry }, handlers: { work: () => null } });
    const job = await app.jobs.enqueue('work', null);
    await app.event('completed', job.id);
    expect(job.metadata).toBeNull();
    expect(exporter.getFinishedSpans()).toEqual([]);
    expect(ownExporter.getFinishedSpans().map(({ name }) => name)).toEqual(['enqueue work', 'process work']);
  });

  it('store a long baggage not at all, and keep the trace', async () => {
    const app = await apps.start({ options: { telemetry: {} } });
    const baggage = propagation.createBaggage({ long: { value: 'x'.repeat(4_090) } });
    const { metadata } = await context.with(propagation.setBaggage(context.active(), baggage), () =>
      app.jobs.enqueue('work', null),
    );
    expect(Object.keys(metadata!.$trace as object)).toEqual(['traceparent']);
  });
});
