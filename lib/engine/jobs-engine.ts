/*
 * engine/: the queue without Nest. In: options, handlers and new jobs. Out: outcomes in the table, and events.
 * This file joins the parts. Read enqueue/, claim/ and run/ next, in the order of a job's life; then
 * changes/, lists/ and reports/ (what people ask for) and maintain/ (rescue, pruning). lifecycle.ts starts and stops the loops.
 */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Observable } from 'rxjs';
import type { Clock } from '../core/clock.js';
import { endsWithin } from '../core/clock.js';
import { describeValue } from '../core/error-text.js';
import { InvalidOptionsError } from '../core/errors.js';
import type { WorkerProcess } from '../core/job-reports.js';
import type { JobEvent } from '../core/job-events.js';
import type { EnqueueOptions, Idempotency, Job } from '../core/job.js';
import type { AnyHandler, BatchHandlerFunction, JobHandlerFunction } from '../core/job-handler.js';
import type { BatchOptions, JobHandlerOptions } from '../core/job-options.js';
import type { AnyNewJob, TopicLike } from '../core/job-topic.js';
import { toTopicName } from '../core/job-topic.js';
import type { JobsLogger } from '../core/logger.js';
import { guardLogger, silentLogger } from '../core/logger.js';
import type { JobsOptions, JobsSettings } from '../core/options.js';
import { readJobsOptions } from '../core/options.js';
import type { PruneResult } from './maintain/pruner.js';
import { Pruner } from './maintain/pruner.js';
import type { TablesInUse } from './maintain/table-sweepers.js';
import { TableSweepers } from './maintain/table-sweepers.js';
import { Rescuer } from './maintain/rescuer.js';
import { MetricsRecorder } from './reports/metrics-recorder.js';
import { UnhandledTopics } from './topics/unhandled-topics.js';
import { WorkerPresence } from './maintain/worker-presence.js';
import { JobRunner } from './run/job-runner.js';
import { BulkActions } from './changes/bulk-actions.js';
import { Dispatcher } from './claim/dispatcher.js';
import { LiveWorkers } from './runtime/live-workers.js';
import type { Enqueuer } from './enqueue/enqueuer.js';
import { createEnqueuer } from './enqueue/hooked-enqueuer.js';
import type { EngineParts } from './runtime/engine-parts.js';
import { EventStream } from './runtime/event-stream.js';
import { PayloadDecoder } from './codec/payload-decoder.js';
import { FailureLog } from './runtime/failure-log.js';
import { HandlerRegistry } from './runtime/handler-registry.js';
import { Heartbeat } from './run/heartbeat.js';
import type { WhenIdleOptions } from './changes/idle-watch.js';
import { IdleWatch } from './changes/idle-watch.js';
import { createEmit } from './create-emit.js';
import { createHook } from './telemetry/create-hook.js';
import { JobActions, JobAdmin } from './changes/job-admin.js';
import { JobWaiter } from './changes/job-waiter.js';
import { KnownTopics } from './topics/known-topics.js';
import { QueueGauges } from './reports/queue-gauges.js';
import { QueueHealth } from './reports/queue-health.js';
import { QueueStats } from './reports/queue-stats.js';
import { ErrorStats } from './reports/error-stats.js';
import { TopicAdmin } from './changes/topic-admin.js';
import { ChangeFeed } from './changes/change-feed.js';
import { DeadLetterRoutes } from './topics/dead-letter-routes.js';
import { DefinitionDeclarer } from './topics/definition-declarer.js';
import type { SchedulePattern } from '../core/cron.js';
import type { ScheduleOptions } from '../core/schedule.js';
import { readSchedule, readScheduleName } from '../core/schedule.js';
import { LimitsAdmin } from './limits/limits-admin.js';
import { ScheduleAdmin } from './schedules/schedule-admin.js';
import { Scheduler } from './schedules/scheduler.js';
import { GroupAdmin } from './changes/group-admin.js';
import { reportLinkChanges } from './follow-up/link-events.js';
import { JobGraphs } from './lists/job-graphs.js';
import { Completer } from './run/completer.js';
import { LogWriter } from './logs/log-writer.js';
import { StepWriter } from './run/job-steps.js';
import { ProgressWriter } from './run/progress-writer.js';
import { systemClock } from '../store/runtime/system-clock.js';
import { WakeSignal } from './runtime/wake-signal.js';
import { RELEASE_GRACE_MS, EngineLifecycle } from './lifecycle.js';
import type { JobStore } from '../store/job-store.js';
import type { StoreTransaction } from '../store/transactions/application-transactions.js';

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

