import type { BulkResult, BulkOptions, JobStatus, SkippedReason } from '../../../client/index.js';
import type { Filters } from '../route/route.js';
import type { ActionName } from './job-actions.js';
import { statusesFor } from './job-actions.js';
import { conditionsOf } from './job-list.svelte.js';
import { api } from './session.svelte.js';

/** Jobs by their ids, or all that filters mean. */
export type Target = { ids: readonly string[] } | { filters: Filters };

/** One action on many jobs: first counted, then done, in as many calls as it takes. */
export class BulkRun {
  /** What a dry run said. */
  plan: BulkResult | undefined = $state.raw();
  error: unknown = $state.raw();
  phase: 'counting' | 'asking' | 'running' | 'done' = $state('counting');
  changed = $state(0);
  skipped: readonly SkippedReason[] = $state.raw([]);
  #isStopped = false;

  constructor(
    readonly action: ActionName,
    readonly target: Target,
  ) {}

  /** How many jobs would change, so far as one call can tell. */
  get expected(): number {
    return this.plan ? this.plan.matched - this.plan.skipped : 0;
  }

  async count(): Promise<void> {
    const request = this.#request();
    try {
      this.plan = request === null ? NOTHING : await api.bulk({ ...request, dryRun: true });
      this.skipped = this.plan.skipped_reasons;
      this.phase = 'asking';
    } catch (error) {
      this.error = error;
    }
  }

  async run(): Promise<void> {
    const request = this.#request();
    if (request === null) return;
    this.phase = 'running';
    try {
      let cursor: string | null = null;
      do {
        const answer: BulkResult = await api.bulk({
          ...request,
          ...(this.plan && { asOf: this.plan.as_of }),
          ...(cursor !== null && { cursor }),
        });
        this.changed += answer.changed;
        this.skipped = answer.skipped_reasons;
        cursor = answer.next_cursor;
      } while (cursor !== null && !this.#isStopped);
    } catch (error) {
      this.error = error;
    }
    this.phase = 'done';
  }

  /** What has been done stays done. */
  stop(): void {
    this.#isStopped = true;
  }

  /** `null` when the filters leave nothing that the action could change. */
  #request(): BulkOptions | null {
    if ('ids' in this.target) return { action: this.action, ids: this.target.ids };
    const { filters } = this.target;
    const meant: readonly JobStatus[] = filters.errorKey ? ['failed'] : filters.statuses;
    const status = statusesFor(this.action).filter((each) => meant.length === 0 || meant.includes(each));
    const isPromoting = this.action === 'promote';
    if (status.length === 0 || (isPromoting && filters.due === 'true')) return null;
    // Only those that may change are asked for: else the newest ones, once done, would hide the rest.
    const conditions = { ...conditionsOf(filters), status, ...(isPromoting && { due: false }) };
    return { action: this.action, filter: given(conditions) };
  }
}

/** Without the conditions that are not there. */
function given<T extends object>(conditions: T): T {
  return Object.fromEntries(Object.entries(conditions).filter(([, value]) => value !== undefined)) as T;
}

const NOTHING: BulkResult = {
  matched: 0,
  changed: 0,
  skipped: 0,
  more: false,
  as_of: '',
  next_cursor: null,
  skipped_reasons: [],
};
