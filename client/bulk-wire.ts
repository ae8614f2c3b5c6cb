import type { JobConditions, SnakeCase } from './call-options.js';

/** Filter of a bulk request: the conditions by their names on the wire, with times as text. */
export type BulkFilter = {
  [Name in keyof JobConditions as SnakeCase<Name>]?: AsJson<NonNullable<JobConditions[Name]>>;
};

type AsJson<Value> = Value extends Date ? never : Value extends readonly (infer Member)[] ? Member[] : Value;

/** Body of `POST /bulk`. Selects at most 10,000 jobs by `ids` or by `filter`. */
export interface BulkRequest {
  action: 'requeue' | 'promote' | 'cancel' | 'delete';
  ids?: string[];
  filter?: BulkFilter;
  /** Counts without changing any job. */
  dry_run?: boolean;
  /** Changes only jobs that have not changed since this time: the `as_of` of a dry run. */
  as_of?: string;
  /** The largest number of jobs that this call changes: 1 to 10,000. Default 10,000. */
  max?: number;
  /** With `requeue`: how many jobs become due in a second, a minute or an hour, such as `'50/m'`. */
  pace?: string;
  /** The `next_cursor` of the previous call. It contains `as_of`. */
  cursor?: string;
}

/** Number of jobs of a topic that changed, or would change. */
export interface TopicChanges {
  topic: string;
  count: number;
}

/** Jobs that were skipped for the same reason. */
export interface SkippedReason {
  reason: string;
  count: number;
  /** The first 10 ids. */
  ids: string[];
}

/** Response of `POST /bulk`. In a dry run `changed` is 0; a real run changes at most `matched - skipped` jobs. */
export interface BulkResult {
  matched: number;
  changed: number;
  skipped: number;
  /** Whether further jobs match, or may match because the search did not cover all jobs. */
  more: boolean;
  /** The database's time for which `matched` holds, in microseconds. */
  as_of: string;
  /** Pass it as `cursor` to continue. `null` at the end of the run, after a dry run, and for `ids`. */
  next_cursor: string | null;
  /** Jobs that changed, or in a dry run would change, by topic: the 100 topics with the most. */
  by_topic: TopicChanges[];
  /** The first 10 of these jobs. */
  sample_ids: string[];
  skipped_reasons: SkippedReason[];
}
