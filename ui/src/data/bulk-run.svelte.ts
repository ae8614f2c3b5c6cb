import { JobsApiError } from '../../../client/index.js';
import type { BulkResult, BulkOptions, Job, SkippedReason, TopicChanges } from '../../../client/index.js';
import type { Filters } from '../route/route.js';
import { Fetched } from './fetched.svelte.js';
import type { ActionName } from './job-actions.js';
import { statusesAmong } from './job-actions.js';
import { toConditions } from './job-list.svelte.js';
import { api } from './session.svelte.js';

/** Jobs by their ids, or all that filters mean. */
export type Target = { ids: readonly string[] } | { filters: Filters };

/** How many jobs are re-queued first, to see whether they still fail. */
export const TRIED_JOBS = 10;
const CALL_JOBS_MAX = 10_000;

/** A job that was re-queued first, as it is now; `null`: it has been deleted. */
export interface TriedJob {
  readonly id: string;
  readonly job: Job | null;
}

/**
 * One action on many jobs: first counted, then done, in as many calls as it takes. No call changes a job that has changed since the
 * count, nor more jobs than were counted.
 */
export class BulkRun {
  /** What a dry run said. */
  plan: BulkResult | undefined = $state.raw();
  error: unknown = $state.raw();
  phase: 'counting' | 'asking' | 'tried' | 'running' | 'done' = $state('counting');
  changed = $state(0);
  /** Changed jobs by topic. */
  byTopic: ReadonlyMap<string, number> = $state.raw(new Map());
  skipped: readonly SkippedReason[] = $state.raw([]);
  readonly #tried = new Fetched<TriedJob[]>();
  #triedIds: readonly string[] = [];
  #isStopped = false;

  constructor(
    readonly action: ActionName,
    readonly target: Target,
  ) {}

  /** How many jobs would change, so far as one call can tell. */
  get expected(): number {
    return this.plan ? this.plan.matched - this.plan.skipped : 0;
  }

  /** How many of them have not changed yet. */
  get left(): number {
    return Math.max(0, this.expected - this.changed);
  }

  /** The jobs that were re-queued first. */
  get tried(): readonly TriedJob[] {
    return this.#tried.data ?? [];
  }

  /** Whether some of these may still run. */
  get isTrying(): boolean {
    return (
      this.#tried.data === undefined ||
      this.tried.some(({ job }) => job && (job.status === 'pending' || job.status === 'processing'))
    );
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

  /** Changes the first jobs, and asks again whether to go on. */
  async tryFirst(): Promise<void> {
    this.phase = 'running';
    try {
      this.#triedIds = (await this.#call({ max: TRIED_JOBS })).sample_ids;
      this.phase = this.left > 0 || this.plan!.more ? 'tried' : 'done';
      await this.refreshTried();
    } catch (error) {
      this.#end(error);
    }
  }

  async refreshTried(): Promise<void> {
    await this.#tried.refresh((signal) =>
      Promise.all(this.#triedIds.map(async (id) => ({ id, job: await api.get(id, { signal }).catch(nullIfGone) }))),
    );
  }

  /** @param pace how many jobs become due in a time, such as `50/m`; empty: all at once */
  async run(pace = ''): Promise<void> {
    this.phase = 'running';
    let cursor: string | null = null;
    try {
      do {
        const max = this.plan!.more ? CALL_JOBS_MAX : this.left;
        const answer = await this.#call({ max, ...(pace && { pace }), ...(cursor !== null && { cursor }) });
        cursor = answer.next_cursor;
      } while (cursor !== null && (this.left > 0 || this.plan!.more) && !this.#isStopped);
      this.#end(undefined);
    } catch (error) {
      this.#end(error);
    }
  }

  /** What has been done stays done. */
  stop(): void {
    this.#isStopped = true;
    this.#tried.stop();
  }

  #end(error: unknown): void {
    this.error = error;
    this.phase = 'done';
  }

  async #call(options: Pick<BulkOptions, 'max' | 'pace' | 'cursor'>): Promise<BulkResult> {
    const answer = await api.bulk({ ...this.#request()!, ...options, asOf: this.plan!.as_of });
    this.changed += answer.changed;
    this.byTopic = added(this.byTopic, answer.by_topic);
    this.skipped = answer.skipped_reasons;
    return answer;
  }

  /** `null` when the filters leave nothing that the action could change. */
  #request(): BulkOptions | null {
    const { action, target } = this;
    if ('ids' in target) return { action, ids: target.ids.filter((id) => !this.#triedIds.includes(id)) };
    const { filters } = target;
    const status = statusesAmong(action, filters);
    if (status.length === 0) return null;
    // Only those that may change are asked for: else the newest ones, once done, would hide the rest.
    const isPromoting = action === 'promote' && !filters.errorKey;
    const conditions = { ...toConditions(filters), status, ...(isPromoting && { due: false }) };
    return { action, filter: given(conditions) };
  }
}

function nullIfGone(error: unknown): null {
  if (error instanceof JobsApiError && error.status === 404) return null;
  throw error;
}

function added(sums: ReadonlyMap<string, number>, changes: readonly TopicChanges[]): ReadonlyMap<string, number> {
  return changes.reduce(
    (all, { topic, count }) => all.set(topic, (all.get(topic) ?? 0) + count),
    new Map<string, number>(sums),
  );
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
  by_topic: [],
  sample_ids: [],
  skipped_reasons: [],
};
