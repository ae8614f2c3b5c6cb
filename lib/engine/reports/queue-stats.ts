import type { JobStats } from '../../core/job.js';
import type {
  LiveDefinitions,
  OtherTopics,
  RecentAttempts,
  StatusCounts,
  TimeseriesPoint,
  TimeseriesReport,
  TimeseriesWindow,
  TopicStats,
} from '../../core/job-reports.js';
import { toTopicName } from '../../core/job-topic.js';
import { SMALL_TABLE_JOBS } from '../../core/bounds.js';
import { addHistogram, estimatePercentile, mergeRunTimes } from '../../core/run-times.js';
import type { TopicName } from '../../core/topic.js';
import { ALL_TOPICS, NO_JOBS } from '../../store/reports/report-records.js';
import type { LaneScan } from '../../store/jobs/job-records.js';
import { toFullGap } from '../../store/jobs/job-records.js';
import { shareJobs } from '../../store/lists/job-search.js';
import type { RolledUpMinutes, TopicRunTimes } from '../../store/reports/report-records.js';
import type { JobStore } from '../../store/job-store.js';
import type { LimitedTopic, StoredTopic } from '../../store/limits/limit-records.js';
import { toDefinedLimits } from '../../store/limits/limit-records.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { CountedJobs } from './job-counter.js';
import { sumCounts, total } from '../../store/reports/report-records.js';
import { JobCounter } from './job-counter.js';
import type { Topics } from './query-cache.js';
import { QueryCache } from './query-cache.js';

/** The data behind the statistics of topics. */
export interface QueueSnapshot extends CountedJobs {
  /** How long the oldest due job of each topic has been waiting, in milliseconds. */
  readonly oldestPendingMs: ReadonlyMap<string, number>;
  /** When the next pending job of each topic becomes due, in milliseconds; 0 if one is due. */
  readonly nextDueMs: ReadonlyMap<string, number>;
}

interface TimedSnapshot extends QueueSnapshot {
  /** Run times of the newest completed jobs of each topic. */
  readonly times: readonly TopicRunTimes[];
}

/** A part of the list of topics, which is sorted by name. */
export interface TopicRange {
  readonly after?: string | undefined;
  readonly limit?: number | undefined;
}

/** Topics in numbers. */
export interface TopicPage {
  readonly items: readonly TopicStats[];
  /** The last topic of the page, if others follow. */
  readonly nextAfter: string | null;
  /** The sum of the topics beyond the 1,000 that have jobs and are listed by name; `null` if there are none. */
  readonly other: OtherTopics | null;
}

type DeclaredLimits = Pick<TopicStats, 'limits' | 'limitsSource' | 'codeLimits'>;

/** Topics whose lanes one statement reads: on SQLite it blocks the event loop. */
const SCANNED_TOPICS = 100;
/** How many waiting keys are counted, in all topics together. */
const WAITING_KEYS_MAX = 1_000;
/** The minutes of {@link TopicStats.recent}. */
const RECENT_MINUTES = 5;
const NO_ATTEMPTS: RecentAttempts = { completed: 0, attemptsFailed: 0 };
/** Percentiles are computed from this many completed jobs, the newest. */
const TIMED_JOBS_MAX = 10_000;

/** Counts jobs and measures times. Slow queries are cached for 2 s. */
export class QueueStats {
  readonly counter: JobCounter;
  private readonly snapshots: QueryCache<QueueSnapshot>;
  private readonly timedSnapshots: QueryCache<TimedSnapshot>;

  constructor(private readonly parts: Pick<EngineParts, 'store' | 'clock' | 'failureLog'>) {
    this.counter = new JobCounter(parts);
    const isLarge = (snapshot: QueueSnapshot): boolean => total(sumCounts(countsIn(snapshot))) > SMALL_TABLE_JOBS;
    this.snapshots = new QueryCache(parts.clock, (topics) => this.readSnapshot(topics), isLarge);
    this.timedSnapshots = new QueryCache(parts.clock, (topics) => this.readTimes(topics), isLarge);
  }

