import { strict as assert } from 'node:assert';
import type fc from 'fast-check';
import type { ClaimToken } from '../../../lib/core/job.js';
import type { JobState, JobStatus, TransitionVerb } from '../../../lib/core/job-state.js';
import { isLegalTransition } from '../../../lib/core/job-state.js';
import type { StoreFixture } from '../../support/stores.js';
import type { QueueModel } from './queue-model.js';

export const WORKERS = 3;

/** The queue under test, and the claims that each worker ever got, however stale. */
export class RealQueue {
  readonly claims: ClaimToken[][] = Array.from({ length: WORKERS }, () => []);
  private seen = new Map<string, { status: JobStatus; attempt: number }>();

  constructor(readonly fixture: StoreFixture) {}

  get store(): StoreFixture['store'] {
    return this.fixture.store;
  }

  /** One of the claims of a worker; `undefined` when it never got any. */
  claimOf(worker: number, pick: number): ClaimToken | undefined {
    const claims = this.claims[worker]!;
    return claims[pick % Math.max(claims.length, 1)];
  }

  /** Compares the table with the model, and what has changed in it with the one table of legal transitions. */
  async compare(model: QueueModel, verbs: readonly TransitionVerb[]): Promise<void> {
    const ids = [...new Set([...this.seen.keys(), ...model.jobs.map(({ id }) => id)])];
    const rows = new Map((await this.store.find(ids)).map((row) => [row.id, row]));
    const table = [...rows.values()].map(({ id, status, attempt, retries, cancelRequested }) => {
      return { id, status, attempt, retries, cancelRequested };
    });
    const expected = model.jobs.map(({ id, status, attempt, retries, cancelRequested }) => {
      return { id, status, attempt, retries, cancelRequested };
    });
    assert.deepEqual(
      table.sort((a, b) => (a.id < b.id ? -1 : 1)),
      expected,
    );

    for (const id of ids) {
      const before = this.seen.get(id);
      const after = rows.get(id);
      const [from, to]: JobState[] = [before?.status ?? 'none', after?.status ?? 'none'];
      const isLegal = from === to || verbs.some((verb) => isLegalTransition(verb, from!, to!));
      assert(isLegal, `${verbs.join(' or ')} took job ${id} from ${from} to ${to}`);
      assert((after?.attempt ?? Infinity) >= (before?.attempt ?? 0), `attempt of job ${id} fell`);
    }
    this.seen = rows;
  }
}

/** One step of one worker, or of somebody at the desk. */
export abstract class QueueCommand implements fc.AsyncCommand<QueueModel, RealQueue> {
  /** What the command may do to a job. */
  abstract readonly verbs: readonly TransitionVerb[];

  check(): boolean {
    return true;
  }

  async run(model: QueueModel, real: RealQueue): Promise<void> {
    await this.act(model, real);
    await real.compare(model, this.verbs);
  }

  protected abstract act(model: QueueModel, real: RealQueue): Promise<void>;

  toString(): string {
    const { verbs: _verbs, ...members } = this;
    return `${this.constructor.name}${JSON.stringify(members)}`;
  }
}
