/*
 * nest/: the engine in a Nest application. In: calls and handlers of the application. Out: calls of the engine.
 * Read in this order:
 * jobs.service.ts               the public API
 * jobs.explorer.ts              finds handlers
 * jobs.lifecycle.ts             start and shutdown
 * pipeline/handler-pipeline.ts  guards, pipes, interceptors and filters around handlers
 * ../jobs.module.ts             joins them
 */
import { Inject, Injectable } from '@nestjs/common';
import type { Observable } from 'rxjs';
import type { EntityManager } from '../typeorm/connect.js';
import type { JobsTransaction } from '../core/jobs-transaction.js';
import type { JobEvent } from '../core/job-events.js';
import type { JobLogLine, JobLogOptions } from '../core/job-log.js';
import type { EnqueueOptions, Job, JobFilter, JobPage, JobStats } from '../core/job.js';
import type { AnyHandler, JobHandlerFunction } from '../core/job-handler.js';
import type { WaitingReason, WorkerProcess } from '../core/job-reports.js';
import type { BatchOptions, JobHandlerOptions, RequeueOptions } from '../core/job-options.js';
import type { BulkActions } from '../engine/changes/bulk-actions.js';
import type { ScheduleAdmin } from '../engine/schedules/schedule-admin.js';
import type { QueueGauges } from '../engine/reports/queue-gauges.js';
import type { LimitsAdmin } from '../engine/limits/limits-admin.js';
import type { ErrorStats } from '../engine/reports/error-stats.js';
import type { WaitForOptions } from '../engine/changes/job-waiter.js';
import type { WhenIdleOptions } from '../engine/changes/idle-watch.js';
import type { TopicAdmin } from '../engine/changes/topic-admin.js';
import type { RunDueCounts, RunDueOptions } from '../engine/one-shot.js';
import { JobsEngine } from '../engine/jobs-engine.js';
import type { InputFor, OutputFor, ResultFor, TopicLike } from '../core/job-topic.js';
import { toTopicName } from '../core/job-topic.js';
import type { JobDependencies } from '../core/dependencies.js';
import type { GroupOptions, JobGroup } from '../core/job-group.js';
import type { TopicName } from '../core/topic.js';
import { InvalidOptionsError } from '../core/errors.js';
import type { Option } from '../core/option-checks.js';
import { applyCheck, dateCheck, readOptions, recordCheck } from '../core/option-checks.js';
import type { JobBatch, JobContext } from './decorators/current-job.decorator.js';
import type { HandlerReturn } from './decorators/job-handler.decorator.js';
import { NO_TRANSACTION, OTHER_RUN_AT } from './jobs.messages.js';
import { toLastValue } from './pipeline/handler-call-creator.js';
import { HandlerPipeline } from './pipeline/handler-pipeline.js';
import type { MemberCheck } from './pipeline/member-check.js';

/** A job of a topic. `T` is the type of its payload when the topic is a plain name. */
type EnqueuedJob<Topic, T> = Job<InputFor<Topic, T>, ResultFor<Topic>>;

/** A job for `enqueueMany`, with the payload type of its topic. */
interface NewJobOf<Topic extends TopicLike> extends EnqueueOptions, JobDependencies {
  readonly topic: Topic;
  readonly payload: InputFor<Topic, unknown>;
}

/** An open transaction of the application: of TypeORM, or of another ORM through an adapter of `nestjs-jobs/orm`. */
type AppTransaction = EntityManager | JobsTransaction;

/** The transaction of a call. */
interface TransactionOption {
  /** Stores the jobs in this open transaction. */
  tx?: AppTransaction;
  /** The same as `tx`. */
  manager?: AppTransaction;
}

const ENQUEUE_MANY_OPTIONS = {
  tx: { default: undefined, check: recordCheck, meaning: 'the transaction that stores the jobs' },
  manager: { default: undefined, check: recordCheck, meaning: 'the same as tx' },
} satisfies Record<string, Option<object | undefined>>;

