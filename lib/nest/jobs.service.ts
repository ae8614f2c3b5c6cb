import { Inject, Injectable } from '@nestjs/common';
import type { Observable } from 'rxjs';
import type { EntityManager } from 'typeorm';
import type { JobEvent } from '../core/job-events.js';
import type { EnqueueOptions, Job, JobFilter, JobPage, JobStats } from '../core/job.js';
import type { JobHandlerFunction } from '../core/job-handler.js';
import type { JobHandlerOptions, RequeueOptions } from '../core/job-options.js';
import type { BulkActions } from '../engine/admin/bulk-actions.js';
import type { ErrorStats } from '../engine/admin/error-stats.js';
import type { WhenIdleOptions } from '../engine/admin/idle-watch.js';
import type { TopicAdmin } from '../engine/admin/topic-admin.js';
import { JobsEngine } from '../engine/jobs-engine.js';
import type { AnyNewJob, JobTopic, TopicLike } from '../core/job-topic.js';
import { toTopicName } from '../core/job-topic.js';
import type { TopicName } from '../core/topic.js';
import { InvalidOptionsError } from '../core/errors.js';
import type { Option } from '../core/option-checks.js';
import { applyCheck, dateCheck, readOptions, recordCheck } from '../core/option-checks.js';
import type { JobContext } from './decorators/current-job.decorator.js';
import { toLastValue } from './pipeline/handler-context-creator.js';
import { HandlerPipeline } from './pipeline/handler-pipeline.js';

/** Each member of a typed topic has a payload of its type. */
type CheckedJobs<Jobs extends readonly AnyNewJob[]> = {
  readonly [Place in keyof Jobs]: Jobs[Place] extends { readonly topic: JobTopic<infer Input, unknown> }
    ? EnqueueOptions & { readonly topic: JobTopic<Input, unknown>; readonly payload: Input }
    : Jobs[Place];
};

const enqueueManyTable = {
  manager: { default: undefined, check: recordCheck, meaning: 'whose transaction the jobs are stored in' },
} satisfies Record<string, Option<object | undefined>>;

/*
 * Of each method the signature for a typed topic is the last one: when none fits, some compilers tell of that one alone.
 */

/**
 * The queue, as the application uses it.
 *
 * Every method that asks the database rejects with `QueueUnavailableError` when the database does not answer.
 *
 * @publicApi
 */
@Injectable()
export class JobsService {
  /** Re-queues, promotes, cancels and deletes many jobs at once. */
  readonly bulk: BulkActions;
  /** Lists topics with their counts. */
  readonly topics: TopicAdmin;
  /** Groups failed jobs by their error. */
  readonly errors: ErrorStats;

  constructor(
    @Inject(JobsEngine) private readonly engine: JobsEngine,
    @Inject(HandlerPipeline) private readonly pipeline: HandlerPipeline,
  ) {
    this.bulk = engine.bulk;
    this.topics = engine.topics;
    this.errors = engine.errors;
  }

  /**
   * Stores a job. Resolves when it is committed: from then on it runs, whatever crashes.
   *
   * @throws InvalidPayloadError, PayloadTooLargeError, InvalidOptionsError, DatabaseRefusedError; nothing was stored then.
   */
  enqueue<T>(topic: string, payload: T, options?: EnqueueOptions): Promise<Job<T>>;
  enqueue<T>(topic: JobTopic<T, unknown>, payload: NoInfer<T>, options?: EnqueueOptions): Promise<Job<T>>;
  async enqueue(topic: TopicLike, payload: unknown, options?: EnqueueOptions): Promise<Job> {
    return this.engine.enqueue(topic, payload, options);
  }

