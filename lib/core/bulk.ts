import { describeValue } from './error-text.js';
import { InvalidOptionsError } from './errors.js';
import type { JobFilter } from './job.js';
import type { JobAction } from './job-state.js';
import { parseJobId } from './job-state.js';
import type { ListFilter } from './list-filter.js';
import { hashFilter, parseMicroseconds, readListFilter, toConditionsText } from './list-filter.js';
import type { Check } from './option-checks.js';
import { condition, flag, integer, oneOf, option, optional, readOptions, text } from './option-checks.js';

/** Actions on many jobs at once. */
export const BULK_ACTIONS = ['requeue', 'promote', 'cancel', 'delete'] as const satisfies readonly JobAction[];

export type BulkAction = (typeof BULK_ACTIONS)[number];

/** Selects jobs by `ids` or by `filter` (the first jobs of that list). Changes at most 10,000 jobs a call. */
export interface BulkRequest {
  action: BulkAction;
  ids?: readonly string[] | undefined;
  filter?: Omit<JobFilter, 'order' | 'limit' | 'offset' | 'cursor'> | undefined;
  /** Counts without changing any job. Default `false`. */
  dryRun?: boolean | undefined;
  /** Changes only jobs that have not changed since this time: the `asOf` of a dry run. Default with a filter: the time of this call. */
  asOf?: string | undefined;
  /** The largest number of jobs that this call changes: 1 to 10,000. Default 10,000. A dry run counts all. */
  max?: number | undefined;
  /** With `requeue`: how many jobs become due in a second, a minute or an hour, such as `'50/m'`. Default: all at once. */
  pace?: string | undefined;
  /** The `nextCursor` of the previous call, to go on with the same action, filter and pace. It contains `asOf`. */
  cursor?: string | undefined;
}

/** Result of a bulk request. */
export interface BulkResult {
  /** Number of selected jobs. */
  readonly matched: number;
  /** Number of changed jobs; 0 in a dry run. A real run changes at most `matched − skipped`: a unique key can be taken. */
  readonly changed: number;
  readonly skipped: number;
  /** Whether further jobs match that the action can change, or may match because the search did not cover all jobs. */
  readonly more: boolean;
  /** The time of the database for which `matched` holds: ISO 8601, in microseconds. */
  readonly asOf: string;
  /** Continues the run. `null` at the end of the run, after a dry run, and for `ids`. */
  readonly nextCursor: string | null;
  /** Jobs that changed, or in a dry run would change, by topic: the 100 topics with the most. */
  readonly byTopic: readonly TopicChanges[];
  /** The first 10 of these jobs. */
  readonly sampleIds: readonly string[];
  readonly skippedReasons: readonly SkippedJobs[];
}

export interface TopicChanges {
  readonly topic: string;
  readonly count: number;
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
  readonly asOf: string | null;
  /** A dry run counts all. */
  readonly max: number;
  /** Milliseconds between two jobs; `null`: no pace. */
  readonly paceMs: number | null;
  /** Where the previous call stopped; `null`: this call is the first. */
  readonly position: BulkPosition | null;
}

/** Where a run stops between two calls. */
export interface BulkPosition {
  readonly asOf: string;
  /** Jobs from this id on are done; `null`: the filter has no order of ids. */
  readonly beforeId: string | null;
  /** When the next paced job becomes due, in milliseconds since 1970. */
  readonly pacedUntil: number | null;
}

/** Largest number of jobs that one call changes. */
export const BULK_JOBS_MAX = 10_000;
const CURSOR_LENGTH_MAX = 400;

