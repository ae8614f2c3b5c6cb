import type { Job, JobSearch } from '../../core/job.js';
import { JOB_STATUSES } from '../../core/job-state.js';
import type { JobFilterStatus } from '../../core/job-state.js';
import { SMALL_TABLE_JOBS } from '../../core/bounds.js';
import type { ListFilter, ListPosition } from '../../core/list-filter.js';
import { findKeyCondition, isDated } from '../../core/list-filter.js';
import { isInTopic } from '../../core/search-text.js';
import type { SearchScope, SearchSource, SearchWindow } from './job-search.js';
import { isFoundBySearch, searchJobs, TOPICS_MAX } from './job-search.js';
import { nextTurn } from '../runtime/real-timers.js';
import type { ListedIds, ListedJobs } from '../jobs/job-records.js';
import { FIRST_ID, LAST_ID } from '../jobs/job-row.js';

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
  /** Single jobs that match the whole filter and are in no range, newest first. */
  readonly found: readonly string[];
  /** Other single jobs, listed if they pass `idFilter` and are in no range. */
  readonly ids: readonly string[];
  /** A list of the whole table has these statuses, or all if there are none. */
  readonly idFilter: {
    /** `null`: all. */
    readonly topics: readonly string[] | null;
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
  /** The jobs that the search for a text has read; `null`: there was none. */
  readonly window: SearchWindow | null;
}

/** Returns whether a list must read rows, since no index has its conditions: dates, due times or changes. */
export function readsRows(plan: Pick<ListPlan, 'createdFrom' | 'createdTo' | 'idFilter' | 'asOf'>): boolean {
  return isDated(plan) || plan.idFilter.due !== null || plan.asOf !== null;
}

/** The queries behind a list, one set for each database. */
export interface ListSource extends SearchSource, EndedSource {
  /** Whether the table has at most this many jobs. */
  isSmall(rowsMax: number): Promise<boolean>;
  /** Returns ids, newest first. */
  ids(plan: ListPlan, limit: number, offset: number): Promise<string[]>;
  /** Returns jobs of these statuses in any order, up to `max` of each. */
  rare(statuses: readonly RareStatus[], max: number): Promise<string[]>;
  /** Returns the newest ids of each range from `fromId` on, up to `limit`. */
  pieces(ranges: readonly RangePiece[], fromId: string, limit: number): Promise<readonly string[][]>;
  /** Counts the jobs of the plan up to `max`. */
  count(plan: ListPlan, max: number): Promise<number>;
  /** Returns jobs, in any order. */
  find(ids: readonly string[]): Promise<Job[]>;
}

/** A list of failed and cancelled jobs, the last one that ended first. Each of its ranges is one of the index `_jobs_ended`. */
export interface EndedPlan extends Pick<ListPlan, 'runningTopics' | 'idFilter' | 'createdFrom' | 'createdTo' | 'asOf'> {
  readonly ranges: readonly ListRange[];
  /** Single jobs, listed if they pass `idFilter` and are in no range. */
  readonly ids: readonly string[];
  readonly finishedFrom: Date | null;
  /** The page holds jobs before this position: they ended earlier, or at the same moment with a lower id. */
  readonly before: EndedPosition;
  /** The end of the whole list, on whichever page. */
  readonly end: EndedPosition;
}

/** When a job ended, ISO 8601 in microseconds, and its id. `null`: after all jobs. */
export interface EndedPosition {
  readonly id: string;
  readonly finished: string | null;
}

/** A job with the time of its end. */
export interface EndedJob extends ListPosition {
  readonly finished: string;
}

/** The queries behind such a list, one set for each database. */
export interface EndedSource {
  /** Returns ids, the last one that ended first. */
  ended(plan: EndedPlan, limit: number, offset: number): Promise<EndedJob[]>;
  /** Counts the jobs of the plan up to `max`. */
  countEnded(plan: EndedPlan, max: number): Promise<number>;
}

/** The part of a range before an id. */
export interface RangePiece extends ListRange {
  readonly beforeId: string;
}

/** Statuses with a partial index, which few jobs have as a rule. */
export type RareStatus = Exclude<JobFilterStatus, 'pending' | 'completed'>;