  /**
   * Returns counts and times, in milliseconds, of one topic, of several, or of all (`null`, the default). Each job is counted once.
   * `countedAt` says how old the counts are: at most 2 s while the table has fewer than 100,000 jobs. Times cover the newest 10,000
   * completed jobs, and the topics that {@link page} lists by name.
   *
   * @throws InvalidOptionsError for an invalid topic name.
   */
  async get(topics: TopicName | Topics = null): Promise<JobStats> {
    const selected = readTopics(topics);
    const { now, oldestPendingMs, times, ...counted } = await this.getAny(this.timedSnapshots, selected);
    const isIncluded = createSelection(selected);
    const shown = counted.counts.filter(({ topic }) => isIncluded(topic));
    const all = selected === null ? countsIn(counted) : shown;
    const samples = times.filter(({ topic }) => isIncluded(topic));
    const completedByTopic = new Map(shown.map(({ topic, completed }) => [topic, completed]));
    const ages = shown.flatMap(({ topic }) => oldestPendingMs.get(topic) ?? []);
    const sum = sumCounts(all);
    return {
      ...sum,
      retrying: all.reduce((jobs, { retrying }) => jobs + retrying, 0),
      total: total(sum),
      successRate: successRate(sum),
      ...mergeRunTimes(samples.map(({ topic, timesMs }) => ({ timesMs, completed: completedByTopic.get(topic) ?? 0 }))),
      oldestPendingMs: ages.length === 0 ? null : Math.max(...ages),
      countedAt: shown.reduce(
        (first, { countedAt }) => (countedAt < first ? countedAt : first),
        selected === null ? counted.countedAt : now,
      ),
    };
  }

  /**
   * Returns what finished in each of the last `minutes` minutes, oldest first. The current minute is the last one.
   *
   * @throws InvalidOptionsError for an invalid topic name.
   */
  async timeseries(minutes: number, topics: TopicName | Topics = null): Promise<TimeseriesPoint[]> {
    const { points } = await this.report(minutes, topics);
    return points;
  }

  /**
   * Returns the minutes of {@link timeseries}, and the whole window as one.
   *
   * @throws InvalidOptionsError for an invalid topic name.
   */
  async report(minutes: number, topics: TopicName | Topics = null): Promise<TimeseriesReport> {
    const selected = readTopics(topics) ?? [ALL_TOPICS];
    const { now, entries } = await this.parts.store.reports.timeseries(selected, minutes);
    const byMinute = new Map<number, RolledUpMinutes['entries'][number][]>();
    for (const entry of entries) {
      const minute = byMinute.get(entry.minute.getTime());
      if (minute) {
        minute.push(entry);
      } else {
        byMinute.set(entry.minute.getTime(), [entry]);
      }
    }
    const points = Array.from({ length: minutes }, (_, index) => {
      const minute = now.getTime() - (minutes - 1 - index) * 60_000;
      const { p50, p99, ...values } = summarize(byMinute.get(minute) ?? []);
      return { minute: new Date(minute), ...values };
    });
    return { points, window: summarize(entries) };
  }

  /** Returns the topics of {@link page}. */
  async byTopic(topics: Topics = null, range: TopicRange = {}): Promise<readonly TopicStats[]> {
    return (await this.page(topics, range)).items;
  }

