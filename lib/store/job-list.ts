import type { Job } from '../core/job.js';
import { JOB_STATUSES, parseJobId } from '../core/job-state.js';
import type { JobFilterStatus } from '../core/job-state.js';
import { SEARCHED_FAILURES_MAX, SMALL_TABLE_JOBS } from '../core/limits.js';
import type { ListFilter } from '../core/list-filter.js';
import type { FailureKind, TopicShare } from './report-records.js';
import type { ListedIds, ListedJobs } from './store-records.js';

/** Jobs of one topic in one status, ordered by id: one range of the index `_jobs_listed`, or of `_jobs_retrying`. */
export interface ListRange {
  readonly topic: string;
  readonly status: Exclude<JobFilterStatus, 'processing'>;
}

/** The index ranges that hold the jobs of a list. They do not overlap. */
export interface ListPlan {
  /** `null`: the whole table, in the order of its ids. */
  readonly ranges: readonly ListRange[] | null;
  /** Topics whose running jobs are listed. */
  readonly runningTopics: readonly string[];
  /** Single jobs, listed if they pass `idFilter` and are in no range. */
  readonly ids: readonly string[];
  readonly idFilter: {
    readonly topics: readonly string[];
    readonly statuses: readonly JobFilterStatus[];
    /** Whether they are due; `null`: either. */
    readonly due: boolean | null;
  };
  /** The page holds ids from `fromId` on, before `beforeId`. */
  readonly fromId: string;
  readonly beforeId: string;
  /** The end of the whole list, on whichever page. */
  readonly endId: string;
  readonly createdFrom: Date | null;
  readonly createdTo: Date | null;
  /** See `ListFilter`. */
  readonly asOf: string | null;
  /** There are more jobs than were searched by error, concurrency key, group or due time: some matches may be missing. */
  readonly isSearchCut: boolean;
  /** `ids` are all matches of the filter: nothing else has to be read. */
  readonly isFound: boolean;
}

/** Returns whether the filter has a range of dates. */
export function isDated({ createdFrom, createdTo }: Pick<ListPlan, 'createdFrom' | 'createdTo'>): boolean {
  return createdFrom !== null || createdTo !== null;
}

/** Returns whether a list must read rows, since no index has its conditions: dates, due times or changes. */
export function readsRows(plan: ListPlan): boolean {
  return isDated(plan) || plan.idFilter.due !== null || plan.asOf !== null;
}

/** The queries behind a list, one set for each database. */
export interface ListSource {
  /** Returns all topics, or those with jobs in a status. */
  topics(kind?: FailureKind): Promise<string[]>;
  /** Counts the jobs with an error of each topic up to its limit. May leave out topics without any. */
  failedUpTo(kind: FailureKind, shares: readonly TopicShare[]): Promise<TopicSize[]>;
  /** Finds jobs with a text in their error, among the newest of each topic. */
  failedWith(text: string, kind: FailureKind, shares: readonly TopicShare[], asOf: string | null): Promise<string[]>;
  /** Finds jobs of an error group, among the newest of each topic. */
  failedAlike(
    errorKey: string,
    kind: FailureKind,
    shares: readonly TopicShare[],
    asOf: string | null,
  ): Promise<string[]>;
  /** Finds the newest jobs with a concurrency key, up to `max`. */
  withConcurrencyKey(
    key: string,
    topics: readonly string[],
    statuses: readonly JobFilterStatus[],
    max: number,
    asOf: string | null,
  ): Promise<string[]>;
  /** Finds the newest members of a group, up to `max`. */
  inGroup(
    id: string,
    topics: readonly string[],
    statuses: readonly JobFilterStatus[],
    max: number,
    asOf: string | null,
  ): Promise<string[]>;
  /** Counts the pending jobs of each topic that are due, or not due, up to its limit. */
  waitingUpTo(due: boolean, shares: readonly TopicShare[]): Promise<TopicSize[]>;
  /** Finds those of each topic that would run first. */
  waiting(due: boolean, shares: readonly TopicShare[], asOf: string | null): Promise<string[]>;
  /** Whether the table has at most this many jobs. */
  isSmall(rowsMax: number): Promise<boolean>;
  /** Returns ids, newest first. */
  ids(plan: ListPlan, limit: number, offset: number): Promise<string[]>;
  /** Counts the jobs of the plan up to `max`. */
  count(plan: ListPlan, max: number): Promise<number>;
  /** Returns jobs, in any order. */
  find(ids: readonly string[]): Promise<Job[]>;
}

