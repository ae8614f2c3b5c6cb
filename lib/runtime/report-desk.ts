import type { Clock } from '../core/clock.js';
import { addTo, percentileOf } from '../core/histogram.js';
import type { ErrorGroups, StatusCounts, TimeseriesPoint, TopicStats } from '../core/job-reports.js';
import type { JobStats } from '../core/job.js';
import { runTimesOf } from '../core/run-times.js';
import type { RolledUpMinutes, TopicCounts } from '../store/job-reports.js';
import { ALL_TOPICS } from '../store/job-reports.js';
import type { JobStore } from '../store/job-store.js';
import { lanesOf } from '../store/list-plan.js';

export interface ReportDeskOptions {
  readonly store: JobStore;
  readonly clock: Clock;
}

/** What is known of the table as a whole. */
interface Survey {
  readonly counts: readonly TopicCounts[];
  /** Since when the oldest due job of each topic has been waiting, in milliseconds. */
  readonly oldestPendingMs: ReadonlyMap<string, number>;
}

/** A survey that took longer than this is shown again for a while, instead of being made anew for each caller. */
const CHEAP_MS = 25;
const SHOWN_AGAIN_MS = 2_000;

/** So many completed jobs, the newest, say how long jobs take. */
const TIMED_JOBS_MAX = 10_000;
const FAILED_JOBS_MAX = 10_000;
const ERROR_GROUPS_MAX = 100;
const PRIORITY_BOUND = 1_001;

type Topics = readonly string[] | null;

/** Where people ask how the queue is doing. `topics` narrows an answer; `null` is all of them. */
export class ReportDesk {
  private readonly surveys: Shared<Survey>;
  private readonly times: Shared<readonly { topic: string; timesMs: readonly number[] }[]>;

  constructor(private readonly options: ReportDeskOptions) {
    const { clock } = options;
    this.surveys = new Shared(clock, (topics) => this.survey(topics));
    this.times = new Shared(clock, async (topics) => {
      const { counts } = await this.surveys.get(topics);
      const completed = counts.filter((each) => each.completed > 0).map(({ topic }) => topic);
      return completed.length === 0 ? [] : options.store.reports.runTimes(lanesOf(completed, TIMED_JOBS_MAX));
    });
  }

  /** Counts, and the times of the newest completed jobs. */
  async stats(topics: Topics = null): Promise<JobStats> {
    const [{ counts, oldestPendingMs }, times] = [await this.surveys.get(topics), await this.times.get(topics)];
    const shown = counts.filter(({ topic }) => isAsked(topics, topic));
    const samples = times.filter(({ topic }) => isAsked(topics, topic));
    const completedOf = new Map(shown.map(({ topic, completed }) => [topic, completed]));
    const ages = shown.flatMap(({ topic }) => oldestPendingMs.get(topic) ?? []);
    const sum = sumOf(shown);
    return {
      ...sum,
      total: totalOf(sum),
      successRate: successRateOf(sum),
      ...runTimesOf(samples.map(({ topic, timesMs }) => ({ timesMs, completed: completedOf.get(topic) ?? 0 }))),
      oldestPendingMs: ages.length === 0 ? null : Math.max(...ages),
    };
  }

  /** Each topic that has jobs, or a handler in some process, by name. */
  async topics(topics: Topics = null): Promise<TopicStats[]> {
    const { counts, oldestPendingMs } = await this.surveys.get(topics);
    const served = new Set(await this.options.store.reports.servedTopics());
    const known = new Map(counts.map((each) => [each.topic, each]));
    const names = [...new Set([...known.keys(), ...served])].filter((topic) => isAsked(topics, topic));
    return names.sort().map((topic) => {
      const sum = sumOf(known.has(topic) ? [known.get(topic)!] : []);
      return {
        topic,
        ...sum,
        total: totalOf(sum),
        successRate: successRateOf(sum),
        oldestPendingMs: oldestPendingMs.get(topic) ?? null,
        hasHandler: served.has(topic),
      };
    });
  }

  /** The most frequent errors among the newest failed jobs. */
  async errors(topics: Topics = null): Promise<ErrorGroups> {
    const { counts } = await this.surveys.get(topics);
    const failing = counts.filter(({ topic, failed }) => failed > 0 && isAsked(topics, topic));
    const lanes = lanesOf(
      failing.map(({ topic }) => topic),
      FAILED_JOBS_MAX,
    );
    const items = lanes.length === 0 ? [] : await this.options.store.reports.errors(lanes, ERROR_GROUPS_MAX);
    const jobs = lanes.reduce((sum, { limit }, index) => sum + Math.min(limit, failing[index]!.failed), 0);
    return { items, window: { jobs, jobsMax: FAILED_JOBS_MAX } };
  }