/** Totals above this are reported as capped. */
const COUNT_MAX = 10_000;
/** A longer list reads its ranges piece by piece. */
export const WHOLE_RANGES_MAX = 1_000;
const RANGE_PIECE_MAX = 5_000;
/** Up to this many jobs of rare statuses, a list of very many topics reads all of them. */
const RARE_JOBS_MAX = 2_000;
/** Otherwise it reads at most this many jobs of all topics for a page, in pieces. */
const WINDOW_JOBS = 20_000;
const WINDOW_PIECE_JOBS = 2_000;

/** How far the clock of an enqueuing process may differ from the database's, in a table that is not small. */
const ID_SLACK_MS = 3_600_000;

/** The whole table. */
const ALL = {
  ranges: null,
  runningTopics: [],
  found: [],
  ids: [],
  idFilter: { topics: [], statuses: [], due: null },
  isSearchCut: false,
  window: null,
} as const;

/** Reads one page of a list. */
export async function readList(query: ListFilter, source: ListSource): Promise<ListedJobs> {
  const plan = await planList(query, source);
  // One more than the page shows whether there is a next page.
  const { positions, end } = await readPositions(plan, { ...query, limit: query.limit + 1 }, source);
  const page = positions.slice(0, query.limit);
  const found = new Map((await source.find(page.map(({ id }) => id))).map((job) => [job.id, job]));
  const { total, isCut } = await countJobs(plan, query, source);
  return {
    // A job may have been deleted since its id was read.
    items: page.flatMap(({ id }) => found.get(id) ?? []),
    last: positions.length > page.length ? page.at(-1)! : end,
    total: Math.min(total, COUNT_MAX),
    totalCapped: total > COUNT_MAX || isCut || !isComplete(plan),
    search: plan.window && (await toSearch(plan, query, source)),
  };
}

/** Counts up to `COUNT_MAX + 1`. */
async function countJobs(
  plan: ListPlan,
  query: ListFilter,
  source: ListSource,
): Promise<{ readonly total: number; readonly isCut: boolean }> {
  if (query.order === 'finished') {
    const ended = toEndedPlan(plan, query);
    return { total: await source.countEnded({ ...ended, before: ended.end }, COUNT_MAX + 1), isCut: false };
  }
  const whole = { ...plan, beforeId: plan.endId };
  if (isWindow(plan)) {
    const { ids, endId } = await readWindow(whole, COUNT_MAX + 1, source, WINDOW_JOBS);
    return { total: ids.length, isCut: endId !== null };
  }
  const others = hasOthers(plan) ? await source.count(whole, COUNT_MAX + 1) : 0;
  return { total: plan.found.length + others, isCut: false };
}

/** Whether the search has covered all jobs. */
function isComplete({ isSearchCut, window }: ListPlan): boolean {
  return !isSearchCut && (window?.isComplete ?? true);
}

async function toSearch(plan: ListPlan, { order }: ListFilter, source: ListSource): Promise<JobSearch> {
  const { jobs, oldestId } = plan.window!;
  const [oldest] = oldestId === null ? [] : await source.find([oldestId]);
  return { window: jobs, oldest: oldest?.[order] ?? null, complete: isComplete(plan) };
}

/** Reads the ids of one page. */
export async function readListIds(query: ListFilter, source: ListSource, windowJobs = Infinity): Promise<ListedIds> {
  const plan = await planList(query, source);
  const { positions, end } = await readPositions(plan, query, source, windowJobs);
  return { ids: positions.map(({ id }) => id), isComplete: end === null && isComplete(plan) };
}

/** Jobs in the order of the filter. */
interface Positions {
  readonly positions: readonly ListPosition[];
  /** Where the search for more of them has ended; `null`: not before the end of the list, or of the page. */
  readonly end: ListPosition | null;
}

/** Reads a page. */
async function readPositions(
  plan: ListPlan,
  query: ListFilter,
  source: ListSource,
  windowJobs = WINDOW_JOBS,
): Promise<Positions> {
  const { order, limit, offset } = query;
  if (order === 'finished') {
    return { positions: await source.ended(toEndedPlan(plan, query), limit, offset), end: null };
  }
  const toPosition = (id: string): ListPosition => ({ id, finished: null });
  if (isWindow(plan)) {
    const { ids, endId } = await readWindow(plan, limit + offset, source, windowJobs);
    return { positions: ids.slice(offset).map(toPosition), end: endId === null ? null : toPosition(endId) };
  }
  return { positions: (await readIds(plan, limit, offset, source)).map(toPosition), end: null };
}

