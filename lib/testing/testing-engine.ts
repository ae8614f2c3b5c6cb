import { AsyncLocalStorage } from 'node:async_hooks';
import type { DataSource } from '../typeorm/connect.js';
import { endsWithin } from '../core/clock.js';
import type { PayloadCodec } from '../core/codec-option.js';
import { toErrorMessage } from '../core/error-text.js';
import { InvalidOptionsError } from '../core/errors.js';
import type { AnyHandler, JobHandlerFunction } from '../core/job-handler.js';
import type { EnqueueOptions, Idempotency, Job } from '../core/job.js';
import type { JobHandlerOptions } from '../core/job-options.js';
import type { AnyNewJob, TopicLike } from '../core/job-topic.js';
import { runDetached } from '../store/runtime/detached-context.js';
import { readOptions } from '../core/option-checks.js';
import type { JobsEngineOptions } from '../engine/jobs-engine.js';
import type { RunDueCounts, RunDueOptions } from '../engine/one-shot.js';
import { countOutcomes, RUN_DUE_OPTIONS } from '../engine/one-shot.js';
import { JobsEngine } from '../engine/jobs-engine.js';
import { RELEASE_GRACE_MS } from '../engine/lifecycle.js';
import type { StoreTransaction } from '../store/transactions/application-transactions.js';
import { runHandler } from './handler-run.js';
import type { HandlerRun, PendingRun } from './run-options.js';
import { listAll, PendingJobs } from './pending-jobs.js';

interface TestingEngineOptions {
  readonly mode: 'manual' | 'inline';
  /** The application's DataSource; `undefined` with the option `database`. */
  readonly app: DataSource | undefined;
  /** The time of the store. */
  readonly time: { aheadMs: number };
}

/** Ticks and due times of one call of `advance`. */
const STEPS_MAX = 2_000;

const EVERYTHING_DUE: PendingRun = {
  topic: null,
  limit: Infinity,
  scheduled: false,
  recursive: true,
  throwOnFailure: false,
};

/** The engine of a test. No loop runs, so that no timer stays: jobs run one after another in `runPending`, or in mode `'inline'`. */
export class TestingEngine extends JobsEngine {
  private isStarted = false;
  private readonly pending: PendingJobs;
  /** Set while a handler runs. Its calls do not wait for jobs, which run after it. */
  private readonly handling = new AsyncLocalStorage<true>();
  private lastAdvance: Promise<unknown> = Promise.resolve();
  /** Mode `'inline'`: runs due jobs until none is left. */
  private draining: Promise<void> | undefined;
  private isWoken = false;
  private readonly restoreTransaction: () => void;

  constructor(
    options: JobsEngineOptions,
    private readonly test: TestingEngineOptions,
  ) {
    super(options);
    this.pending = new PendingJobs({ ...this.parts, jobs: this.jobs });
    this.events.subscribe((event) => this.pending.recordEvent(event));
    this.parts.wakeSignal.listen({ wake: () => this.requestDrain(), scanAt: () => undefined, canClaim: () => false });
    this.waitAfter(this.jobs, 'requeue', 'promote');
    this.waitAfter(this.bulk, 'run');
    this.waitAfter(this.topics, 'resume');
    this.waitAfter(this.schedules, 'run');
    this.restoreTransaction = test.app ? this.waitAfter(test.app.manager, 'transaction') : () => undefined;
  }

  override async start(): Promise<void> {
    const { scheduler, unhandledTopics, role, strictTopics } = this.parts;
    this.parts.deadLetters.assertHandled();
    this.isStarted = true;
    if (role !== 'producer') {
      await scheduler.checkPayloads();
      await this.parts.declarer.writeWithoutLimits();
      await this.fireTicks();
      if (strictTopics) {
        unhandledTopics.markHandlersKnown();
      }
      this.requestDrain();
      await this.idle();
    }
  }

  override stopClaiming(): void {
    this.isStarted = false;
  }

  override async stop(): Promise<void> {
    const { clock, runner, shutdownTimeoutMs, waiter } = this.parts;
    this.isStarted = false;
    await waiter.stop();
    runner.releaseUnstarted();
    if (!(await endsWithin(clock, shutdownTimeoutMs, runner.allSettled()))) {
      runner.terminateAll();
      await endsWithin(clock, RELEASE_GRACE_MS, runner.allSettled());
      runner.abandon();
    }
  }

