import type { WorkerDetails, WorkerProcess } from '../../core/job-reports.js';
import type { JobFilterStatus, JobStatus } from '../../core/job-state.js';
import { JOB_STATUSES } from '../../core/job-state.js';
import { SMALL_TABLE_JOBS } from '../../core/limits.js';
import type { ListFilter } from '../../core/list-filter.js';
import {
  toJsonText,
  toSearchedContents,
  toStatusCounts,
  toTopicCounts,
  findInErrorGroup,
  toErrorCount,
  toLastError,
  toTopicAttempts,
  toGaugeRecord,
  toTopicSize,
  toRolledUpEntry,
  toJobSummary,
  toWorkerProcess,
} from '../report-mapper.js';
import { toJob, toPresenceReply } from '../row-mapper.js';
import type { EndedJob, EndedPlan } from '../ended-list.js';
import type { ListPlan, ListSource, RangePiece } from '../job-list.js';
import { readList, readListIds, readsRows } from '../job-list.js';
import type { SearchedContents } from '../job-search.js';
import { measureFailingTopics } from '../job-search.js';
import type { SearchTerms } from '../../core/search-text.js';
import { nextTurn } from '../real-timers.js';
import type {
  ErrorCount,
  FailureKind,
  FailureShares,
  LastError,
  TopicAttempts,
  TopicShare,
  QueueGaugeRecord,
  RolledUpMinutes,
  RollupRecord,
  TopicCounts,
  TopicRunTimes,
} from '../report-records.js';
import type { ListedIds, ListedJobs, JobSummary } from '../store-records.js';
import type { JobReports, PresenceReply, ReportRecords } from '../job-store.js';
import { GAUGE_LIMITS, ROLLUP_AGE_MS, WORKER_AGE_MS, WORKER_SEEN_MS } from '../report-records.js';
import { toRollupJson } from '../batch-json.js';
import type { SqlQuery, SqlRow, SqlScript } from '../sql-runner.js';
import {
  countEndedScript,
  countScript,
  endedScript,
  idsScript,
  toId,
  toIds,
  topicsScript,
  toSearchParams,
} from './list-scripts.js';
import { toSqliteMoment } from './sql/job-row.js';
import * as list from './sql/list.js';
import * as stats from './sql/stats.js';

/** Runs a script that only reads. */
type ReadScript = <T>(script: () => SqlScript<T>) => Promise<T>;

/** Rows that one statement counts, or skips in the order of the table: about 2 ms. */
const COUNT_PIECE_ROWS = 40_000;
/** How often the clock is read until the next millisecond. */
const CLOCK_TURNS_MAX = 1_000;
/** Rows that one statement reads whole. */
const READ_PIECE_ROWS = 500;
/** Rows whose errors one statement reads. */
const ERRORS_PIECE_ROWS = 20;
/** Rows whose payloads one statement searches: half a millisecond, or 10 ms if all are large. */
const SEARCH_PIECE_ROWS = 200;
/** Rows that one statement skips before a page, in each of its ranges. */
const SKIP_PIECE_ROWS = 2_000;

/**
 * Lists and statistics of jobs in a SQLite file. A statement blocks the event loop until it ends, so long reads are cut into
 * pieces, with an iteration of the event loop between them.
 */
export class SqliteStats implements JobReports, ReportRecords {
  private readonly source: ListSource = {
    topics: (kind) => this.readScript(() => topicsScript(kind)),
    failedUpTo: (kind, shares) => this.readShares(shares, list.FAILED_UP_TO[kind], toTopicSize),
    failedWith: (text, kind, shares, asOf) =>
      this.readShares(shares, list.FAILED_WITH[kind], toId, text, toSqliteMoment(asOf)),
    holdersOf: async (uniqueKeys, topics) =>
      toIds(
        await this.read(
          list.HOLDERS_OF,
          [topics, uniqueKeys].map((each) => JSON.stringify(each)),
        ),
      ),
    contents: (ids, terms) => this.searchContents(ids, terms),
    withConcurrencyKey: async (...conditions) =>
      toIds(await this.read(list.WITH_CONCURRENCY_KEY, toSearchParams(...conditions))),
    inGroup: async (...conditions) => toIds(await this.read(list.IN_GROUP, toSearchParams(...conditions))),
    failedAlike: async (errorKey, kind, shares, asOf) =>
      findInErrorGroup(
        await this.readShares(shares, list.FAILED_TEXTS[kind], (row) => row, toSqliteMoment(asOf)),
        errorKey,
      ),
    waitingUpTo: (due, shares) => this.readShares(shares, due ? list.DUE_UP_TO : list.NOT_DUE_UP_TO, toTopicSize),
    waiting: (due, shares, asOf) =>
      asOf === null
        ? this.readShares(shares, due ? list.DUE_IDS : list.NOT_DUE_IDS, toId)
        : this.readShares(shares, due ? list.DUE_IDS_AS_OF : list.NOT_DUE_IDS_AS_OF, toId, toSqliteMoment(asOf)),
    isSmall: async (rowsMax) => (await this.read(list.HAS_MORE_THAN, [rowsMax])).length === 0,
    ids: (plan, limit, offset) =>
      plan.asOf === null ? this.idsAfterOffset(plan, limit, offset) : this.idsInPieces(plan, limit),
    pieces: (ranges, fromId, limit) => this.readPieces(ranges, fromId, limit),
    count: (plan, max) => this.readScript(() => countScript(plan, max)),
    ended: (plan, limit, offset) => this.ended(plan, limit, offset),
    countEnded: (plan, max) => this.readScript(() => countEndedScript(plan, max)),
    find: async (ids) => (await this.read(list.FIND_JOBS, [JSON.stringify(ids)])).map(toJob),
  };

