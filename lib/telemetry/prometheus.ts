/*
 * telemetry/: the package's entry `nestjs-jobs/telemetry`. In: events and the gauges of the queue. Out: metrics of `prom-client`.
 * The metrics of OpenTelemetry are in engine/telemetry/, because they need hooks of the engine.
 */
import type { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Observable } from 'rxjs';
import { InvalidOptionsError } from '../core/errors.js';
import type { JobEvent } from '../core/job-events.js';
import { JOB_STATUSES } from '../core/job-state.js';
import type { QueueGauges, TopicGauges } from '../engine/reports/queue-gauges.js';
import { isEndEvent, isLostLease } from '../engine/telemetry/attributes.js';
import { loadPromClient } from '../engine/telemetry/optional-packages.cjs';

/** `JobsService`, or a `JobsEngine`. */
export interface MonitoredQueue {
  readonly events: Observable<JobEvent>;
  readonly gauges: QueueGauges;
}

/** A `Registry` of `prom-client`. Described here: applications without that package check the types of this entry too. */
export interface PrometheusRegistry {
  metrics(): Promise<string>;
  registerMetric(metric: never): void;
}

/** Upper bounds of the buckets in seconds. */
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600];

/** The outcomes of attempts whose rates tell how healthy a topic is. */
const COMMON_OUTCOMES = ['completed', 'retrying', 'failed'] as const;

/**
 * Adds the metrics of the queue to a registry of `prom-client`. Call it once for each registry. Counters and histograms describe this
 * process, from this call on; gauges describe the whole queue and cost at most one query a second.
 *
 * @example registerJobsMetrics(register, app.get(JobsService));
 * @throws InvalidOptionsError without the package `prom-client`. An error of the registry for a second call.
 */
export function registerJobsMetrics(registry: PrometheusRegistry, { events, gauges }: MonitoredQueue): void {
  const metrics = new PromMetrics(registry as unknown as Registry, gauges);
  events.subscribe((event) => metrics.record(event));
}

class PromMetrics {
  private readonly enqueued: Counter;
  private readonly attempts: Counter;
  private readonly lostLeases: Counter;
  private readonly runTime: Histogram;
  private readonly waitTime: Histogram;
  /** Topics whose counters have a value. */
  private readonly started = new Set<string>();

  constructor(
    registry: Registry,
    private readonly gauges: QueueGauges,
  ) {
    const client = loadPromClient();
    if (!client) {
      throw new InvalidOptionsError('prom-client', 'is not installed; npm install prom-client');
    }
    const registers = [registry];
    const counter = (name: string, help: string, ...labelNames: string[]): Counter =>
      new client.Counter({ name, help, labelNames, registers });
    const histogram = (name: string, help: string): Histogram =>
      new client.Histogram({ name, help, labelNames: ['topic'], buckets: BUCKETS, registers });
    const gauge = (name: string, help: string, labelNames: string[], set: (gauge: Gauge) => Promise<void>): Gauge =>
      new client.Gauge({
        name,
        help,
        labelNames,
        registers,
        async collect() {
          this.reset();
          if (labelNames.length === 0) {
            // It would be 0.
            this.remove();
          }
          // Without a database the gauge has no value, and the scrape still returns the other metrics.
          await set(this).catch(() => undefined);
        },
      });
    this.enqueued = counter('nestjs_jobs_enqueued_total', 'Jobs that this process stored', 'topic');
    this.attempts = counter('nestjs_jobs_attempts_total', 'Attempts that ended in this process', 'topic', 'outcome');
    this.lostLeases = counter(
      'nestjs_jobs_lost_leases_total',
      'Jobs of dead workers that this process rescued',
      'topic',
    );
    this.runTime = histogram('nestjs_jobs_run_duration_seconds', 'Duration of an attempt');
    this.waitTime = histogram(
      'nestjs_jobs_wait_duration_seconds',
      'Time that a job was due before its attempt started',
    );
    gauge('nestjs_jobs_jobs', 'Jobs in the table', ['topic', 'status'], async (jobs) => {
      for (const { topic, ...counts } of await this.readTopics()) {
        JOB_STATUSES.forEach((status) => jobs.set({ topic, status }, counts[status]));
        this.startCounters(topic);
      }
    });
    gauge('nestjs_jobs_oldest_waiting_seconds', 'How long the oldest due job has waited', ['topic'], async (oldest) => {
      (await this.readTopics()).forEach(({ topic, oldestWaitingMs }) => oldest.set({ topic }, oldestWaitingMs / 1_000));
    });
    gauge('nestjs_jobs_workers', 'Live processes that run jobs', [], async (workers) => {
      workers.set((await gauges.read()).workers);
    });
  }

  record(event: JobEvent): void {
    const topic = this.gauges.labels.get(event.topic);
    if (event.type === 'enqueued') {
      this.enqueued.inc({ topic }, event.deduplicated ? 0 : 1);
    } else if (event.type === 'started') {
      this.waitTime.observe({ topic }, event.waitedMs / 1_000);
    } else if (isLostLease(event)) {
      this.lostLeases.inc({ topic });
    } else if (isEndEvent(event)) {
      this.attempts.inc({ topic, outcome: event.type });
      this.runTime.observe({ topic }, event.durationMs / 1_000);
    }
  }

  /** Prometheus computes no rate from the first value of a series. So each counter is 0 before it counts. */
  private startCounters(topic: string): void {
    if (!this.started.has(topic)) {
      this.started.add(topic);
      this.enqueued.inc({ topic }, 0);
      this.lostLeases.inc({ topic }, 0);
      COMMON_OUTCOMES.forEach((outcome) => this.attempts.inc({ topic, outcome }, 0));
    }
  }

  private async readTopics(): Promise<readonly TopicGauges[]> {
    return (await this.gauges.read()).topics;
  }
}
