import { setTimeout as sleep } from 'node:timers/promises';
import type { JobsEngine } from 'nestjs-jobs';
import { JobsError, SnoozeError } from 'nestjs-jobs';
import type { DataSource, EntityManager } from 'typeorm';
import type { HistoryWriter } from '../history.js';
import type { LoadBatch, LoadContext, MemberSettings } from '../protocol.js';
import { DEAD_LETTERS, DOOMED, limitedTopics, VERSIONED, versionOptions } from '../protocol.js';
import { register as registerPoisons } from './poisons.js';

/** Between an effect and its completion, and between that and COMMIT: the moments at which a fault would hurt. */
const WITHIN_TRANSACTION_MS = 4;
const SNOOZE_MS = 40;

/** The ways to complete a job, each with one effect in the application's own table, and a line in the history. */
export class Tasks {
  constructor(
    private readonly app: DataSource,
    private readonly history: HistoryWriter,
    private readonly settings: MemberSettings,
  ) {}

  register(engine: JobsEngine): void {
    const on = (topic: string, work: (job: LoadContext) => Promise<unknown>, options = {}): void =>
      engine.register(topic, (job) => this.witnessed(job as LoadContext, work), options);
    on('plain', (job) => this.plain(job));
    on('complete_tx', (job) => this.completeTx(job));
    on('fragile', (job) => this.completeTx(job), { deadLetter: DEAD_LETTERS });
    on(DOOMED, (job) => this.fail(job), { deadLetter: DEAD_LETTERS });
    on(DEAD_LETTERS, (job) => this.app.transaction((manager) => this.effect(job, manager)));
    engine.register('batch_tx', (jobs) => this.witnessedBatch(jobs as LoadBatch), {
      batch: { size: 10, wait: '20ms' },
    });
    if (this.settings.database.type === 'postgres') {
      on('transactional', (job) => this.transactional(job), { transactional: true });
    }
    Object.entries(limitedTopics).forEach(([topic, limits]) => on(topic, (job) => this.limited(job), { limits }));
    if (this.settings.version > 0) {
      on(VERSIONED, (job) => this.plain(job), versionOptions(this.settings.version));
    }
    registerPoisons(on, this.history);
    engine.events.subscribe((event) => {
      if (event.type === 'lease_lost' || event.type === 'completed') {
        const kind = event.type === 'completed' ? 'completed' : 'lease lost';
        this.history.write({ kind, id: event.id, attempt: event.attempt });
      }
    });
  }

  /** Writes down how a handler begins and how it ends. */
  private async witnessed(job: LoadContext, work: (job: LoadContext) => Promise<unknown>): Promise<unknown> {
    const { id, attempt } = job;
    const { history } = this;
    history.write({ kind: 'began', id, attempt });
    job.signal.addEventListener('abort', () => {
      const { code, reason } = job.signal.reason as { code: string; reason?: string };
      history.write({ kind: 'aborted', id, attempt, reason: reason ?? code });
    });
    try {
      const value = await work(job);
      history.write({ kind: 'returned', id, attempt });
      return value;
    } catch (error) {
      history.write({ kind: 'threw', id, attempt, code: error instanceof JobsError ? error.code : null });
      throw error;
    }
  }

  private async plain(job: LoadContext): Promise<void> {
    await this.work(job);
    await this.app.transaction((manager) => this.effect(job, manager));
  }

  private async limited(job: LoadContext): Promise<void> {
    if (job.attempt > 1 || !job.payload.first) {
      return this.plain(job);
    }
    await this.work(job);
    throw job.payload.first === 'snoozes' ? new SnoozeError(SNOOZE_MS) : new Error('at first');
  }

  private async fail(job: LoadContext): Promise<void> {
    await this.work(job);
    throw new Error('doomed');
  }

  private async completeTx(job: LoadContext): Promise<void> {
    await this.work(job);
    await this.app.transaction(async (manager) => {
      await this.effect(job, manager);
      await sleep(WITHIN_TRANSACTION_MS);
      this.history.write({ kind: 'completing', id: job.id, attempt: job.attempt });
      await job.completeTx(manager, { by: this.settings.name });
      await sleep(WITHIN_TRANSACTION_MS);
    });
  }

  private async transactional(job: LoadContext): Promise<void> {
    await this.effect(job, job.manager);
    await this.work(job);
  }

  /** Each member begins, ends and is aborted on its own; the batch is one transaction. */
  private async witnessedBatch(jobs: LoadBatch): Promise<void> {
    const call = this.batchTx(jobs);
    await Promise.allSettled(jobs.map((job) => this.witnessed(job, () => call)));
    await call;
  }

  private async batchTx(jobs: LoadBatch): Promise<void> {
    const ms = Math.max(...jobs.map(({ payload }) => payload.ms));
    await sleep(ms, undefined, jobs.every(({ payload }) => payload.obeys) ? { signal: jobs.signal } : {});
    await this.app.transaction(async (manager) => {
      for (const job of jobs) await this.effect(job, manager);
      await sleep(WITHIN_TRANSACTION_MS);
      for (const { id, attempt } of jobs) this.history.write({ kind: 'completing', id, attempt });
      await jobs.completeTx(manager);
      await sleep(WITHIN_TRANSACTION_MS);
    });
  }

  private async work({ payload, signal }: LoadContext): Promise<void> {
    await sleep(payload.ms, undefined, payload.obeys ? { signal } : {});
  }

  private async effect({ id, attempt }: LoadContext, manager: EntityManager): Promise<void> {
    // The mutant does what a handler without a transaction would do.
    const where = this.settings.mutant === 'effect outside the transaction' ? this.app.manager : manager;
    await where.query(
      `INSERT INTO effects (job_id, attempt, worker) VALUES ('${id}', ${attempt}, '${this.settings.name}')`,
    );
  }
}