  /** What finished in each of the last minutes, the running one last. */
  async timeseries(minutes: number, topics: Topics = null): Promise<TimeseriesPoint[]> {
    const { now, entries } = await this.options.store.reports.timeseries(topics ?? [ALL_TOPICS], minutes);
    return Array.from({ length: minutes }, (_, index) => {
      const minute = new Date(now.getTime() - (minutes - 1 - index) * 60_000);
      return pointOf(
        minute,
        entries.filter((entry) => entry.minute.getTime() === minute.getTime()),
      );
    });
  }

  private async survey(topics: Topics): Promise<Survey> {
    const { store } = this.options;
    const counts = await store.reports.counts(topics);
    const waiting = counts.filter(({ pending }) => pending > 0).map(({ topic }) => topic);
    const lanes = waiting.length === 0 ? [] : await store.survey(waiting.map(everyPriority));
    const oldestPendingMs = new Map<string, number>();
    for (const { topic, dueInMs } of lanes.filter((lane) => lane.dueInMs <= 0)) {
      oldestPendingMs.set(topic, Math.max(oldestPendingMs.get(topic) ?? 0, -dueInMs));
    }
    return { counts, oldestPendingMs };
  }
}

/** An answer that is shared among callers for a while, when it was dear. */
class Shared<T> {
  private madeAtMs = -Infinity;
  private costMs = 0;
  private answer: Promise<T> | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly make: (topics: Topics) => Promise<T>,
  ) {}

  /** The answer for all topics serves those who ask for some, as long as it is shared. */
  get(topics: Topics): Promise<T> {
    const isFresh = this.costMs > CHEAP_MS && this.clock.now() - this.madeAtMs < SHOWN_AGAIN_MS;
    if (this.answer && isFresh) {
      return this.answer;
    }
    if (topics !== null) {
      return this.make(topics);
    }
    const answer = this.measured();
    this.answer = answer;
    answer.catch(() => {
      this.answer = undefined;
    });
    return answer;
  }

  private async measured(): Promise<T> {
    const startedAtMs = this.clock.now();
    // Callers that come meanwhile share it when the one before was dear.
    this.madeAtMs = startedAtMs;
    const answer = await this.make(null);
    this.madeAtMs = this.clock.now();
    this.costMs = this.madeAtMs - startedAtMs;
    return answer;
  }
}

function pointOf(minute: Date, entries: RolledUpMinutes['entries']): TimeseriesPoint {
  const histogram = {};
  entries.forEach((entry) => addTo(histogram, entry.histogram));
  const sum = (member: 'completed' | 'failed' | 'started' | 'runMs' | 'waitMs'): number =>
    entries.reduce((total, entry) => total + entry[member], 0);
  const [completed, started] = [sum('completed'), sum('started')];
  return {
    minute,
    completed,
    failed: sum('failed'),
    avgExecutionTime: completed === 0 ? 0 : sum('runMs') / completed,
    p95: percentileOf(histogram, 0.95),
    avgWaitTime: started === 0 ? 0 : sum('waitMs') / started,
  };
}

function isAsked(topics: Topics, topic: string): boolean {
  return topics === null || topics.includes(topic);
}

function sumOf(counts: readonly TopicCounts[]): StatusCounts {
  const sum = { pending: 0, processing: 0, completed: 0, failed: 0, cancelled: 0 };
  for (const each of counts) {
    sum.pending += each.pending;
    sum.processing += each.processing;
    sum.completed += each.completed;
    sum.failed += each.failed;
    sum.cancelled += each.cancelled;
  }
  return sum;
}

function totalOf({ pending, processing, completed, failed, cancelled }: StatusCounts): number {
  return pending + processing + completed + failed + cancelled;
}

function successRateOf({ completed, failed }: StatusCounts): number {
  return completed === 0 ? 0 : completed / (completed + failed);
}

function everyPriority(topic: string): { topic: string; after: number; before: number } {
  return { topic, after: -PRIORITY_BOUND, before: PRIORITY_BOUND };
}
