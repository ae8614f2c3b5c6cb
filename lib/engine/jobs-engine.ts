import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Observable } from 'rxjs';
import type { DataSource } from 'typeorm';
import type { Clock } from '../core/clock.js';
import { endsWithin } from '../core/clock.js';
import { describeValue } from '../core/error-text.js';
import { InvalidOptionsError } from '../core/errors.js';
import type { JobEvent } from '../core/job-events.js';
import type { EnqueueOptions, Idempotency, Job, JobFilter, JobPage, JobStats } from '../core/job.js';
import type { JobHandlerFunction } from '../core/job-handler.js';
import type { JobHandlerOptions, RequeueOptions } from '../core/job-options.js';
import type { AnyNewJob, TopicLike } from '../core/job-topic.js';
import { toTopicName } from '../core/job-topic.js';
import type { TopicName } from '../core/topic.js';
import type { JobsLogger } from '../core/logger.js';
import { guardLogger, silentLogger } from '../core/logger.js';
import type { JobsOptions, JobsSettings } from '../core/options.js';
import { readJobsOptions } from '../core/options.js';
import { Pruner } from './maintain/pruner.js';
import { Rescuer } from './maintain/rescuer.js';
import { MetricsRecorder } from './maintain/metrics-recorder.js';
import { JobRunner } from './run/job-runner.js';
import { BulkActions } from './admin/bulk-actions.js';
import { Dispatcher } from './claim/dispatcher.js';
import { Enqueuer } from './enqueue/enqueuer.js';
import type { EngineParts } from './engine-parts.js';
import { EventStream } from './event-stream.js';
import { Executor } from './run/executor.js';
import { HandlerRegistry } from './handler-registry.js';
import { Heartbeat } from './run/heartbeat.js';
import type { WhenIdleOptions } from './admin/idle-watch.js';
import { IdleWatch } from './admin/idle-watch.js';
import { JobAdmin } from './admin/job-admin.js';
import { JobActions } from './admin/job-actions.js';
import { logOperation } from './operation-log.js';
import { QueueStats } from './admin/queue-stats.js';
import { ChangeFeed } from './admin/change-feed.js';
import { Completer } from './run/completer.js';
import { systemClock } from './system-clock.js';
import { WakeSignal } from './wake-signal.js';
import { RELEASE_GRACE_MS, EngineLifecycle } from './lifecycle.js';
import type { CreatedStore } from '../store/create-store.js';
import { createStore } from '../store/create-store.js';
import type { JobStore, StoreTransaction } from '../store/job-store.js';

/** What an engine is made of: the module's options, and the parts a test may want to bring along. */
export interface JobsEngineOptions extends JobsOptions {
  /** Where the jobs are. Opened and closed by whoever made it. */
  store: JobStore;
  /** Default: the process's monotonic clock. */
  clock?: Clock;
  /** Default: silence. */
  logger?: JobsLogger;
  /** A number in [0, 1), for jitter. Default `Math.random`. */
  random?: () => number;
}

/**
 * The store for the database of an initialized DataSource, with the DataSource of its own that it lives on. Not open
 * yet: call `store.open()` before the engine starts, and `store.close()` after it has stopped. It serves one engine: another
 * one over the same store would find by polling only what the first one stores.
 *
 * @throws InvalidOptionsError when an option is refused, or the queue cannot live in that database.
 */
export function createJobStore(
  app: DataSource,
  options: JobsOptions = {},
  { clock = systemClock, logger = silentLogger }: Pick<JobsEngineOptions, 'clock' | 'logger'> = {},
): CreatedStore {
  return createStore(app, readJobsOptions(options), clock, guardLogger(logger));
}

/**
 * The queue without Nest: joins store, runtime and maintenance. One per process and database.
 *
 * @example
 * const engine = new JobsEngine({ store, concurrency: 20 });
 * engine.register('send_mail', (job) => mailer.send(job.payload));
 * await engine.start();
 * await engine.enqueue('send_mail', { to: 'a@example.org' });
 */
export class JobsEngine {
  /** Names this process in `locked_by`. */
  readonly worker = `${hostname()}:${process.pid}:${randomBytes(4).toString('hex')}`;
  readonly settings: JobsSettings;
  /** Where people move many jobs at once. */
  readonly bulk: BulkActions;
  /** Where people ask how the queue is doing. */
  readonly reports: QueueStats;
  /** Tells those who watch what has changed. */
  readonly changes: ChangeFeed;

