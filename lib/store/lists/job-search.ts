import { parseJobId } from '../../core/job-state.js';
import type { JobFilterStatus } from '../../core/job-state.js';
import { countRows, MEBIBYTE, SEARCHED_FAILURES_MAX, SEARCHED_JOBS_MAX } from '../../core/bounds.js';
import type { KeyFilter, ListFilter } from '../../core/list-filter.js';
import { findKeyCondition, isDated } from '../../core/list-filter.js';
import type { SearchTerms } from '../../core/search-text.js';
import { isInTopic, parseSearch } from '../../core/search-text.js';
import type { ListedIds } from '../jobs/job-records.js';
import type { FailureKind, TopicShare } from '../reports/report-records.js';

/*
 * The search behind a list: it finds single jobs by error, key, group, payload or due time. No index has errors and payloads, so it
 * reads those of the newest jobs.
 */

/** The queries behind a search, one set for each database. */
export interface SearchSource {
  /** Returns topics, or those with such jobs: up to `max`, and those of running jobs. */
  topics(max: number, kind?: FailureKind): Promise<string[]>;
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
  /** Finds the newest jobs with a key, up to `max`. */
  withKey(
    filter: KeyFilter,
    key: string,
    topics: readonly string[] | null,
    statuses: readonly JobFilterStatus[],
    max: number,
    asOf: string | null,
  ): Promise<string[]>;
  /** Finds the jobs of the topics that hold one of these unique keys. */
  holdersOf(uniqueKeys: readonly string[], topics: readonly string[]): Promise<string[]>;
  /** Searches the payload, the metadata and the unique key of jobs. */
  contents(ids: readonly string[], terms: SearchTerms): Promise<SearchedContents>;
  /** Counts the pending jobs of each topic that are due, or not due, up to its limit. */
  waitingUpTo(due: boolean, shares: readonly TopicShare[]): Promise<TopicSize[]>;
  /** Finds those of each topic that would run first. */
  waiting(due: boolean, shares: readonly TopicShare[], asOf: string | null): Promise<string[]>;
}

/** The result of a search in the contents of jobs. */
export interface SearchedContents {
  readonly found: readonly { readonly id: string; readonly topic: string }[];
  /** The size of what was read, not compressed. */
  readonly bytes: number;
}

/** What a search found. */
export interface FoundJobs {
  /** These match all conditions of the filter. */
  readonly ids: readonly string[];
  /** These may not match the other conditions. */
  readonly candidates: readonly string[];
  /** There are more jobs than were searched by error, key, group or due time. */
  readonly isSearchCut: boolean;
  /** Which jobs the search for a text has read; `null`: there was none. */
  readonly window: SearchWindow | null;
}

/** The newest jobs, whose payload, metadata and unique key were searched. */
export interface SearchWindow {
  readonly jobs: number;
  readonly oldestId: string | null;
  /** These are all jobs. */
  readonly isComplete: boolean;
}

/** Payloads larger than this are not searched. In the form in which the database stores them, not compressed. */
export const SEARCHED_BYTES_MAX = 64 * 1_024;
/** A search ends when it has read so much, so that large payloads do not make it slow. */
const READ_BYTES_MAX = 16 * MEBIBYTE;
/** The first piece is small, since nothing is known of the payloads. */
const FIRST_PIECE_JOBS = 100;
const PIECE_JOBS_MAX = 2_000;
/** How many pending jobs are searched by due time. */
const WAITING_MAX = 10_000;
/** How many jobs are searched by a key. */
const KEYED_MAX = 10_000;

/** Up to this many topics, a list of all goes from topic to topic. A search reads the errors of at most this many failing topics. */
export const TOPICS_MAX = 1_000;
/** At most this many topics with failed or cancelled jobs are checked for failed ones. */
export const VISITED_TOPICS_MAX = 10_000;

const FAILURE_KINDS = ['failed', 'retrying'] as const satisfies readonly FailureKind[];