  /** The same, not to run before `runAt`. */
  enqueueAt<T>(topic: string, payload: T, runAt: Date, options?: EnqueueOptions): Promise<Job<T>>;
  enqueueAt<T>(
    topic: JobTopic<T, unknown>,
    payload: NoInfer<T>,
    runAt: Date,
    options?: EnqueueOptions,
  ): Promise<Job<T>>;
  async enqueueAt(topic: TopicLike, payload: unknown, runAt: Date, options?: EnqueueOptions): Promise<Job> {
    // Checked by itself: an absent moment would mean "now", and mail a customer too early.
    const moment = applyCheck(dateCheck, runAt, 'runAt');
    const other = options?.runAt === undefined ? moment : applyCheck(dateCheck, options.runAt, 'options.runAt');
    if (Number(other) !== Number(moment)) {
      throw new InvalidOptionsError('options.runAt', 'contradicts the moment that was given to enqueueAt');
    }
    return this.engine.enqueue(topic, payload, { ...options, runAt: moment });
  }

  /**
   * Stores a job in the caller's open transaction: the job exists if and only if that commits.
   *
   * @throws UnknownDataSourceError for a manager of another DataSource; InvalidOptionsError for one without an open
   * transaction; what `enqueue` throws.
   */
  enqueueTx<T>(manager: EntityManager, topic: string, payload: T, options?: EnqueueOptions): Promise<Job<T>>;
  enqueueTx<T>(
    manager: EntityManager,
    topic: JobTopic<T, unknown>,
    payload: NoInfer<T>,
    options?: EnqueueOptions,
  ): Promise<Job<T>>;
  async enqueueTx(manager: EntityManager, topic: TopicLike, payload: unknown, options?: EnqueueOptions): Promise<Job> {
    return this.engine.enqueueTx(manager, topic, payload, options);
  }

  /**
   * Stores jobs, all or none; in the caller's transaction when its manager is given. Answers in their order; for a unique key
   * that is taken, with the job that holds it.
   *
   * @throws InvalidOptionsError, InvalidPayloadError or PayloadTooLargeError naming the job that is refused; UnknownDataSourceError
   * for a manager of another DataSource; QueueUnavailableError when the database does not answer.
   */
  async enqueueMany<const Jobs extends readonly AnyNewJob[]>(
    jobs: Jobs & CheckedJobs<Jobs>,
    options: { manager?: EntityManager } = {},
  ): Promise<Job[]> {
    const { manager } = readOptions(enqueueManyTable, options);
    if (manager === undefined && 'manager' in options) {
      throw new InvalidOptionsError('manager', 'expected the EntityManager of an open transaction, got none');
    }
    return this.engine.enqueueMany(jobs, manager);
  }

  /** The job, or `null` when there is none with this id. What its payload is, `T`, only the caller can know. */
  get<T = unknown>(id: string): Promise<Job<T> | null> {
    return this.engine.jobs.get(id) as Promise<Job<T> | null>;
  }

  /**
   * The job of this topic that was enqueued with a `uniqueKey` and has not ended, or `null`. It may end, and another take the key,
   * at any time.
   *
   * @throws InvalidOptionsError for a topic or a key that no job can have.
   */
  getByKey<T>(topic: JobTopic<T, unknown>, uniqueKey: string): Promise<Job<T> | null>;
  getByKey<T = unknown>(topic: string, uniqueKey: string): Promise<Job<T> | null>;
  getByKey(topic: TopicName, uniqueKey: string): Promise<Job | null> {
    return this.engine.jobs.getByKey(topic, uniqueKey);
  }

  /** A page of jobs, newest first. @throws InvalidOptionsError for a filter that is refused. */
  list(filter?: JobFilter): Promise<JobPage> {
    return this.engine.jobs.list(filter);
  }

  /**
   * failed, cancelled → pending, with all its retries again, due now unless `changes` say otherwise.
   *
   * @throws JobNotFoundError; JobStateError for another status, or when its unique key is held by another job;
   * InvalidPayloadError, PayloadTooLargeError and InvalidOptionsError for changes that are refused.
   */
  requeue(id: string, changes?: RequeueOptions): Promise<Job> {
    return this.engine.jobs.requeue(id, changes);
  }