/** Totals above this are reported as capped. */
const COUNT_MAX = 10_000;
/** How many pending jobs are searched by due time. */
const WAITING_MAX = 10_000;
/** How many jobs are searched by concurrency key or by group. */
const KEYED_MAX = 10_000;

/** How far the clock of an enqueuing process may differ from the database's, in a table that is not small. */
const ID_SLACK_MS = 3_600_000;

/** The whole table. */
const ALL = {
  ranges: null,
  runningTopics: [],
  ids: [],
  idFilter: { topics: [], statuses: [], due: null },
  isSearchCut: false,
  isFound: false,
} as const;

const NOT_SEARCHED: ListedIds = { ids: [], isSearchCut: false };

const FIRST_ID = '00000000-0000-0000-0000-000000000000';
const LAST_ID = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

/** Reads one page of a list. */
export async function readList(query: ListFilter, source: ListSource): Promise<ListedJobs> {
  const plan = await planList(query, source);
  // One more than the page shows whether there is a next page.
  const read = await readIds(plan, query.limit + 1, query.offset, source);
  const ids = read.slice(0, query.limit);
  const found = new Map((await source.find(ids)).map((job) => [job.id, job]));
  const total = plan.isFound ? plan.ids.length : await source.count({ ...plan, beforeId: plan.endId }, COUNT_MAX + 1);
  return {
    // A job may have been deleted since its id was read.
    items: ids.flatMap((id) => found.get(id) ?? []),
    lastId: read.length > ids.length ? ids.at(-1)! : null,
    total: Math.min(total, COUNT_MAX),
    totalCapped: total > COUNT_MAX || plan.isSearchCut,
  };
}

/** Reads the ids of one page. */
export async function readListIds(query: ListFilter, source: ListSource): Promise<ListedIds> {
  const plan = await planList(query, source);
  return { ids: await readIds(plan, query.limit, query.offset, source), isSearchCut: plan.isSearchCut };
}

/** Newest first. */
async function readIds(plan: ListPlan, limit: number, offset: number, source: ListSource): Promise<string[]> {
  if (!plan.isFound) {
    return source.ids(plan, limit, offset);
  }
  // Ids are ASCII, so JavaScript and the database sort them alike.
  const before = plan.ids.filter((id) => id < plan.beforeId).sort();
  return before.reverse().slice(offset, offset + limit);
}

async function planList(query: ListFilter, source: ListSource): Promise<ListPlan> {
  const { q, due, asOf = null } = query;
  const bounds = await toBounds(query, source);
  if (isUnfiltered(query)) {
    return { ...ALL, ...bounds, asOf };
  }
  const allTopics = query.topics ?? (await source.topics());
  const statuses: readonly JobFilterStatus[] = query.statuses ?? JOB_STATUSES;
  const found = await searchJobs(query, allTopics, statuses, source);
  const isListed = (topic: string): boolean => !isFoundBySearch(query) && topic.startsWith(q ?? '');
  const topics = allTopics.filter(isListed);
  return {
    ranges: topics.flatMap((topic) =>
      statuses.filter((status) => status !== 'processing').map((status) => ({ topic, status })),
    ),
    runningTopics: statuses.includes('processing') ? topics : [],
    ...found,
    idFilter: { topics: allTopics.filter((topic) => !isListed(topic)), statuses, due },
    ...bounds,
    asOf,
    // A search by id may match any job, and the times of the found jobs are not known.
    isFound: isFoundBySearch(query) && q === null && !isDated(bounds) && asOf === null,
  };
}