/**
 * Enqueues and manages jobs. Inject it into your providers.
 *
 * When the database does not respond, the methods reject with `QueueUnavailableError`.
 *
 * @publicApi
 */
@Injectable()
export class JobsService {
  /** Re-queues, promotes, cancels and deletes many jobs at once: `bulk.run({ action, filter })`. */
  readonly bulk: BulkActions;
  /** Lists topics with their counts: `topics.list()`. */
  readonly topics: TopicAdmin;
  /** Groups failed jobs by their error: `errors.list()`. */
  readonly errors: ErrorStats;
  /** Reads the state of the queue for monitoring, at most once a second: `gauges.read()`. */
  readonly gauges: QueueGauges;
  /** Creates, changes, lists, pauses, runs and removes schedules: `schedules.upsert(name, pattern, options)`. */
  readonly schedules: ScheduleAdmin;
  /** Sets and reads limits of topics over all processes: `limits.set(topic, { concurrency: 50 })`. */
  readonly limits: LimitsAdmin;

  constructor(
    @Inject(JobsEngine) private readonly engine: JobsEngine,
    @Inject(HandlerPipeline) private readonly pipeline: HandlerPipeline,
  ) {
    this.bulk = engine.bulk;
    this.topics = engine.topics;
    this.errors = engine.errors;
    this.gauges = engine.gauges;
    this.schedules = engine.schedules;
    this.limits = engine.limits;
  }

  /**
   * Stores a job and returns it. When the promise resolves, the job is committed and will run, even after a crash.
   *
   * @param payload any JSON value, at most `payloadMaxBytes` (1 MiB by default).
   * @param options override the settings of the topic, its handler and the module.
   * @throws InvalidPayloadError, PayloadTooLargeError, InvalidOptionsError, DatabaseRefusedError: no job was
   * stored. QueueUnavailableError with `isUncertain`: the job may have been stored.
   */
  async enqueue<T, Topic extends TopicLike = string>(
    topic: Topic,
    payload: InputFor<Topic, T>,
    options?: EnqueueOptions,
  ): Promise<EnqueuedJob<Topic, T>> {
    return this.engine.enqueue(topic, payload, options) as Promise<EnqueuedJob<Topic, T>>;
  }

  /**
   * Stores a job that does not start before `runAt`.
   *
   * @throws the errors of `enqueue`.
   */
  async enqueueAt<T, Topic extends TopicLike = string>(
    topic: Topic,
    payload: InputFor<Topic, T>,
    runAt: Date,
    options?: EnqueueOptions,
  ): Promise<EnqueuedJob<Topic, T>> {
    // Checked here: `undefined` would mean "now".
    const date = applyCheck(dateCheck, runAt, 'runAt');
    const other = options?.runAt === undefined ? date : applyCheck(dateCheck, options.runAt, 'options.runAt');
    if (Number(other) !== Number(date)) {
      throw new InvalidOptionsError('options.runAt', OTHER_RUN_AT);
    }
    return this.engine.enqueue(topic, payload, { ...options, runAt: date }) as Promise<EnqueuedJob<Topic, T>>;
  }

  /**
   * Stores a job in the caller's open transaction. The job exists if and only if that transaction commits.
   *
   * @param tx an EntityManager, or a transaction of another ORM through its adapter: `fromPrisma(tx)` of `nestjs-jobs/orm`.
   * @throws UnknownDataSourceError for a transaction of another database; InvalidOptionsError for one that is not open; the errors of
   * `enqueue`.
   */
  async enqueueTx<T, Topic extends TopicLike = string>(
    tx: AppTransaction,
    topic: Topic,
    payload: InputFor<Topic, T>,
    options?: EnqueueOptions,
  ): Promise<EnqueuedJob<Topic, T>> {
    return this.engine.enqueueTx(tx, topic, payload, options) as Promise<EnqueuedJob<Topic, T>>;
  }

