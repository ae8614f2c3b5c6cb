/*
 * engine/: the queue without Nest. In: options, handlers and new jobs. Out: outcomes in the table, and events.
 * This file joins the parts, which create-parts.ts creates. Read enqueue/, claim/ and run/ next, in the order of a job's life; then
 * changes/, lists/ and reports/ (what people ask for) and maintain/ (rescue, pruning). lifecycle.ts starts and stops the loops.
 */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Observable } from 'rxjs';
import type { Clock } from '../core/clock.js';
import { endsWithin } from '../core/clock.js';
import type { SchedulePattern } from '../core/cron.js';
import { describeValue } from '../core/error-text.js';
import { InvalidOptionsError } from '../core/errors.js';
import type { JobEvent, JobEventType } from '../core/job-events.js';
import { JOB_EVENT_TYPES } from '../core/job-events.js';
import type { AnyHandler, BatchHandlerFunction, JobHandlerFunction } from '../core/job-handler.js';
import type { BatchOptions, JobHandlerOptions } from '../core/job-options.js';
import type { WorkerProcess } from '../core/job-reports.js';
import type { AnyNewJob, TopicLike } from '../core/job-topic.js';
import { toTopicName } from '../core/job-topic.js';
import type { EnqueueOptions, Idempotency, Job } from '../core/job.js';
import type { JobsLogger } from '../core/logger.js';
import { guardLogger, silentLogger } from '../core/logger.js';
import type { JobsOptions, JobsSettings } from '../core/options.js';
import { readJobsOptions } from '../core/options.js';
import type { ScheduleOptions } from '../core/schedule.js';
import { readSchedule, readScheduleName } from '../core/schedule.js';
import { suggestNearest } from '../core/suggestion.js';
import type { JobStore } from '../store/job-store.js';
import { systemClock } from '../store/runtime/system-clock.js';
import type { StoreTransaction } from '../store/transactions/application-transactions.js';
import type { BulkActions } from './changes/bulk-actions.js';
import type { ChangeFeed } from './changes/change-feed.js';
import type { GroupAdmin } from './changes/group-admin.js';
import type { IdleWatch, WhenIdleOptions } from './changes/idle-watch.js';
import type { JobAdmin } from './changes/job-admin.js';
import type { JobWaiter } from './changes/job-waiter.js';
import type { TopicAdmin } from './changes/topic-admin.js';
import type { Dispatcher } from './claim/dispatcher.js';
import type { Definitions, Running, Upkeep } from './create-parts.js';
import {
  createAdmin,
  createBasics,
  createDefinitions,
  createEvents,
  createLifecycle,
  createReports,
  createRunning,
  createSharedParts,
  createUpkeep,
} from './create-parts.js';
import { reportLinkChanges } from './follow-up/link-events.js';
import type { EngineLifecycle } from './lifecycle.js';
import { RELEASE_GRACE_MS } from './lifecycle.js';
import type { LimitsAdmin } from './limits/limits-admin.js';
import type { JobGraphs } from './lists/job-graphs.js';
import type { PruneResult } from './maintain/pruner.js';
import { Pruner } from './maintain/pruner.js';
import type { TablesInUse } from './maintain/table-sweepers.js';
import type { ErrorStats } from './reports/error-stats.js';
import type { QueueGauges } from './reports/queue-gauges.js';
import type { QueueHealth } from './reports/queue-health.js';
import type { QueueStats } from './reports/queue-stats.js';
import type { RunDueCounts, RunDueOptions } from './one-shot.js';
import { OneShot } from './one-shot.js';
import type { EngineParts } from './runtime/engine-parts.js';
import type { EventStream } from './runtime/event-stream.js';
import type { HealthProbe } from './reports/health-probe.js';
import { createProbe } from './reports/health-probe.js';
import type { ScheduleAdmin } from './schedules/schedule-admin.js';
import type { KnownTopics } from './topics/known-topics.js';

/** The module's options, the store, and parts that a test may replace. */
export interface JobsEngineOptions extends JobsOptions {
  /** The store of the jobs. The caller opens and closes it. */
  store: JobStore;
  /** Default: the process's monotonic clock. */
  clock?: Clock;
  /** Default: logs nothing. */
  logger?: JobsLogger;
  /** A number in [0, 1), for jitter. Default `Math.random`. */
  random?: () => number;
  /** Names this process in `locked_by`. Default: its host, its process id and a random text. */
  worker?: string;
}

