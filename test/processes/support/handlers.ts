import type { JobBatch, JobContext, JobsEngine } from 'nestjs-jobs';
import { JobsError } from 'nestjs-jobs';
import type { DataSource, EntityManager } from 'typeorm';
import { recordEffect } from './effect.js';
import type { Gate } from './gate.js';
import { parentProcess } from './parent-process.js';
import type { Task } from './protocol.js';

type TaskContext = JobContext<Task>;

/** The ways to complete jobs. Each job has one effect in the application's own table. */
export class TaskHandlers {
  private readonly killer: ProcessKiller;

  constructor(
    private readonly app: DataSource,
    private readonly gate: Gate,
    /** Stored with each effect. */
    private readonly worker: string,
  ) {
    this.killer = new ProcessKiller(app);
  }

  register(engine: JobsEngine): void {
    engine.register('quick', () => undefined);
    engine.register('plain', (job) => this.plain(job as TaskContext));
    engine.register('complete_tx', (job) => this.completeTx(job as TaskContext));
    engine.register('steps', (job) => this.steps(job as TaskContext));
    const batch = { size: 20 };
    engine.register('batch', (jobs) => this.batch(jobs as JobBatch<Task>), { batch, concurrency: 1 });
    engine.register('batch_tx', (jobs) => this.batchTx(jobs as JobBatch<Task>), { batch });
    if (this.app.options.type === 'postgres') {
      engine.register('transactional', (job) => this.transactional(job as TaskContext), { transactional: true });
    }
  }

  async plain(job: TaskContext): Promise<unknown> {
    this.killer.prepare(job);
    this.killer.killIf('at start');
    if (job.payload.logs) {
      job.log('begin', { worker: this.worker });
    }
    await this.begin(job);
    await this.effect(job, this.app.manager);
    return this.end(job);
  }

  async completeTx(job: TaskContext): Promise<unknown> {
    await this.begin(job);
    this.killer.prepare(job);
    await this.app.transaction(async (manager) => {
      await this.effect(job, manager);
      await job.completeTx(manager, { worker: this.worker }).catch((error: unknown) => {
        const code = error instanceof JobsError ? error.code : String(error);
        parentProcess.report({ kind: 'refused', id: job.id, attempt: job.attempt, code });
        throw error;
      });
    });
    return this.end(job);
  }

  /** Has one effect in each of three steps. */
  async steps(job: TaskContext): Promise<unknown> {
    const { gate = { after: '' } } = job.payload;
    for (const name of ['first', 'second', 'third']) {
      await job.step(name, async () => {
        await this.effect(job, this.app.manager);
        if ('in' in gate && gate.in === name) await this.begin(job);
      });
      if ('after' in gate && gate.after === name) await this.begin(job);
    }
    return this.end(job);
  }

  /** Completes its jobs one after the other. */
  async batch(jobs: JobBatch<Task>): Promise<void> {
    for (const job of jobs) {
      await this.begin(job);
      await this.effect(job, this.app.manager);
      job.complete(this.end(job));
    }
  }

  /** Completes its jobs in one transaction. */
  async batchTx(jobs: JobBatch<Task>): Promise<void> {
    await this.app.transaction(async (manager) => {
      for (const job of jobs) {
        await this.effect(job, manager);
      }
      await jobs.completeTx(manager);
    });
  }

  async transactional(job: TaskContext): Promise<unknown> {
    await this.begin(job);
    this.killer.prepare(job);
    await this.effect(job, job.manager);
    return this.end(job);
  }

  private async begin({ id, attempt, payload, signal }: TaskContext): Promise<void> {
    const isGated = attempt <= (payload.gated ?? 0);
    if (isGated || payload.reports) {
      parentProcess.report({ kind: 'began', id, attempt, atNs: String(process.hrtime.bigint()) });
    }
    if (isGated) {
      const onAbort = (): void => {
        const { code, reason } = signal.reason as { code: string; reason?: string };
        parentProcess.report({ kind: 'aborted', id, attempt, reason: reason ?? code });
      };
      signal.addEventListener('abort', onAbort, { once: true });
      await this.gate.pass(payload.endsOnAbort ? signal : undefined);
    }
  }

  private effect({ id, attempt }: TaskContext, manager: EntityManager): Promise<void> {
    return recordEffect(manager, { jobId: id, attempt, worker: this.worker });
  }

  private end({ id, attempt, payload }: TaskContext): unknown {
    if (payload.gated) {
      parentProcess.report({ kind: 'returned', id, attempt });
    }
    return { worker: this.worker };
  }
}

/** Kills the process when a handler starts, or before or after a COMMIT. */
class ProcessKiller {
  private moment: Task['dies'];

  constructor(app: DataSource) {
    app.subscribers.push({
      beforeTransactionCommit: () => this.killIf('before commit'),
      afterTransactionCommit: () => this.killIf('after commit'),
    });
  }

  /** Kills the process in the first attempt of the job, at the moment that the job names. */
  prepare({ attempt, payload }: TaskContext): void {
    this.moment = attempt === 1 ? payload.dies : undefined;
  }

  killIf(moment: Task['dies']): void {
    if (moment === this.moment) {
      process.kill(process.pid, 'SIGKILL');
    }
  }
}
