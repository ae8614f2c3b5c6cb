import { hostname } from 'node:os';
import { toErrorMessage } from '../../core/error-text.js';
import type { HandlerSummary } from '../../core/job-reports.js';
import { VERSION } from '../../core/version.js';
import { SCHEMA_VERSION } from '../../store/migrator.js';
import type { EngineParts } from '../engine-parts.js';
import type { RegisteredHandler } from '../handler-registry.js';
import type { LinkRepairer } from '../group/link-repairer.js';
import type { LogPruner } from '../log/log-pruner.js';
import type { JobRunner } from '../run/job-runner.js';
import type { Scheduler } from '../schedule/scheduler.js';
import { PollLoop } from '../poll-loop.js';

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
> & {
  readonly scheduler: Scheduler;
  readonly linkRepairer: LinkRepairer;
  readonly logPruner: LogPruner;
  readonly runner: JobRunner;
};

const INTERVAL_MS = 20_000;

/**
 * Writes every 20 s which topics this process handles, so that every process knows the topics without a live handler. The same
 * statement writes what `jobs.workers()` shows.
 */
export class WorkerPresence {
  private readonly loop: PollLoop;
  private onWritten: () => void = () => undefined;
  private isNotified = false;
  private isDraining = false;

  constructor(private readonly parts: WorkerPresenceParts) {
    this.loop = new PollLoop({
      ...parts,
      name: 'worker presence',
      intervalMs: INTERVAL_MS,
      work: () => this.write(),
    });
  }

  /** Resolves when the topics are written, or could not be. */
  start(): Promise<void> {
    const written = new Promise<void>((resolve) => (this.onWritten = resolve));
    this.loop.start();
    return written;
  }

  /** Removes this process from the table. When that fails, its row expires. */
  async stop(): Promise<void> {
    const { store, worker, logger } = this.parts;
    await this.loop.stop();
    try {
      await store.reports.forgetWorker(worker);
    } catch (error) {
      logger.debug(`could not remove this worker from the list of workers: ${toErrorMessage(error)}`);
    }
  }

  /** Writes soon, because the topics have changed. */
  update(): void {
    this.loop.wake();
  }

  /** Notifications of other processes arrive, or do not. The next record says so. */
  markNotified(isNotified: boolean): void {
    this.isNotified = isNotified;
  }

  /** Records that this process shuts down, or runs again. A shutdown without running jobs is not written: the process leaves the list soon. */
  markDraining(isDraining: boolean): void {
    if (isDraining === this.isDraining) {
      return;
    }
    this.isDraining = isDraining;
    if (!isDraining || this.parts.runner.runningCount > 0) {
      this.loop.wake();
    }
  }

  private async write(): Promise<void> {
    const { store, worker, registry, scheduler, linkRepairer, logPruner, clock, runner, concurrency } = this.parts;
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
    const reply = await store.reports.recordWorker(worker, topics, details).finally(this.onWritten);
    linkRepairer.onPresence(reply.hasLinks);
    logPruner.onPresence(reply.hasLogs);
    await scheduler.onPresence(reply.now, sinceMs, reply.schedulesVersion);
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