  constructor(
    private readonly readScript: ReadScript,
    private readonly read: SqlQuery,
    private readonly write: SqlQuery,
  ) {}

  list(query: ListFilter): Promise<ListedJobs> {
    return readList(query, this.source);
  }

  listIds(query: ListFilter): Promise<ListedIds> {
    return readListIds(query, this.source);
  }

  async summarize(ids: readonly string[], asOf: string | null = null): Promise<JobSummary[]> {
    const rows = await this.read(list.JOB_SUMMARIES, [JSON.stringify(ids), toSqliteMoment(asOf)]);
    // A dry run reads thousands of jobs, call after call.
    await nextTurn();
    return rows.map(toJobSummary);
  }

  async now(): Promise<string> {
    const first = await this.readNow();
    // At most a millisecond. A clock that stands still, or is set back, must not hold up the caller.
    for (let turns = 0; turns < CLOCK_TURNS_MAX && (await this.readNow()) <= first; turns += 1) {
      await nextTurn();
    }
    return first.replace('Z', '000Z');
  }

  private async readNow(): Promise<string> {
    return (await this.read(stats.NOW, []))[0]!.now as string;
  }

  async counts(topics: readonly string[] | null): Promise<TopicCounts[]> {
    if (await this.source.isSmall(SMALL_TABLE_JOBS)) {
      return toTopicCounts(await this.read(stats.COUNT_ALL_STATUSES, [topics && JSON.stringify(topics)]));
    }
    return this.countInPieces(topics);
  }

  private async countInPieces(topics: readonly string[] | null): Promise<TopicCounts[]> {
    const running = await this.read(stats.COUNT_RUNNING, []);
    const rows = [...running.filter(({ topic }) => topics === null || topics.includes(topic as string))];
    for (const topic of topics ?? (await this.source.topics())) {
      for (const status of JOB_STATUSES.filter((each) => each !== 'processing')) {
        rows.push({ topic, status, jobs: await this.countTopic(topic, status) });
      }
      rows.push({ topic, status: 'retrying', jobs: await this.countTopic(topic, 'retrying') });
      await nextTurn();
    }
    return toTopicCounts(rows.filter(({ jobs }) => jobs !== 0));
  }

  private async countTopic(topic: string, status: JobFilterStatus, max = Infinity): Promise<number> {
    let jobs = 0;
    for (let last: unknown = ''; ;) {
      const limit = Math.min(COUNT_PIECE_ROWS, max - jobs);
      const [piece] = await (status === 'retrying'
        ? this.read(stats.COUNT_RETRYING_PIECE, [topic, last, limit])
        : this.read(stats.COUNT_PIECE, [topic, status, last, limit]));
      jobs += Number(piece!.jobs);
      if (Number(piece!.jobs) < limit || jobs === max) {
        return jobs;
      }
      last = piece!.last;
      await nextTurn();
    }
  }

  async gauges(): Promise<QueueGaugeRecord> {
    const counts = toStatusCounts(await this.countForGauges());
    const rows = [...(await this.read(stats.GAUGES, [WORKER_SEEN_MS]))];
    for (const { topic, priority } of await this.read(stats.KEYED_LANES, [])) {
      rows.push(...(await this.read(stats.OLDEST_KEYED, [topic, priority])));
      await nextTurn();
    }
    return { ...toGaugeRecord(rows), counts };
  }