  override async close(): Promise<void> {
    this.restoreTransaction();
    await this.stop();
    await super.close();
  }

  override async enqueue(
    topic: TopicLike,
    payload: unknown,
    options?: EnqueueOptions,
    idempotency?: Idempotency,
  ): Promise<Job> {
    const job = await super.enqueue(topic, payload, options, idempotency);
    await this.idle();
    return job;
  }

  override async enqueueMany(jobs: readonly AnyNewJob[], tx?: StoreTransaction): Promise<Job[]> {
    const stored = await super.enqueueMany(jobs, tx);
    if (!tx) {
      await this.idle();
    }
    return stored;
  }

  override register(topic: TopicLike, run: AnyHandler, options?: JobHandlerOptions, source?: string): void {
    const handle = typeof run === 'function' ? this.watch(run as JobHandlerFunction) : run;
    super.register(topic, handle, options, source);
  }

  /**
   * Waits for the jobs that run.
   *
   * @throws InvalidOptionsError in mode `'manual'` when jobs are due: nothing runs them. In mode `'inline'`, when due jobs have no handler.
   */
  override async whenIdle(): Promise<void> {
    await this.parts.enqueuer.idle();
    await this.idle();
    await this.pending.idle();
    if (this.test.mode === 'manual' && (await this.pending.find(EVERYTHING_DUE)).length > 0) {
      throw new InvalidOptionsError('whenIdle', "jobs are due, and mode 'manual' runs none; call runPending()");
    }
    const canRun = this.isStarted && this.parts.role !== 'producer';
    const due = canRun ? await this.parts.unhandledTopics.describeDue() : undefined;
    if (due !== undefined) {
      throw new InvalidOptionsError('whenIdle', due);
    }
  }

  /** Runs the due jobs as `runPending` does, in each mode and role. */
  override async runDue(options: RunDueOptions = {}): Promise<RunDueCounts> {
    const { limit = Infinity } = readOptions(RUN_DUE_OPTIONS, options, 'runDue');
    const { registry, role } = this.parts;
    registry.isClaiming = true;
    try {
      return await countOutcomes(this.events, () => this.runPending({ ...EVERYTHING_DUE, recursive: true, limit }));
    } finally {
      registry.isClaiming = role !== 'producer';
    }
  }

  /** @see JobsTesting.runPending */
  async runPending(options: PendingRun): Promise<Job[]> {
    this.assertStarted();
    if (this.handling.getStore()) {
      throw new InvalidOptionsError(
        'runPending',
        'was called in a handler, which it would wait for; call it in the test',
      );
    }
    const ran = await this.pending.run(options);
    if (ran.length === 0 && options.topic === null) {
      await this.reportUnhandled();
    }
    return ran;
  }

  /** @see JobsTesting.run */
  async runHandler(topic: string, payload: unknown, options: HandlerRun): Promise<unknown> {
    this.assertStarted();
    return runHandler(this.parts, topic, payload, options);
  }

  /** @see JobsTesting.advance */
  async advance(ms: number): Promise<void> {
    this.assertStarted();
    const advanced = this.lastAdvance.then(() => this.advanceNow(ms));
    this.lastAdvance = advanced.catch(() => undefined);
    await advanced;
  }

  /** Returns all jobs in the table with decoded payloads, oldest first. */
  async allJobs(): Promise<Job[]> {
    const jobs = await listAll(this.jobs);
    const { codec } = this.parts;
    return codec
      ? Promise.all(jobs.map(async (job) => Object.assign(job, { payload: await decodeForTest(codec, job) })))
      : jobs;
  }

  /** Goes from tick to tick, so that no tick is late. */
  private async advanceNow(ms: number): Promise<void> {
    const { time } = this.test;
    let leftMs = ms;
    for (let steps = 0; leftMs > 0; steps += 1) {
      if (steps === STEPS_MAX) {
        throw new Error(
          `advance: ${STEPS_MAX} ticks and due times were reached; pause frequent schedules, or advance in smaller steps`,
        );
      }
      const stepMs = Math.min(leftMs, Math.ceil(await this.passTime()));
      time.aheadMs += stepMs;
      leftMs -= stepMs;
    }
    const { rescuer, heartbeat } = this.parts;
    await this.parts.declarer.writeWithoutLimits();
    await rescuer.run();
    heartbeat.wake();
    await this.passTime();
    await this.prune();
  }

