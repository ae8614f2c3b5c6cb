/*
 * Admin. In: requests of people. Out: jobs, pages, counts and results of actions.
 * Read job-admin.ts (one job) first, then bulk-actions.ts, topic-admin.ts, change-feed.ts (live changes) and idle-watch.ts (`whenIdle`).
 * Counts are in ../reports.
 */
import { isDeepStrictEqual } from 'node:util';
import { DatabaseRefusedError, JobNotFoundError, JobStateError, RowLockedError } from '../../core/errors.js';
import type { Job, JobFilter, JobPage } from '../../core/job.js';
import type { WaitingReason } from '../../core/job-reports.js';
import type { RequeueOptions } from '../../core/job-options.js';
import { readRequeueOptions } from '../../core/job-options.js';
import type { JobLogLine, JobLogOptions } from '../../core/job-log.js';
import { LOG_OPTIONS, parseLineId } from '../../core/job-log.js';
import type { Actor } from '../../core/job-action.js';
import { APPLICATION, toActionText } from '../../core/job-action.js';
import type { JobAction } from '../../core/job-state.js';
import { JOB_ACTIONS, parseJobId } from '../../core/job-state.js';
import { toTopicName, validatePayload } from '../../core/job-topic.js';
import { findEncodedMark } from '../../core/payload.js';
import { buildCursor, limitToTopics, readListFilter } from '../../core/list-filter.js';
import { applyCheck, readOptions } from '../../core/option-checks.js';
import type { TopicName } from '../../core/topic.js';
import { uniqueKeyCheck } from '../../core/unique-key.js';
import type { ActionGuard, ActionRequest, ActionResult, RequeueChanges } from '../../store/jobs/job-records.js';
import type { PayloadEncoder } from '../codec/payload-encoder.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import { explainWaiting } from '../lists/waiting-reasons.js';
import { logAction } from '../runtime/operation-log.js';
import type { JobRunner } from '../run/job-runner.js';
import type { ChangeFeed } from './change-feed.js';
import type { JobWaiter, WaitForOptions } from './job-waiter.js';
import type { Topics } from '../reports/query-cache.js';

type JobAdminParts = Pick<EngineParts, 'store' | 'registry'> & {
  readonly actions: JobActions;
  readonly encoder: PayloadEncoder;
  readonly waiter: JobWaiter;
};

/** Reads single jobs and pages of jobs, and changes single jobs. See {@link BulkActions} for many. */
export class JobAdmin {
  constructor(private readonly parts: JobAdminParts) {}

  /** Returns the job, or `null` when there is none with this id. */
  async get(id: string): Promise<Job | null> {
    const normal = parseJobId(id);
    return normal === undefined ? null : ((await this.parts.store.find([normal]))[0] ?? null);
  }

  /**
   * Resolves with the job when it has completed, in any process. One query serves all calls of this process: every 50 ms
   * after the latest call, then with growing pauses, up to a second. A job that is deleted as it ends, by `retention`, counts as unknown.
   *
   * @throws JobFailedError when it has ended failed or cancelled; WaitTimeoutError; JobNotFoundError when there is no such job, or not
   * any more; QueueUnavailableError when this process stops; the reason of an aborted signal.
   */
  waitFor(id: string, options?: WaitForOptions): Promise<Job> {
    return this.parts.waiter.waitFor(id, options);
  }

  /**
   * Returns the job of this topic that holds a unique key, or `null`: the one that a call with the key would return. The job may
   * finish at any time, and another job may take the key.
   *
   * @throws InvalidOptionsError for an invalid topic name or key.
   */
  async getByKey(topic: TopicName, uniqueKey: string): Promise<Job | null> {
    const key = applyCheck(uniqueKeyCheck, uniqueKey, 'uniqueKey');
    return (await this.parts.store.findHolder(toTopicName(topic), key)) ?? null;
  }

  /**
   * Returns a page of jobs, newest first or by `filter.order`. The page has 20 jobs, or `filter.limit` (1 to 200).
   *
   * @param topics lists only jobs of these topics; `null`, the default, of all.
   * @throws InvalidOptionsError for an invalid filter.
   */
  async list(filter?: JobFilter, topics: Topics = null): Promise<JobPage> {
    const query = readListFilter(filter);
    const { limit, offset } = query;
    const { last, ...page } = await this.parts.store.reports.list(limitToTopics(query, topics));
    const nextCursor = last === null ? null : buildCursor(last, query);
    return { ...page, limit, offset, nextCursor };
  }