  private readonly stream: EventStream;
  private readonly store: JobStore;
  private readonly clock: Clock;
  private readonly logger: JobsLogger;
  private readonly registry: HandlerRegistry;
  private readonly wakeSignal: WakeSignal;
  private readonly enqueuer: Enqueuer;
  private readonly desk: JobAdmin;
  private readonly dispatcher: Dispatcher;
  private readonly idleWatch: IdleWatch;
  private readonly statistics: MetricsRecorder;
  private readonly lifecycle: EngineLifecycle;

  /** @throws InvalidOptionsError when an option is refused. */
  constructor(options: JobsEngineOptions) {
    const { store, clock = systemClock, logger: givenLogger = silentLogger, random = Math.random, ...given } = options;
    if (!store) {
      throw new InvalidOptionsError(
        'store',
        `expected the store that createJobStore has made, got ${describeValue(store)}`,
      );
    }
    const logger = guardLogger(givenLogger);
    const settings = (this.settings = readJobsOptions(given));
    this.stream = new EventStream(logger);
    this.store = store;
    this.clock = clock;
    this.logger = logger;
    this.wakeSignal = new WakeSignal(store);
    this.registry = new HandlerRegistry({
      topics: settings.topics,
      canRunTransactions: store.capabilities.transactionsAtOnce > 0,
    });
    const parts: EngineParts = {
      ...settings,
      ...{ store, clock, logger, random },
      worker: this.worker,
      registry: this.registry,
      wakeSignal: this.wakeSignal,
      emit: (event) => this.emit(event),
    };
    this.reports = new QueueStats(parts);
    this.changes = new ChangeFeed({ ...parts, reports: this.reports });
    this.statistics = new MetricsRecorder(parts);
    this.enqueuer = new Enqueuer(parts);
    const completer = new Completer(parts);
    const heartbeat = new Heartbeat(parts);
    const runner = new JobRunner({ ...parts, executor: new Executor(parts), completer, heartbeat });
    this.dispatcher = new Dispatcher({ ...parts, runner });
    const actions = new JobActions({ ...parts, runner, changes: this.changes });
    this.desk = new JobAdmin({ ...parts, actions });
    this.bulk = new BulkActions({ reports: store.reports, moves: actions });
    const { enqueuer, dispatcher } = this;
    this.idleWatch = new IdleWatch({ ...parts, enqueuer, dispatcher, runner });
    const rescuer = new Rescuer(parts);
    const loops = { chores: [rescuer, new Pruner(parts)], records: [this.statistics] };
    this.lifecycle = new EngineLifecycle({ ...parts, completer, heartbeat, runner, dispatcher, ...loops });
  }

  /** What kind of database the jobs are in. */
  get database(): 'postgres' | 'sqlite' {
    return this.store.capabilities.database;
  }

  /** This process's events, each emitted after its write has committed. */
  get events(): Observable<JobEvent> {
    return this.stream.observe();
  }

  /**
   * Stores a job; resolves when it is committed.
   *
   * @param once names the request: a repetition within a day gives the job that the first one made.
   * @throws InvalidPayloadError, PayloadTooLargeError, InvalidOptionsError, QueueUnavailableError, DatabaseRefusedError;
   * IdempotencyConflictError when another request had that name.
   */
  enqueue(topic: TopicLike, payload: unknown, options?: EnqueueOptions, once?: Idempotency): Promise<Job> {
    return this.enqueuer.enqueue(topic, payload, options, once);
  }

  /**
   * Stores a job in the caller's open transaction: it exists if and only if that commits.
   *
   * @throws UnknownDataSourceError, InvalidOptionsError for a manager without an open transaction, and what `enqueue` throws.
   */
  enqueueTx(tx: StoreTransaction, topic: TopicLike, payload: unknown, options?: EnqueueOptions): Promise<Job> {
    return this.enqueuer.enqueueTx(tx, topic, payload, options);
  }

  /** Stores jobs, all or none, in the caller's transaction when one is given. @throws what `enqueueTx` throws. */
  enqueueMany(jobs: readonly AnyNewJob[], tx?: StoreTransaction): Promise<Job[]> {
    return this.enqueuer.enqueueMany(jobs, tx);
  }

  /** The job, or `null` when there is none with this id. */
  get(id: string): Promise<Job | null> {
    return this.desk.get(id);
  }