  /**
   * Stores all jobs or none, with `options.tx` in that transaction. Returns the jobs in the same order. If a job holds a
   * unique key already, returns that job. A job with `dependsOn` waits for the jobs that it names.
   *
   * @throws InvalidOptionsError, InvalidPayloadError or PayloadTooLargeError that names the invalid job;
   * UnknownDataSourceError for a transaction of another database.
   */
  async enqueueMany<const Topics extends readonly TopicLike[]>(
    jobs: { readonly [Index in keyof Topics]: NewJobOf<Topics[Index]> },
    options: TransactionOption = {},
  ): Promise<Job[]> {
    return this.engine.enqueueMany(jobs, readTransaction(options));
  }

  /**
   * Stores the jobs of a group, and jobs that start when it ends: `onSuccess`, `onFinish`, `onFailure`. All or none, with
   * `options.tx` in that transaction. With `options.id`, adds the jobs to an unfinished group.
   *
   * @throws InvalidOptionsError for an invalid option, or a group that has finished; the errors of `enqueueMany`.
   */
  async enqueueGroup<const Topics extends readonly TopicLike[]>(
    jobs: { readonly [Index in keyof Topics]: NewJobOf<Topics[Index]> },
    options: GroupOptions & TransactionOption = {},
  ): Promise<{ id: string; jobs: Job[] }> {
    const { tx, manager, ...group } = options;
    const transaction = { ...('tx' in options && { tx }), ...('manager' in options && { manager }) };
    return this.engine.groups.enqueue(jobs, group, readTransaction(transaction));
  }

  /** Returns how far the members of a group are, or `null` when there is no group with this id. */
  group(id: string): Promise<JobGroup | null> {
    return this.engine.groups.get(id);
  }

  /**
   * Cancels the members of a group that have not ended, and returns the group. Running members end `cancelled` when their handlers have
   * ended.
   *
   * @throws GroupNotFoundError
   */
  cancelGroup(id: string): Promise<JobGroup> {
    return this.engine.groups.cancel(id);
  }

  /** Returns the job, or `null` when there is none with this id. The caller declares the types of its payload and result. */
  get<T = unknown, R = unknown>(id: string): Promise<Job<T, R> | null> {
    return this.engine.jobs.get(id) as Promise<Job<T, R> | null>;
  }

  /**
   * Returns the lines that the handler of a job has written with `job.log`, oldest first: 200 of them, or `options.limit`. Empty when
   * there is no job with this id.
   *
   * @throws InvalidOptionsError for invalid options.
   */
  logs(id: string, options?: JobLogOptions): Promise<JobLogLine[]> {
    return this.engine.jobs.logs(id, options);
  }

  /**
   * Resolves with the job when it has completed, in whichever process. The caller declares the types of its payload and result.
   *
   * @param options.timeout how long to wait; `'30s'` by default.
   * @throws JobFailedError when it has ended failed or cancelled; WaitTimeoutError; JobNotFoundError for an unknown or deleted job;
   * QueueUnavailableError when this process stops; the reason of `options.signal`.
   */
  waitFor<T = unknown, R = unknown>(id: string, options?: WaitForOptions): Promise<Job<T, R>> {
    return this.engine.jobs.waitFor(id, options) as Promise<Job<T, R>>;
  }

  /**
   * Returns the job of this topic that holds a unique key, or `null`: the one that a call with the key would return. The job may
   * finish at any time, and another job may take the key.
   *
   * @throws InvalidOptionsError for an invalid topic name or key.
   */
  getByKey<T = unknown, Topic extends TopicLike = string>(
    topic: Topic,
    uniqueKey: string,
  ): Promise<EnqueuedJob<Topic, T> | null> {
    return this.engine.jobs.getByKey(topic, uniqueKey) as Promise<EnqueuedJob<Topic, T> | null>;
  }

