import { metrics } from '@opentelemetry/api';
import type { DataPoint, Histogram, MetricData } from '@opentelemetry/sdk-metrics';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import type { JobContext } from 'nestjs-jobs';
import { UnrecoverableError } from 'nestjs-jobs';
import { useApps } from '../nest/support/apps.js';
import { sqliteFile } from '../nest/support/database-kinds.js';
import { signal } from '../support/wait.js';

let exporter: InMemoryMetricExporter;
let meterProvider: MeterProvider;

beforeEach(() => {
  exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  meterProvider = new MeterProvider({ readers: [reader] });
});
afterEach(async () => {
  await meterProvider.shutdown();
  metrics.disable();
});

/** Collects all metrics, by name. */
async function collect(): Promise<Map<string, MetricData>> {
  exporter.reset();
  await meterProvider.forceFlush();
  const all = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics));
  return new Map(all.map((each) => [each.descriptor.name, each]));
}

/** The points of a metric of one topic: their values by the attributes that differ. */
function pointsOf(metric: MetricData | undefined, topic: string, ...names: string[]): Record<string, number> {
  const points = (metric?.dataPoints ?? []) as DataPoint<number | Histogram>[];
  const own = points.filter(({ attributes }) => attributes['messaging.destination.name'] === topic);
  return Object.fromEntries(
    own.map(({ attributes, value }) => [
      names.map((name) => String(attributes[name])).join(' '),
      typeof value === 'number' ? value : value.count,
    ]),
  );
}

describe('the metrics of OpenTelemetry', () => {
  const apps = useApps(sqliteFile);

  it('count enqueues, attempts and times, and read the state of the queue', async () => {
    const end = signal();
    const app = await apps.start({
      options: { telemetry: { traces: false, meterProvider }, backoff: { type: 'fixed', delay: 0 } },
      handlers: {
        work: ({ attempt }: JobContext) => {
          if (attempt === 1) throw new RangeError('not yet');
        },
        fail: () => {
          throw new UnrecoverableError('never');
        },
        slow: () => end.promise,
      },
    });
    await app.jobs.enqueueMany([{ topic: 'work', payload: 1 }, { topic: 'work', payload: 2 }]); // prettier-ignore
    const failed = await app.jobs.enqueue('fail', null);
    await app.jobs.enqueue('unhandled', null, { uniqueKey: 'a' });
    await app.jobs.enqueue('unhandled', null, { uniqueKey: 'a' });
    await expect(app.jobs.enqueue('work', 1n)).rejects.toThrow();
    await app.event('completed', undefined, 2);
    await app.event('failed', failed.id);
    const slow = await app.jobs.enqueue('slow', null);
    await app.event('started', slow.id);

    const all = await collect();
    const points = (name: string, topic: string, ...by: string[]): unknown => pointsOf(all.get(name), topic, ...by);
    expect(points('messaging.client.sent.messages', 'work')).toEqual({ '': 2 });
    expect(points('messaging.client.sent.messages', 'unhandled')).toEqual({ '': 1 });
    expect(points('messaging.client.operation.duration', 'work', 'messaging.operation.name', 'error.type')).toEqual({
      'enqueue undefined': 1,
      'enqueue InvalidPayloadError': 1,
    });
    expect(points('messaging.client.consumed.messages', 'work')).toEqual({ '': 4 });
    expect(points('messaging.process.duration', 'work', 'error.type')).toEqual({ undefined: 2, RangeError: 2 });
    expect(points('messaging.nestjs_jobs.wait.duration', 'work')).toEqual({ '': 4 });
    expect(points('messaging.nestjs_jobs.attempts', 'work', 'messaging.nestjs_jobs.outcome')).toEqual({
      retrying: 2,
      completed: 2,
    });
    expect(points('messaging.nestjs_jobs.attempts', 'fail', 'messaging.nestjs_jobs.outcome')).toEqual({ failed: 1 });
    const status = 'messaging.nestjs_jobs.status';
    const none = { pending: 0, processing: 0, completed: 0, failed: 0, cancelled: 0 };
    expect(points('messaging.nestjs_jobs.jobs', 'work', status)).toEqual({ ...none, completed: 2 });
    expect(points('messaging.nestjs_jobs.jobs', 'slow', status)).toEqual({ ...none, processing: 1 });
    expect(points('messaging.nestjs_jobs.jobs', 'unhandled', status)).toEqual({ ...none, pending: 1 });
    expect(points('messaging.nestjs_jobs.oldest_waiting.duration', 'work')).toEqual({ '': 0 });
    const oldest = pointsOf(all.get('messaging.nestjs_jobs.oldest_waiting.duration'), 'unhandled')['']!;
    expect(oldest).toBeGreaterThan(0);
    expect(oldest).toBeLessThan(60);
    expect(all.get('messaging.nestjs_jobs.workers')!.dataPoints).toMatchObject([{ value: 1 }]);
    expect(all.get('messaging.process.duration')!.descriptor.unit).toBe('s');
    end.resolve();
  });

  it('have no state of the queue while the database is closed, and no other series', async () => {
    const app = await apps.start({ options: { telemetry: { meterProvider } }, handlers: { work: () => null } });
    await app.jobs.enqueue('work', null);
    await app.event('completed');
    await app.close();
    const all = await collect();
    expect(all.get('messaging.nestjs_jobs.workers')?.dataPoints ?? []).toEqual([]);
    expect(all.has('messaging.nestjs_jobs.attempts')).toBe(true);
  });

  it('are not recorded with metrics: false', async () => {
    metrics.setGlobalMeterProvider(meterProvider);
    const app = await apps.start({ options: { telemetry: { metrics: false } } });
    await app.jobs.enqueue('unmeasured', null);
    const all = await collect();
    expect(pointsOf(all.get('messaging.client.sent.messages'), 'unmeasured')).toEqual({});
    await app.close();
    const measured = await apps.start({ options: { telemetry: {} } });
    await measured.jobs.enqueue('measured', null);
    expect(pointsOf((await collect()).get('messaging.client.sent.messages'), 'measured')).toEqual({ '': 1 });
  });
});
