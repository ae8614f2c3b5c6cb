import { hostname } from 'node:os';
import { toErrorMessage } from '../../core/error-text.js';
import type { HandlerSummary } from '../../core/job-reports.js';
import { VERSION } from '../../core/version.js';
import { SCHEMA_VERSION } from '../../store/migrate/migrator.js';
import type { DefinitionDeclarer } from '../topics/definition-declarer.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { RegisteredHandler } from '../runtime/handler-registry.js';
import type { QueueStats } from '../reports/queue-stats.js';
import type { JobRunner } from '../run/job-runner.js';
import type { Scheduler } from '../schedules/scheduler.js';
import type { ScheduledWake } from '../../core/clock.js';
import type { PresenceReply, WorkerSharing } from '../../store/reports/report-records.js';
import type { Dispatcher } from '../claim/dispatcher.js';
import { PollLoop } from '../runtime/poll-loop.js';
import type { TableSweepers } from './table-sweepers.js';

type WorkerPresenceParts = Pick<
  EngineParts,
  | 'store'
  | 'clock'
  | 'logger'
  | 'failureLog'
  | 'random'
  | 'worker'
  | 'registry'
  | 'concurrency'
  | 'timeoutMs'
  | 'maxRetries'
  | 'backoff'
  | 'pollIntervalMs'
  | 'liveWorkers'
> & {
  readonly dispatcher: Dispatcher;
  readonly scheduler: Scheduler;
  readonly sweepers: TableSweepers;
  readonly declarer: DefinitionDeclarer;
  readonly stats: Pick<QueueStats, 'counter'>;
  readonly runner: JobRunner;
};

const INTERVAL_MS = 20_000;
/**
 * When a process has started or stopped, the others read the list within this time, each at a random moment: 500 ms, or 20 ms for each of
 * them. So a deployment of any size causes at most a hundred reads a second.
 */
const REFRESH_MIN_MS = 500;
const REFRESH_MS_EACH = 20;
/** A process that suspects that another one is dead reads the list at most this often. */
const SUSPECT_PAUSE_MS = 10_000;

/**
 * Writes every 20 s which topics this process handles, so that every process knows the topics without a live handler. The same
 * statement writes what `jobs.workers()` shows, renews the definitions of this process, and reads which other processes share notifications
 * and polls. While any process declares something, it runs every 4 s.
 */
export class WorkerPresence {
  private readonly loop: PollLoop;
  private onWritten: () => void = () => undefined;
  private isNotified = false;
  /** How long the loop waits between two records. */
  private plannedMs = INTERVAL_MS;
  private isDraining = false;
  /** The connection on which this process listens. */
  private backend: number | undefined;
  /** What the others know of this process. */
  private announced = '';
  private refresh: ScheduledWake | undefined;
  private suspectedAtMs = -Infinity;
  private isSuspecting = false;

  constructor(private readonly parts: WorkerPresenceParts) {
    this.loop = new PollLoop({
      ...parts,
      name: 'worker presence',
      intervalMs: INTERVAL_MS,
      work: () => this.write().finally(this.onWritten),
    });
    parts.liveWorkers.onMissed = () => this.onMissed();
  }

  /** Resolves when the topics are written, or could not be. */
  start(): Promise<void> {
    const written = new Promise<void>((resolve) => (this.onWritten = resolve));
    this.loop.start();
    return written;
  }

  /** Removes this process from the table. When that fails, its row expires. */
  async stop(): Promise<void> {
    const { store, worker, logger, liveWorkers, stats } = this.parts;
    this.refresh?.cancel();
    this.refresh = undefined;
    await this.loop.stop();
    stats.counter.stop();
    try {
      await store.reports.forgetWorker(worker);
      if (this.announced !== '') {
        this.announced = '';
        await store.announceWorkers();
      }
      liveWorkers.record(undefined);
    } catch (error) {
      logger.debug(`could not remove this worker from the list of workers: ${toErrorMessage(error)}`);
    }
  }

  /** Writes soon, because the topics have changed. */
  update(): void {
    this.loop.wake();
  }

  /** Notifications of other processes arrive, or do not. */
  markNotified(isNotified: boolean, backend?: number): void {
    this.isNotified = isNotified;
    this.backend = isNotified ? backend : undefined;
    if (!this.sharing) {
      this.parts.liveWorkers.record(undefined);
    }
    this.loop.wake();
  }