  /**
   * Runs a waiting job now instead of at its time, be it the one it was enqueued for or that of its next retry. Its retries
   * stay as they are; a job that is due already keeps its place.
   *
   * @throws JobNotFoundError; JobStateError when it is not pending.
   */
  promote(id: string): Promise<Job> {
    return this.engine.jobs.promote(id);
  }

  /**
   * pending → cancelled at once. A running job is asked to end: its signal aborts, on whichever node it runs, and it is
   * `cancelled` when its handler has ended.
   *
   * @throws JobNotFoundError; JobStateError when it has ended already.
   */
  cancel(id: string): Promise<Job> {
    return this.engine.jobs.cancel(id);
  }

  /** Removes a job. @throws JobNotFoundError; JobStateError while it is processing, or a foreign key holds it. */
  delete(id: string): Promise<void> {
    return this.engine.jobs.delete(id);
  }

  /**
   * Counts and times in milliseconds, of one topic or of all; up to 2 s old.
   *
   * @throws InvalidOptionsError for a topic that is none.
   */
  async stats(topic?: TopicName): Promise<JobStats> {
    return this.engine.stats.get(topic === undefined ? null : toTopicName(topic));
  }

  /**
   * From now on no process starts a job of the topic, until `resume`; jobs are stored as before, and wait. What a process has
   * claimed by then runs to its end, and waits when it is to be tried again. It stays so when processes end; a topic that is
   * paused already keeps its time.
   *
   * @throws InvalidOptionsError for a topic that is none.
   */
  pause(topic: TopicName): Promise<void> {
    return this.engine.topics.pause(topic);
  }

  /** Jobs of the topic are started again, if it is paused. @throws InvalidOptionsError for a topic that is none. */
  resume(topic: TopicName): Promise<void> {
    return this.engine.topics.resume(topic);
  }

  /**
   * Gives a topic its handler in this process, without a decorator; with `globalEnhancers`, these come around it too.
   *
   * @throws InvalidOptionsError when it has one.
   */
  register<T = unknown>(topic: string, handler: (job: JobContext<T>) => unknown, options?: JobHandlerOptions): void;
  register<T>(topic: JobTopic<unknown, T>, handler: (job: JobContext<T>) => unknown, options?: JobHandlerOptions): void;
  register(topic: TopicLike, handler: (job: JobContext<never>) => unknown, options?: JobHandlerOptions): void {
    // What is no function is the engine's to refuse.
    const run = typeof handler === 'function' ? this.runOf(handler as JobHandlerFunction) : handler;
    this.engine.register(topic, run, options);
  }

  /** Like a method's, an Observable that it returns is waited for. */
  private runOf(handler: JobHandlerFunction): JobHandlerFunction {
    return this.engine.settings.globalEnhancers
      ? this.pipeline.aroundFunction(handler)
      : async (job) => toLastValue(handler(job));
  }

  /**
   * Begins to claim and run jobs; the application does it by itself when it starts.
   *
   * @throws QueueUnavailableError after its end.
   */
  start(): Promise<void> {
    return this.engine.start();
  }

  /**
   * Stops claiming, until `start`, and waits for running handlers up to `shutdownTimeout`; then it aborts them and releases their
   * jobs. The application does it by itself when it ends.
   */
  stop(): Promise<void> {
    return this.engine.stop();
  }

  /**
   * Resolves when nothing is due for this process and nothing runs in it: for tests.
   *
   * @throws IdleTimeoutError, after 30 s by default.
   */
  whenIdle(options?: WhenIdleOptions): Promise<void> {
    return this.engine.whenIdle(options);
  }

  /** This process's events, each emitted after its write has committed. A subscriber that throws is logged. */
  get events(): Observable<JobEvent> {
    return this.engine.events;
  }
}
