import type { BulkAction, BulkResult, BulkSettings, BulkRequest, SkippedJobs } from '../../core/bulk.js';
import { BULK_JOBS_MAX, readBulkRequest } from '../../core/bulk.js';
import { RowLockedError } from '../../core/errors.js';
import { JOB_ACTIONS } from '../../core/job-state.js';
import type { JobStatus } from '../../core/job-state.js';
import type { ListFilter } from '../../core/list-filter.js';
import type { ActionResult, Statuses, ListedIds, JobSummary } from '../../store/store-records.js';
import type { EngineParts } from '../engine-parts.js';
import type { JobActions } from './job-admin.js';
import type { Topics } from './query-cache.js';

/** Jobs per statement. Batches are small, so that their locks do not hold up workers for long. */
const BATCH_JOBS = 200;
const SAMPLE_IDS_MAX = 10;

const NOT_FOUND = 'there is no such job';
const KEY_TAKEN = 'its unique key is held by another job';
const LOCKED = 'an open transaction holds it';
const REFUSED = 'the database refuses it';
const TOPIC_NOT_ALLOWED = 'its topic is not allowed';
const DUE = 'it is due already';

type BulkActionsParts = Pick<EngineParts, 'store'> & { readonly actions: JobActions };

/** Re-queues, promotes, cancels and deletes many jobs at once. */
export class BulkActions {
  constructor(private readonly parts: BulkActionsParts) {}

  /**
   * Runs an action on the jobs that `request` selects, at most 10,000, in transactions of 200 jobs. Jobs that the action
   * cannot change are skipped and counted by reason. A call that rejects half-way may be repeated.
   *
   * @param topics skips jobs of other topics; `null`, the default, allows all.
   * @throws InvalidOptionsError for an invalid request; no job was changed then. QueueUnavailableError.
   */
  async run(request: BulkRequest, topics: Topics = null): Promise<BulkResult> {
    const settings = readBulkRequest(request);
    const { action, filter, dryRun } = settings;
    const { ids, more } = await this.select(settings, topics);
    const from = filter && toStatuses(filter);
    const skipped = new SkippedCounter();
    let changed = 0;
    for (let start = 0; start < ids.length; start += BATCH_JOBS) {
      const batch = ids.slice(start, start + BATCH_JOBS);
      const allowed = await this.filterAllowed(batch, settings, topics, skipped);
      if (!dryRun && allowed.length > 0) {
        const results = await this.parts.actions.run(action, allowed, { from });
        results.filter((result) => !result.changed).forEach((result) => skipped.add(toReason(result), result.id));
        changed += results.filter((result) => result.changed).length;
      }
    }
    return { matched: ids.length, changed, skipped: skipped.count, more, skippedReasons: skipped.reasons() };
  }

  private async select(
    { action, ids, filter }: BulkSettings,
    topics: Topics,
  ): Promise<{ ids: readonly string[]; more: boolean }> {
    if (ids !== null) {
      return { ids, more: false };
    }
    const allowed =
      topics === null ? filter!.topics : topics.filter((topic) => filter!.topics?.includes(topic) ?? true);
    const query = { ...filter!, topics: allowed, limit: BULK_JOBS_MAX + 1, offset: 0 };
    const matched = await this.parts.store.reports.listIds(query);
    if (matched.ids.length <= BULK_JOBS_MAX && !matched.isSearchCut) {
      return { ids: matched.ids, more: false };
    }
    // The filter matches more than one call takes. Jobs that can change come first, or the next call would find the others again.
    const changeable = await this.findChangeable(action, query);
    const inOrder = [...new Set([...changeable.ids, ...matched.ids])];
    return { ids: inOrder.slice(0, BULK_JOBS_MAX), more: mayHaveMore(changeable) };
  }

  private async findChangeable(action: BulkAction, query: ListFilter): Promise<ListedIds> {
    const { from, due } = JOB_ACTIONS[action];
    const statuses = from.filter((status) => query.statuses?.includes(status) ?? true);
    const isImpossible = statuses.length === 0 || (due !== null && query.due === !due);
    return isImpossible
      ? { ids: [], isSearchCut: false }
      : this.parts.store.reports.listIds({ ...query, statuses, due: due ?? query.due });
  }

  /**
   * Returns the ids that the action may change and counts the others. A dry run checks the status here. Otherwise the statement
   * checks it, except whether a job is due: the statement skips due jobs without a result.
   */
  private async filterAllowed(
    ids: readonly string[],
    { action, dryRun }: BulkSettings,
    topics: Topics,
    skipped: SkippedCounter,
  ): Promise<readonly string[]> {
    if (!dryRun && topics === null && JOB_ACTIONS[action].due === null) {
      return ids;
    }
    const current = new Map((await this.parts.store.reports.summarize(ids)).map((job) => [job.id, job]));
    return ids.filter((id) => {
      const job = current.get(id);
      const reason =
        job !== undefined && topics !== null && !topics.includes(job.topic)
          ? TOPIC_NOT_ALLOWED
          : (checkDue(action, job) ?? (dryRun ? checkStatus(action, job) : undefined));
      if (reason !== undefined) {
        skipped.add(reason, id);
      }
      return reason === undefined;
    });
  }
}

/** Counts skipped jobs by reason. */
class SkippedCounter {
  count = 0;
  private readonly byReason = new Map<string, { count: number; ids: string[] }>();

  add(reason: string, id: string): void {
    const jobs = this.byReason.get(reason) ?? { count: 0, ids: [] };
    this.byReason.set(reason, jobs);
    this.count += 1;
    jobs.count += 1;
    if (jobs.ids.length < SAMPLE_IDS_MAX) {
      jobs.ids.push(id);
    }
  }

  reasons(): SkippedJobs[] {
    return [...this.byReason].map(([reason, jobs]) => ({ reason, ...jobs }));
  }
}

/**
 * Returns the statuses that a filter selects; `null` means all. The statement checks them again: a job may have left them since
 * the query. A filter by error selects failed jobs.
 */
function toStatuses({ statuses, errorKey }: ListFilter): Statuses {
  return errorKey === null ? statuses : ['failed'];
}

/** A cut search may find further jobs once these have changed. */
function mayHaveMore({ ids, isSearchCut }: ListedIds): boolean {
  return ids.length > BULK_JOBS_MAX || (isSearchCut && ids.length > 0);
}

function checkDue(action: BulkAction, job: JobSummary | undefined): string | undefined {
  const { due } = JOB_ACTIONS[action];
  return due !== null && job?.status === 'pending' && job.isDue !== due ? DUE : undefined;
}

function checkStatus(action: BulkAction, job: JobSummary | undefined): string | undefined {
  if (job === undefined) {
    return NOT_FOUND;
  }
  return JOB_ACTIONS[action].from.includes(job.status) ? undefined : describeStatus(job.status);
}

function toReason({ status, holderId, reason }: ActionResult): string {
  if (reason !== null) {
    return reason instanceof RowLockedError ? LOCKED : REFUSED;
  }
  return holderId !== null ? KEY_TAKEN : status === null ? NOT_FOUND : describeStatus(status);
}

function describeStatus(status: JobStatus): string {
  return `it is ${status}`;
}
