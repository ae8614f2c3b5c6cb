import { describeValue } from './error-text.js';
import { InvalidOptionsError } from './errors.js';
import type { JobFilter } from './job.js';
import type { JobAction } from './job-state.js';
import { parseJobId } from './job-state.js';
import type { ListFilter } from './list-filter.js';
import { readListFilter } from './list-filter.js';
import type { Check } from './option-checks.js';
import { condition, flag, oneOf, option, optional, readOptions } from './option-checks.js';

/** Actions on many jobs at once. */
export const BULK_ACTIONS = ['requeue', 'promote', 'cancel', 'delete'] as const satisfies readonly JobAction[];

export type BulkAction = (typeof BULK_ACTIONS)[number];

/** Selects jobs by `ids` or by `filter` (the first jobs of that list). Changes at most 10,000 jobs a call. */
export interface BulkRequest {
  action: BulkAction;
  ids?: readonly string[] | undefined;
  filter?: Pick<JobFilter, 'topic' | 'status' | 'due' | 'q' | 'errorKey' | 'createdFrom' | 'createdTo'> | undefined;
  /** Counts without changing any job. Default `false`. */
  dryRun?: boolean | undefined;
}

/** Result of a bulk request. */
export interface BulkResult {
  /** Number of selected jobs. */
  readonly matched: number;
  /** Number of changed jobs; 0 in a dry run. A real run changes at most `matched − skipped`: a unique key can be taken. */
  readonly changed: number;
  readonly skipped: number;
  /** Whether the filter matches, or may match, further jobs that the action can change. */
  readonly more: boolean;
  readonly skippedReasons: readonly SkippedJobs[];
}

/** Jobs that the action skipped for the same reason. */
export interface SkippedJobs {
  readonly reason: string;
  readonly count: number;
  /** The first 10 ids. */
  readonly ids: readonly string[];
}

/** A {@link BulkRequest}, checked. Either `ids` or `filter` is set. */
export interface BulkSettings {
  readonly action: BulkAction;
  readonly ids: readonly string[] | null;
  readonly filter: ListFilter | null;
  readonly dryRun: boolean;
}

/** Largest number of jobs that one call changes. */
export const BULK_JOBS_MAX = 10_000;

/** Checks a bulk request. @throws InvalidOptionsError with the name of the invalid member. */
export function readBulkRequest(given: BulkRequest): BulkSettings {
  const { action, ids, filter, dryRun } = readOptions(BULK_OPTIONS, given);
  if (action === undefined) {
    throw new InvalidOptionsError('action', `expected ${BULK_OPTIONS.action.check.expects}, got nothing`);
  }
  if ((ids === null) === (filter === null)) {
    throw new InvalidOptionsError('ids', 'expected either ids or filter, got both or neither');
  }
  return { action, ids, filter, dryRun };
}

/** Converts ids to the form in the database, without repeated ones. */
const idsCheck: Check<readonly string[]> = {
  expects: `a list of 1 to ${BULK_JOBS_MAX} job ids`,
  schema: { type: 'array', items: { type: 'string', format: 'uuid' }, minItems: 1, maxItems: BULK_JOBS_MAX },
  parse: (value, path) => {
    if (!Array.isArray(value) || value.length === 0 || value.length > BULK_JOBS_MAX) {
      return undefined;
    }
    const ids = Array.from(value, (id: unknown, index) => {
      const jobId = parseJobId(id);
      if (jobId === undefined) {
        throw new InvalidOptionsError(`${path}[${index}]`, `expected a job id, got ${describeValue(id)}`);
      }
      return jobId;
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
    const pageOption = ['limit', 'offset', 'cursor'].find((name) => Object.hasOwn(value, name));
    if (pageOption !== undefined) {
      throw new InvalidOptionsError(`${path}.${pageOption}`, 'not allowed: a filter of a bulk request has no pages');
    }
    return readListFilter(value, path);
  },
};

/** Describes each member of a {@link BulkRequest}. */
export const BULK_OPTIONS = {
  action: optional(oneOf(...BULK_ACTIONS), 'what to do'),
  ids: condition(idsCheck, 'which jobs; either these or a filter'),
  filter: condition(filterCheck, 'which jobs: the first 10,000 that match'),
  dryRun: option(false, flag, 'only count; change nothing'),
};