/** Whether the filter has no condition but dates. */
function isUnfiltered({ topics, statuses, q, errorKey, concurrencyKey, groupId }: ListFilter): boolean {
  return [topics, statuses, q, errorKey, concurrencyKey, groupId].every((condition) => condition === null);
}

/**
 * Whether the search for single jobs finds all matches: for filters on error, concurrency key, group or due time.
 */
function isFoundBySearch(query: ListFilter): boolean {
  return query.errorKey !== null || query.concurrencyKey !== null || query.groupId !== null || isFoundByDueTime(query);
}

/** With dates, the time in the ids selects few enough rows to check each due time. So does the index of jobs that wait for a retry. */
function isFoundByDueTime({ due, statuses, ...dates }: ListFilter): boolean {
  return due !== null && !isDated(dates) && (statuses?.includes('pending') ?? true);
}

/** Finds single jobs by error, concurrency key, group, id, text or due time. */
async function searchJobs(
  query: ListFilter,
  topics: readonly string[],
  statuses: readonly JobFilterStatus[],
  source: ListSource,
): Promise<ListedIds> {
  const { q, errorKey, concurrencyKey, groupId, due, asOf = null } = query;
  if (errorKey !== null) {
    return searchFailed(topics, statuses, source, (kind, shares) => source.failedAlike(errorKey, kind, shares, asOf));
  }
  if (concurrencyKey !== null) {
    const ids = await source.withConcurrencyKey(concurrencyKey, topics, statuses, KEYED_MAX, asOf);
    return { ids, isSearchCut: ids.length >= KEYED_MAX };
  }
  if (groupId !== null) {
    const ids = await source.inGroup(groupId, topics, statuses, KEYED_MAX, asOf);
    return { ids, isSearchCut: ids.length >= KEYED_MAX };
  }
  const found = q === null ? NOT_SEARCHED : await searchText({ q, asOf }, topics, statuses, source);
  if (due === null || !isFoundByDueTime(query)) {
    return found;
  }
  const searched = topics.filter((topic) => topic.startsWith(q ?? ''));
  const shares = await measureShares(searched, WAITING_MAX, (open) => source.waitingUpTo(due, open));
  const filled = shares.filter(({ limit }) => limit > 0);
  const waiting = filled.length > 0 ? await source.waiting(due, filled, asOf) : [];
  return { ids: [...new Set([...waiting, ...found.ids])], isSearchCut: sumLimits(shares) >= WAITING_MAX };
}

/** Finds the job with this id, and the jobs with this text in their error. */
async function searchText(
  { q, asOf }: { q: string; asOf: string | null },
  topics: readonly string[],
  statuses: readonly JobFilterStatus[],
  source: ListSource,
): Promise<ListedIds> {
  const id = parseJobId(q);
  const { ids, isSearchCut } = await searchFailed(topics, statuses, source, (kind, shares) =>
    source.failedWith(q, kind, shares, asOf),
  );
  return { ids: id === undefined ? ids : [...ids.filter((each) => each !== id), id], isSearchCut };
}

/** Searches the errors of failed jobs, and those of jobs that wait for a retry when the filter names them. */
async function searchFailed(
  topics: readonly string[],
  statuses: readonly JobFilterStatus[],
  source: ListSource,
  search: (kind: FailureKind, shares: readonly TopicShare[]) => Promise<string[]>,
): Promise<ListedIds> {
  const found = { ids: new Array<string>(), isSearchCut: false };
  for (const kind of FAILURE_KINDS.filter((each) => statuses.includes(each))) {
    const shares = await measureFailingTopics(topics, SEARCHED_FAILURES_MAX, source, kind);
    if (shares.length > 0) {
      found.ids.push(...(await search(kind, shares)));
      found.isSearchCut ||= sumLimits(shares) >= SEARCHED_FAILURES_MAX;
    }
  }
  return found;
}

const FAILURE_KINDS = ['failed', 'retrying'] as const satisfies readonly FailureKind[];