/** The parts inside the engine. The engine of `nestjs-jobs/testing` drives them itself, instead of the loops. */
export type InnerParts = EngineParts & Definitions & Running & Upkeep & { readonly waiter: JobWaiter };

/**
 * The queue without Nest: joins the store, the loops and the parts that users call. Make one for each process and database.
 *
 * @example
 * const engine = new JobsEngine({ store, concurrency: 20 });
 * engine.register('send_mail', (job) => mailer.send(job.payload));
 * await engine.start();
 * await engine.enqueue('send_mail', { to: 'a@example.org' });
 */
export class JobsEngine {
  /** Names this process in `locked_by`. */
  readonly worker: string;
  readonly settings: JobsSettings;
  /** Reads, re-queues, promotes, cancels and deletes single jobs. */
  readonly jobs: JobAdmin;
  /** Re-queues, promotes, cancels and deletes many jobs at once. */
  readonly bulk: BulkActions;
  /** Stores, reads and cancels groups of jobs. */
  readonly groups: GroupAdmin;
  /** Reads what jobs wait for. */
  readonly graphs: JobGraphs;
  /** Lists, pauses and resumes topics. */
  readonly topics: TopicAdmin;
  /** Knows which topics exist, for callers over HTTP. */
  readonly knownTopics: KnownTopics;
  /** Counts jobs and measures times. */
  readonly stats: QueueStats;
  /** Groups failed jobs by their error. */
  readonly errors: ErrorStats;
  /** Checks the database, the loops of this process and the backlog. */
  readonly health: QueueHealth;
  /** Reads the state of the queue for monitoring, at most once a second. */
  readonly gauges: QueueGauges;
  /** Reports to listeners which topics have changed, at most once a second. */
  readonly changes: ChangeFeed;
  /** Creates, changes, lists, pauses, runs and removes schedules. */
  readonly schedules: ScheduleAdmin;
  /** Sets and reads the limits of topics over all processes. */
  readonly limits: LimitsAdmin;
  protected readonly parts: InnerParts;

  private readonly stream: EventStream;
  private readonly store: JobStore;
  private readonly dispatcher: Dispatcher;
  private readonly idleWatch: IdleWatch;
  private readonly lifecycle: EngineLifecycle;
  private readonly probe: HealthProbe | undefined;
  private readonly oneShot: OneShot;

  /** @throws InvalidOptionsError for an unknown option, an invalid value, or two options that contradict each other. */
  constructor(options: JobsEngineOptions) {
    const { settings, ...given } = readEngineOptions(options);
    const basics = createBasics(settings, given);
    const events = createEvents(basics);
    const shared = createSharedParts(basics, events);
    const definitions = createDefinitions(shared);
    const running = createRunning(shared, definitions);
    const upkeep = createUpkeep(shared, events, definitions, running);
    const admin = createAdmin(shared, events, definitions, running);
    const lifecycle = createLifecycle(shared, events, definitions, running, upkeep);
    const reports = createReports(shared, basics, running, upkeep, lifecycle);
    reportLinkChanges({ ...shared, changes: events.changes });

    this.settings = settings;
    this.worker = shared.worker;
    this.jobs = admin.jobs;
    this.bulk = admin.bulk;
    this.groups = admin.groups;
    this.graphs = reports.graphs;
    this.topics = admin.topics;
    this.knownTopics = definitions.knownTopics;
    this.stats = events.stats;
    this.errors = reports.errors;
    this.health = reports.health;
    this.gauges = basics.gauges;
    this.changes = events.changes;
    this.schedules = admin.schedules;
    this.limits = admin.limits;

    this.parts = { ...shared, ...definitions, ...running, ...upkeep, waiter: events.waiter };
    this.stream = events.stream;
    this.store = shared.store;
    this.dispatcher = running.dispatcher;
    this.idleWatch = admin.idleWatch;
    this.lifecycle = lifecycle;
    this.oneShot = new OneShot({ ...shared, ...running, ...upkeep, ...admin, lifecycle });
    this.probe = createProbe(settings.probe, { ...shared, health: reports.health });
  }

  get database(): 'postgres' | 'sqlite' {
    return this.store.capabilities.database;
  }

  /** Events of this process. Each is emitted after its write has committed. */
  get events(): Observable<JobEvent> {
    return this.stream.observe();
  }