  /**
   * Returns the counts of each topic that has jobs, has a handler in a live process, or is paused; sorted by name. Of more than 1,000
   * topics with jobs, those beyond are the sum `other`.
   */
  async page(topics: Topics = null, { after = '', limit = Infinity }: TopicRange = {}): Promise<TopicPage> {
    const { now, counts, other, oldestPendingMs, nextDueMs } = await this.getAny(this.snapshots, topics);
    const { store } = this.parts;
    const { reports, pauses } = store;
    const handled = new Set(await reports.servedTopics());
    const paused = new Map((await pauses.list()).map(({ topic, since }) => [topic, since]));
    const known = new Map(counts.map((each) => [each.topic, each]));
    const isIncluded = createSelection(topics);
    const following = [...new Set([...known.keys(), ...handled, ...paused.keys()])]
      .filter((topic) => topic > after && isIncluded(topic))
      .sort();
    const names = following.slice(0, limit);
    const declared = new Map((await store.limits.list()).map((each) => [each.topic, each]));
    const limited = await readLimited(store, names);
    const recent = await readRecent(store, names);
    const items = names.map((topic) => {
      const isDue = oldestPendingMs.has(topic);
      const { retrying, countedAt, ...sum } = known.get(topic) ?? { ...NO_JOBS, countedAt: now };
      return {
        ...sum,
        topic,
        retrying,
        total: total(sum),
        successRate: successRate(sum),
        oldestPendingMs: oldestPendingMs.get(topic) ?? null,
        nextDueMs: nextDueMs.get(topic) ?? null,
        recent: recent.get(topic) ?? NO_ATTEMPTS,
        hasHandler: handled.has(topic),
        pausedSince: paused.get(topic) ?? null,
        countedAt,
        ...toDeclared(declared.get(topic)),
        ...toLimitState(limited.get(topic), sum.processing, isDue),
      };
    });
    const nextAfter = following.length > names.length ? names.at(-1)! : null;
    return { items, nextAfter, other: topics === null ? other : null };
  }

  /** Returns the counts behind the statistics of all topics, and how long the oldest due job of each has been waiting. */
  snapshot(): Promise<QueueSnapshot> {
    return this.snapshots.get(null);
  }

  /** A cached snapshot of all topics serves selections whose topics it names. */
  private async getAny<T extends QueueSnapshot>(snapshots: QueryCache<T>, topics: Topics): Promise<T> {
    const all = snapshots.has(null) ? await snapshots.get(null) : null;
    const isEnough = all !== null && (all.other === null || topics === null);
    return isEnough ? all : snapshots.get(topics);
  }

  private async readSnapshot(topics: Topics): Promise<QueueSnapshot> {
    const { store } = this.parts;
    const counted = await this.counter.count(topics);
    const waiting = counted.counts.filter(({ pending }) => pending > 0).map(({ topic }) => topic);
    const lanes: LaneScan['waiting'][number][] = [];
    for (let start = 0; start < waiting.length; start += SCANNED_TOPICS) {
      const scan = await store.scan(waiting.slice(start, start + SCANNED_TOPICS).map(toFullGap));
      lanes.push(...scan.waiting, ...scan.keyed);
    }
    const oldestPendingMs = new Map<string, number>();
    const nextDueMs = new Map<string, number>();
    for (const { topic, dueInMs } of lanes) {
      nextDueMs.set(topic, Math.min(nextDueMs.get(topic) ?? Infinity, Math.max(0, dueInMs)));
    }
    for (const { topic, dueInMs } of lanes.filter((lane) => lane.dueInMs <= 0)) {
      oldestPendingMs.set(topic, Math.max(oldestPendingMs.get(topic) ?? 0, -dueInMs));
    }
    return { ...counted, oldestPendingMs, nextDueMs };
  }

  private async readTimes(topics: Topics): Promise<TimedSnapshot> {
    const snapshot = await this.readSnapshot(topics);
    const completed = snapshot.counts.filter((each) => each.completed > 0);
    const timed = shareJobs(
      completed.map((each) => ({ topic: each.topic, jobs: each.completed })),
      TIMED_JOBS_MAX,
    );
    const times = timed.length === 0 ? [] : await this.parts.store.reports.runTimes(timed);
    return { ...snapshot, times };
  }
}

/** The counts of all topics. */
function countsIn({ counts, other }: Pick<CountedJobs, 'counts' | 'other'>): readonly Omit<OtherTopics, 'topics'>[] {
  return other ? [...counts, other] : counts;
}

/** @param stored `undefined` for a topic that declares nothing. */
function toDeclared(
  stored: StoredTopic | undefined,
): Pick<TopicStats, 'retention' | 'deadLetters' | 'liveDefinitions'> & DeclaredLimits {
  const defined = stored && toDefinedLimits(stored);
  return {
    limits: defined?.limits ?? null,
    limitsSource: defined?.source ?? null,
    codeLimits: defined?.codeLimits ?? null,
    retention: stored?.retention ?? null,
    deadLetters: stored?.deadLetters.map((target) => target.topic) ?? [],
    liveDefinitions: toLiveDefinitions(stored),
  };
}