  /** Counts within `GAUGE_LIMITS`. */
  private async countForGauges(): Promise<SqlRow[]> {
    const { exactCount, countedJobs } = GAUGE_LIMITS;
    const rows: { topic: string; status: JobStatus; jobs: number }[] = [];
    for (const topic of await this.source.topics()) {
      for (const status of JOB_STATUSES.filter((each) => each !== 'processing')) {
        const jobs = await this.countTopic(topic, status, exactCount + 1);
        if (jobs > 0) {
          rows.push({ topic, status, jobs });
        }
      }
      await nextTurn();
    }
    const large = rows.filter(({ jobs }) => jobs > exactCount);
    const share = Math.max(exactCount + 1, Math.floor(countedJobs / large.length));
    for (const row of large) {
      row.jobs = await this.countTopic(row.topic, row.status, share);
      await nextTurn();
    }
    return [...rows, ...(await this.read(stats.COUNT_RUNNING, []))];
  }

  async runTimes(shares: readonly TopicShare[]): Promise<TopicRunTimes[]> {
    const samples = await this.readShares(shares, stats.RUN_TIMES, ({ topic, times_ms: timesMs }) => ({
      topic: topic as string,
      timesMs: JSON.parse(timesMs as string) as number[],
    }));
    return samples.filter(({ timesMs }) => timesMs.length > 0);
  }

  failingTopics(kind: FailureKind, topics: readonly string[] | null, jobsMax: number): Promise<TopicShare[]> {
    return measureFailingTopics(topics, jobsMax, this.source, kind);
  }

  async errors({ failed, retrying }: FailureShares): Promise<ErrorCount[]> {
    const counts: ErrorCount[] = [];
    for (const topic of new Set([...failed, ...retrying].map((share) => share.topic))) {
      const limits = [failed, retrying].map((shares) => shares.find((share) => share.topic === topic)?.limit ?? 0);
      counts.push(...(await this.read(list.ERRORS, [topic, ...limits])).map(toErrorCount));
      await nextTurn();
    }
    return counts;
  }

  /** A job may have twenty errors of 16 KiB, so few are read at a time. */
  async lastErrors(ids: readonly string[]): Promise<LastError[]> {
    const errors: LastError[] = [];
    for (let start = 0; start < ids.length; start += ERRORS_PIECE_ROWS) {
      const piece = ids.slice(start, start + ERRORS_PIECE_ROWS);
      errors.push(...(await this.read(list.LAST_ERRORS, [JSON.stringify(piece)])).map(toLastError));
      await nextTurn();
    }
    return errors;
  }

  async recentAttempts(topics: readonly string[], minutes: number): Promise<TopicAttempts[]> {
    return (await this.read(stats.RECENT_ATTEMPTS, [JSON.stringify(topics), minutes])).map(toTopicAttempts);
  }

  /** Reads rows, which may have large payloads, in pieces. Such a list has no offset. */
  private async idsInPieces(plan: ListPlan, limit: number): Promise<string[]> {
    const ids: string[] = [];
    if (plan.ranges?.length === 0 && plan.runningTopics.length === 0) {
      const found = [...plan.ids].sort().reverse();
      for (let start = 0; start < found.length && ids.length < limit; start += READ_PIECE_ROWS) {
        const piece = { ...plan, ids: found.slice(start, start + READ_PIECE_ROWS) };
        ids.push(...(await this.readScript(() => idsScript(piece, READ_PIECE_ROWS, 0))));
        await nextTurn();
      }
      return ids.slice(0, limit);
    }
    for (let { beforeId } = plan, isFull = true; isFull && ids.length < limit;) {
      const rows = Math.min(READ_PIECE_ROWS, limit - ids.length);
      const piece = await this.readScript(() => idsScript({ ...plan, beforeId }, rows, 0));
      ids.push(...piece);
      isFull = piece.length === rows;
      beforeId = piece.at(-1) ?? beforeId;
      await nextTurn();
    }
    return ids;
  }

  /** Skips the rows before the page in pieces. */
  private async idsAfterOffset(plan: ListPlan, limit: number, offset: number): Promise<string[]> {
    const pieceRows = plan.ranges === null ? COUNT_PIECE_ROWS : SKIP_PIECE_ROWS;
    let { beforeId } = plan;
    let left = offset;
    for (; left > pieceRows; left -= pieceRows) {
      const [last] = await this.readScript(() => idsScript({ ...plan, beforeId }, 1, pieceRows - 1));
      if (last === undefined) {
        return [];
      }
      beforeId = last;
      await nextTurn();
    }
    return this.readScript(() => idsScript({ ...plan, beforeId }, limit, left));
  }

