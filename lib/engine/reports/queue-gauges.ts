import type { StatusCounts } from '../../core/job-reports.js';
import { sumCounts } from '../../store/reports/report-records.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { QueueStats } from './queue-stats.js';

/** The state of the queue, for monitoring. */
export interface QueueGaugeValues {
  /** At most 200 topics. `other` is the sum of the rest. */
  readonly topics: readonly TopicGauges[];
  /** Live processes that run jobs. */
  readonly workers: number;
}

/** Jobs of one topic by status. */
export interface TopicGauges extends StatusCounts {
  readonly topic: string;
  /** How long the oldest due job has been waiting, in milliseconds; 0 if no job is due. */
  readonly oldestWaitingMs: number;
}

/** How long the result of a read is returned again. */
const MAX_AGE_MS = 1_000;

/** Reads the state of the queue for monitoring, at most once a second. All metrics of the process share the result. */
export class QueueGauges {
  /** Shared by all metrics of this process, so that a topic has the same label in each. */
  readonly labels = new TopicLabels();
  private latest: Promise<QueueGaugeValues> | undefined;
  private readAtMs = -Infinity;

  constructor(private readonly parts: Pick<EngineParts, 'store' | 'clock'> & { readonly stats: QueueStats }) {}

  /** Returns what was read in the last second. The counts of a large table may be older: see `JobCounter`. @throws QueueUnavailableError, also for a second after the query failed. */
  read(): Promise<QueueGaugeValues> {
    const nowMs = this.parts.clock.now();
    if (!this.latest || nowMs - this.readAtMs >= MAX_AGE_MS) {
      this.readAtMs = nowMs;
      this.latest = this.query();
    }
    return this.latest;
  }

  private async query(): Promise<QueueGaugeValues> {
    const { stats, store } = this.parts;
    const { counts, other, oldestPendingMs } = await stats.snapshot();
    const live = (await store.reports.workers()).filter(({ isAlive }) => isAlive);
    const handled = new Set(live.flatMap((worker) => worker.topics));
    const byLabel = new Map<string, TopicGauges>();
    const addTo = (label: string, each: StatusCounts, oldestWaitingMs: number): void => {
      const { pending, processing, completed, failed, cancelled } = each;
      const gauges = { topic: label, pending, processing, completed, failed, cancelled, oldestWaitingMs };
      byLabel.set(label, add(byLabel.get(label), gauges));
    };
    // Handled topics are labeled first: callers who enqueue may choose the names of all others.
    const byHandler = counts.toSorted((one, two) => Number(handled.has(two.topic)) - Number(handled.has(one.topic)));
    byHandler.forEach((each) => addTo(this.labels.get(each.topic), each, oldestPendingMs.get(each.topic) ?? 0));
    if (other) {
      addTo(OTHER_TOPICS, other, 0);
    }
    return { topics: [...byLabel.values()], workers: live.length };
  }
}

function add(sum: TopicGauges | undefined, each: TopicGauges): TopicGauges {
  return sum === undefined
    ? each
    : {
        topic: each.topic,
        ...sumCounts([sum, each]),
        oldestWaitingMs: Math.max(sum.oldestWaitingMs, each.oldestWaitingMs),
      };
}

/** How many topics have a label of their own in metrics. */
const LABELED_TOPICS_MAX = 200;
/** The label of all other topics. */
export const OTHER_TOPICS = 'other';

/** Bounds the topics in metrics: a series for each of a million topics would fill the memory of every monitoring system. */
class TopicLabels {
  private readonly labeled = new Set<string>();

  /** Returns the topic for the first 200 topics of this process, and `other` for the rest. A topic keeps its label. */
  get(topic: string): string {
    if (this.labeled.has(topic)) {
      return topic;
    }
    if (this.labeled.size >= LABELED_TOPICS_MAX) {
      return OTHER_TOPICS;
    }
    this.labeled.add(topic);
    return topic;
  }
}
