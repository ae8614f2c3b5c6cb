import type {
  BulkAction,
  BulkPosition,
  BulkResult,
  BulkSettings,
  BulkRequest,
  SkippedJobs,
  TopicChanges,
} from '../../core/bulk.js';
import { BULK_JOBS_MAX, buildBulkCursor, readBulkRequest } from '../../core/bulk.js';
import { RowLockedError } from '../../core/errors.js';
import type { Actor } from '../../core/job-action.js';
import { JOB_ACTIONS, toJobStatus } from '../../core/job-state.js';
import type { JobStatus } from '../../core/job-state.js';
import type { ListFilter } from '../../core/list-filter.js';
import { findKeyCondition, limitToTopics } from '../../core/list-filter.js';
import type { ActionGuard, ActionResult, ListedIds, JobSummary, RequeueChanges } from '../../store/jobs/job-records.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { JobActions } from './job-admin.js';
import type { Topics } from '../reports/query-cache.js';

/** Jobs per statement. Batches are small, so that their locks do not hold up workers for long. */
const BATCH_JOBS = 200;
const SAMPLE_IDS_MAX = 10;
/** Topics in one result. */
const TOPICS_MAX = 100;

/** Also for a job that the caller may not change, so that the reason does not reveal it. */
const NOT_FOUND = 'there is no such job';
const KEY_TAKEN = 'its unique key is held by another job';
const LOCKED = 'an open transaction holds it';
const REFUSED = 'the database refuses it';
const DUE = 'it is due already';
const CHANGED = 'it has changed since the count';

type BulkActionsParts = Pick<EngineParts, 'store'> & { readonly actions: JobActions };

/** The jobs that one call selects, in the order in which it changes them. */
interface Selection {
  readonly ids: readonly string[];
  readonly more: boolean;
  /** Whether jobs that can change have falling ids, so that the next call can go on after the last one. */
  readonly isOrdered: boolean;
}

/** What the calls of a run have in common, and where this call starts. */
interface Run extends BulkSettings {
  readonly asOf: string;
  readonly position: BulkPosition;
  readonly guard: ActionGuard;
  readonly actor?: Actor | undefined;
}

/** Re-queues, promotes, cancels and deletes many jobs at once. */
export class BulkActions {
  constructor(private readonly parts: BulkActionsParts) {}

  /**
   * Runs an action on the jobs that `request` selects, at most 10,000, in transactions of 200 jobs. Jobs that the action
   * cannot change are skipped and counted by reason. A call that rejects half-way may be repeated.
   *
   * @param topics skips jobs of other topics as if they did not exist; `null`, the default, allows all.
   * @param actor recorded in the `actions` of each job. Default: the application.
   * @throws InvalidOptionsError for an invalid request; no job was changed then. QueueUnavailableError.
   */
  async run(request: BulkRequest, topics: Topics = null, actor?: Actor): Promise<BulkResult> {
    const run = { ...toRun(readBulkRequest(request), await this.parts.store.reports.now()), actor };
    const { ids, more, isOrdered } = await this.select(run, topics);
    const [changes, skipped] = [new ChangeCounter(), new SkippedCounter()];
    let done = 0;
    while (done < ids.length && changes.count < run.max) {
      const batch = ids.slice(done, done + Math.min(BATCH_JOBS, run.max - changes.count));
      const allowed = await this.filterAllowed(batch, run, topics, { changes, skipped });
      await this.change(allowed, run, { changes, skipped });
      done += batch.length;
    }
    const changed = run.dryRun ? 0 : changes.count;
    const isLeft = done < ids.length;
    // If this call of a search changes nothing, the next one would find the same jobs again.
    const canContinue = isLeft || (more && (isOrdered || changed > 0));
    return {
      matched: ids.length,
      changed,
      skipped: skipped.count,
      more: isLeft || more,
      asOf: run.asOf,
      nextCursor: canContinue ? toNextCursor(run, isOrdered ? ids[done - 1] : null, changed) : null,
      byTopic: changes.byTopic(),
      sampleIds: changes.sampleIds,
      skippedReasons: skipped.reasons(),
    };
  }

