import { strict as assert } from 'node:assert';
import { JobStateError, LeaseLostError } from 'nestjs-jobs';
import type { Outcome } from '../../../lib/core/job.js';
import type { TransitionVerb } from '../../../lib/core/job-state.js';
import { claim, settlement } from '../../support/job-rows.js';
import type { RealQueue } from './queue-command.js';
import { QueueCommand } from './queue-command.js';
import type { ModelJob, QueueModel } from './queue-model.js';

export class Claim extends QueueCommand {
  readonly verbs = ['claim'] as const;

  constructor(
    readonly worker: number,
    readonly limit: number,
  ) {
    super();
  }

  protected async act(model: QueueModel, real: RealQueue): Promise<void> {
    const claimable = model.claimable().length;
    const claims = await claim(real.store, { limit: this.limit, worker: `worker-${this.worker}` });
    assert.equal(claims.length, Math.min(this.limit, claimable));
    for (const { id, attempt, retries } of claims) {
      const job = model.claim(id);
      assert.deepEqual({ attempt, retries }, { attempt: job.attempt, retries: job.retries });
      real.claims[this.worker]!.push({ id, attempt });
    }
  }
}

/** Lets one of its claims, maybe a stale one, live on. */
export class Renew extends QueueCommand {
  readonly verbs = ['renew'] as const;

  constructor(
    readonly worker: number,
    readonly pick: number,
  ) {
    super();
  }

  protected async act(model: QueueModel, real: RealQueue): Promise<void> {
    const token = real.claimOf(this.worker, this.pick);
    if (token) {
      const owned = model.owned(token);
      const [renewal] = await real.store.renew([token], 60_000);
      assert.deepEqual(renewal, {
        state: owned ? 'renewed' : 'lost',
        cancelRequested: owned?.cancelRequested ?? false,
      });
      Object.assign(owned ?? {}, { isExpired: false });
    }
  }
}

const verbsOf: Record<Outcome['kind'], readonly TransitionVerb[]> = {
  completed: ['complete', 'end cancelled'],
  failed: ['fail', 'end cancelled'],
  retry: ['retry', 'fail', 'end cancelled'],
  snooze: ['snooze', 'end cancelled'],
  release: ['release', 'end cancelled'],
  cancelled: ['end cancelled'],
};

/** Settles one of its claims, maybe a stale one, or all it ever got in one call. */
export class Settle extends QueueCommand {
  readonly verbs: readonly TransitionVerb[];

  constructor(
    readonly worker: number,
    readonly pick: number | 'all',
    readonly outcome: Outcome,
  ) {
    super();
    this.verbs = verbsOf[outcome.kind];
  }

  protected async act(model: QueueModel, real: RealQueue): Promise<void> {
    const one = this.pick === 'all' ? undefined : real.claimOf(this.worker, this.pick);
    const tokens = this.pick === 'all' ? real.claims[this.worker]! : one ? [one] : [];
    const owned = tokens.map((token) => model.owned(token));
    const settled = await real.store.settle(tokens.map((token) => settlement(token, this.outcome)));
    owned.forEach((job) => job && model.settle(job, this.outcome));
    const applied = owned.map((job) => job !== undefined);
    assert.deepEqual(
      settled.map((answer) => answer.applied),
      applied,
    );
    for (const [index, { status, attempt, retries }] of settled.entries()) {
      const job = jobOf(model, tokens[index]!.id);
      const known = job?.status === 'pending' ? job.retries : null;
      const expected = { status: job?.status ?? null, attempt: job?.attempt ?? 0, retries: known };
      assert.deepEqual({ status, attempt, retries }, expected);
    }
  }
}

/** Completes one of its claims in a transaction of its own, and commits it or not. */
export class CompleteInTransaction extends QueueCommand {
  readonly verbs = ['complete'] as const;

  constructor(
    readonly worker: number,
    readonly pick: number,
    readonly commits: boolean,
  ) {
    super();
  }

  protected async act(model: QueueModel, real: RealQueue): Promise<void> {
    const token = real.claimOf(this.worker, this.pick);
    if (!token) {
      return;
    }
    const rollback = new Error('rolled back');
    const owned = model.owned(token);
    const end = await real.fixture.app
      .transaction(async (manager) => {
        await real.store.completeTx(manager, token, null);
        if (!this.commits) throw rollback;
      })
      .catch((error: unknown) => error);
    if (!owned) {
      assert(end instanceof LeaseLostError, String(end));
    } else if (owned.cancelRequested) {
      assert(end instanceof JobStateError, String(end));
    } else {
      assert.equal(end, this.commits ? undefined : rollback);
      owned.status = this.commits ? 'completed' : owned.status;
    }
  }
}

export function jobOf(model: QueueModel, id: string): ModelJob | undefined {
  return model.jobs.find((job) => job.id === id);
}
