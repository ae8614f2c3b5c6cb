import { strict as assert } from 'node:assert';
import type { Job } from '../../../lib/core/job.js';
import type { FinalStatus, TransitionVerb } from '../../../lib/core/job-state.js';
import type { Retention } from '../../../lib/core/retention.js';
import type { ActionResult } from '../../../lib/store/jobs/job-records.js';
import { newJobs, rescue, TOPIC } from '../../support/job-rows.js';
import { uniqueMode } from '../../support/unique-jobs.js';
import type { RealQueue } from './queue-command.js';
import { pickFrom, QueueCommand } from './queue-command.js';
import type { ModelJob, QueueModel } from './queue-model.js';

const HOUR_MS = 3_600_000;

export class Enqueue extends QueueCommand {
  readonly verbs = ['insert'] as const;

  constructor(
    readonly count: number,
    readonly key: string | null,
    readonly isUntilStarted: boolean,
    readonly maxRetries: number,
    readonly isDue: boolean,
  ) {
    super();
  }

  protected async act(model: QueueModel, real: RealQueue): Promise<void> {
    const { key, isUntilStarted, maxRetries, isDue } = this;
    const mode = key !== null && isUntilStarted ? uniqueMode({ untilStarted: true }) : null;
    const jobs = newJobs(this.count, { uniqueKey: key, uniqueMode: mode, maxRetries, delayMs: isDue ? 0 : HOUR_MS });
    const inserted = await real.store.insert(jobs);
    for (const [index, job] of jobs.entries()) {
      const holder = model.findHolder(key, isUntilStarted);
      const { id, deduplicated } = inserted[index]!;
      assert.deepEqual({ id, deduplicated }, { id: holder?.id ?? job.id, deduplicated: holder !== undefined });
      if (!holder) {
        model.insert({ id, key, isUntilStarted, maxRetries, isDue });
        real.inserts.push(job);
      }
    }
  }
}

/** Sends an insert again after a lost response. */
export class EnqueueAgain extends QueueCommand {
  readonly verbs = [];

  constructor(readonly pick: number) {
    super();
  }

  protected async act(model: QueueModel, real: RealQueue): Promise<void> {
    const there = real.inserts.filter(({ id }) => model.job(id));
    const job = pickFrom(there, this.pick);
    if (job) {
      const [inserted] = await real.store.insert([job]);
      assert.deepEqual([inserted!.id, inserted!.deduplicated], [job.id, false]);
    }
  }
}

/** Expires the lease of a running job, as if its worker had died. */
export class Expire extends QueueCommand {
  readonly verbs = [];

  constructor(readonly pick: number) {
    super();
  }

  protected async act(model: QueueModel, real: RealQueue): Promise<void> {
    const running = model.jobs.filter(({ status }) => status === 'processing');
    const job = pickFrom(running, this.pick);
    if (job) {
      job.isExpired = true;
      await real.behind.expire(job.id);
    }
  }
}

/** Makes a delayed job due. */
export class BecomeDue extends QueueCommand {
  readonly verbs = [];

  constructor(readonly pick: number) {
    super();
  }

  protected async act(model: QueueModel, real: RealQueue): Promise<void> {
    const delayed = model.jobs.filter(({ status, isDue }) => status === 'pending' && !isDue);
    const job = pickFrom(delayed, this.pick);
    if (job) {
      job.isDue = true;
      await real.behind.makeDue(job.id);
    }
  }
}

/** Pauses or resumes the topic, in any state. */
export class Pause extends QueueCommand {
  readonly verbs = [];

  constructor(readonly isPaused: boolean) {
    super();
  }

  protected async act(model: QueueModel, real: RealQueue): Promise<void> {
    model.isPaused = this.isPaused;
    await real.store.pauses[this.isPaused ? 'pause' : 'resume']([TOPIC]);
  }
}

export class Rescue extends QueueCommand {
  readonly verbs = ['rescue'] as const;

  protected async act(model: QueueModel, real: RealQueue): Promise<void> {
    const rescued = [...(await rescue(real.store, 100))];
    const expected = model.rescue();
    assert.deepEqual(rescued.map(({ id }) => id).sort(), expected.sort());
    for (const { id, status, attempt, retries } of rescued) {
      const job = model.job(id)!;
      assert.deepEqual(
        { status, attempt, retries },
        { status: job.status, attempt: job.attempt, retries: job.retries },
      );
    }
  }
}

/** Deletes finished jobs of statuses with a retention of zero. */
export class Prune extends QueueCommand {
  readonly verbs = ['prune'] as const;

  constructor(readonly retention: Retention) {
    super();
  }

  protected async act(model: QueueModel, real: RealQueue): Promise<void> {
    const { removed } = await real.store.prune(this.retention, { after: null, rows: 1_000 });
    assert.equal(
      removed,
      model.remove(({ status }) => this.retention[status as FinalStatus] === 0),
    );
  }
}

/** Runs an action on some or all jobs, including deleted ones. */
export class Move extends QueueCommand {
  readonly verbs: readonly TransitionVerb[];

  constructor(
    readonly verb: 'requeue' | 'promote' | 'cancel' | 'delete',
    readonly picks: readonly number[] | 'oldest first' | 'newest first',
  ) {
    super();
    this.verbs = [verb];
  }

  protected async act(model: QueueModel, real: RealQueue): Promise<void> {
    const ids = this.ids(real);
    if (ids.length > 0) {
      const expected = ids.map((id) => this.move(model, id));
      const answers = await real.store[this.verb](ids);
      const hasRow = ids.length === 1 && expected[0]!.changed && this.verb !== 'delete';
      const job = hasRow ? await readRow(real, ids[0]!) : null;
      assert.deepEqual(
        [...answers],
        expected.map((answer) => ({ ...answer, job })),
      );
    }
  }

  private ids(real: RealQueue): string[] {
    const all = real.inserts.map(({ id }) => id);
    if (typeof this.picks === 'string') {
      return this.picks === 'oldest first' ? all : all.reverse();
    }
    return [...new Set(this.picks.flatMap((pick) => pickFrom(all, pick) ?? []))];
  }

  private move(model: QueueModel, id: string): Omit<ActionResult, 'job'> {
    const job = model.job(id);
    if (!job) {
      return { id, changed: false, status: null, topic: null, attempt: 0, holderId: null, reason: null };
    }
    const mayWait = job.status === 'failed' || job.status === 'cancelled';
    const holder = this.verb === 'requeue' && mayWait ? model.findOtherHolder(job) : undefined;
    const { attempt } = job;
    const changed = this.moveOne(model, job);
    return { id, changed, status: job.status, topic: TOPIC, attempt, holderId: holder?.id ?? null, reason: null };
  }

  private moveOne(model: QueueModel, job: ModelJob): boolean {
    switch (this.verb) {
      case 'requeue':
        return model.requeue(job);
      case 'promote':
        return model.promote(job);
      case 'cancel':
        return model.cancel(job);
      case 'delete':
        return job.status !== 'processing' && model.remove((other) => other === job) === 1;
    }
  }
}

async function readRow(real: RealQueue, id: string): Promise<Job> {
  return (await real.store.find([id]))[0]!;
}
