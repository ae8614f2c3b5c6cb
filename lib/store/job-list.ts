import type { Job } from '../core/job.js';
import { JOB_STATUSES, parseJobId } from '../core/job-state.js';
import type { JobStatus } from '../core/job-state.js';
import { SEARCHED_FAILURES_MAX, SMALL_TABLE_JOBS } from '../core/limits.js';
import type { ListFilter } from '../core/list-filter.js';
import type { TopicShare, ListedIds, ListedJobs } from './store-records.js';

/** Jobs of one topic in one status, in the order of their ids: one range of the index `_jobs_listed`. */
export interface ListRange {
  readonly topic: string;
  readonly status: JobStatus;
}

/** Which ranges of which indexes hold what a list shows. No job stands in two of them. */
export interface ListPlan {
  /** `null`: the whole table, in the order of its ids. */
  readonly lanes: readonly ListRange[] | null;
  /** Topics of which the running jobs are shown. */
  readonly runningTopics: readonly string[];
  /** Single jobs, that are shown if they pass the filter and stand in no lane. */
  readonly ids: readonly string[];
  readonly idFilter: {
    readonly topics: readonly string[];
    readonly statuses: readonly JobStatus[];
    /** Whether their time has come; `null` does not matter. */
    readonly due: boolean | null;
  };
  /** Only ids from this on, and before that. */
  readonly fromId: string;
  readonly beforeId: string;
  /** Before which the list ends as a whole, wherever the page begins. */
  readonly endId: string;
  readonly createdFrom: Date | null;
  readonly createdTo: Date | null;
  /** There are more jobs than were searched, for their error or by their time: some that the filter means may be missing. */
  readonly isSearchCut: boolean;
  /** The single jobs are all that the filter means, and each is known to pass it. */
  readonly isFound: boolean;
}

/** Whether a range of dates is asked for. */
export function isDated({ createdFrom, createdTo }: Pick<ListPlan, 'createdFrom' | 'createdTo'>): boolean {
  return createdFrom !== null || createdTo !== null;
}

/** Where a list is read from. */
export interface ListSource {
  /** All topics, or those with jobs in a status. */
  topics(status?: JobStatus): Promise<string[]>;
  /** How many failed jobs each lane has, counted up to its limit; lanes without any may be left out. */
  failedUpTo(lanes: readonly TopicShare[]): Promise<TopicSize[]>;
  /** Failed jobs with a text in their error, among the newest of each lane. */
  failedWith(text: string, lanes: readonly TopicShare[]): Promise<string[]>;
  /** Failed jobs whose error has this key, among the newest of each lane. */
  failedAlike(errorKey: string, lanes: readonly TopicShare[]): Promise<string[]>;
  /** How many pending jobs of each lane have come to their time, or have not, counted up to its limit. */
  waitingUpTo(due: boolean, lanes: readonly TopicShare[]): Promise<TopicSize[]>;
  /** Those that would run first of each lane. */
  waiting(due: boolean, lanes: readonly TopicShare[]): Promise<string[]>;
  /** Whether there are no more jobs than this. */
  isSmall(rowsMax: number): Promise<boolean>;
  /** Ids, newest first. */
  ids(plan: ListPlan, limit: number, offset: number): Promise<string[]>;
  /** How many, counted up to `max`. */
  count(plan: ListPlan, max: number): Promise<number>;
  /** Whole jobs, in any order. */
  find(ids: readonly string[]): Promise<Job[]>;
}

/** Totals are exact up to here. */
const COUNT_MAX = 10_000;
/** So many pending jobs are looked at for their time. */
const WAITING_MAX = 10_000;

/** How far the clock of a process that enqueues may be off in a table that is not small. */
const ID_SLACK_MS = 3_600_000;

/** The whole table. */
const ALL = {
  lanes: null,
  runningTopics: [],
  ids: [],
  idFilter: { topics: [], statuses: [], due: null },
  isSearchCut: false,
  isFound: false,
} as const;

const NOT_SEARCHED: ListedIds = { ids: [], isSearchCut: false };

const FIRST_ID = '00000000-0000-0000-0000-000000000000';
const LAST_ID = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

