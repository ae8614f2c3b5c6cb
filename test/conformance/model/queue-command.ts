import { strict as assert } from 'node:assert';
import type fc from 'fast-check';
import type { ClaimToken, Job } from '../../../lib/core/job.js';
import type { JobState, TransitionVerb } from '../../../lib/core/job-state.js';
import { isFinal, JOB_STATUSES } from '../../../lib/core/job-state.js';
import type { JobInsert } from '../../../lib/store/jobs/job-records.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import { isLegalTransition } from '../../support/legal-transition.js';
import type { ModelJob, QueueModel } from './queue-model.js';
import type { StoreUnderTest } from './store-under-test.js';

export const WORKERS = 3;

/** The fields of a job that are compared after each command. */
type ComparedJob = Omit<ModelJob, 'key' | 'isUntilStarted' | 'maxRetries' | 'isUnstarted' | 'isDue' | 'isExpired'>;

/** The queue under test with all claims that each worker ever got, including stale ones. */
export class RealQueue {
  readonly claims: ClaimToken[][] = Array.from({ length: WORKERS }, () => []);
  /** Every job that was ever stored, including deleted ones. */
  readonly inserts: JobInsert[] = [];
  private seen = new Map<string, ComparedJob>();

  constructor(readonly behind: StoreUnderTest) {}

  get store(): JobStore {
    return this.behind.store;
  }

  /** Returns one of the claims of a worker; `undefined` when it has none. */
  pickClaim(worker: number, pick: number): ClaimToken | undefined {
    return pickFrom(this.claims[worker]!, pick);
  }

  /** Compares the table with the model, and its changes with the table of legal transitions. */
  async compare(model: QueueModel, verbs: readonly TransitionVerb[]): Promise<void> {
    const ids = [...new Set([...this.seen.keys(), ...model.jobs.map(({ id }) => id)])];
    // Copies the array: those of the SQLite driver belong to another realm and fail a strict comparison.
    const rows = [...(await this.store.find(ids))].sort((a, b) => (a.id < b.id ? -1 : 1));
    rows.forEach(expectConsistent);
    const table = rows.map(toComparedJob);
    assert.deepEqual(table, model.jobs.map(toComparedJob));

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

/** Returns one item of a list; `undefined` when it is empty. */
export function pickFrom<T>(list: readonly T[], pick: number): T | undefined {
  return list[pick % Math.max(list.length, 1)];
}

function toComparedJob({ id, status, attempt, retries, cancelRequested, lockedBy }: ComparedJob): ComparedJob {
  return { id, status, attempt, retries, cancelRequested, lockedBy };
}

/** Expects the times of a row to match its status. */
function expectConsistent({ id, status, lockedUntil, finished }: Job): void {
  assert.equal(lockedUntil !== null, status === 'processing', `lease of job ${id}, which is ${status}`);
  assert.equal(finished !== null, isFinal(status), `end of job ${id}, which is ${status}`);
}

/** A command that settles and discards makes two transitions. */
function isLegal(verbs: readonly TransitionVerb[], from: JobState, to: JobState): boolean {
  const isMove = (start: JobState, end: JobState): boolean => verbs.some((verb) => isLegalTransition(verb, start, end));
  return from === to || isMove(from, to) || JOB_STATUSES.some((status) => isMove(from, status) && isMove(status, to));
}

/** One step of a worker or an administrator. */
export abstract class QueueCommand implements fc.AsyncCommand<QueueModel, RealQueue> {
  /** The transitions that the command may cause. */
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
