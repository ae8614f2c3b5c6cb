import { InvalidOptionsError } from './errors.js';
import { hashText } from './hash.js';
import type { JobFilter, ListOrder } from './job.js';
import type { JobFilterStatus } from './job-state.js';
import { FILTER_STATUSES, parseJobId, toJobStatus } from './job-state.js';
import type { Check, OptionValues } from './option-checks.js';
import { condition, dateCheck, flag, integer, oneOf, oneOrMany, option, readOptions, text } from './option-checks.js';
import { topicNameCheck } from './topic.js';
import { labelFilterCheck } from './job-checks.js';
import { concurrencyKeyCheck } from './unique-key.js';

/** Default and maximum page size. */
const PAGE_JOBS = 20;
export const PAGE_JOBS_MAX = 200;
/** Largest offset. A cursor reaches further. */
const OFFSET_MAX = 10_000_000;
/** In characters. */
const SEARCH_LENGTH_MAX = 1_000;
const CURSOR_LENGTH_MAX = 200;

/** A {@link JobFilter}, checked and complete. `null` means no condition. */
export interface ListFilter {
  readonly topics: readonly string[] | null;
  readonly statuses: readonly JobFilterStatus[] | null;
  /** If set, `statuses` is `['pending']` or `['retrying']`. */
  readonly due: boolean | null;
  readonly q: string | null;
  readonly searchPayloads: boolean;
  readonly errorKey: string | null;
  readonly concurrencyKey: string | null;
  readonly groupId: string | null;
  /** Labels, sorted and joined by commas. */
  readonly label: string | null;
  readonly createdFrom: Date | null;
  readonly createdTo: Date | null;
  readonly finishedFrom: Date | null;
  readonly finishedTo: Date | null;
  /** If it is `finished`, `statuses` are final ones other than `completed`. */
  readonly order: ListOrder;
  readonly limit: number;
  readonly offset: number;
  /** Only jobs older than this id, which comes from the cursor. In the order of the end, only among those that ended at `beforeFinished`. */
  readonly beforeId: string | null;
  /** In the order of the end: only jobs that ended before this time of the database, ISO 8601 in microseconds. */
  readonly beforeFinished: string | null;
  /** Only jobs that have not changed since this time of the database, ISO 8601 in microseconds. Absent, like `null`: no condition. */
  readonly asOf?: string | null;
}

/** Filters by a key that has an index. The value is the prefix that distinguishes its key in the hash of a cursor. */
const KEY_FILTERS = { concurrencyKey: [], groupId: ['group'], label: ['label'] } as const satisfies Partial<
  Record<keyof ListFilter, readonly string[]>
>;

/** A condition on a key of a job. A list has at most one. */
export type KeyFilter = keyof typeof KEY_FILTERS;

const KEY_FILTER_NAMES = Object.keys(KEY_FILTERS) as readonly KeyFilter[];

/** The condition of a filter on a key of a job. */
interface KeyCondition {
  readonly name: KeyFilter;
  readonly key: string;
}

/** Returns the condition on a key of a job; `null`: the filter has none. */
export function findKeyCondition(filter: Pick<ListFilter, KeyFilter>): KeyCondition | null {
  const name = KEY_FILTER_NAMES.find((each) => filter[each] !== null);
  return name === undefined ? null : { name, key: filter[name]! };
}

/**
 * Checks a filter and decodes its cursor.
 *
 * @param path prefix of the names in errors, such as `filter`.
 * @throws InvalidOptionsError with the name of the invalid member, or for a cursor of another filter.
 */
export function readListFilter(given: JobFilter = {}, path = ''): ListFilter {
  const read = readOptions(LIST_OPTIONS, given, path);
  rejectContradictions(read, path);
  const { topic, status, limit, offset, cursor, ...others } = read;
  const order = toOrder(read);
  const statuses = order === 'finished' ? (status ?? ENDED_STATUSES) : toStatuses(status, others.due);
  const conditions = { topics: topic, statuses, ...others, order };
  const position = cursor === null ? START : parseCursor(cursor, conditions);
  return { ...conditions, limit, offset, ...position };
}

/** The final statuses of a list in the order of the end. */
const ENDED_STATUSES: readonly JobFilterStatus[] = ['failed', 'cancelled'];

type OrderOptions = Pick<OptionValues<typeof LIST_OPTIONS>, 'order' | 'finishedFrom' | 'finishedTo'>;

function toOrder({ order, finishedFrom, finishedTo }: OrderOptions): ListOrder {
  return order ?? (finishedFrom === null && finishedTo === null ? 'created' : 'finished');
}

/**
 * Limits a filter to topics that a caller may see; `null`: all. Cursors belong to the filter without this limit, so that they stay valid
 * when the caller may see more.
 */