function toLiveDefinitions(stored: StoredTopic | undefined): LiveDefinitions {
  if (!stored) {
    return {};
  }
  const { code, retention, deadLetters, live } = stored;
  return {
    ...(code !== null && { limits: live.limits ?? 0 }),
    ...(retention !== null && { retention: live.retention ?? 0 }),
    ...(deadLetters.length > 0 && { deadLetters: live.dead_letters ?? 0 }),
  };
}

/** Reads the attempts that ended in the last minutes. */
async function readRecent(store: JobStore, topics: readonly string[]): Promise<ReadonlyMap<string, RecentAttempts>> {
  const attempts = topics.length === 0 ? [] : await store.reports.recentAttempts(topics, RECENT_MINUTES);
  return new Map(attempts.map(({ topic, ...counts }) => [topic, counts]));
}

/** Reads what the limits of these topics hold back. */
async function readLimited(store: JobStore, topics: readonly string[]): Promise<ReadonlyMap<string, LimitedTopic>> {
  const keysMax = Math.max(1, Math.floor(WAITING_KEYS_MAX / Math.max(1, topics.length)));
  const limited = topics.length === 0 ? [] : await store.limits.limited(topics, keysMax);
  return new Map(limited.map((each) => [each.topic, each]));
}

/** @param limited `undefined` for a topic without limits and keyed jobs. */
function toLimitState(
  limited: LimitedTopic | undefined,
  processing: number,
  isDue: boolean,
): Pick<TopicStats, 'running' | 'waitingKeys' | 'limitedBy'> {
  if (!limited) {
    return { running: processing, waitingKeys: 0, limitedBy: null };
  }
  const { running, waitingKeys } = limited;
  return { running, waitingKeys, limitedBy: isDue ? findLimit(limited) : null };
}

function findLimit({ limitTotal, running, nextStart, ...keys }: LimitedTopic): TopicStats['limitedBy'] {
  if (limitTotal !== null && running >= limitTotal) {
    return 'concurrency';
  }
  if (nextStart !== null) {
    return 'rate';
  }
  if (keys.waitingKeys === 0 || keys.openKeys > 0) {
    return null;
  }
  return keys.fullKeys > 0 ? 'key' : 'rate';
}

/** @throws InvalidOptionsError for an invalid topic name. */
export function readTopics(topics: TopicName | Topics): Topics {
  if (topics === null) {
    return null;
  }
  return isList(topics) ? topics.map((topic) => toTopicName(topic)) : [toTopicName(topics)];
}

function isList(value: unknown): value is readonly string[] {
  return Array.isArray(value);
}

function createSelection(topics: Topics): (topic: string) => boolean {
  const selected = topics && new Set(topics);
  return (topic) => selected?.has(topic) ?? true;
}

function summarize(entries: RolledUpMinutes['entries']): TimeseriesWindow {
  const histogram = {};
  entries.forEach((entry) => addHistogram(histogram, entry.histogram));
  const sum = (member: 'completed' | 'failed' | 'attemptsFailed' | 'started' | 'runMs' | 'waitMs'): number =>
    entries.reduce((total, entry) => total + entry[member], 0);
  const [completed, started] = [sum('completed'), sum('started')];
  return {
    completed,
    failed: sum('failed'),
    attemptsFailed: sum('attemptsFailed'),
    avgExecutionTime: completed === 0 ? 0 : sum('runMs') / completed,
    p50: estimatePercentile(histogram, 0.5),
    p95: estimatePercentile(histogram, 0.95),
    p99: estimatePercentile(histogram, 0.99),
    avgWaitTime: started === 0 ? 0 : sum('waitMs') / started,
  };
}

function successRate({ completed, failed }: StatusCounts): number {
  return completed === 0 ? 0 : completed / (completed + failed);
}
