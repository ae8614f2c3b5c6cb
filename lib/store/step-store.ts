import type { ClaimToken } from '../core/job.js';
import type { ClaimState } from './store-records.js';

/** A finished step of a running job. */
export interface StepEntry {
  readonly token: ClaimToken;
  /** JSON text of an object with `name` and, unless it is `undefined`, `result`. */
  readonly step: string;
}

/** The steps that handlers run with `job.step`. `JobStore.find` reads them. */
export interface StepStore {
  /**
   * processing → processing. Adds a step to each job, fenced by id and attempt, and the database's time. A step that is there already
   * is skipped, so that a write whose response was lost can be repeated. Returns the states in the order of `entries`.
   */
  record(entries: readonly StepEntry[]): Promise<ClaimState[]>;
}