  /**
   * Calls a method for each event of this type until the engine closes.
   *
   * @param topic only events of this topic; `undefined`: of all.
   * @param source class and method, for messages.
   * @throws InvalidOptionsError for an unknown type or an invalid topic name.
   */
  declareEventListener(
    type: JobEventType,
    topic: TopicLike | undefined,
    listener: (event: JobEvent) => unknown,
    source: string,
  ): void {
    if (!JOB_EVENT_TYPES.includes(type)) {
      const hint = suggestNearest(String(type), JOB_EVENT_TYPES);
      throw new InvalidOptionsError('@OnJobEvent', `on ${source}: unknown event ${describeValue(type)}${hint}`);
    }
    const name = topic === undefined ? undefined : toTopicName(topic, `topic of ${source}`);
    const isWanted = (event: JobEvent): boolean => event.type === type && (name === undefined || event.topic === name);
    this.stream.observe(source).subscribe((event) => (isWanted(event) ? listener(event) : undefined));
  }

  /**
   * Stores a job. Resolves when it is committed.
   *
   * @param idempotency identifies the request: a repetition within 24 hours returns the job of the first one.
   * @throws InvalidPayloadError, PayloadTooLargeError, InvalidOptionsError, QueueUnavailableError, DatabaseRefusedError;
   * IdempotencyConflictError when a request with the same key had another body.
   */
  enqueue(topic: TopicLike, payload: unknown, options?: EnqueueOptions, idempotency?: Idempotency): Promise<Job> {
    return this.parts.enqueuer.enqueue(topic, payload, options, idempotency);
  }

  /**
   * Stores a job in the caller's open transaction: the job exists if and only if the transaction commits.
   *
   * @throws UnknownDataSourceError for a manager of another DataSource; InvalidOptionsError for a manager without an open
   * transaction; the errors of `enqueue`.
   */
  enqueueTx(tx: StoreTransaction, topic: TopicLike, payload: unknown, options?: EnqueueOptions): Promise<Job> {
    return this.parts.enqueuer.enqueueTx(tx, topic, payload, options);
  }

  /** Stores all jobs or none, in the caller's transaction if one is given. @throws the errors of `enqueueTx`. */
  enqueueMany(jobs: readonly AnyNewJob[], tx?: StoreTransaction): Promise<Job[]> {
    return this.parts.enqueuer.enqueueMany(jobs, tx);
  }

  /**
   * Registers the handler of a topic in this process.
   *
   * @param source class and method of the handler, for messages.
   * @throws InvalidOptionsError when the topic has a handler already, or an option is invalid.
   */
  register(topic: TopicLike, run: JobHandlerFunction, options?: JobHandlerOptions & { batch?: undefined }): void;
  register(topic: TopicLike, run: BatchHandlerFunction, options: JobHandlerOptions & { batch: BatchOptions }): void;
  register(topic: TopicLike, run: AnyHandler, options: JobHandlerOptions | undefined, source: string | undefined): void;
  register(topic: TopicLike, run: AnyHandler, options?: JobHandlerOptions, source?: string): void {
    this.parts.registry.register(topic, run as JobHandlerFunction, options, source);
    this.parts.deadLetters.assertNoCycle(toTopicName(topic));
    this.parts.presence.update();
    this.dispatcher.addTopic(toTopicName(topic));
  }

  /** Whether the code of this process computes the concurrency key of jobs of this topic from their payloads. */
  computesKey(topic: string): boolean {
    return this.parts.registry.get(topic)?.concurrencyKey !== undefined;
  }

  /**
   * Makes the handler of a topic also that of failed jobs: of one topic, or of all topics with a handler in this process, except those
   * that receive dead letters. Each failed job has a dead letter in that topic.
   *
   * @param source class and method of the handler, for messages.
   * @throws InvalidOptionsError when a topic would receive its own dead letters. `start` throws for a topic without a handler.
   */
  declareFailureHandler(target: TopicLike, of: TopicLike | undefined, source: string): void {
    const option = `topic of ${source}`;
    this.parts.deadLetters.listen({
      source: of === undefined ? undefined : toTopicName(of, option),
      target: toTopicName(target, option),
      method: source,
    });
  }

  /**
   * Declares a schedule of this process's code. Only processes that declare it fire it. The job's topic is that of the options, or has
   * the name of the schedule.
   *
   * @throws InvalidOptionsError for a wrong name, pattern or option, or a second declaration of the name.
   */
  declareSchedule(name: string, pattern: SchedulePattern, options: ScheduleOptions = {}): void {
    const topic = options.topic ?? name;
    this.parts.scheduler.declare(
      readScheduleName(name),
      readSchedule(pattern, { ...options, topic }, `schedule '${name}'`),
      topic,
    );
  }