const NOTHING: FoundJobs = { ids: [], candidates: [], isSearchCut: false, window: null };

/** Where a search looks. */
export interface SearchScope {
  /** `null`: all, of which there are very many. */
  readonly topics: readonly string[] | null;
  readonly statuses: readonly JobFilterStatus[];
  /** Reads the newest jobs that match all other conditions of the filter. */
  readonly readNewest: (limit: number) => Promise<ListedIds>;
}

/** Whether the search for single jobs finds all matches: for filters on error, a key or due time. */
export function isFoundBySearch(query: ListFilter): boolean {
  return query.errorKey !== null || findKeyCondition(query) !== null || isFoundByDueTime(query);
}

/** With dates, the time in the ids selects few enough rows to check each due time. So does the index of jobs that wait for a retry. */
function isFoundByDueTime({ due, statuses, ...dates }: ListFilter): boolean {
  return due !== null && !isDated(dates) && (statuses?.includes('pending') ?? true);
}

/** Finds single jobs by error, a key, text or due time. Leaves out topics that contain the text. */
export async function searchJobs(query: ListFilter, scope: SearchScope, source: SearchSource): Promise<FoundJobs> {
  const { q } = query;
  const found = q === null ? NOTHING : await searchText(q, query, scope, source);
  const searched = isFoundBySearch(query) ? await searchByCondition(query, scope, source) : NOTHING;
  const isMatch = !isTimed(query);
  const ids = new Set([...found.ids, ...(isMatch ? searched.ids : [])]);
  const candidates = new Set([...found.candidates, ...(isMatch ? [] : searched.ids)]);
  return {
    ids: [...ids],
    candidates: [...candidates].filter((id) => !ids.has(id)),
    isSearchCut: found.isSearchCut || searched.isSearchCut,
    window: found.window,
  };
}

/** Whether the filter has a condition on the times of a job. Most searches do not check it. */
function isTimed(query: ListFilter): boolean {
  return isDated(query) || (query.asOf ?? null) !== null;
}

async function searchByCondition(
  query: ListFilter,
  { topics, statuses }: SearchScope,
  source: SearchSource,
): Promise<Pick<FoundJobs, 'ids' | 'isSearchCut'>> {
  const { q, errorKey, due, asOf = null } = query;
  if (errorKey !== null) {
    const kinds = FAILURE_KINDS.filter((kind) => statuses.includes(kind));
    return searchFailed(kinds, topics, source, (kind, shares) => source.failedAlike(errorKey, kind, shares, asOf));
  }
  const condition = findKeyCondition(query);
  if (condition) {
    const ids = await source.withKey(condition.name, condition.key, query.topics, statuses, KEYED_MAX, asOf);
    return { ids, isSearchCut: ids.length >= KEYED_MAX };
  }
  if (topics === null) {
    return NOTHING;
  }
  const searched = topics.filter((topic) => isInTopic(q, topic));
  const shares = await measureShares(searched, WAITING_MAX, (open) => source.waitingUpTo(due!, open));
  const filled = shares.filter(({ limit }) => limit > 0);
  const ids = filled.length > 0 ? await source.waiting(due!, filled, asOf) : [];
  return { ids, isSearchCut: sumLimits(shares) >= WAITING_MAX };
}