/** Whether the list checks each job of the table. */
function isWindow({ ranges, idFilter }: ListPlan): boolean {
  return ranges === null && idFilter.statuses.length > 0;
}

/** Reads the newest jobs that match, up to `limit`, among the `jobsMax` newest of the table. @returns `endId` if there were more. */
async function readWindow(
  plan: ListPlan,
  limit: number,
  source: ListSource,
  jobsMax: number,
): Promise<{ readonly ids: readonly string[]; readonly endId: string | null }> {
  const ids: string[] = [];
  for (let { beforeId } = plan, jobs = 0; ids.length < limit; jobs += WINDOW_PIECE_JOBS) {
    if (jobs >= jobsMax) {
      return { ids, endId: beforeId };
    }
    const bounds = { ...ALL, fromId: plan.fromId, beforeId, endId: plan.endId, createdFrom: null, createdTo: null };
    const [pieceEnd] = await source.ids({ ...bounds, asOf: null }, 1, WINDOW_PIECE_JOBS - 1);
    const piece = { ...plan, fromId: pieceEnd ?? plan.fromId, beforeId };
    ids.push(...(await source.ids(piece, limit - ids.length, 0)));
    await nextTurn();
    if (pieceEnd === undefined) {
      break;
    }
    beforeId = pieceEnd;
  }
  return { ids, endId: null };
}

/** Newest first. */
async function readIds(plan: ListPlan, limit: number, offset: number, source: ListSource): Promise<string[]> {
  const found = plan.found.filter((id) => id < plan.beforeId);
  if (!hasOthers(plan)) {
    return found.slice(offset, offset + limit);
  }
  if (found.length === 0) {
    return readOthers(plan, limit, offset, source);
  }
  const others = await readOthers(plan, limit + offset, 0, source);
  return [...found, ...others].sort(newestFirst).slice(offset, offset + limit);
}

/** Whether the list has more than the jobs that were found. */
function hasOthers({ ranges, runningTopics, ids }: ListPlan): boolean {
  return ranges === null || ranges.length + runningTopics.length + ids.length > 0;
}

/** Reads the ids that are not in `found`. */
function readOthers(plan: ListPlan, limit: number, offset: number, source: ListSource): Promise<string[]> {
  const isLong = limit > WHOLE_RANGES_MAX && offset === 0;
  return isLong && canMerge(plan) ? mergeRanges(plan, limit, source) : source.ids(plan, limit, offset);
}

/** Ids are ASCII, so JavaScript and the database order them alike. */
export function newestFirst(one: string, other: string): number {
  return one < other ? 1 : -1;
}

/** Whether the ranges can be read from the index `_jobs_listed` alone. */
function canMerge(plan: ListPlan): boolean {
  const { ranges } = plan;
  return ranges !== null && !readsRows(plan) && ranges.every(({ status }) => status !== 'retrying');
}

/**
 * Returns the newest ids of all ranges. Reads each range in growing pieces, as long as it may have newer ids than those found, since
 * a hundred ranges may each have as many jobs as the list.
 */
async function mergeRanges(plan: ListPlan, limit: number, source: ListSource): Promise<string[]> {
  let ids = await source.ids({ ...plan, ranges: [] }, limit, 0);
  let open = plan.ranges!.map((range) => ({ ...range, beforeId: plan.beforeId }));
  for (let wanted = Math.ceil((2 * limit) / open.length); open.length > 0; wanted *= 2) {
    const pieceJobs = Math.min(wanted, RANGE_PIECE_MAX);
    const pieces = await source.pieces(open, plan.fromId, pieceJobs);
    ids = [...ids, ...pieces.flat()].sort(newestFirst).slice(0, limit);
    const lastId = ids[limit - 1] ?? plan.fromId;
    open = open.flatMap((range, index) => {
      const beforeId = pieces[index]![pieceJobs - 1];
      return beforeId !== undefined && beforeId > lastId ? [{ ...range, beforeId }] : [];
    });
  }
  return ids;
}