export function limitToTopics(filter: ListFilter, allowed: readonly string[] | null): ListFilter {
  if (allowed === null) {
    return filter;
  }
  const { topics } = filter;
  const selected = topics && new Set(topics);
  return { ...filter, topics: selected ? allowed.filter((topic) => selected.has(topic)) : allowed };
}

/** Returns whether the filter has a range of dates of creation. */
export function isDated({ createdFrom, createdTo }: Pick<ListFilter, 'createdFrom' | 'createdTo'>): boolean {
  return createdFrom !== null || createdTo !== null;
}

/** `pending` includes `retrying`. */
function toStatuses(given: readonly JobFilterStatus[] | null, due: boolean | null): readonly JobFilterStatus[] | null {
  const statuses = given ?? (due === null ? null : ['pending' as const]);
  return statuses?.includes('pending') ? statuses.filter((each) => each !== 'retrying') : statuses;
}

/** The last job of a page. */
export interface ListPosition {
  readonly id: string;
  /** When it ended, ISO 8601 in microseconds; `null` in the order of creation. */
  readonly finished: string | null;
}

type CursorPosition = Pick<ListFilter, 'beforeId' | 'beforeFinished'>;

const START: CursorPosition = { beforeId: null, beforeFinished: null };

/** Returns the cursor of the page that follows `last`. It is valid for the same filter only. */
export function buildCursor(last: ListPosition, filter: ListFilter): string {
  return encodeCursor(last, hashConditions(filter));
}

function encodeCursor({ id, finished }: ListPosition, hash: string): string {
  return Buffer.from([id, hash, ...(finished === null ? [] : [finished])].join(' ')).toString('base64url');
}

function parseCursor(cursor: string, conditions: Conditions): CursorPosition {
  const [text = '', hash = '', finished = null] = Buffer.from(cursor, 'base64url').toString('utf8').split(' ');
  const id = parseJobId(text);
  const isTime = finished === null || parseMicroseconds(finished) === finished;
  // The decoder ignores characters outside its alphabet: compare with the canonical text.
  if (id === undefined || !isTime || cursor !== encodeCursor({ id, finished }, hash)) {
    throw new InvalidOptionsError('cursor', 'invalid; pass the nextCursor of the previous page');
  }
  if (hash !== hashConditions(conditions) || (finished === null) !== (conditions.order === 'created')) {
    throw new InvalidOptionsError('cursor', 'belongs to another filter; request the first page again');
  }
  return { beforeId: id, beforeFinished: finished };
}

type Conditions = Omit<ListFilter, 'limit' | 'offset' | 'beforeId' | 'beforeFinished' | 'asOf'>;

function hashConditions(conditions: Conditions): string {
  return hashFilter(toConditionsText(conditions));
}

/** Returns the same text for filters that mean the same. */
export function toConditionsText(conditions: Conditions): string {
  const { topics, statuses, due, q, errorKey, createdFrom, createdTo, finishedFrom, finishedTo, order } = conditions;
  const key = findKeyCondition(conditions);
  const searchesLess = q !== null && !conditions.searchPayloads;
  return JSON.stringify([
    topics && [...topics].sort(),
    statuses && [...statuses].sort(),
    due,
    q,
    errorKey,
    createdFrom,
    createdTo,
    ...(key === null ? [] : [...KEY_FILTERS[key.name], key.key]),
    ...(searchesLess ? ['without payloads'] : []),
    ...(order === 'created' ? [] : [order, finishedFrom, finishedTo]),
  ]);
}

/** Converts a time of the database to ISO 8601 in UTC with six digits, so that no database rounds it. Returns `undefined` for any other text. */
export function parseMicroseconds(value: unknown): string | undefined {
  const match = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,6}))?Z$/.exec(typeof value === 'string' ? value : '');
  const [, seconds, digits = ''] = match ?? [];
  const ms = seconds === undefined ? NaN : Date.parse(`${seconds}Z`);
  // A day that does not exist, such as the 30th of February, becomes another one.
  const isExact = ms >= 0 && new Date(ms).toISOString().startsWith(seconds!);
  return isExact ? `${seconds}.${digits.padEnd(6, '0')}Z` : undefined;
}

/** Hashes the text of a filter to detect another filter. Not a secret: a cursor reveals nothing that its filter would not. */
export function hashFilter(text: string): string {
  return (hashText(text) >>> 0).toString(36);
}