/** One page of a list. */
export async function readList(query: ListFilter, source: ListSource): Promise<ListedJobs> {
  const plan = await planList(query, source);
  // One more than asked tells whether there is a next page.
  const asked = await idsIn(plan, query.limit + 1, query.offset, source);
  const ids = asked.slice(0, query.limit);
  const found = new Map((await source.find(ids)).map((job) => [job.id, job]));
  const total = plan.isFound ? plan.ids.length : await source.count({ ...plan, beforeId: plan.endId }, COUNT_MAX + 1);
  return {
    // A job that was removed in this moment is left out.
    items: ids.flatMap((id) => found.get(id) ?? []),
    lastId: asked.length > ids.length ? ids.at(-1)! : null,
    total: Math.min(total, COUNT_MAX),
    totalCapped: total > COUNT_MAX || plan.isSearchCut,
  };
}

/** The ids of a page. */
export async function readListIds(query: ListFilter, source: ListSource): Promise<ListedIds> {
  const plan = await planList(query, source);
  return { ids: await idsIn(plan, query.limit, query.offset, source), isSearchCut: plan.isSearchCut };
}

/** Newest first. */
async function idsIn(plan: ListPlan, limit: number, offset: number, source: ListSource): Promise<string[]> {
  if (!plan.isFound) {
    return source.ids(plan, limit, offset);
  }
  // Ids are ASCII: their order here is that of the database.
  const before = plan.ids.filter((id) => id < plan.beforeId).sort();
  return before.reverse().slice(offset, offset + limit);
}

async function planList(query: ListFilter, source: ListSource): Promise<ListPlan> {
  const { q, due } = query;
  const bounds = await boundsOf(query, source);
  if (query.topics === null && query.statuses === null && q === null && query.errorKey === null) {
    return { ...ALL, ...bounds };
  }
  const asked = query.topics ?? (await source.topics());
  const statuses = query.statuses ?? JOB_STATUSES;
  const found = await foundOf(query, asked, statuses, source);
  const isListed = (topic: string): boolean => !isAmongFound(query) && topic.startsWith(q ?? '');
  const topics = asked.filter(isListed);
  return {
    lanes: topics.flatMap((topic) =>
      statuses.filter((status) => status !== 'processing').map((status) => ({ topic, status })),
    ),
    runningTopics: statuses.includes('processing') ? topics : [],
    ...found,
    idFilter: { topics: asked.filter((topic) => !isListed(topic)), statuses, due },
    ...bounds,
    // What is asked for by its id may be any job, and dates are not known of those that were found.
    isFound: isAmongFound(query) && q === null && !isDated(bounds),
  };
}

/**
 * What is asked for by its error or its time stands among those that were found, all of it. With dates the time in the ids leads to
 * few enough rows to look at the time of each.
 */
function isAmongFound({ errorKey, due, ...dates }: ListFilter): boolean {
  return errorKey !== null || (due !== null && !isDated(dates));
}

/** Jobs that are found one by one. */
async function foundOf(
  { q, errorKey, due, ...dates }: ListFilter,
  topics: readonly string[],
  statuses: readonly JobStatus[],
  source: ListSource,
): Promise<ListedIds> {
  if (errorKey !== null) {
    return amongFailed(topics, statuses, source, (lanes) => source.failedAlike(errorKey, lanes));
  }
  const found = q === null ? NOT_SEARCHED : await idsOf(q, topics, statuses, source);
  if (due === null || isDated(dates)) {
    return found;
  }
  const meant = statuses.includes('pending') ? topics.filter((topic) => topic.startsWith(q ?? '')) : [];
  const lanes = await measureShares(meant, WAITING_MAX, (open) => source.waitingUpTo(due, open));
  const filled = lanes.filter(({ limit }) => limit > 0);
  const waiting = filled.length > 0 ? await source.waiting(due, filled) : [];
  return { ids: [...new Set([...waiting, ...found.ids])], isSearchCut: limitOf(lanes) >= WAITING_MAX };
}

/** The job that is asked for by its id, and those whose error has the text. */
async function idsOf(
  q: string,
  topics: readonly string[],
  statuses: readonly JobStatus[],
  source: ListSource,
): Promise<ListedIds> {
  const id = parseJobId(q);
  const { ids, isSearchCut } = await amongFailed(topics, statuses, source, (lanes) => source.failedWith(q, lanes));
  return { ids: id === undefined ? ids : [...ids.filter((each) => each !== id), id], isSearchCut };
}

