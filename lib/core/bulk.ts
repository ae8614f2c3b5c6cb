import { describeValue } from './error-text.js';
import { InvalidOptionsError } from './errors.js';
import type { JobFilter } from './job.js';
import { parseJobId } from './job-state.js';
import type { JobAction } from './job-state.js';
import type { ListFilter } from './list-filter.js';
import { readListFilter } from './list-filter.js';
import type { Check, Option } from './option-checks.js';
import { flag, oneOf, readOptions } from './option-checks.js';

/** What is done to many jobs at once. */
export const BULK_ACTIONS = ['requeue', 'promote', 'cancel', 'delete'] as const satisfies readonly JobAction[];

export type BulkAction = (typeof BULK_ACTIONS)[number];

/** Which jobs are meant: either some by their ids, or the first that a list with the filter would have. At most 10,000 a call. */
export interface BulkRequest {
  action: BulkAction;
  ids?: readonly string[] | undefined;
  filter?: Pick<JobFilter, 'topic' | 'status' | 'due' | 'q' | 'errorKey' | 'createdFrom' | 'createdTo'> | undefined;
  /** Only say what would happen. Default `false`. */
  dryRun?: boolean | undefined;
}

/** What became of them. */
export interface BulkResult {
  /** How many jobs were meant. */
  readonly matched: number;
  /** How many of them were moved; 0 in a dry run, where `matched − skipped` would be, less those whose unique key is taken. */
  readonly changed: number;
  readonly skipped: number;
  /** Whether the filter matches jobs beyond these that can be moved so, or may, since not all were searched. */
  readonly more: boolean;
  readonly skippedReasons: readonly SkippedJobs[];
}

/** Jobs that were left alone for the same reason. */
export interface SkippedJobs {
  readonly reason: string;
  readonly count: number;
  /** The first 10 of them. */
  readonly ids: readonly string[];
}

/** A {@link BulkRequest}, checked: one of `ids` and `filter` is there. */
export interface BulkOrder {
  readonly action: BulkAction;
  readonly ids: readonly string[] | null;
  readonly filter: ListFilter | null;
  readonly dryRun: boolean;
}

/** So many jobs a call moves at most. */
export const BULK_JOBS_MAX = 10_000;

/** @throws InvalidOptionsError naming the member that is refused. */
export function readBulkRequest(given: BulkRequest): BulkOrder {
  const { action, ids, filter, dryRun } = readOptions(BULK_OPTIONS, given);
  if (action === undefined) {
    throw new InvalidOptionsError('action', `expected ${BULK_OPTIONS.action.check.expects}, got nothing`);
  }
  if ((ids === null) === (filter === null)) {
    throw new InvalidOptionsError('ids', 'expected either ids or filter');
  }
  return { action, ids, filter, dryRun };
}

/** Ids as the database writes them, each once. */
export const idsCheck: Check<readonly string[]> = {
  expects: `a list of 1 to ${BULK_JOBS_MAX} job ids`,
  schema: { type: 'array', items: { type: 'string', format: 'uuid' }, minItems: 1, maxItems: BULK_JOBS_MAX },
  parse: (value, path) => {
    if (!Array.isArray(value) || value.length === 0 || value.length > BULK_JOBS_MAX) {
      return undefined;
    }
    const ids = Array.from(value, (id: unknown, index) => {
      const normal = parseJobId(id);
      if (normal === undefined) {
        throw new InvalidOptionsError(`${path}[${index}]`, `expected a job id, got ${describeValue(id)}`);
      }
      return normal;
    });
    return Object.freeze([...new Set(ids)]);
  },
};

const filterCheck: Check<ListFilter> = {
  expects: 'an object with topic, status, due, q, errorKey, createdFrom or createdTo',
  parse: (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return undefined;
    }
    const stranger = ['limit', 'offset', 'cursor'].find((name) => Object.hasOwn(value, name));
    if (stranger !== undefined) {
      throw new InvalidOptionsError(`${path}.${stranger}`, 'a filter of a bulk request has no pages');
    }
    return readListFilter(value, path);
  },
};

/** Each member of a {@link BulkRequest}, once. */
export const BULK_OPTIONS = {
  action: { default: undefined, check: oneOf(...BULK_ACTIONS), meaning: 'what to do' } as Option<
    BulkAction | undefined
  >,
  ids: { default: null, check: idsCheck, meaning: 'which jobs; either these or a filter' } as Option<
    readonly string[] | null
  >,
  filter: {
    default: null,
    check: filterCheck,
    meaning: 'which jobs: the first 10,000 that match',
  } as Option<ListFilter | null>,
  dryRun: { default: false, check: flag, meaning: 'only count; change nothing' },
};