function rejectContradictions(given: OptionValues<typeof LIST_OPTIONS>, path: string): void {
  const { status, due, q, errorKey, offset, cursor } = given;
  const withPath = (name: string): string => (path ? `${path}.${name}` : name);
  if (cursor !== null && offset > 0) {
    throw new InvalidOptionsError(withPath('offset'), 'contradicts cursor; give one of the two');
  }
  if (errorKey !== null && q !== null) {
    throw new InvalidOptionsError(withPath('errorKey'), 'contradicts q; give one of the two');
  }
  rejectKeyContradictions(given, path);
  rejectOtherThanEnded(given, withPath);
  if (due !== null && (errorKey !== null || status?.some((each) => toJobStatus(each) !== 'pending'))) {
    const reason = errorKey === null ? 'status' : 'errorKey, which selects failed jobs';
    throw new InvalidOptionsError(withPath('due'), `selects pending jobs only; contradicts ${reason}`);
  }
}

/** Rejects conditions that contradict the order of the end. It lists failed and cancelled jobs only. */
function rejectOtherThanEnded(
  { order, finishedFrom, finishedTo, status, due }: OptionValues<typeof LIST_OPTIONS>,
  withPath: (name: string) => string,
): void {
  const name = finishedFrom ? 'finishedFrom' : finishedTo ? 'finishedTo' : null;
  if (name !== null && order === 'created') {
    throw new InvalidOptionsError(withPath(name), "lists jobs in the order of their end; contradicts order 'created'");
  }
  if (name === null && order !== 'finished') {
    return;
  }
  const other = status?.find((each) => !ENDED_STATUSES.includes(each));
  if (other !== undefined) {
    const expected = 'the order of the end has failed and cancelled jobs only';
    throw new InvalidOptionsError(withPath('status'), `${expected}, got '${other}'`);
  }
  if (due !== null) {
    throw new InvalidOptionsError(withPath('due'), 'selects pending jobs; contradicts the order of the end');
  }
}

/** Rejects a filter on a key together with another search: only one search runs for a list. */
function rejectKeyContradictions(given: OptionValues<typeof LIST_OPTIONS>, path: string): void {
  const searches = ['q', 'errorKey', 'due', ...KEY_FILTER_NAMES] as const;
  const [other, key] = searches.filter((name) => given[name] !== null);
  if (key !== undefined && findKeyCondition(given) !== null) {
    throw new InvalidOptionsError(path ? `${path}.${key}` : key, `contradicts ${other}; give one of the two`);
  }
}

/** The key of an {@link ErrorGroup}. The store computes it from the topic and the pattern of the message. */
const errorKeyCheck: Check<string> = {
  expects: 'the key of a group of errors, 32 hexadecimal digits',
  schema: { type: 'string', pattern: '^[0-9a-f]{32}$' },
  parse: (value) => (typeof value === 'string' && /^[0-9a-f]{32}$/.test(value) ? value : undefined),
};

export const groupIdCheck: Check<string> = {
  expects: 'the id of a group',
  schema: { type: 'string', format: 'uuid' },
  parse: parseJobId,
};

/** Describes each member of a {@link JobFilter}. */
export const LIST_OPTIONS = {
  topic: condition(oneOrMany(topicNameCheck), 'one topic or several'),
  status: condition(
    oneOrMany(oneOf(...FILTER_STATUSES)),
    'one status or several; retrying: pending jobs that have used a retry',
  ),
  due: condition(
    flag,
    'pending jobs that are due (true) or wait for their time (false); reads the 10,000 jobs that run first',
  ),
  q: condition(
    text(SEARCH_LENGTH_MAX),
    'a whole id or unique key, part of a topic, an error, a payload or metadata, or name:value for a member of these; searches the newest 10,000 jobs',
  ),
  searchPayloads: option(true, flag, 'whether q also searches payloads, metadata and unique keys'),
  errorKey: condition(errorKeyCheck, 'failed jobs of this error group; searches the same 10,000; not together with q'),
  concurrencyKey: condition(
    concurrencyKeyCheck,
    'jobs with this concurrency key, the newest 10,000; not together with q, an error key or due',
  ),
  groupId: condition(
    groupIdCheck,
    'members of this group, the newest 10,000; not together with q, an error key, a concurrency key or due',
  ),
  label: condition(
    labelFilterCheck,
    'jobs with this label, or with all of several, the newest 10,000; not together with another of these searches',
  ),
  createdFrom: condition(dateCheck, 'created at this moment or later'),
  createdTo: condition(dateCheck, 'created before this moment'),
  finishedFrom: condition(dateCheck, 'failed or cancelled at this moment or later, in the order of the end'),
  finishedTo: condition(dateCheck, 'failed or cancelled before this moment, in the order of the end'),
  order: condition(
    oneOf('created', 'finished'),
    'finished: failed and cancelled jobs, the last one that ended first; default created, or finished with finishedFrom or finishedTo',
  ),
  limit: option(PAGE_JOBS, integer(1, PAGE_JOBS_MAX), 'page size'),
  offset: option(0, integer(0, OFFSET_MAX), 'number of jobs to skip; not together with cursor'),
  cursor: condition(text(CURSOR_LENGTH_MAX), 'the cursor that the previous page returned, with the same filter'),
};