  private async change(
    ids: readonly string[],
    { action, dryRun, guard, paceMs, position, actor }: Run,
    { changes, skipped }: Counters,
  ): Promise<void> {
    if (dryRun || ids.length === 0) {
      return;
    }
    const requeueChanges = paceMs === null ? undefined : toPacedChanges(paceMs, position, changes.count);
    for (const result of await this.parts.actions.run(action, ids, { guard, changes: requeueChanges, actor })) {
      if (result.changed) {
        changes.add(result.topic!, result.id);
      } else {
        skipped.add(toReason(action, guard, result), result.id);
      }
    }
  }

  private async select({ action, ids, filter, position, guard }: Run, topics: Topics): Promise<Selection> {
    if (filter === null) {
      return { ids: ids!, more: false, isOrdered: false };
    }
    const { beforeId } = position;
    const query = { ...limitToTopics(filter, topics), limit: BULK_JOBS_MAX + 1, beforeId, asOf: guard.asOf };
    const isOrdered = isOrderedById(filter);
    const matched = await this.parts.store.reports.listIds(query);
    if (!mayHaveMore(matched)) {
      return { ids: matched.ids, more: false, isOrdered };
    }
    // There may be more jobs than one call takes. Jobs that can change come first: the next call would find the others again.
    const changeable = await this.findChangeable(action, query, matched);
    const inOrder = [...new Set([...changeable.ids, ...matched.ids])];
    return { ids: inOrder.slice(0, BULK_JOBS_MAX), more: mayHaveMore(changeable), isOrdered };
  }

  private async findChangeable(action: BulkAction, query: ListFilter, matched: ListedIds): Promise<ListedIds> {
    const { from, due } = JOB_ACTIONS[action];
    const statuses = query.statuses?.filter((status) => from.includes(toJobStatus(status))) ?? from;
    const isImpossible = statuses.length === 0 || (due !== null && query.due === !due);
    if (isImpossible) {
      return { ids: [], isComplete: true };
    }
    const isSame = statuses.length === query.statuses?.length && (due === null || due === query.due);
    return isSame ? matched : this.parts.store.reports.listIds({ ...query, statuses, due: due ?? query.due });
  }

  /**
   * Returns the ids that the action may change and counts the others. A dry run checks the status here. Otherwise the statement
   * checks it, except whether a job is due: the statement skips due jobs without a result.
   */
  private async filterAllowed(
    ids: readonly string[],
    { action, dryRun, guard }: Run,
    topics: Topics,
    { changes, skipped }: Counters,
  ): Promise<readonly string[]> {
    if (!dryRun && topics === null && JOB_ACTIONS[action].due === null) {
      return ids;
    }
    const current = new Map((await this.parts.store.reports.summarize(ids, guard.asOf)).map((job) => [job.id, job]));
    return ids.filter((id) => {
      const job = current.get(id);
      const reason =
        job !== undefined && topics !== null && !topics.includes(job.topic)
          ? NOT_FOUND
          : (checkDue(action, job) ?? (dryRun ? checkStatus(action, job) : undefined));
      if (reason !== undefined) {
        skipped.add(reason, id);
      } else if (dryRun) {
        changes.add(job!.topic, id);
      }
      return reason === undefined;
    });
  }
}

interface Counters {
  readonly changes: ChangeCounter;
  readonly skipped: SkippedCounter;
}

/** Counts jobs that have changed, or in a dry run would change. */
class ChangeCounter {
  count = 0;
  readonly sampleIds: string[] = [];
  private readonly topics = new Map<string, number>();

  add(topic: string, id: string): void {
    this.count += 1;
    this.topics.set(topic, (this.topics.get(topic) ?? 0) + 1);
    if (this.sampleIds.length < SAMPLE_IDS_MAX) {
      this.sampleIds.push(id);
    }
  }