  /**
   * Returns a page of jobs, newest first. The page has 20 jobs, or `filter.limit` (1 to 200).
   *
   * @throws InvalidOptionsError for an invalid filter.
   */
  list(filter?: JobFilter): Promise<JobPage> {
    return this.engine.jobs.list(filter);
  }

  /**
   * Explains why pending jobs do not start: other jobs, not due, paused, a limit, a rate, no handler, no free slot. Takes jobs that
   * `get` or `list` returned; leaves out those that are not pending. Costs two statements for all jobs together.
   *
   * @returns the reasons by job id.
   */
  whyWaiting(jobs: readonly Job[]): Promise<ReadonlyMap<string, WaitingReason>> {
    return this.engine.jobs.whyWaiting(jobs);
  }

  /**
   * Makes a failed or cancelled job pending again, with its retry count reset. It is due now, or at `changes.runAt`. `changes`
   * may also replace the payload and `maxRetries`. With `changes.dependants`, the jobs that were cancelled because of this one wait for
   * it again.
   *
   * @throws JobNotFoundError; JobStateError for another status, or when another job holds its unique key;
   * InvalidPayloadError, PayloadTooLargeError and InvalidOptionsError for invalid changes. After an error the job is unchanged.
   */
  requeue(id: string, changes?: RequeueOptions): Promise<Job> {
    return this.engine.jobs.requeue(id, changes);
  }

  /**
   * Makes a pending job due now. Its retries stay unchanged. Does not change a job that is already due.
   *
   * @throws JobNotFoundError; JobStateError when it is not pending, or waits for other jobs.
   */
  promote(id: string): Promise<Job> {
    return this.engine.jobs.promote(id);
  }

  /**
   * Cancels a pending job at once. Aborts the signal of a processing job, also in another process. That job is `cancelled`
   * when its handler has ended.
   *
   * @throws JobNotFoundError; JobStateError when it has finished already.
   */
  cancel(id: string): Promise<Job> {
    return this.engine.jobs.cancel(id);
  }

  /**
   * Deletes a job that is not processing.
   *
   * @throws JobNotFoundError; JobStateError while it is processing, or when a foreign key refers to it.
   */
  delete(id: string): Promise<void> {
    return this.engine.jobs.delete(id);
  }

  /**
   * Returns statistics of one topic, or of all. They may be 2 s old. The cost grows with the number of jobs in the table.
   *
   * @throws InvalidOptionsError for an invalid topic name.
   */
  async stats(topic?: TopicName): Promise<JobStats> {
    return this.engine.stats.get(topic === undefined ? null : toTopicName(topic));
  }

  /**
   * Returns the processes that run jobs, up to 1,000: first those that live, then those that ended without shutdown in the last hour.
   * A process with the role `'producer'` is not listed.
   */
  workers(): Promise<WorkerProcess[]> {
    return this.engine.workers();
  }

  /**
   * Stops all processes from claiming jobs of the topic, until `resume`. The pause survives restarts. Claimed jobs still run; if
   * one fails, its retry waits for `resume`. New jobs are stored and wait. Pausing a paused topic changes nothing.
   *
   * @throws InvalidOptionsError for an invalid topic name; with `strictTopics`, also for a topic without waiting jobs that no live
   * process handles.
   */
  pause(topic: TopicName): Promise<void> {
    return this.engine.topics.pause(topic);
  }

  /**
   * Lets all processes claim jobs of the topic again. Does nothing when the topic is not paused.
   *
   * @throws InvalidOptionsError for an invalid topic name.
   */
  resume(topic: TopicName): Promise<void> {
    return this.engine.topics.resume(topic);
  }

