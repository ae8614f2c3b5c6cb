import { strict as assert } from 'node:assert';
import type { Job } from '../../../lib/core/job.js';
import { newJob, rescue, TOPIC } from '../../support/job-rows.js';
import type { RealQueue } from './queue-command.js';
import { QueueCommand } from './queue-command.js';
import type { ModelJob, QueueModel } from './queue-model.js';

const HOUR_MS = 3_600_000;

export class Enqueue extends QueueCommand {
  readonly verbs = ['insert'] as const;

  constructor(
    readonly key: string | null,
    readonly maxRetries: number,
    readonly isDue: boolean,
  ) {
    super();
  }

  protected async act(model: QueueModel, real: RealQueue): Promise<void> {
    const { key, maxRetries, isDue } = this;
    const job = newJob({ uniqueKey: key, maxRetries, delayMs: isDue ? 0 : HOUR_MS });
    const holder = model.holderOf(key);
    const [inserted] = await real.store.insert([job]);
    assert.equal(inserted!.id, holder?.id ?? job.id);
    assert.equal(inserted!.deduplicated, holder !== undefined);
    if (!holder) {
      model.insert({ id: job.id, key, maxRetries, isDue });
    }
  }
}

/** The lease of a running job ends, as if its worker had died. */
export class Expire extends QueueCommand {
  readonly verbs = [];

  constructor(readonly pick: number) {
    super();
  }

  protected async act(model: QueueModel, real: RealQueue): Promise<void> {
    const running = model.jobs.filter(({ status }) => status === 'processing');
    const job = running[this.pick % Math.max(running.length, 1)];
    if (job) {
      job.isExpired = true;
      await real.fixture.expire(job.id);
    }
  }
}

export class Rescue extends QueueCommand {
  readonly verbs = ['rescue'] as const;

  protected async act(model: QueueModel, real: RealQueue): Promise<void> {
    // Spread, since arrays that the SQLite driver makes belong to another realm, which a strict comparison minds.
    const rescued = [...(await rescue(real.store, 100))];
    const expected = model.rescue();
    assert.deepEqual(rescued.map(({ id }) => id).sort(), expected.sort());
    for (const { id, status, attempt, retries } of rescued) {
      const job = model.jobs.find((candidate) => candidate.id === id)!;
      assert.deepEqual(
        { status, attempt, retries },
        { status: job.status, attempt: job.attempt, retries: job.retries },
      );
    }
  }
}

/** Deletes jobs that have completed or were cancelled, whatever their age. */
export class Prune extends QueueCommand {
  readonly verbs = ['prune'] as const;

  protected async act(model: QueueModel, real: RealQueue): Promise<void> {
    const retention = { completed: 0, cancelled: 0, failed: false } as const;
    const { removed } = await real.store.prune(retention, { after: null, rows: 1_000 });
    assert.equal(
      removed,
      model.remove(({ status }) => status === 'completed' || status === 'cancelled'),
    );
  }
}

/** Somebody moves a job by hand. */
abstract class Move extends QueueCommand {
  constructor(readonly pick: number) {
    super();
  }

  protected async act(model: QueueModel, real: RealQueue): Promise<void> {
    const job = model.jobs[this.pick % Math.max(model.jobs.length, 1)];
    if (job) {
      await this.move(job, model, real);
    }
  }

  protected abstract move(job: ModelJob, model: QueueModel, real: RealQueue): Promise<void>;
}

export class Requeue extends Move {
  readonly verbs = ['requeue'] as const;

  protected async move(job: ModelJob, model: QueueModel, real: RealQueue): Promise<void> {
    const mayWait = job.status === 'failed' || job.status === 'cancelled';
    const holderId = mayWait ? (model.holderOf(job.key, job.id)?.id ?? null) : null;
    const moved = model.requeue(job);
    const { id, attempt, status } = job;
    const [answer] = await real.store.requeue([id]);
    const expected = { id, moved, status, topic: TOPIC, attempt, holderId };
    assert.deepEqual(answer, { ...expected, job: moved ? await rowOf(real, id) : null });
  }
}

export class Cancel extends Move {
  readonly verbs = ['cancel'] as const;

  protected async move(job: ModelJob, model: QueueModel, real: RealQueue): Promise<void> {
    const moved = model.cancel(job);
    const { id, attempt, status } = job;
    const [answer] = await real.store.cancel([id]);
    const expected = { id, moved, status, topic: TOPIC, attempt, holderId: null };
    assert.deepEqual(answer, { ...expected, job: moved ? await rowOf(real, id) : null });
  }
}

export class Delete extends Move {
  readonly verbs = ['delete'] as const;

  protected async move({ id, attempt, status }: ModelJob, model: QueueModel, real: RealQueue): Promise<void> {
    const moved = status !== 'processing';
    const [answer] = await real.store.delete([id]);
    assert.deepEqual(answer, { id, moved, status, topic: TOPIC, attempt, holderId: null, job: null });
    model.remove((job) => moved && job.id === id);
  }
}

async function rowOf(real: RealQueue, id: string): Promise<Job> {
  return (await real.store.find([id]))[0]!;
}
