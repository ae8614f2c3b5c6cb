import { strict as assert } from 'node:assert';
import { JobStateError, LeaseLostError } from 'nestjs-jobs';
import type { ClaimToken, Outcome } from '../../../lib/core/job.js';
import type { FinalStatus, TransitionVerb } from '../../../lib/core/job-state.js';
import type { ClaimState, Settled } from '../../../lib/store/jobs/job-records.js';
import { claim, settlement, dropRowRefs } from '../../support/job-rows.js';
import type { RealQueue } from './queue-command.js';
import { QueueCommand } from './queue-command.js';
import type { ModelJob, QueueModel } from './queue-model.js';
import { ROLLED_BACK } from './store-under-test.js';

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
    const worker = `worker-${this.worker}`;
    const claims = await claim(real.store, { limit: this.limit, worker });
    assert.equal(claims.length, Math.min(this.limit, claimable));
    for (const { id, attempt, retries } of claims) {
      const job = model.claim(id, worker);
      assert.deepEqual({ attempt, retries }, { attempt: job.attempt, retries: job.retries });
      real.claims[this.worker]!.push({ id, attempt });
    }
  }
}

/** A command with one claim of a worker, which may be stale. */
abstract class ClaimCommand extends QueueCommand {
  constructor(
    readonly worker: number,
    readonly pick: number,
  ) {
    super();
  }

  protected async act(model: QueueModel, real: RealQueue): Promise<void> {
    const token = real.pickClaim(this.worker, this.pick);
    if (token) {
      await this.apply(token, model.owned(token), real);
    }
  }

  protected abstract apply(token: ClaimToken, owned: ModelJob | undefined, real: RealQueue): Promise<void>;
}

/** Marks the attempt as started. */
export class MarkStarted extends ClaimCommand {
  readonly verbs = ['markStarted'] as const;

  protected async apply(token: ClaimToken, owned: ModelJob | undefined, { store }: RealQueue): Promise<void> {
    const live = owned?.isExpired ? undefined : owned;
    assert.deepEqual(dropRowRefs(await store.markStarted([token])), [toState(live)]);
    Object.assign(live ?? {}, { isUnstarted: false });
  }
}

/** Renews the lease. */
export class Renew extends ClaimCommand {
  readonly verbs = ['renew'] as const;

  protected async apply(token: ClaimToken, owned: ModelJob | undefined, { store }: RealQueue): Promise<void> {
    assert.deepEqual(dropRowRefs(await store.renew([token], 60_000)), [toState(owned)]);
    Object.assign(owned ?? {}, { isExpired: false });
  }
}

/** Reads cancel requests and records progress, with all claims of the worker. */
export class Report extends QueueCommand {
  readonly verbs = [];

  constructor(readonly worker: number) {
    super();
  }

  protected async act(model: QueueModel, real: RealQueue): Promise<void> {
    const tokens = real.claims[this.worker]!;
    const owned = tokens.map((token) => model.owned(token));
    const requests = await real.store.cancelRequests(tokens);
    const expected = tokens.filter((_token, index) => owned[index]?.cancelRequested);
    assert.deepEqual([...requests].map(({ id }) => id).sort(), expected.map(({ id }) => id).sort());

    const recorded = await real.store.recordProgress(tokens.map((token) => ({ token, progress: '1' })));
    assert.deepEqual(
      recorded.map(({ state }) => state),
      owned.map((job) => (job ? 'held' : 'lost')),
    );
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

/** Settles one claim of the worker, which may be stale, or all in one call; jobs of `discardStatuses` are deleted. */
export class Settle extends QueueCommand {
  readonly verbs: readonly TransitionVerb[];

  constructor(
    readonly worker: number,
    readonly pick: number | 'all',
    readonly outcome: Outcome,
    readonly discardStatuses: readonly FinalStatus[],
  ) {
    super();
    this.verbs = discardStatuses.length > 0 ? [...verbsOf[outcome.kind], 'prune'] : verbsOf[outcome.kind];
  }

  protected async act(model: QueueModel, real: RealQueue): Promise<void> {
    const one = this.pick === 'all' ? undefined : real.pickClaim(this.worker, this.pick);
    const tokens = this.pick === 'all' ? real.claims[this.worker]! : one ? [one] : [];
    const owned = tokens.map((token) => model.owned(token));
    const settlements = tokens.map((token) => settlement(token, this.outcome));
    const settled = await real.store.settle(settlements, this.discardStatuses);
    owned.forEach((job) => job && model.settle(job, this.outcome));
    const applied = owned.map((job) => job !== undefined);
    assert.deepEqual(
      settled.map((result) => result.applied),
      applied,
    );
    const expected = tokens.map(({ id }) => toResult(model.job(id)));
    model.discard(tokens, this.discardStatuses);
    for (const [index, { status, attempt, retries }] of settled.entries()) {
      // When another member of the batch has ended and deleted a job, a stale one may return its status or null.
      const isGone = status === null && !applied[index] && !model.job(tokens[index]!.id);
      assert.deepEqual({ status, attempt, retries }, isGone ? toResult(undefined) : expected[index]);
    }
  }
}

/** The expected state of a claim. */
function toState(owned: ModelJob | undefined): ClaimState {
  return { state: owned ? 'held' : 'lost', cancelRequested: owned?.cancelRequested ?? false };
}

/** The expected result for a job in its current state. */
function toResult(job: ModelJob | undefined): Pick<Settled, 'status' | 'attempt' | 'retries'> {
  const { status = null, attempt = 0 } = job ?? {};
  return { status, attempt, retries: job?.status === 'pending' ? job.retries : null };
}

/** Completes one claim in a transaction of the application that commits or rolls back. */
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
    const token = real.pickClaim(this.worker, this.pick);
    if (!token) {
      return;
    }
    const owned = model.owned(token);
    const end: unknown = await real.behind.completeInTransaction(token, this.commits).catch((error: unknown) => error);
    if (!owned) {
      assert(end instanceof LeaseLostError, String(end));
    } else if (owned.cancelRequested) {
      assert(end instanceof JobStateError, String(end));
    } else {
      assert.equal(end, this.commits ? undefined : ROLLED_BACK);
      Object.assign(owned, this.commits && { status: 'completed', lockedBy: null });
    }
  }
}