/** Finds the job with this id, and the jobs with this text in their error, their payload, their metadata or as unique key. */
async function searchText(
  q: string,
  query: ListFilter,
  { topics, statuses, readNewest }: SearchScope,
  source: SearchSource,
): Promise<FoundJobs> {
  const { asOf = null } = query;
  // Jobs that wait for a retry are pending.
  const kinds = FAILURE_KINDS.filter(
    (kind) => statuses.includes(kind) || (kind === 'retrying' && statuses.includes('pending')),
  );
  const others = topics?.filter((topic) => !isInTopic(q, topic));
  const failed = await searchFailed(kinds, others ?? null, source, (kind, shares) =>
    source.failedWith(q, kind, shares, asOf),
  );
  const id = parseJobId(q);
  const named = id === undefined ? [] : [id];
  const terms = parseSearch(q);
  const isFailureMatch = !isTimed(query) && query.due === null;
  const [sure, unsure] = isFailureMatch ? [failed.ids, []] : [[], failed.ids];
  if (!query.searchPayloads) {
    const window = { jobs: 0, oldestId: null, isComplete: false };
    return { ids: sure, candidates: [...unsure, ...named], isSearchCut: failed.isSearchCut, window };
  }
  const holders = others ? await source.holdersOf(terms.uniqueKeys, others) : [];
  const newest = await readNewest(SEARCHED_JOBS_MAX + 1);
  const { found, window } = await searchContents(terms, newest, source);
  // The other jobs of such a topic are in a range of the list.
  const ids = found.filter(({ topic }) => topics === null || !isInTopic(q, topic)).map((job) => job.id);
  const candidates = [...unsure, ...named, ...holders];
  return { ids: [...sure, ...ids], candidates, isSearchCut: failed.isSearchCut, window };
}

/** Searches the newest of these jobs, in pieces. */
async function searchContents(
  terms: SearchTerms,
  newest: ListedIds,
  source: SearchSource,
): Promise<Pick<SearchedContents, 'found'> & { readonly window: SearchWindow }> {
  const ids = newest.ids.slice(0, SEARCHED_JOBS_MAX);
  const found: SearchedContents['found'][number][] = [];
  let done = 0;
  for (let bytes = 0; done < ids.length && bytes < READ_BYTES_MAX;) {
    const piece = ids.slice(done, done + countNext(done, bytes));
    const searched = await source.contents(piece, terms);
    found.push(...searched.found);
    bytes += searched.bytes;
    done += piece.length;
  }
  const isComplete = newest.isComplete && done === newest.ids.length;
  const window = { jobs: done, oldestId: ids[done - 1] ?? null, isComplete };
  return { found, window };
}

/** Returns how many jobs to read next, so that all together have about `READ_BYTES_MAX`. */
function countNext(jobs: number, bytes: number): number {
  return jobs === 0 ? FIRST_PIECE_JOBS : countRows(jobs, bytes, READ_BYTES_MAX - bytes, PIECE_JOBS_MAX);
}

/** Searches the errors of jobs that failed, or of those that wait for a retry. */
async function searchFailed(
  kinds: readonly FailureKind[],
  topics: readonly string[] | null,
  source: SearchSource,
  search: (kind: FailureKind, shares: readonly TopicShare[]) => Promise<string[]>,
): Promise<Pick<FoundJobs, 'ids' | 'isSearchCut'>> {
  const ids: string[] = [];
  let isSearchCut = false;
  for (const kind of kinds) {
    const shares = await measureFailingTopics(topics, SEARCHED_FAILURES_MAX, source, kind);
    if (shares.length > 0) {
      ids.push(...(await search(kind, shares)));
      isSearchCut ||= sumLimits(shares) >= SEARCHED_FAILURES_MAX || (topics === null && shares.length >= TOPICS_MAX);
    }
  }
  return { ids, isSearchCut };
}

function sumLimits(shares: readonly TopicShare[]): number {
  return shares.reduce((sum, { limit }) => sum + limit, 0);
}

/** Shares `jobsMax` among topics by their jobs with an error; `null` is all topics, the first `TOPICS_MAX` of those that have any. */
export async function measureFailingTopics(
  topics: readonly string[] | null,
  jobsMax: number,
  source: Pick<SearchSource, 'topics' | 'failedUpTo'>,
  kind: FailureKind,
): Promise<TopicShare[]> {
  const searched = topics ?? (await source.topics(TOPICS_MAX, kind));
  const shares = await measureShares(searched, jobsMax, (open) => source.failedUpTo(kind, open));
  return shares.filter(({ limit }) => limit > 0);
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
