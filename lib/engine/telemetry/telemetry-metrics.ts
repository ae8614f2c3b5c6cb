import type * as OpenTelemetry from '@opentelemetry/api';
import type { Attributes, BatchObservableResult, Counter, Histogram, Meter, Observable } from '@opentelemetry/api';
import type { JobEvent } from '../../core/job-events.js';
import type { Job } from '../../core/job.js';
import { JOB_STATUSES } from '../../core/job-state.js';
import type { TelemetrySettings } from '../../core/telemetry-option.js';
import { VERSION } from '../../core/version.js';
import { monotonicMs } from '../../store/runtime/real-timers.js';
import type { QueueGauges } from '../reports/queue-gauges.js';
import type { EnqueueCall } from '../runtime/job-hook.js';
import type { EndEvent } from './attributes.js';
import * as names from './attributes.js';

/** Upper bounds of the buckets in seconds, as the conventions recommend. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

/** Records the metrics of OpenTelemetry. Times are in seconds. */
export class TelemetryMetrics {
  private readonly operationDuration: Histogram;
  private readonly sent: Counter;
  private readonly consumed: Counter;
  private readonly processDuration: Histogram;
  private readonly waitDuration: Histogram;
  private readonly attempts: Counter;
  private readonly lostLeases: Counter;
  private readonly stopObserving: () => void;
  private readonly enqueueAttributes: names.TopicAttributes;
  private readonly processAttributes: names.TopicAttributes;

  constructor(
    api: typeof OpenTelemetry,
    { meterProvider }: Pick<TelemetrySettings, 'meterProvider'>,
    gauges: QueueGauges,
  ) {
    const meter = (meterProvider ?? api.metrics).getMeter('nestjs-jobs', VERSION) as Meter;
    const histogram = (name: string, description: string): Histogram =>
      meter.createHistogram(name, { unit: 's', description, advice: { explicitBucketBoundaries: SECONDS } });
    const counter = (name: string, unit: string, description: string): Counter =>
      meter.createCounter(name, { unit, description });
    this.operationDuration = histogram('messaging.client.operation.duration', 'Duration of an enqueue');
    this.sent = counter('messaging.client.sent.messages', '{message}', 'Jobs stored');
    this.consumed = counter('messaging.client.consumed.messages', '{message}', 'Attempts started');
    this.processDuration = histogram('messaging.process.duration', 'Duration of an attempt');
    this.waitDuration = histogram(`${names.OWN}wait.duration`, 'Time that a job was due before its attempt started');
    this.attempts = counter(`${names.OWN}attempts`, '{attempt}', 'Attempts ended, by outcome');
    this.lostLeases = counter(`${names.OWN}lost_leases`, '{lease}', 'Jobs of dead workers that this process rescued');
    this.stopObserving = observe(meter, gauges);
    const toLabel = (topic: string): string => gauges.labels.get(topic);
    this.enqueueAttributes = new names.TopicAttributes(names.ENQUEUE, toLabel);
    this.processAttributes = new names.TopicAttributes(names.PROCESS, toLabel);
  }

  async enqueue(call: EnqueueCall, store: () => Promise<readonly Job[]>): Promise<readonly Job[]> {
    const startMs = monotonicMs();
    let errorType: string | undefined;
    try {
      return await store();
    } catch (error) {
      errorType = names.toThrownType(error);
      throw error;
    } finally {
      const topic = names.toCommonTopic(call.topics);
      const attributes = topic === undefined ? names.ENQUEUE : this.enqueueAttributes.get(topic);
      this.operationDuration.record((monotonicMs() - startMs) / 1_000, withErrorType(attributes, errorType));
    }
  }

  /** Counts an event. */
  record(event: JobEvent): void {
    const attributes = this.processAttributes.get(event.topic);
    if (event.type === 'enqueued') {
      this.sent.add(event.deduplicated ? 0 : 1, this.enqueueAttributes.get(event.topic));
    } else if (event.type === 'started') {
      this.consumed.add(1, attributes);
      this.waitDuration.record(event.waitedMs / 1_000, attributes);
    } else if (names.isLostLease(event)) {
      this.lostLeases.add(1, attributes);
    }
  }

  recordEnd(event: EndEvent, errorType: string | undefined): void {
    const attributes = withErrorType(this.processAttributes.get(event.topic), errorType);
    this.processDuration.record(event.durationMs / 1_000, attributes);
    this.attempts.add(1, { ...attributes, [names.OUTCOME]: event.type });
  }

  /** The gauges read the database until this call. */
  stop(): void {
    this.stopObserving();
  }
}

function withErrorType(attributes: Attributes, errorType: string | undefined): Attributes {
  return errorType === undefined ? attributes : { ...attributes, [names.ERROR_TYPE]: errorType };
}

/** Adds gauges that read the database when an exporter collects them. Returns a function that removes them. */
function observe(meter: Meter, gauges: QueueGauges): () => void {
  const jobs = meter.createObservableGauge(`${names.OWN}jobs`, {
    unit: '{job}',
    description: 'Jobs in the table',
  });
  const oldest = meter.createObservableGauge(`${names.OWN}oldest_waiting.duration`, {
    unit: 's',
    description: 'How long the oldest due job has waited',
  });
  const workers = meter.createObservableGauge(`${names.OWN}workers`, {
    unit: '{worker}',
    description: 'Live processes that run jobs',
  });
  const all: Observable[] = [jobs, oldest, workers];
  const read = async (result: BatchObservableResult): Promise<void> => {
    // Without a database there are no values, and the exporter still exports the other metrics.
    const values = await gauges.read().catch(() => undefined);
    values?.topics.forEach(({ topic, oldestWaitingMs, ...counts }) => {
      const attributes = { [names.SYSTEM]: 'nestjs_jobs', [names.DESTINATION]: topic };
      JOB_STATUSES.forEach((status) => result.observe(jobs, counts[status], { ...attributes, [names.STATUS]: status }));
      result.observe(oldest, oldestWaitingMs / 1_000, attributes);
    });
    if (values) {
      result.observe(workers, values.workers, { [names.SYSTEM]: 'nestjs_jobs' });
    }
  };
  meter.addBatchObservableCallback(read, all);
  return () => meter.removeBatchObservableCallback(read, all);
}