  /**
   * Returns the ids of the first jobs of a list, up to `jobsMax`, and whether there are more, or may be: a search may not cover all jobs.
   *
   * @param topics selects only jobs of these topics; `null`, the default, of all.
   * @throws InvalidOptionsError for an invalid filter.
   */
  async select(
    filter: JobFilter,
    jobsMax: number,
    topics: Topics = null,
  ): Promise<{ readonly ids: readonly string[]; readonly more: boolean }> {
    const query = { ...limitToTopics(readListFilter(filter), topics), limit: jobsMax + 1 };
    const { ids, isComplete } = await this.parts.store.reports.listIds(query);
    return { ids: ids.slice(0, jobsMax), more: ids.length > jobsMax || !isComplete };
  }

  /** Returns these jobs, in this order, except those that do not exist. */
  async find(ids: readonly string[]): Promise<Job[]> {
    const found = new Map((await this.parts.store.find(ids)).map((job) => [job.id, job]));
    return ids.flatMap((id) => found.get(id) ?? []);
  }

  /**
   * Returns the lines that the handler of a job has written with `job.log`, oldest first. Empty when there is no job with this id.
   *
   * @throws InvalidOptionsError for invalid options.
   */
  async logs(id: string, options: JobLogOptions = {}): Promise<JobLogLine[]> {
    const { after, limit } = readOptions(LOG_OPTIONS, options);
    const normal = parseJobId(id);
    return normal === undefined ? [] : this.parts.store.logs.read(normal, parseLineId(after), limit);
  }

  /**
   * Explains why pending jobs do not start. Takes jobs that `get` or `list` returned; leaves out those that are not pending. Costs two
   * statements for all jobs together.
   *
   * @returns the reasons by job id.
   */
  whyWaiting(jobs: readonly Job[]): Promise<ReadonlyMap<string, WaitingReason>> {
    return explainWaiting(this.parts, jobs);
  }

  /**
   * Makes a failed or cancelled job pending again, with all its retries. It is due now, unless `changes.runAt` says
   * otherwise. `changes` may also replace the payload and `maxRetries`. With `changes.dependants` the jobs that were cancelled because
   * of this one wait for it again.
   *
   * @param actor recorded in the job's `actions`, as for `promote` and `cancel`. Default: the application.
   * @throws JobNotFoundError; JobStateError for another status, or when another job holds its unique key;
   * InvalidPayloadError, PayloadTooLargeError and InvalidOptionsError for invalid changes. The job is unchanged then.
   */
  async requeue(id: string, changes?: RequeueOptions, actor?: Actor): Promise<Job> {
    const { payload, dependants, ...others } = readRequeueOptions(changes);
    const read = payload === undefined ? others : { ...others, ...(await this.readPayload(id, payload)) };
    return (await this.run('requeue', id, { changes: read, dependants, actor })).job!;
  }

  /**
   * Makes a pending job due now. Its retries stay as they are. A job that is due already keeps its position.
   *
   * @throws JobNotFoundError; JobStateError when it is not pending, or waits for its parents.
   */
  async promote(id: string, actor?: Actor): Promise<Job> {
    return (await this.run('promote', id, { actor })).job!;
  }

  /**
   * Cancels a pending job at once. Aborts the signal of a processing job, on whichever node it runs; the job is `cancelled`
   * when its handler has ended.
   *
   * @throws JobNotFoundError; JobStateError when it has finished already.
   */
  async cancel(id: string, actor?: Actor): Promise<Job> {
    return (await this.run('cancel', id, { actor })).job!;
  }

  /**
   * Deletes a job that is not processing.
   *
   * @throws JobNotFoundError; JobStateError while it is processing, or when a foreign key refers to it.
   */
  async delete(id: string): Promise<void> {
    await this.run('delete', id);
  }

  private async run(action: JobAction, id: string, options?: ActionOptions): Promise<ActionResult> {
    const normal = parseJobId(id);
    const result = normal === undefined ? undefined : (await this.parts.actions.run(action, [normal], options))[0];
    if (result?.changed) {
      return result;
    }
    throw result?.reason || result?.status ? toActionError(action, result) : new JobNotFoundError(id);
  }

  /** Checks and encodes a new payload. */
  private async readPayload(id: string, given: unknown): Promise<Pick<RequeueChanges, 'payload'>> {
    const { encoder, registry } = this.parts;
    const job = await this.get(id);
    const mayBeEncoded = encoder.isActive || findEncodedMark(given) !== undefined;
    if (mayBeEncoded && isDeepStrictEqual(given, job?.payload)) {
      // Who edits a job sees its encoded payload, and has left it as it was.
      return {};
    }
    const text = encoder.toText(given);
    const payload: unknown = JSON.parse(text);
    const schema = job && registry.get(job.topic)?.schema;
    if (schema) {
      await validatePayload(schema, payload, job.topic);
    }
    return { payload: job ? await encoder.encode(text, job) : text };
  }
}