  byTopic(): TopicChanges[] {
    const topics = [...this.topics].map(([topic, count]) => ({ topic, count }));
    return topics.sort((a, b) => b.count - a.count || (a.topic < b.topic ? -1 : 1)).slice(0, TOPICS_MAX);
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

/** Adds the time of the database. A run with a filter changes only jobs that have not changed since its first call. */
function toRun(settings: BulkSettings, now: string): Run {
  const { ids, filter, position } = settings;
  // A later time would let in jobs that change after the count.
  const given = position?.asOf ?? settings.asOf;
  const asOf = given !== null && given < now ? given : now;
  const isGuarded = ids === null || given !== null;
  const pacedUntil = Math.max(Date.parse(now), position?.pacedUntil ?? 0);
  return {
    ...settings,
    asOf,
    position: { asOf, beforeId: position?.beforeId ?? null, pacedUntil },
    guard: { from: filter && toStatuses(filter), asOf: isGuarded ? asOf : null },
  };
}

/** @param lastId the last id of an ordered list. */
function toNextCursor(run: Run, lastId: string | null | undefined, changed: number): string | null {
  const { asOf, position, paceMs } = run;
  if (run.filter === null || run.dryRun) {
    return null;
  }
  const pacedUntil = paceMs === null ? null : Math.round(position.pacedUntil! + changed * paceMs);
  return buildBulkCursor({ asOf, beforeId: lastId ?? position.beforeId, pacedUntil }, run);
}

function toPacedChanges(intervalMs: number, { pacedUntil }: BulkPosition, firstSlot: number): RequeueChanges {
  return { runAt: new Date(pacedUntil!), pace: { intervalMs, firstSlot } };
}

/** Whether a list by this filter is in the order of ids as far as it goes. A search finds the newest or first jobs of each topic. */
function isOrderedById(filter: ListFilter): boolean {
  const { order, q, errorKey, due } = filter;
  return order === 'created' && [q, errorKey, findKeyCondition(filter), due].every((condition) => condition === null);
}

/**
 * Returns the statuses that a filter selects; `null` means all. The statement checks them again: a job may have left them since
 * the query. A filter by error selects failed jobs, and those that wait for a retry.
 */
function toStatuses({ statuses, errorKey }: ListFilter): ActionGuard['from'] {
  if (errorKey === null) {
    return statuses?.map(toJobStatus);
  }
  return statuses?.includes('retrying') ? ['failed', 'pending'] : ['failed'];
}

/** Whether the filter matches, or may match, further jobs. */
function mayHaveMore({ ids, isComplete }: ListedIds): boolean {
  return ids.length > BULK_JOBS_MAX || !isComplete;
}

function checkDue(action: BulkAction, job: JobSummary | undefined): string | undefined {
  const { due } = JOB_ACTIONS[action];
  return due !== null && job?.status === 'pending' && job.isDue !== due ? DUE : undefined;
}

function checkStatus(action: BulkAction, job: JobSummary | undefined): string | undefined {
  if (job === undefined) {
    return NOT_FOUND;
  }
  if (!JOB_ACTIONS[action].from.includes(job.status)) {
    return describeStatus(job.status);
  }
  return job.isNewer ? CHANGED : undefined;
}

function toReason(action: BulkAction, { from }: ActionGuard, result: ActionResult): string {
  const { status, holderId, reason, isNewer } = result;
  if (reason !== null) {
    return reason instanceof RowLockedError ? LOCKED : REFUSED;
  }
  if (status === null) {
    return NOT_FOUND;
  }
  const isExpected = JOB_ACTIONS[action].from.includes(status) && (from?.includes(status) ?? true);
  if (isExpected && isNewer) {
    return CHANGED;
  }
  return holderId === null ? describeStatus(status) : KEY_TAKEN;
}

function describeStatus(status: JobStatus): string {
  return `it is ${status}`;
}
