import type { BulkAction, BulkResult, BulkOrder, BulkRequest, SkippedJobs } from '../../core/bulk.js';
import { BULK_JOBS_MAX, readBulkRequest } from '../../core/bulk.js';
import { RowLockedError } from '../../core/errors.js';
import { JOB_ACTIONS } from '../../core/job-state.js';
import type { JobStatus } from '../../core/job-state.js';
import type { ListFilter } from '../../core/list-filter.js';
import type { ActionResult, Statuses } from '../../store/job-store.js';
import type { ListedIds, StandingJob } from '../../store/report-store.js';
import type { EngineParts } from '../engine-parts.js';
import type { JobActions } from './job-admin.js';

type BulkActionsParts = Pick<EngineParts, 'store'> & { readonly actions: JobActions };

/** So many jobs are locked at once. */
const BATCH_JOBS = 200;
const SAMPLE_IDS_MAX = 10;

const GONE = 'there is no such job';
const KEY_TAKEN = 'its unique key is held by another job';
const LOCKED = 'an open transaction holds it';
const REFUSED = 'the database refuses it';
const FOREIGN = 'its topic is not allowed';
const DUE = 'it is due already';

/** Where people move many jobs at once: in batches, each of its own, so that a worker never waits for all of them. */
export class BulkActions {
  constructor(private readonly options: BulkActionsParts) {}

  /**
   * A job that cannot be moved so is left alone, and said why. When the database goes away half-way the call rejects;
   * it may be repeated.
   *
   * @param topics the only topics that are moved; `null` is all.
   * @throws InvalidOptionsError for a request that is refused; nothing was moved then.
   */
  async run(request: BulkRequest, topics: readonly string[] | null = null): Promise<BulkResult> {
    const order = readBulkRequest(request);
    const { ids, more } = await this.meant(order, topics);
    const statuses = order.filter && statusesOf(order.filter);
    const skipped = new Skipped();
    let changed = 0;
    for (let from = 0; from < ids.length; from += BATCH_JOBS) {
      const batch = ids.slice(from, from + BATCH_JOBS);
      const allowed = await this.allowed(batch, order, topics, skipped);
      const isAnyMoved = !order.dryRun && allowed.length > 0;
      const answers = isAnyMoved ? await this.options.actions.run(order.action, allowed, { from: statuses }) : [];
      answers.filter((answer) => !answer.moved).forEach((answer) => skipped.add(reasonOf(answer), answer.id));
      changed += answers.filter((answer) => answer.moved).length;
    }
    return { matched: ids.length, changed, skipped: skipped.count, more, skippedReasons: skipped.reasons() };
  }

  private async meant(
    { action, ids, filter }: BulkOrder,
    topics: readonly string[] | null,
  ): Promise<{ ids: readonly string[]; more: boolean }> {
    if (ids !== null) {
      return { ids, more: false };
    }
    const asked = topics === null ? filter!.topics : topics.filter((topic) => filter!.topics?.includes(topic) ?? true);
    const query = { ...filter!, topics: asked, limit: BULK_JOBS_MAX + 1, offset: 0 };
    const matched = await this.options.store.reports.idsOf(query);
    if (matched.ids.length <= BULK_JOBS_MAX && !matched.isSearchCut) {
      return { ids: matched.ids, more: false };
    }
    // Of too many, those that cannot be moved must not stand before those that can: a next call would meet them again.
    const movable = await this.movable(action, query);
    const movableFirst = [...new Set([...movable.ids, ...matched.ids])];
    return { ids: movableFirst.slice(0, BULK_JOBS_MAX), more: areMore(movable) };
  }

  /** What an action changes of the jobs that a filter means. */
  private async movable(action: BulkAction, query: ListFilter): Promise<ListedIds> {
    const { from, due } = JOB_ACTIONS[action];
    const statuses = from.filter((status) => query.statuses?.includes(status) ?? true);
    const isNone = statuses.length === 0 || (due !== null && query.due === !due);
    return isNone
      ? { ids: [], isSearchCut: false }
      : this.options.store.reports.idsOf({ ...query, statuses, due: due ?? query.due });
  }

  /**
   * Those that may be moved. A dry run judges by the status as well, which the move itself judges better. A move that changes
   * only what is due, or is not, would pass over the others without a word.
   */
  private async allowed(
    ids: readonly string[],
    { action, dryRun }: BulkOrder,
    topics: readonly string[] | null,
    skipped: Skipped,
  ): Promise<readonly string[]> {
    if (!dryRun && topics === null && JOB_ACTIONS[action].due === null) {
      return ids;
    }
    const standing = new Map((await this.options.store.reports.standing(ids)).map((job) => [job.id, job]));
    return ids.filter((id) => {
      const job = standing.get(id);
      const reason =
        job !== undefined && topics !== null && !topics.includes(job.topic)
          ? FOREIGN
          : (dueObstacle(action, job) ?? (dryRun ? statusObstacle(action, job) : undefined));
      if (reason !== undefined) {
        skipped.add(reason, id);
      }
      return reason === undefined;
    });
  }
}

/**
 * The statuses in which a filter means jobs; `null` is all, as of a text alone, which is looked for in topics and errors. Until
 * its turn comes a job may have left them, re-queued by somebody for example, and is then not what was meant.
 */
function statusesOf({ statuses, errorKey }: ListFilter): Statuses {
  return errorKey === null ? statuses : ['failed'];
}

/** Whether there are more than a call takes, or may be: when these are moved, others come within the reach of a search. */
function areMore({ ids, isSearchCut }: ListedIds): boolean {
  return ids.length > BULK_JOBS_MAX || (isSearchCut && ids.length > 0);
}

function dueObstacle(action: BulkAction, job: StandingJob | undefined): string | undefined {
  const { due } = JOB_ACTIONS[action];
  return due !== null && job?.status === 'pending' && job.isDue !== due ? DUE : undefined;
}

function statusObstacle(action: BulkAction, job: StandingJob | undefined): string | undefined {
  return job === undefined
    ? GONE
    : JOB_ACTIONS[action].from.includes(job.status)
      ? undefined
      : statusReason(job.status);
}

/** What was left alone, by reason. */
class Skipped {
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

function reasonOf({ status, holderId, reason }: ActionResult): string {
  if (reason !== null) {
    return reason instanceof RowLockedError ? LOCKED : REFUSED;
  }
  return holderId !== null ? KEY_TAKEN : status === null ? GONE : statusReason(status);
}

function statusReason(status: JobStatus): string {
  return `it is ${status}`;
}