  private async ended(plan: EndedPlan, limit: number, offset: number): Promise<EndedJob[]> {
    const pieceRows = readsRows(plan) ? READ_PIECE_ROWS : SKIP_PIECE_ROWS;
    const jobs: EndedJob[] = [];
    for (let { before } = plan, skip = offset, isFull = true; isFull && jobs.length < limit;) {
      const rows = Math.min(pieceRows, skip + limit - jobs.length);
      const piece = await this.readScript(() => endedScript({ ...plan, before }, rows));
      jobs.push(...piece.slice(skip));
      skip = Math.max(0, skip - piece.length);
      isFull = piece.length === rows;
      before = piece.at(-1) ?? before;
      await nextTurn();
    }
    return jobs;
  }

  private async readPieces(ranges: readonly RangePiece[], fromId: string, limit: number): Promise<string[][]> {
    const pieces: string[][] = [];
    for (const { topic, status, beforeId } of ranges) {
      pieces.push(toIds(await this.read(list.RANGE_IDS, [fromId, beforeId, topic, status, limit])));
      await nextTurn();
    }
    return pieces;
  }

  private async searchContents(
    ids: readonly string[],
    { uniqueKeys, text, member }: SearchTerms,
  ): Promise<SearchedContents> {
    const found: SearchedContents['found'][number][] = [];
    let bytes = 0;
    const path = member && `$${member.path.map((name) => `."${name}"`).join('')}`;
    const params = [JSON.stringify(uniqueKeys), toJsonText(text), path, member && member.value];
    for (let start = 0; start < ids.length; start += SEARCH_PIECE_ROWS) {
      const piece = ids.slice(start, start + SEARCH_PIECE_ROWS);
      const searched = toSearchedContents(
        (await this.read(list.SEARCH_CONTENTS, [JSON.stringify(piece), ...params]))[0]!,
      );
      found.push(...searched.found);
      bytes += searched.bytes;
      await nextTurn();
    }
    return { found, bytes };
  }

  async timeseries(topics: readonly string[], minutes: number): Promise<RolledUpMinutes> {
    const rows = await this.read(stats.TIMESERIES, [JSON.stringify(topics), minutes]);
    return { now: await this.readMinute(), entries: rows.map(toRolledUpEntry) };
  }

  async servedTopics(): Promise<string[]> {
    const rows = await this.read(stats.SERVED_TOPICS, [WORKER_SEEN_MS]);
    return rows.map(({ topic }) => topic as string);
  }

  async workers(): Promise<WorkerProcess[]> {
    return (await this.read(stats.WORKERS, [WORKER_SEEN_MS])).map(toWorkerProcess);
  }

  async waitingTopics(): Promise<string[]> {
    return [...new Set((await this.read(stats.WAITING_TOPICS, [])).map(({ topic }) => topic as string))];
  }

  async recordRollup({ worker, minute, totals, since }: RollupRecord): Promise<Date> {
    const now = await this.readMinute();
    const isSame = now.getTime() === minute?.getTime();
    await this.write(stats.RECORD_ROLLUP, [toRollupJson(totals, since), Number(isSame), worker, now.getTime()]);
    return now;
  }

  async recordWorker(worker: string, topics: readonly string[], details: WorkerDetails): Promise<PresenceReply> {
    const params = [worker, JSON.stringify(topics), JSON.stringify(details)];
    return toPresenceReply((await this.write(stats.RECORD_WORKER, params))[0]!);
  }

  async forgetWorker(worker: string): Promise<void> {
    await this.write(stats.FORGET_WORKER, [worker]);
  }

  async pruneReports(): Promise<void> {
    await this.write(stats.PRUNE_ROLLUP, [ROLLUP_AGE_MS]);
    await this.write(stats.PRUNE_WORKERS, [WORKER_AGE_MS]);
  }

  /** Runs a statement for each topic, with an iteration of the event loop after each. */
  private async readShares<T>(
    shares: readonly TopicShare[],
    sql: string,
    toResult: (row: SqlRow) => T,
    ...params: unknown[]
  ): Promise<T[]> {
    const results: T[] = [];
    for (const { topic, limit } of shares) {
      const rows = await this.read(sql, [topic, limit, ...params]);
      rows.forEach((row) => results.push(toResult(row)));
      await nextTurn();
    }
    return results;
  }

  private async readMinute(): Promise<Date> {
    const [row] = await this.read(stats.THIS_MINUTE, []);
    return new Date(Number(row!.minute));
  }
}