function sumLimits(shares: readonly TopicShare[]): number {
  return shares.reduce((sum, { limit }) => sum + limit, 0);
}

/** Shares `jobsMax` among topics by their jobs with an error; `null` is all topics. Costs as much as it counts. */
export async function measureFailingTopics(
  topics: readonly string[] | null,
  jobsMax: number,
  source: ListSource,
  kind: FailureKind,
): Promise<TopicShare[]> {
  const failing = await source.topics(kind);
  const selected = topics && new Set(topics);
  const searched = failing.filter((topic) => selected?.has(topic) ?? true);
  return measureShares(searched, jobsMax, (open) => source.failedUpTo(kind, open));
}

type Bounds = Pick<ListPlan, 'fromId' | 'beforeId' | 'endId' | 'createdFrom' | 'createdTo'>;

/**
 * There is no index on `created`: it would slow down every claim. In a small table the date of every job is checked. In a large one
 * the time in the ids narrows the search, with a margin for clocks that differ.
 */
async function toBounds(query: ListFilter, source: ListSource): Promise<Bounds> {
  const { createdFrom, createdTo, beforeId } = query;
  const isById = isDated(query) && !(await source.isSmall(SMALL_TABLE_JOBS));
  const fromId = isById && createdFrom ? toFirstId(createdFrom.getTime() - ID_SLACK_MS) : FIRST_ID;
  const endId = isById && createdTo ? toFirstId(createdTo.getTime() + ID_SLACK_MS) : LAST_ID;
  const isWithin = beforeId !== null && beforeId < endId;
  return { createdFrom, createdTo, fromId, endId, beforeId: isWithin ? beforeId : endId };
}

/** Returns the first UUID v7 of a moment: 48 bits of milliseconds since 1970. */
function toFirstId(timeMs: number): string {
  const hex = Math.min(Math.max(timeMs, 0), 2 ** 48 - 1)
    .toString(16)
    .padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
}

/** How many jobs a topic has. */
export interface TopicSize {
  readonly topic: string;
  /** `Infinity`: not known. */
  readonly jobs: number;
}

/**
 * Shares a number of jobs among topics. No topic gets more than it has; what small topics leave goes to the others. When all have
 * at most `jobsMax` together, each gets what it has.
 */
export function shareJobs(sizes: readonly TopicSize[], jobsMax: number): TopicShare[] {
  const limits = new Map<string, number>();
  let left = jobsMax;
  const smallestFirst = [...sizes].sort((one, other) => (one.jobs < other.jobs ? -1 : 1));
  for (const [index, { topic, jobs }] of smallestFirst.entries()) {
    const limit = Math.min(jobs, Math.ceil(left / (sizes.length - index)));
    limits.set(topic, limit);
    left -= limit;
  }
  return sizes.map(({ topic }) => ({ topic, limit: limits.get(topic)! }));
}

/**
 * Shares a number of jobs among topics whose sizes are expensive to count. Each pass counts those that may be larger than their
 * share, up to that share, until no topic leaves anything to the others.
 *
 * @param sizesUpTo counts the jobs of each topic up to its limit.
 */
export async function measureShares(
  topics: readonly string[],
  jobsMax: number,
  sizesUpTo: (shares: readonly TopicShare[]) => Promise<readonly TopicSize[]>,
): Promise<TopicShare[]> {
  const known = new Map(topics.map((topic) => [topic, Infinity]));
  for (;;) {
    const shares = shareJobs(
      topics.map((topic) => ({ topic, jobs: known.get(topic)! })),
      jobsMax,
    );
    const open = shares.filter(({ topic }) => known.get(topic) === Infinity);
    if (open.length === 0) {
      return shares;
    }
    const sizes = new Map((await sizesUpTo(open)).map(({ topic, jobs }) => [topic, jobs]));
    const small = open.filter(({ topic, limit }) => (sizes.get(topic) ?? 0) < limit);
    if (small.length === 0) {
      return shares;
    }
    small.forEach(({ topic }) => known.set(topic, sizes.get(topic) ?? 0));
  }
}