type JobActionsParts = Pick<EngineParts, 'store' | 'logger' | 'operationLog' | 'retention' | 'wakeSignal' | 'emit'> & {
  readonly runner: JobRunner;
  readonly changes: ChangeFeed;
};

interface ActionOptions {
  readonly changes?: RequeueChanges | undefined;
  readonly dependants?: boolean | undefined;
  readonly guard?: ActionGuard;
  readonly actor?: Actor | undefined;
}

/** Runs an action on a set of jobs, then logs it, emits events, wakes the dispatchers and updates the change feed. */
export class JobActions {
  constructor(private readonly parts: JobActionsParts) {}

  /**
   * Returns one result for each id, in the same order.
   *
   * @param options.changes applied by `requeue`.
   * @param options.dependants whether `requeue` of one job includes the jobs that were cancelled because of it.
   * @param options.guard what must be true of a job; others are left unchanged.
   * @param options.actor who acts. Default: the application.
   */
  async run(
    action: JobAction,
    ids: readonly string[],
    { changes, dependants = false, guard, actor = APPLICATION }: ActionOptions = {},
  ): Promise<ActionResult[]> {
    const { store } = this.parts;
    const request = { ...guard, entry: toActionText(action, actor, changes?.payload !== undefined) };
    const results = await (dependants
      ? this.requeueWithDependants(ids[0]!, changes, request)
      : action === 'requeue'
        ? store.requeue(ids, changes, request)
        : store[action](ids, request));
    this.warnOfRefusals(action, results);
    const changed = results.filter((result) => result.changed);
    changed.forEach((job) => this.report(action, job));
    if (action === 'cancel') {
      await this.discard(changed);
    }
    const topics = new Set(changed.map(({ topic }) => topic!));
    topics.forEach((topic) => {
      this.parts.changes.markChanged(topic);
      if (action === 'requeue' || action === 'promote') {
        this.parts.wakeSignal.announce([topic]);
      }
    });
    return results;
  }

  private async requeueWithDependants(
    id: string,
    changes: RequeueChanges | undefined,
    request: ActionRequest,
  ): Promise<ActionResult[]> {
    const { result, dependants } = await this.parts.store.links.requeueDependants(id, changes, request);
    dependants.forEach(({ topic }) => this.parts.changes.markChanged(topic));
    if (result.changed || dependants.length === 0) {
      return [result];
    }
    // An earlier call was interrupted after it had re-queued the job itself.
    const [job] = await this.parts.store.find([id]);
    return [job ? { ...result, changed: true, job } : result];
  }

  /** Deletes cancelled jobs when `retention.cancelled` is 0. The pruner deletes them when this fails. */
  private async discard(changed: readonly ActionResult[]): Promise<void> {
    const ended = changed.filter(({ status }) => status === 'cancelled');
    if (ended.length > 0 && this.parts.retention.cancelled === 0) {
      await this.parts.store.discard(ended, ['cancelled']).catch(() => undefined);
    }
  }

  /** The database's message goes to the log only: it may name tables and values. */
  private warnOfRefusals(action: JobAction, results: readonly ActionResult[]): void {
    const [first, ...others] = results.filter(({ reason }) => reason instanceof DatabaseRefusedError);
    if (first) {
      const jobs = others.length === 0 ? `job ${first.id}` : `job ${first.id} and ${others.length} more`;
      this.parts.logger.warn(`the database refuses to ${JOB_ACTIONS[action].verb} ${jobs}: ${first.reason!.message}`);
    }
  }

  private report(action: JobAction, job: ActionResult): void {
    const { emit, runner } = this.parts;
    if (action !== 'cancel') {
      logAction(this.parts, JOB_ACTIONS[action].done, job);
    } else if (job.status === 'processing') {
      logAction(this.parts, 'cancel requested', job);
      runner.abortCancelled(job);
    } else {
      emit({ type: 'cancelled', id: job.id, topic: job.topic!, attempt: job.attempt, durationMs: null });
    }
  }
}

function toActionError(action: JobAction, { id, status, holderId, reason }: ActionResult): Error {
  const { verb, from } = JOB_ACTIONS[action];
  if (reason instanceof RowLockedError) {
    return reason;
  }
  if (reason) {
    return new JobStateError(id, `cannot ${verb}: the database refuses it`, undefined, { cause: reason });
  }
  if (action === 'promote' && status === 'pending') {
    return new JobStateError(id, 'cannot promote: it waits for its parents');
  }
  return holderId === null
    ? new JobStateError(id, `cannot ${verb}: expected it to be ${from.join(' or ')}, it is ${status}`)
    : new JobStateError(id, `its unique key is held by job ${holderId}`, holderId);
}