  /**
   * Registers the handler of a topic in this process, without a decorator. With the option `batch`, the handler takes the jobs of a
   * batch. With the option `globalEnhancers`, the application's global enhancers apply to it.
   *
   * @throws InvalidOptionsError when the topic has a handler already, or an option is invalid.
   */
  register<T = unknown, Topic extends TopicLike = string>(
    topic: Topic,
    handler: (jobs: JobBatch<OutputFor<Topic, T>, ResultFor<Topic>>) => unknown,
    options: JobHandlerOptions & { batch: BatchOptions },
  ): void;
  register<T = unknown, Topic extends TopicLike = string>(
    topic: Topic,
    handler: (job: JobContext<OutputFor<Topic, T>, ResultFor<Topic>>) => HandlerReturn<ResultFor<Topic>>,
    options?: JobHandlerOptions & { batch?: undefined },
  ): void;
  register(topic: TopicLike, handler: AnyHandler, options?: JobHandlerOptions): void {
    const run = handler as JobHandlerFunction;
    // The engine rejects a handler that is not a function, and a batch handler without parameters.
    const wrapped = typeof run === 'function' ? this.toAsyncHandler(run) : run;
    if (wrapped !== run) {
      Object.defineProperty(wrapped, 'length', { value: run.length });
    }
    this.engine.register(topic, wrapped, options, undefined);
  }

  /**
   * Starts to claim and run jobs. The module calls it when the application starts.
   *
   * @throws QueueUnavailableError after the application has shut down.
   */
  start(): Promise<void> {
    return this.engine.start();
  }

  /**
   * Stops claiming until `start`, waits for running handlers up to `shutdownTimeout`, then aborts them and releases their jobs.
   * The module does the same when the application shuts down.
   */
  stop(): Promise<void> {
    return this.engine.stop();
  }

  /**
   * Runs the jobs that are due, until nothing is due or `options.for` is over (`'50s'` by default), whatever the role: for containers that a
   * timer starts, and for serverless functions. Then it stops claiming, and waits for running handlers up to `shutdownTimeout`. In a process
   * that claims anyway, also since a `start` during the call, it only waits and counts.
   *
   * @returns how many jobs completed, failed, were retried, snoozed, cancelled and released in this process.
   * @throws InvalidOptionsError for a wrong option, a second call at the same time, and `options.limit` in a process that claims anyway;
   * QueueUnavailableError when the application shuts down.
   */
  runDue(options?: RunDueOptions): Promise<RunDueCounts> {
    return this.engine.runDue(options);
  }

  /**
   * Resolves when no job is due for this process and none runs in it. For tests.
   *
   * @param options.timeout how long to wait; `'30s'` by default.
   * @throws IdleTimeoutError that names the topics with unfinished jobs. InvalidOptionsError if jobs are due that no live
   * process handles.
   */
  whenIdle(options?: WhenIdleOptions): Promise<void> {
    return this.engine.whenIdle(options);
  }

  /** Events of this process. Each is emitted after its write has committed. If a subscriber throws, the queue logs the error. */
  get events(): Observable<JobEvent> {
    return this.engine.events;
  }

  /** Waits for an Observable's last value, as for `@JobHandler` methods. */
  private toAsyncHandler(handler: JobHandlerFunction): JobHandlerFunction {
    const { memberCheck = (_job, handle) => handle() }: { memberCheck?: MemberCheck } = this.pipeline;
    return this.engine.settings.globalEnhancers
      ? this.pipeline.createFunctionHandler(handler)
      : async (job) => toLastValue(memberCheck(job, () => handler(job)));
  }
}

/** Returns the transaction of a call. @throws InvalidOptionsError for an unknown option, two transactions, or one that is undefined. */
function readTransaction(options: TransactionOption): AppTransaction | undefined {
  const { tx, manager } = readOptions(ENQUEUE_MANY_OPTIONS, options);
  const missing = (['tx', 'manager'] as const).find((name) => name in options && options[name] === undefined);
  if (missing !== undefined) {
    throw new InvalidOptionsError(missing, NO_TRANSACTION);
  }
  if (tx !== undefined && manager !== undefined) {
    throw new InvalidOptionsError('manager', 'is the same as tx; give one of them');
  }
  return (tx ?? manager) as AppTransaction | undefined;
}