/** The parts that a test drives itself, instead of the loops. */
export interface TestedParts extends EngineParts {
  readonly enqueuer: Enqueuer;
  readonly runner: JobRunner;
  readonly heartbeat: Heartbeat;
  readonly progressWriter: ProgressWriter;
  readonly logWriter: LogWriter;
  readonly scheduler: Scheduler;
  readonly rescuer: Rescuer;
  readonly unhandledTopics: UnhandledTopics;
  readonly waiter: JobWaiter;
}

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
  /** For the engine of `nestjs-jobs/testing`. */
  protected readonly parts: TestedParts;
  protected readonly declarer: DefinitionDeclarer;
  protected readonly deadLetters: DeadLetterRoutes;

  private readonly stream: EventStream;
  private readonly onClose: (() => void) | undefined;
  private readonly store: JobStore;
  private readonly clock: Clock;
  private readonly registry: HandlerRegistry;
  private readonly enqueuer: Enqueuer;
  private readonly dispatcher: Dispatcher;
  private readonly idleWatch: IdleWatch;
  private readonly scheduler: Scheduler;
  private readonly presence: WorkerPresence;
  private readonly lifecycle: EngineLifecycle;

  /** @throws InvalidOptionsError for an unknown option, an invalid value, or two options that contradict each other. */
  constructor(options: JobsEngineOptions) {
    const { store, clock = systemClock, logger: givenLogger = silentLogger, random = Math.random, ...others } = options;
    const { worker = `${hostname()}:${process.pid}:${randomBytes(4).toString('hex')}`, ...given } = others;
    if (!store) {
      throw new InvalidOptionsError('store', `expected a store from createJobStore(), got ${describeValue(store)}`);
    }
    this.settings = readJobsOptions(given);
    const logger = guardLogger(givenLogger, this.settings.log);
    this.store = store;
    this.clock = clock;
    const registry = (this.registry = createRegistry(this.settings, store));
    this.worker = worker;
    const failureLog = new FailureLog(clock, logger);
    this.gauges = new QueueGauges({ store, clock });
    const hook = createHook(this.settings, this.gauges);
    this.onClose = hook.onClose;
    const partsWithoutEvents = { ...this.settings, store, clock, logger, failureLog, random, worker, registry, hook };
    // First the parts that receive events, then those that emit them.
    this.stream = new EventStream(logger);
    this.stats = new QueueStats(partsWithoutEvents);
    this.errors = new ErrorStats(partsWithoutEvents);
    this.changes = new ChangeFeed({ ...partsWithoutEvents, stats: this.stats });
    const liveWorkers = new LiveWorkers(partsWithoutEvents);
    const metrics = new MetricsRecorder({ ...partsWithoutEvents, liveWorkers });
    const waiter = new JobWaiter(partsWithoutEvents);
    const { stream, stats, changes } = this;
    const emit = createEmit({ ...partsWithoutEvents, metrics, changes, stream, waiter });
    const decoder = new PayloadDecoder(partsWithoutEvents);
    const parts: EngineParts = { ...partsWithoutEvents, decoder, emit, liveWorkers, wakeSignal: new WakeSignal(store) };
    const unhandledTopics = new UnhandledTopics(parts);
    this.enqueuer = createEnqueuer({ ...parts, unhandledTopics });
    const running = createRunner(parts);
    const { runner, progressWriter, logWriter, rescuer } = running;
    const deadLetters = (this.deadLetters = new DeadLetterRoutes(parts));
    const declarer = (this.declarer = new DefinitionDeclarer({ ...parts, deadLetters }));
    this.dispatcher = new Dispatcher({ ...parts, runner, declarer });
    this.scheduler = new Scheduler({ ...parts, enqueuer: this.enqueuer, declarer });
    const { enqueuer, dispatcher, scheduler } = this;
    const actions = new JobActions({ ...parts, runner, changes });
    this.jobs = new JobAdmin({ ...parts, actions, waiter, encoder: enqueuer.encoder });
    this.bulk = new BulkActions({ ...parts, actions });
    this.graphs = new JobGraphs(parts);
    this.groups = new GroupAdmin({ ...parts, enqueuer, actions });
    this.knownTopics = new KnownTopics(parts);
    this.topics = new TopicAdmin({ ...parts, stats, dispatcher, changes, unhandledTopics });
    this.limits = new LimitsAdmin({ ...parts, changes, unhandledTopics });
    this.idleWatch = new IdleWatch({ ...parts, enqueuer, dispatcher, runner, unhandledTopics });
    this.schedules = new ScheduleAdmin({ ...parts, enqueuer, scheduler });
    const sweepers = new TableSweepers(parts);
    const shown = { stats, runner, declarer };
    const presence = (this.presence = new WorkerPresence({ ...parts, sweepers, ...shown, scheduler, dispatcher }));
    reportLinkChanges({ ...parts, changes });
    this.parts = { ...parts, ...running, enqueuer, scheduler, unhandledTopics, waiter };
    const pruner = new Pruner({ ...parts, declarer, tablesInUse: () => sweepers.inUse });
    const maintenance = [scheduler, rescuer, pruner, sweepers, unhandledTopics];
    const recorders = [metrics, progressWriter, logWriter];
    this.lifecycle = new EngineLifecycle({ ...this.parts, ...running, dispatcher, presence, maintenance, recorders });
    const loops = { 'claiming jobs': dispatcher, 'renewing leases': running.heartbeat, 'rescuing jobs': rescuer };
    this.health = new QueueHealth({ ...parts, gauges: this.gauges, lifecycle: this.lifecycle, loops });
  }

  get database(): 'postgres' | 'sqlite' {
    return this.store.capabilities.database;
  }

  /** Events of this process. Each is emitted after its write has committed. */
  get events(): Observable<JobEvent> {
    return this.stream.observe();
  }

  /**
   * Stores a job. Resolves when it is committed.
   *
   * @param idempotency identifies the request: a repetition within 24 hours returns the job of the first one.
   * @throws InvalidPayloadError, PayloadTooLargeError, InvalidOptionsError, QueueUnavailableError, DatabaseRefusedError;
   * IdempotencyConflictError when a request with the same key had another body.
   */
  enqueue(topic: TopicLike, payload: unknown, options?: EnqueueOptions, idempotency?: Idempotency): Promise<Job> {
    return this.enqueuer.enqueue(topic, payload, options, idempotency);
  }

  /**
   * Stores a job in the caller's open transaction: the job exists if and only if the transaction commits.
   *
   * @throws UnknownDataSourceError for a manager of another DataSource; InvalidOptionsError for a manager without an open
   * transaction; the errors of `enqueue`.
   */
  enqueueTx(tx: StoreTransaction, topic: TopicLike, payload: unknown, options?: EnqueueOptions): Promise<Job> {
    return this.enqueuer.enqueueTx(tx, topic, payload, options);
  }

  /** Stores all jobs or none, in the caller's transaction if one is given. @throws the errors of `enqueueTx`. */
  enqueueMany(jobs: readonly AnyNewJob[], tx?: StoreTransaction): Promise<Job[]> {
    return this.enqueuer.enqueueMany(jobs, tx);
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
    this.registry.register(topic, run as JobHandlerFunction, options, source);
    this.deadLetters.assertNoCycle(toTopicName(topic));
    this.presence.update();
    this.dispatcher.addTopic(toTopicName(topic));
  }

  /** Whether the code of this process computes the concurrency key of jobs of this topic from their payloads. */
  computesKey(topic: string): boolean {
    return this.registry.get(topic)?.concurrencyKey !== undefined;
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
    this.deadLetters.listen({
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
    this.scheduler.declare(
      readScheduleName(name),
      readSchedule(pattern, { ...options, topic }, `schedule '${name}'`),
      topic,
    );
  }

  /**
   * Starts to claim and run jobs, unless the role is `'producer'`. A second call only undoes `stopClaiming`. After `stop` it starts
   * again.
   *
   * @throws QueueUnavailableError after `close`; InvalidOptionsError when `@OnJobFailed` names a topic without a handler here.
   */
  async start(): Promise<void> {
    this.deadLetters.assertHandled();
    return this.lifecycle.start();
  }

  /**
   * Stops claiming at once, waits for running handlers up to `shutdownTimeout`, then aborts them and releases their jobs.
   * Handlers whose attempt has ended already, by a timeout or a lost lease, have up to 2 s, at most `shutdownTimeout`, to return.
   * Calls of `waitFor` reject. A second call does nothing.
   */
  async stop(): Promise<void> {
    await Promise.all([this.parts.waiter.stop(), this.lifecycle.stop()]);
  }

  /** The same as `stop`, for `await using engine = new JobsEngine(…)`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Stops claiming at once, until `start`. Running handlers go on. */
  stopClaiming(): void {
    this.lifecycle.stopClaiming();
  }

  /** Stops for good, and completes `events`. Waits up to 2 s for jobs that are being enqueued. */
  async close(): Promise<void> {
    await Promise.all([this.parts.waiter.close(), this.lifecycle.close()]);
    await endsWithin(this.clock, RELEASE_GRACE_MS, Promise.all([this.enqueuer.idle(), this.changes.close()]));
    this.stats.counter.stop();
    this.stream.complete();
    this.onClose?.();
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
    return new Pruner({ ...this.parts, declarer: this.declarer, tablesInUse }).pruneAll();
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

function createRegistry({ role, topics }: JobsSettings, { capabilities }: JobStore): HandlerRegistry {
  return new HandlerRegistry({
    topics: role === 'producer' ? [] : topics,
    canRunTransactions: capabilities.transactionsAtOnce > 0,
  });
}

/** Creates the parts that run jobs and rescue them. */
function createRunner(parts: EngineParts) {
  const writers = {
    completer: new Completer(parts),
    heartbeat: new Heartbeat(parts),
    progressWriter: new ProgressWriter(parts),
    logWriter: new LogWriter(parts),
    stepWriter: new StepWriter(parts),
  };
  return { ...writers, rescuer: new Rescuer(parts), runner: new JobRunner({ ...parts, ...writers }) };
}