  /**
   * Starts to claim and run jobs, unless the role is `'producer'`. A second call only undoes `stopClaiming`. After `stop` it starts
   * again.
   *
   * @throws QueueUnavailableError after `close`; InvalidOptionsError when `@OnJobFailed` names a topic without a handler here, and for a
   * `probe` whose port or file cannot be used.
   */
  async start(): Promise<void> {
    this.parts.deadLetters.assertHandled();
    await this.probe?.start();
    try {
      await this.lifecycle.start();
    } catch (error) {
      await this.probe?.drain();
      await this.probe?.stop();
      throw error;
    }
  }

  /**
   * Runs the jobs that are due, until nothing is due or the time is over, whatever the role. Then it stops claiming and waits for the
   * handlers, up to `shutdownTimeout`. In a process that claims anyway, it only waits and counts.
   *
   * @throws InvalidOptionsError for a wrong option, a second call at the same time, and a limit in a process that claims anyway;
   * QueueUnavailableError after `stopClaiming` and after `close`.
   */
  async runDue(options: RunDueOptions = {}): Promise<RunDueCounts> {
    this.parts.deadLetters.assertHandled();
    return this.oneShot.run(options, this.events);
  }

  /**
   * Stops claiming at once, waits for running handlers up to `shutdownTimeout`, then aborts them and releases their jobs.
   * Handlers whose attempt has ended already, by a timeout or a lost lease, have up to 2 s, at most `shutdownTimeout`, to return.
   * Calls of `waitFor` reject. A second call does nothing.
   */
  async stop(): Promise<void> {
    await Promise.all([this.probe?.drain(), this.parts.waiter.stop(), this.lifecycle.stop()]);
    await this.probe?.stop();
  }

  /** The same as `stop`, for `await using engine = new JobsEngine(…)`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Stops claiming at once, until `start`. Running handlers go on. */
  stopClaiming(): void {
    void this.probe?.drain();
    this.lifecycle.stopClaiming();
  }

  /** Stops for good, and completes `events`. Waits up to 2 s for jobs that are being enqueued. */
  async close(): Promise<void> {
    await Promise.all([this.probe?.drain(), this.parts.waiter.close(), this.lifecycle.close()]);
    await this.probe?.stop();
    await endsWithin(
      this.parts.clock,
      RELEASE_GRACE_MS,
      Promise.all([this.parts.enqueuer.idle(), this.changes.close()]),
    );
    this.stats.counter.stop();
    this.stream.complete();
    this.parts.hook.onClose?.();
  }

  /**
   * Returns the processes that run jobs, up to 1,000: first those that live, then those that ended without shutdown in the last hour.
   * A process with the role `'producer'` is not listed.
   */
  workers(): Promise<WorkerProcess[]> {
    return this.store.reports.workers();
  }

  /**
   * Deletes all finished jobs that are over their age, by the `retention` of their topic or the module. Workers do so in small steps.
   *
   * @throws QueueUnavailableError; some jobs may be deleted then.
   */
  prune(): Promise<PruneResult> {
    const tablesInUse = (): TablesInUse => ({ hasLinks: true, hasLogs: true });
    return new Pruner({ ...this.parts, tablesInUse }).pruneAll();
  }

  /**
   * Resolves when no job is due for this process and none runs in it. For tests.
   *
   * @throws IdleTimeoutError after 30 s, or `options.timeout`; it names the topics with unfinished jobs.
   */
  async whenIdle(options?: WhenIdleOptions): Promise<void> {
    return this.idleWatch.whenIdle(options);
  }
}

/** Checks the options of the module, and separates them from the objects that are given to the engine. */
function readEngineOptions({
  store,
  clock = systemClock,
  logger = silentLogger,
  random = Math.random,
  worker = `${hostname()}:${process.pid}:${randomBytes(4).toString('hex')}`,
  ...moduleOptions
}: JobsEngineOptions) {
  if (!store) {
    throw new InvalidOptionsError('store', `expected a store from createJobStore(), got ${describeValue(store)}`);
  }
  const settings = readJobsOptions(moduleOptions);
  return { settings, store, clock, logger: guardLogger(logger, settings.log), random, worker };
}
