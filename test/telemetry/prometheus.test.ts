import parsePrometheusTextFormat from 'parse-prometheus-text-format';
import { Registry } from 'prom-client';
import type { JobContext, JobStore } from 'nestjs-jobs';
import { SnoozeError } from 'nestjs-jobs';
import { registerJobsMetrics } from 'nestjs-jobs/telemetry';
import { useApps } from '../nest/support/apps.js';
import { sqliteFile } from '../nest/support/database-kinds.js';
import { until } from '../support/wait.js';
import { readSeries } from './support/series.js';

describe('registerJobsMetrics', () => {
  const apps = useApps(sqliteFile);

  it('adds metrics of the queue to a registry', async () => {
    const registry = new Registry();
    const app = await apps.create({
      options: { maxRetries: 0 },
      handlers: {
        work: ({ attempt }: JobContext) => {
          if (attempt === 1) throw new SnoozeError(0);
        },
        fail: () => Promise.reject(new Error('always')),
      },
    });
    registerJobsMetrics(registry, app.jobs);
    await app.app.init();
    await app.jobs.enqueueMany(Array.from({ length: 3 }, () => ({ topic: 'work', payload: null })));
    await app.jobs.enqueue('fail', null);
    await app.jobs.enqueue('unhandled', null);
    await app.event('completed', undefined, 3);
    await app.event('failed');

    const text = await registry.metrics();
    const types = Object.fromEntries(parsePrometheusTextFormat(text).map(({ name, type }) => [name, type]));
    expect(types).toEqual({
      nestjs_jobs_enqueued_total: 'COUNTER',
      nestjs_jobs_attempts_total: 'COUNTER',
      nestjs_jobs_lost_leases_total: 'COUNTER',
      nestjs_jobs_run_duration_seconds: 'HISTOGRAM',
      nestjs_jobs_wait_duration_seconds: 'HISTOGRAM',
      nestjs_jobs_jobs: 'GAUGE',
      nestjs_jobs_oldest_waiting_seconds: 'GAUGE',
      nestjs_jobs_workers: 'GAUGE',
    });
    const series = readSeries(text);
    expect(series('nestjs_jobs_enqueued_total')).toEqual({ 'topic=work': 3, 'topic=fail': 1, 'topic=unhandled': 1 });
    expect(series('nestjs_jobs_attempts_total')).toEqual({
      'topic=work outcome=snoozed': 3,
      'topic=work outcome=completed': 3,
      'topic=fail outcome=failed': 1,
    });
    expect(series('nestjs_jobs_run_duration_seconds_count')).toEqual({ 'topic=work': 6, 'topic=fail': 1 });
    expect(series('nestjs_jobs_wait_duration_seconds_count')).toEqual({ 'topic=work': 6, 'topic=fail': 1 });
    expect(series('nestjs_jobs_jobs')).toMatchObject({
      'topic=work status=completed': 3,
      'topic=work status=pending': 0,
      'topic=fail status=failed': 1,
      'topic=unhandled status=pending': 1,
    });
    expect(series('nestjs_jobs_oldest_waiting_seconds')['topic=unhandled']).toBeGreaterThan(0);
    expect(series('nestjs_jobs_workers')).toEqual({ '': 1 });
    expect(() => registerJobsMetrics(registry, app.jobs)).toThrow('already been registered');

    // Prometheus computes no rate for the first value of a series, so the first failure must not be the first value.
    const next = readSeries(await registry.metrics());
    expect(next('nestjs_jobs_lost_leases_total')).toEqual({ 'topic=work': 0, 'topic=fail': 0, 'topic=unhandled': 0 });
    expect(next('nestjs_jobs_attempts_total')).toMatchObject({
      'topic=work outcome=completed': 3,
      'topic=work outcome=failed': 0,
      'topic=unhandled outcome=retrying': 0,
    });
  });

  it('keeps the other metrics of the registry while the database is away, with at most one query a second', async () => {
    const registry = new Registry();
    const app = await apps.start();
    registerJobsMetrics(registry, app.jobs);
    const { store } = (app.jobs.gauges as unknown as { parts: { store: JobStore } }).parts;
    const query = jest
      .spyOn(store.reports, 'recordedCounts')
      .mockImplementation(() => Promise.reject(new Error('away')));
    for (let scrape = 0; scrape < 20; scrape += 1) {
      const series = readSeries(await registry.metrics());
      expect(series('nestjs_jobs_workers')).toEqual({});
      expect(series('nestjs_jobs_jobs')).toEqual({});
    }
    expect(query.mock.calls.length).toBeLessThanOrEqual(2);
    query.mockRestore();
    await until(async () => readSeries(await registry.metrics())('nestjs_jobs_workers')[''] === 1);
  });
});
