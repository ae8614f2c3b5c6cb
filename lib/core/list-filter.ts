import { errorKeyCheck } from './error-key.js';
import { InvalidOptionsError } from './errors.js';
import type { JobFilter } from './job.js';
import { JOB_STATUSES, parseJobId } from './job-state.js';
import type { JobStatus } from './job-state.js';
import type { Option, OptionValues } from './option-checks.js';
import { dateCheck, flag, integer, oneOf, oneOrMany, readOptions, text } from './option-checks.js';
import { topicNameCheck } from './topic.js';

/** So many jobs stand on a page, unless somebody asks for another number, and at most. */
export const PAGE_JOBS = 20;
export const PAGE_JOBS_MAX = 200;
/** So many are skipped at most; a cursor leads further. */
export const OFFSET_MAX = 10_000_000;
/** In characters. */
export const SEARCH_LENGTH_MAX = 1_000;
export const CURSOR_LENGTH_MAX = 200;

/** A {@link JobFilter}, checked and complete. */
export interface ListFilter {
  readonly topics: readonly string[] | null;
  readonly statuses: readonly JobStatus[] | null;
  /** Whether their time has come; then only pending jobs are asked for. */
  readonly due: boolean | null;
  readonly q: string | null;
  readonly errorKey: string | null;
  readonly createdFrom: Date | null;
  readonly createdTo: Date | null;
  readonly limit: number;
  readonly offset: number;
  /** Only jobs older than this id; comes from the cursor. */
  readonly beforeId: string | null;
}

/**
 * @param path put before the names in errors, such as `filter`.
 * @throws InvalidOptionsError naming the member that is refused, or a cursor of another filter.
 */
export function readListFilter(given: JobFilter = {}, path = ''): ListFilter {
  const read = readOptions(LIST_OPTIONS, given, path);
  ensureNoContradiction(read, path);
  const { topic, status, limit, offset, cursor, ...others } = read;
  const statuses: readonly JobStatus[] | null = others.due === null ? status : ['pending'];
  const conditions = { topics: topic, statuses, ...others };
  const beforeId = cursor === null ? null : readCursor(cursor, fingerprint(conditions));
  return { ...conditions, limit, offset, beforeId };
}

/** The text that asks for what follows `lastId` under the same filter. */
export function buildCursor(lastId: string, filter: ListFilter): string {
  return cursorOf(lastId, fingerprint(filter));
}

function cursorOf(id: string, print: string): string {
  return Buffer.from(`${id} ${print}`).toString('base64url');
}

function readCursor(cursor: string, expected: string): string {
  const [id = '', print = ''] = Buffer.from(cursor, 'base64url').toString('utf8').split(' ');
  const beforeId = parseJobId(id);
  // The decoder passes over what is none of its letters.
  if (beforeId === undefined || cursor !== cursorOf(beforeId, print)) {
    throw new InvalidOptionsError('cursor', 'expected the one that came with a page, got something else');
  }
  if (print !== expected) {
    throw new InvalidOptionsError('cursor', 'belongs to another filter; ask for the first page again');
  }
  return beforeId;
}

type Conditions = Omit<ListFilter, 'limit' | 'offset' | 'beforeId'>;

/** Tells filters apart (FNV-1a); not a secret, since a cursor shows nothing that its filter would not. */
function fingerprint(conditions: Conditions): string {
  const { topics, statuses, due, q, errorKey, createdFrom, createdTo } = conditions;
  const words = JSON.stringify([
    topics && [...topics].sort(),
    statuses && [...statuses].sort(),
    due,
    q,
    errorKey,
    createdFrom,
    createdTo,
  ]);
  let hash = 0x811c9dc5;
  for (let index = 0; index < words.length; index += 1) {
    hash = Math.imul(hash ^ words.charCodeAt(index), 0x01000193);
  }
  return (hash >>> 0).toString(36);
}

function ensureNoContradiction(given: OptionValues<typeof LIST_OPTIONS>, path: string): void {
  const { status, due, q, errorKey, offset, cursor } = given;
  const at = (name: string): string => (path ? `${path}.${name}` : name);
  if (cursor !== null && offset > 0) {
    throw new InvalidOptionsError(at('offset'), 'contradicts cursor; give one of the two');
  }
  if (errorKey !== null && q !== null) {
    throw new InvalidOptionsError(at('errorKey'), 'contradicts q; give one of the two');
  }
  if (due !== null && (errorKey !== null || status?.some((each) => each !== 'pending'))) {
    const other = errorKey === null ? 'contradicts status' : 'errors are of failed ones';
    throw new InvalidOptionsError(at('due'), `is about pending jobs only; ${other}`);
  }
}

/** Each member of a {@link JobFilter}, once. */
export const LIST_OPTIONS = {
  topic: { default: null, check: oneOrMany(topicNameCheck), meaning: 'of one of these topics' } as Option<
    readonly string[] | null
  >,
  status: { default: null, check: oneOrMany(oneOf(...JOB_STATUSES)), meaning: 'in one of these statuses' } as Option<
    readonly JobStatus[] | null
  >,
  due: {
    default: null,
    check: flag,
    meaning: 'pending jobs only: those that are due (true) or wait for their time (false); searches the first 10,000',
  } as Option<boolean | null>,
  q: {
    default: null,
    check: text(SEARCH_LENGTH_MAX),
    meaning: 'an exact id, a topic prefix, or part of an error; searches the newest 10,000 failed jobs for errors',
  } as Option<string | null>,
  errorKey: {
    default: null,
    check: errorKeyCheck,
    meaning: 'failed jobs with exactly this error; searches the same 10,000; not together with q',
  } as Option<string | null>,
  createdFrom: { default: null, check: dateCheck, meaning: 'created at this moment or later' } as Option<Date | null>,
  createdTo: { default: null, check: dateCheck, meaning: 'created before this moment' } as Option<Date | null>,
  limit: { default: PAGE_JOBS, check: integer(1, PAGE_JOBS_MAX), meaning: 'jobs on a page' },
  offset: { default: 0, check: integer(0, OFFSET_MAX), meaning: 'jobs to skip; not together with cursor' },
  cursor: {
    default: null,
    check: text(CURSOR_LENGTH_MAX),
    meaning: 'the cursor that the previous page returned, with the same filter',
  } as Option<string | null>,
};