  /** The unfinished job that holds a unique key of this topic, or `null`. @throws InvalidOptionsError for a bad topic or key. */
  getByKey(topic: TopicName, uniqueKey: string): Promise<Job | null> {
    return this.desk.getByKey(topic, uniqueKey);
  }

  /** A page of jobs, newest first. */
  list(filter?: JobFilter): Promise<JobPage> {
    return this.desk.list(filter);
  }

  /** Counts and times, of one topic or of all. */
  async stats(topic?: TopicName): Promise<JobStats> {
    return this.reports.stats(topic === undefined ? null : [toTopicName(topic)]);
  }

  /** failed, cancelled → pending, with all retries again. @throws JobNotFoundError, JobStateError, and what `enqueue` throws. */
  requeue(id: string, changes?: RequeueOptions): Promise<Job> {
    return this.desk.requeue(id, changes);
  }

  /** pending → pending, due now, with the retries it has left. @throws JobNotFoundError, JobStateError. */
  promote(id: string): Promise<Job> {
    return this.desk.promote(id);
  }

  /**
   * pending → cancelled at once; a running handler is told by its signal, on whichever node it runs.
   *
   * @throws JobNotFoundError, JobStateError.
   */
  cancel(id: string): Promise<Job> {
    return this.desk.cancel(id);
  }

  /** Removes a job that is not processing. @throws JobNotFoundError, JobStateError. */
  delete(id: string): Promise<void> {
    return this.desk.delete(id);
  }

  /**
   * From now on no process claims a job of the topic. What was claimed before runs to its end.
   *
   * @throws InvalidOptionsError for a topic that is none.
   */
  async pause(topic: TopicName): Promise<void> {
    const name = toTopicName(topic);
    await this.store.pauses.pause([name]);
    this.dispatcher.notePause(name, true);
    this.changes.touch(name);
  }

  /** Jobs of the topic are claimed again. @throws InvalidOptionsError for a topic that is none. */
  async resume(topic: TopicName): Promise<void> {
    const name = toTopicName(topic);
    await this.store.pauses.resume([name]);
    this.dispatcher.notePause(name, false);
    this.changes.touch(name);
    this.wakeSignal.announce([name]);
  }

  /**
   * Gives a topic its handler in this process.
   *
   * @param source where it was written, for messages.
   * @throws InvalidOptionsError when the topic is taken, or an option is refused.
   */
  register(topic: TopicLike, run: JobHandlerFunction, options?: JobHandlerOptions, source?: string): void {
    this.registry.register(topic, run, options, source);
    this.statistics.noteTopics();
    this.dispatcher.wake(toTopicName(topic));
  }

  /**
   * Begins to claim and run jobs, unless the role is `producer`; also after `stop`. Harmless when it runs already.
   *
   * @throws QueueUnavailableError after `close`.
   */
  start(): Promise<void> {
    return this.lifecycle.start();
  }

  /**
   * Stops claiming at once, waits for running handlers up to `shutdownTimeout`, then aborts and releases the rest.
   * Resolves when nothing of this engine is at work any more. Handlers that have ignored their timeout, have lost their lease, or
   * whose interceptors did not wait for them, are given two seconds: their attempts have ended. Harmless when it is stopped already.
   */
  stop(): Promise<void> {
    return this.lifecycle.stop();
  }

  /**
   * Stops for good, and completes `events`. What is being enqueued, but not in a transaction of the caller's, is stored first,
   * unless the database is away.
   */
  async close(): Promise<void> {
    await this.lifecycle.close();
    await endsWithin(this.clock, RELEASE_GRACE_MS, Promise.all([this.enqueuer.idle(), this.changes.close()]));
    this.stream.complete();
  }

  /** Stops claiming at once, until `start`; what runs goes on. The first half of `stop`. */
  stopClaiming(): void {
    this.lifecycle.stopClaiming();
  }

  /**
   * Resolves when nothing is due for this process and nothing is at work in it: for tests.
   *
   * @throws IdleTimeoutError naming the topics that are not finished.
   */
  async whenIdle(options?: WhenIdleOptions): Promise<void> {
    return this.idleWatch.whenIdle(options);
  }

  private emit(event: JobEvent): void {
    logOperation(this.logger, event);
    this.statistics.take(event);
    this.changes.touch(event.topic);
    this.stream.emit(event);
  }
}