  /** Fires due ticks and, in mode `'inline'`, runs due jobs. Returns how long nothing more happens. */
  private async passTime(): Promise<number> {
    const tickMs = this.parts.role === 'producer' ? Infinity : await this.fireTicks();
    if (this.test.mode === 'manual') {
      return tickMs;
    }
    this.requestDrain();
    await this.idle();
    return Math.min(tickMs, await this.nextDueMs());
  }

  /** Fires due ticks. Returns how long to wait for the next one. */
  private async fireTicks(): Promise<number> {
    const { scheduler } = this.parts;
    do {
      scheduler.onHint(true);
    } while ((await scheduler.work()) <= 0);
    return this.nextTickMs();
  }

  private async nextTickMs(): Promise<number> {
    const { scheduler, store } = this.parts;
    const { now, schedules } = await store.schedules.list();
    const own = schedules.filter(
      ({ name, source, nextTick, pausedSince }) =>
        nextTick !== null && pausedSince === null && (source === 'api' || scheduler.declares(name)),
    );
    return Math.min(...own.map(({ nextTick }) => Math.max(1, nextTick!.getTime() - now.getTime())));
  }

  private async nextDueMs(): Promise<number> {
    const { store, registry } = this.parts;
    const topic = registry.claimable().map((handler) => handler.topic);
    const waiting = topic.length > 0 ? await listAll(this.jobs, { topic, due: false }) : [];
    const { now } = await store.schedules.list('');
    return Math.min(...waiting.map(({ runAt }) => Math.max(1, runAt.getTime() - now.getTime())));
  }

  /** A test with a mistyped topic must not pass in silence. An error, because Nest's logger for tests prints nothing less. */
  private async reportUnhandled(): Promise<void> {
    const due = await this.parts.unhandledTopics.describeDue();
    if (due !== undefined) {
      this.parts.logger.error(`runPending: ${due}`);
    }
  }

  /** Mode `'inline'`: runs the due jobs, and those that become due while it runs them. */
  private requestDrain(): void {
    if (this.test.mode === 'inline' && this.isStarted) {
      this.isWoken = true;
      this.draining ??= this.startDrain();
    }
  }

  private startDrain(): Promise<void> {
    const draining = runDetached(() => this.drain());
    draining.catch((error: unknown) => this.parts.logger.error(`could not run due jobs: ${toErrorMessage(error)}`));
    return draining;
  }

  private async drain(): Promise<void> {
    try {
      while (this.isWoken) {
        this.isWoken = false;
        await this.pending.run(EVERYTHING_DUE);
      }
    } finally {
      this.draining = undefined;
    }
  }

  /** Resolves when mode `'inline'` has run the due jobs. In a handler it does not wait. */
  private async idle(): Promise<void> {
    if (!this.handling.getStore()) {
      await this.draining;
    }
  }

  /** Lets calls of these methods return after the jobs that they made due have run. Returns a function that undoes it. */
  private waitAfter<Part extends object>(part: Part, ...names: readonly (keyof Part)[]): () => void {
    const originals = names.map((name) => [name, part[name]] as const);
    for (const [name, call] of originals) {
      part[name] = (async (...args: unknown[]) => {
        const result: unknown = await (call as () => unknown).apply(part, args as []);
        await this.idle();
        return result;
      }) as Part[keyof Part];
    }
    return () => originals.forEach(([name, call]) => (part[name] = call));
  }

  private watch(run: JobHandlerFunction): JobHandlerFunction {
    const watched: JobHandlerFunction = async (job) => {
      try {
        return await this.handling.run(true, async () => run(job));
      } catch (error) {
        this.pending.recordThrown(job, error);
        throw error;
      }
    };
    // The engine rejects a batch handler without parameters.
    return Object.defineProperty(watched, 'length', { value: run.length });
  }

  private assertStarted(): void {
    if (!this.isStarted) {
      throw new InvalidOptionsError(
        'JobsTesting',
        'the application is not running; call init() first, and nothing after close()',
      );
    }
  }
}

/** Returns the stored value when the codec rejects it. */
async function decodeForTest(codec: PayloadCodec, { id, topic, payload }: Job): Promise<unknown> {
  try {
    return await codec.decode(payload, { id, topic });
  } catch {
    return payload;
  }
}
