import type { ErrorGroupPage } from '../../core/error-groups.js';
import { ERROR_GROUP_OPTIONS, foldMessage } from '../../core/error-groups.js';
import { readErrorName } from '../../core/failure-reason.js';
import type { ErrorGroup, ErrorGroups } from '../../core/job-reports.js';
import { SEARCHED_FAILURES_MAX } from '../../core/bounds.js';
import { readOptions } from '../../core/option-checks.js';
import type { TopicName } from '../../core/topic.js';
import type { ErrorCount, LastError, TopicShare } from '../../store/reports/report-records.js';
import { ERROR_SLOTS } from '../../store/reports/report-records.js';
import { FoldingPauses, hashErrorGroup } from '../../store/lists/error-group-search.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { Topics } from './query-cache.js';
import { QueryCache } from './query-cache.js';
import { readTopics } from './queue-stats.js';

/** Groups of at most this many jobs are never cached. */
const FEW_FAILED_JOBS = 1_000;

/** A group before its sample job is read. */
type Summary = Omit<ErrorGroup, 'message' | 'name' | 'key' | 'lastHour'> & { readonly lastHour: number[] };
type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };

interface Summaries {
  /** The error that occurred last is first. */
  readonly groups: readonly Summary[];
  readonly window: ErrorGroups['window'];
}

/** Groups jobs that failed, and jobs that wait for a retry, by their error. */
export class ErrorStats {
  private readonly summaries: QueryCache<Summaries>;

  constructor(private readonly parts: Pick<EngineParts, 'store' | 'clock'>) {
    const isLarge = ({ window }: Summaries): boolean => window.jobs + window.retrying > FEW_FAILED_JOBS;
    this.summaries = new QueryCache(parts.clock, (topics) => this.summarize(topics), isLarge);
  }

  /**
   * Returns the errors of one topic, of several, or of all (`null`, the default): at most 100 groups, the error that occurred last
   * first. It reads the newest 10,000 failed jobs and the newest 10,000 that wait for a retry; `window` says how many there were, with
   * the label or without it.
   * Each job counts once, with its latest error. The result may be 2 s old.
   *
   * @throws InvalidOptionsError for an invalid topic name or page.
   */
  async list(topics: TopicName | Topics = null, page: ErrorGroupPage = {}): Promise<ErrorGroups> {
    const { label, sort, limit, offset } = readOptions(ERROR_GROUP_OPTIONS, page);
    const read = readTopics(topics);
    const { groups, window } = label === null ? await this.summaries.get(read) : await this.summarize(read, label);
    const sorted = sort === 'count' ? groups.toSorted(byCount) : groups;
    const items = await this.complete(sorted.slice(offset, offset + limit));
    return { items, groupsTotal: groups.length, window };
  }

  private async summarize(topics: Topics, labels: string | null = null): Promise<Summaries> {
    const { reports } = this.parts.store;
    const failed = await reports.failingTopics('failed', topics, SEARCHED_FAILURES_MAX);
    const retrying = await reports.failingTopics('retrying', topics, SEARCHED_FAILURES_MAX);
    const window = { jobs: countJobs(failed), retrying: countJobs(retrying), jobsMax: SEARCHED_FAILURES_MAX };
    const hasNone = failed.length + retrying.length === 0;
    return { groups: hasNone ? [] : await toSummaries(await reports.errors({ failed, retrying, labels })), window };
  }

  /** Reads the sample jobs. The pattern replaces the message of a job that is gone, or that has another error now. */
  private async complete(summaries: readonly Summary[]): Promise<ErrorGroup[]> {
    const ids = summaries.map(({ sampleId }) => sampleId);
    const errors = ids.length > 0 ? await this.parts.store.reports.lastErrors(ids) : [];
    const byId = new Map(errors.map((error) => [error.id, error]));
    return summaries.map((summary) => toGroup(summary, byId.get(summary.sampleId)));
  }
}

function toGroup(summary: Summary, sample: LastError | undefined): ErrorGroup {
  const { topic, pattern, ...others } = summary;
  const isSame = sample !== undefined && foldMessage(sample.message) === pattern;
  return {
    topic,
    message: isSame ? sample.message : pattern,
    pattern,
    name: isSame ? readErrorName(sample.stack) : null,
    key: hashErrorGroup(topic, pattern),
    ...others,
  };
}

async function toSummaries(counts: readonly ErrorCount[]): Promise<Summary[]> {
  const groups = new Map<string, Mutable<Summary>>();
  const pauses = new FoldingPauses();
  for (const count of counts) {
    const pattern = foldMessage(count.message);
    const name = `${count.topic.length}:${count.topic}${pattern}`;
    const group = groups.get(name) ?? startSummary(count, pattern);
    groups.set(name, group);
    addTo(group, count);
    await pauses.after(count.message);
  }
  return [...groups.values()].sort(byLastSeen);
}

function startSummary({ topic, firstSeen, lastSeen, sampleId }: ErrorCount, pattern: string): Mutable<Summary> {
  const lastHour = new Array<number>(ERROR_SLOTS).fill(0);
  return { topic, pattern, count: 0, retrying: 0, firstSeen, lastSeen, lastHour, sampleId };
}

function addTo(group: Mutable<Summary>, { slot, failed, retrying, firstSeen, lastSeen, sampleId }: ErrorCount): void {
  group.count += failed;
  group.retrying += retrying;
  group.firstSeen = firstSeen < group.firstSeen ? firstSeen : group.firstSeen;
  group.lastSeen = lastSeen > group.lastSeen ? lastSeen : group.lastSeen;
  group.sampleId = sampleId > group.sampleId ? sampleId : group.sampleId;
  if (slot < ERROR_SLOTS) {
    group.lastHour[ERROR_SLOTS - 1 - slot]! += failed + retrying;
  }
}

/** The newest sample is first among equals, so that pages do not overlap. */
function byLastSeen(one: Summary, other: Summary): number {
  return other.lastSeen.getTime() - one.lastSeen.getTime() || (one.sampleId < other.sampleId ? 1 : -1);
}

function byCount(one: Summary, other: Summary): number {
  return other.count + other.retrying - one.count - one.retrying || byLastSeen(one, other);
}

function countJobs(shares: readonly TopicShare[]): number {
  return shares.reduce((sum, { limit }) => sum + limit, 0);
}