/** Checks a bulk request. @throws InvalidOptionsError with the name of the invalid member. */
export function readBulkRequest(given: BulkRequest): BulkSettings {
  const { action, ids, filter, dryRun, asOf, max, pace, cursor } = readOptions(BULK_OPTIONS, given);
  if (action === undefined) {
    throw new InvalidOptionsError('action', `expected ${BULK_OPTIONS.action.check.expects}, got nothing`);
  }
  if ((ids === null) === (filter === null)) {
    throw new InvalidOptionsError('ids', 'expected either ids or filter, got both or neither');
  }
  if (pace !== null && action !== 'requeue') {
    throw new InvalidOptionsError('pace', `applies to 'requeue' only, not to '${action}'`);
  }
  if (cursor !== null && filter === null) {
    throw new InvalidOptionsError('cursor', 'continues a request with a filter; ids have none');
  }
  const changesMax = dryRun ? BULK_JOBS_MAX : max;
  const settings = {
    action,
    ids,
    filter,
    dryRun,
    asOf,
    max: changesMax,
    paceMs: pace === null ? null : toIntervalMs(pace),
  };
  return { ...settings, position: cursor === null ? null : parseBulkCursor(cursor, settings) };
}

/** What the calls of one run have in common. */
type Run = Pick<BulkSettings, 'action' | 'filter' | 'paceMs'>;

/** Returns the cursor with which the next call continues. It is valid for the same action, filter and pace. */
export function buildBulkCursor({ asOf, beforeId, pacedUntil }: BulkPosition, run: Run): string {
  return Buffer.from(JSON.stringify([asOf, beforeId, pacedUntil, hashRun(run)])).toString('base64url');
}

function parseBulkCursor(cursor: string, run: Run): BulkPosition {
  const [asOf, beforeId, pacedUntil, hash] = parseList(Buffer.from(cursor, 'base64url').toString('utf8'));
  const position = {
    asOf: asOf as string,
    beforeId: beforeId as string | null,
    pacedUntil: pacedUntil as number | null,
  };
  const isWellFormed =
    asOfCheck.parse(asOf) !== undefined &&
    (beforeId === null || parseJobId(beforeId) !== undefined) &&
    (pacedUntil === null || Number.isSafeInteger(pacedUntil));
  if (!isWellFormed || typeof hash !== 'string') {
    throw new InvalidOptionsError('cursor', 'invalid; pass the nextCursor of the previous call');
  }
  if (hash !== hashRun(run)) {
    throw new InvalidOptionsError('cursor', 'belongs to another action, filter or pace; start again without it');
  }
  return position;
}

function parseList(json: string): unknown[] {
  try {
    const value: unknown = JSON.parse(json);
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}

function hashRun({ action, filter, paceMs }: Run): string {
  return hashFilter(JSON.stringify([action, toConditionsText(filter!), paceMs]));
}

/** A time of the database. */
const asOfCheck = {
  expects: "a time in UTC such as '2027-01-31T12:00:00.123456Z'",
  schema: { type: 'string', format: 'date-time' },
  parse: parseMicroseconds,
} satisfies Check<string>;

const PACE_UNITS_MS = { s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** A number of jobs in a time. */
const paceCheck: Check<string> = {
  expects: "1 to 999999 jobs in a second, minute or hour, such as '50/m'",
  schema: { type: 'string', pattern: '^[1-9][0-9]{0,5}/[smh]$' },
  parse: (value) => (typeof value === 'string' && /^[1-9]\d{0,5}\/[smh]$/.test(value) ? value : undefined),
};

/** Returns the milliseconds between two jobs. */
function toIntervalMs(pace: string): number {
  const [jobs, unit] = pace.split('/');
  return PACE_UNITS_MS[unit as keyof typeof PACE_UNITS_MS] / Number(jobs);
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
  expects: 'an object with conditions such as topic, status or createdFrom',
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
  asOf: condition(
    asOfCheck as Check<string>,
    'change only jobs that have not changed since this time, the `as_of` of a dry run; default with a filter: the time of this call',
  ),
  max: option(
    BULK_JOBS_MAX,
    integer(1, BULK_JOBS_MAX),
    'the largest number of jobs that this call changes; default 10,000',
  ),
  pace: condition(
    paceCheck,
    "with `requeue`: how many jobs become due in a second, a minute or an hour, such as '50/m'; default all at once",
  ),
  cursor: condition(
    text(CURSOR_LENGTH_MAX),
    'the `next_cursor` of the previous call, with the same action, filter and pace; it contains `as_of`',
  ),
};