async function planList(query: ListFilter, source: ListSource): Promise<ListPlan> {
  const { q, due, asOf = null } = query;
  const bounds = await toBounds(query, source);
  if (isUnfiltered(query)) {
    return { ...ALL, ...bounds, asOf };
  }
  const allTopics = query.topics ?? (await source.topics(TOPICS_MAX + 1));
  const statuses: readonly JobFilterStatus[] = query.statuses ?? JOB_STATUSES;
  const readNewest = (limit: number): Promise<ListedIds> => readWithoutText(query, limit, source);
  if (query.topics === null && allTopics.length > TOPICS_MAX) {
    const found = await findInManyTopics(query, { topics: null, statuses, readNewest }, source);
    return { ...ALL, ...bounds, asOf, ...found, idFilter: { topics: null, statuses, due } };
  }
  const { ids, candidates, ...search } = await searchJobs(query, { topics: allTopics, statuses, readNewest }, source);
  const isListed = (topic: string): boolean => !isFoundBySearch(query) && isInTopic(q, topic);
  const topics = allTopics.filter(isListed);
  return {
    ranges: topics.flatMap((topic) =>
      statuses.filter((status) => status !== 'processing').map((status) => ({ topic, status })),
    ),
    runningTopics: statuses.includes('processing') ? topics : [],
    found: [...ids].sort(newestFirst),
    ids: candidates,
    ...search,
    idFilter: { topics: allTopics.filter((topic) => !isListed(topic)), statuses, due },
    ...bounds,
    asOf,
  };
}

/** Finds the jobs of a list of all topics one by one. If they may be many, the list checks each job of the table. */
async function findInManyTopics(
  query: ListFilter,
  scope: SearchScope,
  source: ListSource,
): Promise<Pick<ListPlan, 'ranges' | 'found' | 'ids' | 'isSearchCut' | 'window'>> {
  const { q, errorKey, order } = query;
  if (q !== null || errorKey !== null || findKeyCondition(query) !== null) {
    const { ids, candidates, ...search } = await searchJobs(query, scope, source);
    return { ranges: [], found: [...ids].sort(newestFirst), ids: candidates, ...search };
  }
  const rare = scope.statuses.filter(isRare);
  const single = { ...ALL, ranges: [] };
  if (rare.length === scope.statuses.length) {
    const ids = await source.rare(rare, RARE_JOBS_MAX + 1);
    if (ids.length <= RARE_JOBS_MAX) {
      return { ...single, ids };
    }
  }
  if (order !== 'finished') {
    return ALL;
  }
  // No index has the jobs of all topics by their end: of those that were created last.
  const newest = await readWithoutText({ ...query, order: 'created' }, RARE_JOBS_MAX, source);
  return { ...single, ids: newest.ids, isSearchCut: true };
}

function isRare(status: JobFilterStatus): status is RareStatus {
  return status !== 'pending' && status !== 'completed';
}

/** Whether the filter has no condition but dates of creation. */
function isUnfiltered(filter: ListFilter): boolean {
  const { topics, statuses, q, errorKey } = filter;
  return [topics, statuses, q, errorKey, findKeyCondition(filter)].every((condition) => condition === null);
}

/** Reads the newest jobs that match the conditions of a search other than its text. */
function readWithoutText(query: ListFilter, limit: number, source: ListSource): Promise<ListedIds> {
  const others = { ...query, q: null, beforeId: null, beforeFinished: null, limit, offset: 0 };
  return readListIds(others, source, WINDOW_JOBS);
}

/** Orders a plan by the end of its jobs. */
function toEndedPlan({ ranges, found, ids, ...plan }: ListPlan, query: ListFilter): EndedPlan {
  const { finishedFrom, finishedTo, beforeFinished, beforeId } = query;
  const end = finishedTo
    ? { finished: finishedTo.toISOString().replace('Z', '000Z'), id: FIRST_ID }
    : { finished: null, id: LAST_ID };
  const isWithin = beforeFinished !== null && (end.finished === null || beforeFinished < end.finished);
  return {
    ...plan,
    ranges: ranges!,
    // The search for them has not checked when they ended.
    ids: [...found, ...ids],
    finishedFrom,
    before: isWithin ? { finished: beforeFinished, id: beforeId! } : end,
    end,
  };
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
