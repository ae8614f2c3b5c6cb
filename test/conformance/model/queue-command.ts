import { strict as assert } from 'node:assert';
import type fc from 'fast-check';
import type { ClaimToken, Job } from '../../../lib/core/job.js';
import type { JobState, TransitionVerb } from '../../../lib/core/job-state.js';
import { isFinal, JOB_STATUSES } from '../../../lib/core/job-state.js';
import type { JobInsert } from '../../../lib/store/store-records.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import { isLegalTransition } from '../../support/legal-transition.js';
import type { ModelJob, QueueModel } from './queue-model.js';
import type { StoreUnderTest } from './store-under-test.js';

export const WORKERS = 3;

/** What is compared of a job after each command. */
type Standing = Omit<ModelJob, 'key' | 'maxRetries' | 'isUnbegun' | 'isDue' | 'isExpired'>;

/** The queue under test, and what its users remember: the claims that each worker ever got, however stale. */
export class RealQueue {
  readonly claims: ClaimToken[][] = Array.from({ length: WORKERS }, () => []);
  /** Every job that was ever stored, also those that are gone. */
  readonly inserts: JobInsert[] = [];
  private seen = new Map<string, Standing>();

  constructor(readonly behind: StoreUnderTest) {}

  get store(): JobStore {
    return this.behind.store;
  }

  /** One of the claims of a worker; `undefined` when it never got any. */
  claimOf(worker: number, pick: number): ClaimToken | undefined {
    return picked(this.claims[worker]!, pick);
  }

  /** Compares the table with the model, and what has changed in it with the one table of legal transitions. */
  async compare(model: QueueModel, verbs: readonly TransitionVerb[]): Promise<void> {
    const ids = [...new Set([...this.seen.keys(), ...model.jobs.map(({ id }) => id)])];
    // Spread, since arrays that the SQLite driver makes belong to another realm, which a strict comparison minds.
    const rows = [...(await this.store.find(ids))].sort((a, b) => (a.id < b.id ? -1 : 1));
    rows.forEach(expectWhole);
    const table = rows.map(toStandingJob);
    assert.deepEqual(table, model.jobs.map(toStandingJob));

    const now = new Map(table.map((row) => [row.id, row]));
    for (const id of ids) {
      const before = this.seen.get(id);
      const after = now.get(id);
      const [from, to]: JobState[] = [before?.status ?? 'none', after?.status ?? 'none'];
      assert(isLegal(verbs, from!, to!), `${verbs.join(' or ')} took job ${id} from ${from} to ${to}`);
      assert((after?.attempt ?? Infinity) >= (before?.attempt ?? 0), `attempt of job ${id} fell`);
    }
    this.seen = now;
  }
}

/** One of a list, whatever its length; `undefined` when it is empty. */
export function picked<T>(list: readonly T[], pick: number): T | undefined {
  return list[pick % Math.max(list.length, 1)];
}

function toStandingJob({ id, status, attempt, retries, cancelRequested, lockedBy }: Standing): Standing {
  return { id, status, attempt, retries, cancelRequested, lockedBy };
}

/** Whether the times of a row agree with its status. */
function expectWhole({ id, status, lockedUntil, finished }: Job): void {
  assert.equal(lockedUntil !== null, status === 'processing', `lease of job ${id}, which is ${status}`);
  assert.equal(finished !== null, isFinal(status), `end of job ${id}, which is ${status}`);
}

/** A command that settles and discards makes two moves. */
function isLegal(verbs: readonly TransitionVerb[], from: JobState, to: JobState): boolean {
  const isMove = (start: JobState, end: JobState): boolean => verbs.some((verb) => isLegalTransition(verb, start, end));
  return from === to || isMove(from, to) || JOB_STATUSES.some((status) => isMove(from, status) && isMove(status, to));
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
