import type { Clock } from '../../core/clock.js';
import { addHistogram, estimatePercentile, mergeRunTimes } from '../../core/run-times.js';
import type { JobStats } from '../../core/job.js';
import type { ErrorGroups, StatusCounts, TimeseriesPoint, TopicStats } from '../../core/job-reports.js';
import { SEARCHED_FAILURES_MAX, SMALL_TABLE_JOBS } from '../../core/limits.js';
import type { JobStore } from '../../store/job-store.js';
import { everyPriority } from '../../store/lanes.js';
import { lanesOf } from '../../store/report-lanes.js';
import type { RolledUpMinutes, TopicCounts, TopicRunTimes } from '../../store/report-store.js';
import { ALL_TOPICS } from '../../store/report-store.js';
import type { Topics } from './shared-answers.js';
import { SharedAnswers } from './shared-answers.js';

export interface ReportDeskOptions {
  readonly store: JobStore;
  readonly clock: Clock;
}

/** What is known of the table as a whole. */
interface Census {
  readonly counts: readonly TopicCounts[];
  /** How long the oldest due job of each topic has been waiting, in milliseconds. */
  readonly oldestPendingMs: ReadonlyMap<string, number>;
  /** Of the newest completed jobs of each topic. */
  readonly times: readonly TopicRunTimes[];
}

/** So many completed jobs, the newest, say how long jobs take. */
const TIMED_JOBS_MAX = 10_000;
/** Up to so many failed jobs are always looked at anew. */
const FEW_FAILED_JOBS = 1_000;
const ERROR_GROUPS_MAX = 100;

/** Where people ask how the queue is doing. `topics` narrows an answer; `null` is all of them. */
export class QueueStats {
  private readonly censuses: SharedAnswers<Census>;
  private readonly errorGroups: SharedAnswers<ErrorGroups>;

  constructor(private readonly options: ReportDeskOptions) {
    const { clock } = options;
    const isLarge = ({ counts }: Census): boolean => totalOf(sumOf(counts)) > SMALL_TABLE_JOBS;
    this.censuses = new SharedAnswers(clock, (topics) => this.census(topics), isLarge);
    const isMany = ({ window }: ErrorGroups): boolean => window.jobs > FEW_FAILED_JOBS;
    this.errorGroups = new SharedAnswers(clock, (topics) => this.groupErrors(topics), isMany);
  }

  /** Counts, and the times of the newest completed jobs. */
  async stats(topics: Topics = null): Promise<JobStats> {
    const { counts, oldestPendingMs, times } = await this.censusOf(topics);
    const shown = counts.filter(({ topic }) => isAsked(topics, topic));
    const samples = times.filter(({ topic }) => isAsked(topics, topic));
    const completedOf = new Map(shown.map(({ topic, completed }) => [topic, completed]));
    const ages = shown.flatMap(({ topic }) => oldestPendingMs.get(topic) ?? []);
    const sum = sumOf(shown);
    return {
      ...sum,
      total: totalOf(sum),
      successRate: successRateOf(sum),
      ...mergeRunTimes(samples.map(({ topic, timesMs }) => ({ timesMs, completed: completedOf.get(topic) ?? 0 }))),
      oldestPendingMs: ages.length === 0 ? null : Math.max(...ages),
    };
  }

  /** Each topic that has jobs, has a handler in some process or is paused, by name. */
  async topics(topics: Topics = null): Promise<TopicStats[]> {
    const { counts, oldestPendingMs } = await this.censusOf(topics);
    const { reports, pauses } = this.options.store;
    const served = new Set(await reports.servedTopics());
    const paused = new Map((await pauses.list()).map(({ topic, since }) => [topic, since]));
    const known = new Map(counts.map((each) => [each.topic, each]));
    const names = [...new Set([...known.keys(), ...served, ...paused.keys()])].filter((topic) =>
      isAsked(topics, topic),
    );
    return names.sort().map((topic) => {
      const sum = sumOf(known.has(topic) ? [known.get(topic)!] : []);
      return {
        topic,
        ...sum,
        total: totalOf(sum),
        successRate: successRateOf(sum),
        oldestPendingMs: oldestPendingMs.get(topic) ?? null,
        hasHandler: served.has(topic),
        pausedSince: paused.get(topic) ?? null,
      };
    });
  }

  /** The most frequent errors among the newest failed jobs. */
  errors(topics: Topics = null): Promise<ErrorGroups> {
    return this.errorGroups.get(topics);
  }

  /** What finished in each of the last minutes, the running one last. */
  async timeseries(minutes: number, topics: Topics = null): Promise<TimeseriesPoint[]> {
    const { now, entries } = await this.options.store.reports.timeseries(topics ?? [ALL_TOPICS], minutes);
    const byMinute = new Map<number, RolledUpMinutes['entries'][number][]>();
    for (const entry of entries) {
      const minute = byMinute.get(entry.minute.getTime());
      if (minute) {
        minute.push(entry);
      } else {
        byMinute.set(entry.minute.getTime(), [entry]);
      }
    }
    return Array.from({ length: minutes }, (_, index) => {
      const minute = now.getTime() - (minutes - 1 - index) * 60_000;
      return pointOf(new Date(minute), byMinute.get(minute) ?? []);
    });
  }

  /** One that is shown again for all topics serves those who ask for some. */
  private censusOf(topics: Topics): Promise<Census> {
    return this.censuses.get(this.censuses.whole.isShown ? null : topics);
  }

  private async groupErrors(topics: Topics): Promise<ErrorGroups> {
    const { reports } = this.options.store;
    // Not by the counts of a census: in a large table they cost more than the errors themselves.
    const lanes = await reports.failingLanes(topics, SEARCHED_FAILURES_MAX);
    const items = lanes.length === 0 ? [] : await reports.errors(lanes, ERROR_GROUPS_MAX);
    const jobs = lanes.reduce((sum, { limit }) => sum + limit, 0);
    return { items, window: { jobs, jobsMax: SEARCHED_FAILURES_MAX } };
  }

  private async census(topics: Topics): Promise<Census> {
    const { store } = this.options;
    const counts = await store.reports.counts(topics);
    const waiting = counts.filter(({ pending }) => pending > 0).map(({ topic }) => topic);
    const lanes = waiting.length === 0 ? [] : (await store.scan(waiting.map(everyPriority))).waiting;
    const oldestPendingMs = new Map<string, number>();
    for (const { topic, dueInMs } of lanes.filter((lane) => lane.dueInMs <= 0)) {
      oldestPendingMs.set(topic, Math.max(oldestPendingMs.get(topic) ?? 0, -dueInMs));
    }
    const completed = counts.filter((each) => each.completed > 0);
    const timed = lanesOf(
      completed.map((each) => ({ topic: each.topic, jobs: each.completed })),
      TIMED_JOBS_MAX,
    );
    const times = timed.length === 0 ? [] : await store.reports.runTimes(timed);
    return { counts, oldestPendingMs, times };
  }
}

function pointOf(minute: Date, entries: RolledUpMinutes['entries']): TimeseriesPoint {
  const histogram = {};
  entries.forEach((entry) => addHistogram(histogram, entry.histogram));
  const sum = (member: 'completed' | 'failed' | 'started' | 'runMs' | 'waitMs'): number =>
    entries.reduce((total, entry) => total + entry[member], 0);
  const [completed, started] = [sum('completed'), sum('started')];
  return {
    minute,
    completed,
    failed: sum('failed'),
    avgExecutionTime: completed === 0 ? 0 : sum('runMs') / completed,
    p95: estimatePercentile(histogram, 0.95),
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
