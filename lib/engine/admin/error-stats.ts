import type { ErrorGroups } from '../../core/job-reports.js';
import { SEARCHED_FAILURES_MAX } from '../../core/limits.js';
import type { TopicName } from '../../core/topic.js';
import type { TopicShare } from '../../store/report-records.js';
import type { EngineParts } from '../engine-parts.js';
import type { Topics } from './query-cache.js';
import { QueryCache } from './query-cache.js';
import { readTopics } from './queue-stats.js';

/** Groups of at most this many jobs are never cached. */
const FEW_FAILED_JOBS = 1_000;
const GROUPS_MAX = 100;

/** Groups jobs that failed, and jobs that wait for a retry, by their error. */
export class ErrorStats {
  private readonly groups: QueryCache<ErrorGroups>;

  constructor(private readonly parts: Pick<EngineParts, 'store' | 'clock'>) {
    const isLarge = ({ window }: ErrorGroups): boolean => window.jobs + window.retrying > FEW_FAILED_JOBS;
    this.groups = new QueryCache(parts.clock, (topics) => this.read(topics), isLarge);
  }

  /**
   * Returns the 100 most frequent errors of one topic, of several, or of all (`null`, the default). It reads the newest
   * 10,000 failed jobs and the newest 10,000 that wait for a retry; `window` says how many there were. The result may be 2 s old.
   *
   * @throws InvalidOptionsError for an invalid topic name.
   */
  async list(topics: TopicName | Topics = null): Promise<ErrorGroups> {
    return this.groups.get(readTopics(topics));
  }

  private async read(topics: Topics): Promise<ErrorGroups> {
    const { reports } = this.parts.store;
    const failed = await reports.failingTopics('failed', topics, SEARCHED_FAILURES_MAX);
    const retrying = await reports.failingTopics('retrying', topics, SEARCHED_FAILURES_MAX);
    const window = { jobs: countJobs(failed), retrying: countJobs(retrying), jobsMax: SEARCHED_FAILURES_MAX };
    const hasNone = failed.length + retrying.length === 0;
    return { items: hasNone ? [] : await reports.errors({ failed, retrying }, GROUPS_MAX), window };
  }
}

function countJobs(shares: readonly TopicShare[]): number {
  return shares.reduce((sum, { limit }) => sum + limit, 0);
}
