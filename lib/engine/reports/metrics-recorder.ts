import { toErrorMessage } from '../../core/error-text.js';
import type { JobEvent, JobEventType } from '../../core/job-events.js';
import type { Histogram } from '../../core/run-times.js';
import { addHistogram, addTime } from '../../core/run-times.js';
import type { RollupEntry } from '../../store/reports/report-records.js';
import { ALL_TOPICS } from '../../store/reports/report-records.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import { PollLoop } from '../runtime/poll-loop.js';

type MetricsRecorderParts = Pick<
  EngineParts,
  'store' | 'clock' | 'logger' | 'failureLog' | 'random' | 'worker' | 'liveWorkers'
>;

const INTERVAL_MS = 1_000;
/** Up to this many processes write every second. More processes write less often, so that the total rate stays the same. */
const FREQUENT_WRITERS = 8;
const INTERVAL_MS_MAX = 10_000;
/** Processes that started together do not write together. */
const JITTER = 0.1;

/**
 * Writes the metrics of this process: the jobs that started and ended, one row for each topic and minute. It writes once a
 * second, and nothing while no job runs. Among more than 8 processes it writes less often: among 80, every 10 s. Each process writes
 * its own rows.
 *
 * A crash loses metrics that are not written yet. When the response to a write is lost at the end of a minute, its jobs may count twice.
 */
export class MetricsRecorder {
  private readonly loop: PollLoop;
  /** The minute of the last write, and what was written for it. */
  private minute: Date | null = null;
  private totals = new MetricsBuffer();
  /** Not written yet. */
  private buffer = new MetricsBuffer();

  constructor(private readonly parts: MetricsRecorderParts) {
    this.loop = new PollLoop({
      ...parts,
      name: 'recording of metrics',
      intervalMs: INTERVAL_MS,
      work: () => this.work(),
    });
  }

  start(): void {
    this.loop.start();
  }

  /** Writes the remaining metrics. If that fails, they are lost. */
  async stop(): Promise<void> {
    await this.loop.stop();
    try {
      await this.write();
    } catch (error) {
      this.parts.logger.debug(`could not record the last metrics: ${toErrorMessage(error)}`);
    }
  }

  record(event: JobEvent): void {
    if (isMetric(event)) {
      this.buffer.add(event);
    }
  }

  private async work(): Promise<number> {
    await this.write();
    const { liveWorkers, random } = this.parts;
    return recordIntervalMs(liveWorkers.otherCount + 1) * (1 + JITTER * (2 * random() - 1));
  }

  private async write(): Promise<void> {
    if (this.buffer.isEmpty) {
      return;
    }
    const since = this.buffer;
    const totals = merge(this.totals, since);
    this.buffer = new MetricsBuffer();
    try {
      const minute = await this.parts.store.reports.recordRollup({
        worker: this.parts.worker,
        minute: this.minute,
        totals: totals.entries(),
        since: since.entries(),
      });
      this.totals = minute.getTime() === this.minute?.getTime() ? totals : since;
      this.minute = minute;
    } catch (error) {
      this.buffer = merge(since, this.buffer);
      throw error;
    }
  }
}

/** Returns the time between two writes of a process. */
export function recordIntervalMs(processes: number): number {
  return Math.min(INTERVAL_MS_MAX, INTERVAL_MS * Math.max(1, processes / FREQUENT_WRITERS));
}

interface TopicMetrics {
  completed: number;
  failed: number;
  attemptsFailed: number;
  started: number;
  runMs: number;
  waitMs: number;
  histogram: Histogram;
}

/** Counts what started and finished, by topic. */
export class MetricsBuffer {
  private readonly byTopic = new Map<string, TopicMetrics>();

  get isEmpty(): boolean {
    return this.byTopic.size === 0;
  }

  add(event: JobEvent): void {
    addEvent(this.forTopic(event.topic), event);
  }

  addAll(other: MetricsBuffer): void {
    other.byTopic.forEach((metrics, topic) => addMetrics(this.forTopic(topic), metrics));
  }

  /** Returns a copy: one entry for each topic, and one for all of them. */
  entries(): RollupEntry[] {
    if (this.isEmpty) {
      return [];
    }
    const all = emptyMetrics();
    this.byTopic.forEach((metrics) => addMetrics(all, metrics));
    const each = [...this.byTopic].map(([topic, metrics]) => ({
      topic,
      ...metrics,
      histogram: { ...metrics.histogram },
    }));
    return [...each, { topic: ALL_TOPICS, ...all }];
  }

  private forTopic(topic: string): TopicMetrics {
    let metrics = this.byTopic.get(topic);
    if (!metrics) {
      metrics = emptyMetrics();
      this.byTopic.set(topic, metrics);
    }
    return metrics;
  }
}

/** Whether metrics count such an event. */
export function isMetric({ type }: JobEvent): boolean {
  return type === 'started' || type === 'completed' || isFailedAttempt(type);
}

function isFailedAttempt(type: JobEventType): boolean {
  return type === 'failed' || type === 'retrying' || type === 'rescued';
}

function merge(first: MetricsBuffer, second: MetricsBuffer): MetricsBuffer {
  const both = new MetricsBuffer();
  both.addAll(first);
  both.addAll(second);
  return both;
}

function emptyMetrics(): TopicMetrics {
  return { completed: 0, failed: 0, attemptsFailed: 0, started: 0, runMs: 0, waitMs: 0, histogram: {} };
}

function addMetrics(metrics: TopicMetrics, other: TopicMetrics): void {
  metrics.completed += other.completed;
  metrics.failed += other.failed;
  metrics.attemptsFailed += other.attemptsFailed;
  metrics.started += other.started;
  metrics.runMs += other.runMs;
  metrics.waitMs += other.waitMs;
  addHistogram(metrics.histogram, other.histogram);
}

function addEvent(metrics: TopicMetrics, event: JobEvent): void {
  if (event.type === 'started') {
    metrics.started += 1;
    metrics.waitMs += event.waitedMs;
  } else if (isFailedAttempt(event.type)) {
    metrics.attemptsFailed += 1;
    metrics.failed += Number(event.type === 'failed');
  } else if (event.type === 'completed') {
    metrics.completed += 1;
    metrics.runMs += event.durationMs ?? 0;
    addTime(metrics.histogram, event.durationMs ?? 0);
  }
}