  /** Another process has started or stopped. Ignored during shutdown. */
  onWorkers(): void {
    if (this.isDraining) {
      return;
    }
    const { clock, random, liveWorkers } = this.parts;
    const withinMs = Math.max(REFRESH_MIN_MS, REFRESH_MS_EACH * liveWorkers.otherCount);
    this.refresh ??= clock.schedule(random() * withinMs, () => {
      this.refresh = undefined;
      this.loop.wake();
    });
  }

  /** Records that this process shuts down, or runs again. A shutdown without running jobs is not written: the process leaves the list soon. */
  markDraining(isDraining: boolean): void {
    if (isDraining === this.isDraining) {
      return;
    }
    this.isDraining = isDraining;
    if (isDraining) {
      this.parts.liveWorkers.record(undefined);
    }
    if (!isDraining || this.parts.runner.runningCount > 0 || this.announced !== '') {
      this.loop.wake();
    }
  }

  /** A job was left waiting by the process that should have claimed it. That process may be dead. */
  private onMissed(): void {
    const nowMs = this.parts.clock.now();
    if (nowMs - this.suspectedAtMs >= SUSPECT_PAUSE_MS) {
      this.suspectedAtMs = nowMs;
      this.isSuspecting = true;
      this.loop.wake();
    }
  }

  /** `undefined`: this process polls alone, and every notification wakes it. */
  private get sharing(): WorkerSharing | undefined {
    const { backend, isDraining } = this;
    const { pollIntervalMs } = this.parts;
    return backend === undefined || isDraining ? undefined : { backend, pollIntervalMs };
  }

  /** @returns how long to wait until the next record; nothing: the interval of the loop. */
  private async write(): Promise<number | void> {
    const { store, worker, registry, declarer, scheduler, sweepers, stats, clock, runner, concurrency } = this.parts;
    if (declarer.isPending) {
      // First: a process that handles a topic and declares nothing for it ends the definitions that no live process declares.
      await declarer.write();
    }
    const { sharing } = this;
    const sinceMs = clock.now();
    const handlers = registry.claimable().sort((one, other) => (one.topic < other.topic ? -1 : 1));
    const topics = handlers.map(({ topic }) => topic);
    const details = {
      host: hostname(),
      pid: process.pid,
      version: VERSION,
      schemaVersion: SCHEMA_VERSION,
      running: runner.runningCount,
      concurrency,
      isDraining: this.isDraining,
      isNotified: this.isNotified,
      handlers: handlers.map((handler) => toSummary(handler, this.parts)),
    };
    const reply = await store.reports.recordWorker(worker, topics, details, sharing, declarer.refs);
    this.onWritten();
    this.onRecorded(reply, sinceMs, topics, sharing);
    sweepers.onPresence(reply);
    stats.counter.onPresence(reply.isCountDue, () => runner.unsettledCount === 0);
    const areSchedulesDue = await declarer.onPresence(reply, this.plannedMs);
    scheduler.onPresence(reply.now, sinceMs, reply.schedulesVersion, areSchedulesDue);
    this.plannedMs = declarer.intervalMs ?? INTERVAL_MS;
    return declarer.intervalMs && declarer.intervalMs * (0.95 + this.parts.random() / 10);
  }

  private onRecorded(
    reply: PresenceReply,
    sentMs: number,
    topics: readonly string[],
    sharing: WorkerSharing | undefined,
  ): void {
    const { store, liveWorkers, dispatcher } = this.parts;
    const isCurrent = sharing?.backend === this.sharing?.backend;
    const hasLostOne = liveWorkers.record(isCurrent && sharing ? reply : undefined, sentMs);
    const announced = sharing ? JSON.stringify([topics, sharing]) : '';
    if (announced !== this.announced || (this.isSuspecting && hasLostOne)) {
      this.announced = announced;
      void store.announceWorkers();
    }
    this.isSuspecting = false;
    dispatcher.onWorkersChanged();
  }
}

/** The options of the handler, and those of the module where it sets none. */
function toSummary(
  { topic, settings }: RegisteredHandler,
  { timeoutMs, maxRetries, backoff }: Pick<EngineParts, 'timeoutMs' | 'maxRetries' | 'backoff'>,
): HandlerSummary {
  const chosen = settings.backoff ?? backoff;
  return {
    topic,
    concurrency: settings.concurrency ?? null,
    timeoutMs: settings.timeoutMs ?? timeoutMs,
    maxRetries: settings.maxRetries ?? maxRetries,
    backoff: typeof chosen === 'function' ? null : chosen,
    batchSize: settings.batch?.size ?? null,
    transactional: settings.transactional,
  };
}