async function amongFailed(
  topics: readonly string[],
  statuses: readonly JobStatus[],
  source: ListSource,
  search: (lanes: readonly TopicShare[]) => Promise<string[]>,
): Promise<ListedIds> {
  const lanes = statuses.includes('failed') ? await measureFailingTopics(topics, SEARCHED_FAILURES_MAX, source) : [];
  if (lanes.length === 0) {
    return NOT_SEARCHED;
  }
  return { ids: await search(lanes), isSearchCut: limitOf(lanes) >= SEARCHED_FAILURES_MAX };
}

function limitOf(lanes: readonly TopicShare[]): number {
  return lanes.reduce((sum, { limit }) => sum + limit, 0);
}

/** The failed jobs of which the errors are looked at; `null` is those of all topics. Costs what it counts. */
export async function measureFailingTopics(
  topics: readonly string[] | null,
  jobsMax: number,
  source: ListSource,
): Promise<TopicShare[]> {
  const failing = await source.topics('failed');
  const asked = topics && new Set(topics);
  const searched = failing.filter((topic) => asked?.has(topic) ?? true);
  return measureShares(searched, jobsMax, (open) => source.failedUpTo(open));
}

type Bounds = Pick<ListPlan, 'fromId' | 'beforeId' | 'endId' | 'createdFrom' | 'createdTo'>;

/**
 * There is no index on `created`, which would cost every claim. In a small table all jobs are looked at for a date; in a
 * large one the time in the ids leads there, with room for clocks that are off.
 */
async function boundsOf(query: ListFilter, source: ListSource): Promise<Bounds> {
  const { createdFrom, createdTo, beforeId } = query;
  const isById = isDated(query) && !(await source.isSmall(SMALL_TABLE_JOBS));
  const fromId = isById && createdFrom ? firstIdAt(createdFrom.getTime() - ID_SLACK_MS) : FIRST_ID;
  const endId = isById && createdTo ? firstIdAt(createdTo.getTime() + ID_SLACK_MS) : LAST_ID;
  const isWithin = beforeId !== null && beforeId < endId;
  return { createdFrom, createdTo, fromId, endId, beforeId: isWithin ? beforeId : endId };
}

/** The first UUID v7 of a moment: 48 bits of milliseconds since 1970. */
function firstIdAt(timeMs: number): string {
  const hex = Math.min(Math.max(timeMs, 0), 2 ** 48 - 1)
    .toString(16)
    .padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
}

/** How many jobs a lane has. */
export interface TopicSize {
  readonly topic: string;
  /** `Infinity` when it is not known. */
  readonly jobs: number;
}

/**
 * Shares a number of jobs among lanes: no lane gets more than it has, and what small ones leave goes to the others. When
 * all have at most `jobsMax` together, each gets what it has.
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
 * The same when it would cost much to know how large the lanes are: each round measures those that may be larger than
 * their share, up to that share, until no lane leaves anything to the others.
 *
 * @param sizesUpTo how many jobs each lane has, counted up to its limit.
 */
export async function measureShares(
  topics: readonly string[],
  jobsMax: number,
  sizesUpTo: (lanes: readonly TopicShare[]) => Promise<readonly TopicSize[]>,
): Promise<TopicShare[]> {
  const known = new Map(topics.map((topic) => [topic, Infinity]));
  for (;;) {
    const lanes = shareJobs(
      topics.map((topic) => ({ topic, jobs: known.get(topic)! })),
      jobsMax,
    );
    const open = lanes.filter(({ topic }) => known.get(topic) === Infinity);
    if (open.length === 0) {
      return lanes;
    }
    const sizes = new Map((await sizesUpTo(open)).map(({ topic, jobs }) => [topic, jobs]));
    const small = open.filter(({ topic, limit }) => (sizes.get(topic) ?? 0) < limit);
    if (small.length === 0) {
      return lanes;
    }
    small.forEach(({ topic }) => known.set(topic, sizes.get(topic) ?? 0));
  }
}
