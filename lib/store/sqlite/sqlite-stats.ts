import type { ErrorGroup } from '../../core/job-reports.js';
import type { JobStatus } from '../../core/job-state.js';
import { JOB_STATUSES } from '../../core/job-state.js';
import { SMALL_TABLE_JOBS } from '../../core/limits.js';
import type { ListFilter } from '../../core/list-filter.js';
import {
  toErrorKey,
  toTopicCounts,
  toErrorGroup,
  toTopicSize,
  toRolledUpEntry,
  toStandingJob,
  toJob,
} from '../row-mapper.js';
import type { ListRange, ListPlan, ListSource } from '../job-list.js';
import { measureFailingTopics, isDated, readList, readListIds } from '../job-list.js';
import { nextTurn } from '../real-timers.js';
import type {
  TopicShare,
  ListedIds,
  ListedJobs,
  RolledUpMinutes,
  RollupRecord,
  StandingJob,
  TopicCounts,
  TopicRunTimes,
} from '../store-records.js';
import type { JobReports, ReportRecords } from '../job-store.js';
import { ROLLUP_AGE_MS, WORKER_AGE_MS, WORKER_SEEN_MS } from '../store-records.js';
import { rollupJson } from '../batch-json.js';
import type { SqlQuery, SqlRow, SqlScript, SqlStatement } from '../sql-runner.js';
import { toSqliteTime } from './sql/job-row.js';
import * as list from './sql/list.js';
import * as stats from './sql/stats.js';

/** Runs a script that only reads. */
type ReadScript = <T>(script: () => SqlScript<T>) => Promise<T>;

/** Rows that one statement counts, or skips in the order of the table: about 2 ms. */
const COUNT_PIECE_ROWS = 40_000;
/** Rows that one statement skips before a page, in each of its lanes. */
const SKIP_PIECE_ROWS = 2_000;

/**
 * Lists and statistics of jobs in a SQLite file. A statement blocks the event loop until it ends, so long reads are cut into
 * pieces, with an iteration of the event loop between them.
 */
export class SqliteStats implements JobReports, ReportRecords {
  private readonly source: ListSource = {
    topics: (status) => this.readScript(() => topicsScript(status)),
    failedUpTo: (lanes) => this.readLanes(lanes, list.FAILED_UP_TO, toTopicSize),
    failedWith: (text, lanes) => this.readLanes(lanes, list.FAILED_WITH, toId, text),
    failedAlike: (errorKey, lanes) => this.failedAlike(errorKey, lanes),
    waitingUpTo: (due, lanes) => this.readLanes(lanes, due ? list.DUE_UP_TO : list.NOT_DUE_UP_TO, toTopicSize),
    waiting: (due, lanes) => this.readLanes(lanes, due ? list.DUE_IDS : list.NOT_DUE_IDS, toId),
    isSmall: async (rowsMax) => (await this.read(list.HAS_MORE_THAN, [rowsMax])).length === 0,
    ids: (plan, limit, offset) => this.idsAfterOffset(plan, limit, offset),
    count: (plan, max) => this.readScript(() => countScript(plan, max)),
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

  idsOf(query: ListFilter): Promise<ListedIds> {
    return readListIds(query, this.source);
  }

  async standing(ids: readonly string[]): Promise<StandingJob[]> {
    return (await this.read(list.STANDING, [JSON.stringify(ids)])).map(toStandingJob);
  }

  async counts(asked: readonly string[] | null): Promise<TopicCounts[]> {
    if (await this.source.isSmall(SMALL_TABLE_JOBS)) {
      return toTopicCounts(await this.read(stats.COUNT_ALL_STATUSES, [asked && JSON.stringify(asked)]));
    }
    return this.countsInPieces(asked);
  }

  private async countsInPieces(asked: readonly string[] | null): Promise<TopicCounts[]> {
    const running = await this.read(stats.COUNT_RUNNING, []);
    const rows = [...running.filter(({ topic }) => asked === null || asked.includes(topic as string))];
    for (const topic of asked ?? (await this.source.topics())) {
      for (const status of JOB_STATUSES.filter((each) => each !== 'processing')) {
        rows.push({ topic, status, jobs: await this.countTopic(topic, status) });
      }
      await nextTurn();
    }
    return toTopicCounts(rows.filter(({ jobs }) => jobs !== 0));
  }

  private async countTopic(topic: string, status: JobStatus): Promise<number> {
    let jobs = 0;
    for (let last: unknown = ''; ;) {
      const [piece] = await this.read(stats.COUNT_PIECE, [topic, status, last, COUNT_PIECE_ROWS]);
      jobs += Number(piece!.jobs);
      if (Number(piece!.jobs) < COUNT_PIECE_ROWS) {
        return jobs;
      }
      last = piece!.last;
      await nextTurn();
    }
  }

  async runTimes(lanes: readonly TopicShare[]): Promise<TopicRunTimes[]> {
    const samples = await this.readLanes(lanes, stats.RUN_TIMES, ({ topic, times_ms: timesMs }) => ({
      topic: topic as string,
      timesMs: JSON.parse(timesMs as string) as number[],
    }));
    return samples.filter(({ timesMs }) => timesMs.length > 0);
  }

  failingTopics(topics: readonly string[] | null, jobsMax: number): Promise<TopicShare[]> {
    return measureFailingTopics(topics, jobsMax, this.source);
  }

  async errors(lanes: readonly TopicShare[], groupsMax: number): Promise<ErrorGroup[]> {
    const groups = await this.readLanes(lanes, list.ERRORS, toErrorGroup, groupsMax);
    const byCount = (left: ErrorGroup, right: ErrorGroup): number =>
      right.count - left.count || right.lastSeen.getTime() - left.lastSeen.getTime();
    return groups.sort(byCount).slice(0, groupsMax);
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

  /** SQLite has no SHA-256, so this method finds the message that has the key. PostgreSQL compares in SQL. */
  private async failedAlike(errorKey: string, lanes: readonly TopicShare[]): Promise<string[]> {
    const ids: string[] = [];
    for (const lane of lanes) {
      const messages = await this.readLanes([lane], list.FAILED_TEXTS, ({ message }) => message as string);
      const found = messages.find((message) => toErrorKey(lane.topic, message) === errorKey);
      if (found !== undefined) {
        ids.push(...(await this.readLanes([lane], list.FAILED_ALIKE, toId, found)));
      }
    }
    return ids;
  }

  async timeseries(topics: readonly string[], minutes: number): Promise<RolledUpMinutes> {
    const rows = await this.read(stats.TIMESERIES, [JSON.stringify(topics), minutes]);
    return { now: await this.readMinute(), entries: rows.map(toRolledUpEntry) };
  }

  async servedTopics(): Promise<string[]> {
    const rows = await this.read(stats.SERVED_TOPICS, [WORKER_SEEN_MS]);
    return rows.map(({ topic }) => topic as string);
  }

  async waitingTopics(): Promise<string[]> {
    return (await this.read(stats.WAITING_TOPICS, [])).map(({ topic }) => topic as string);
  }

  async recordRollup({ worker, minute, totals, since }: RollupRecord): Promise<Date> {
    const now = await this.readMinute();
    const isSame = now.getTime() === minute?.getTime();
    await this.write(stats.RECORD_ROLLUP, [rollupJson(totals, since), Number(isSame), worker, now.getTime()]);
    return now;
  }

  async noteWorker(worker: string, topics: readonly string[]): Promise<void> {
    await this.write(stats.RECORD_WORKER, [worker, JSON.stringify(topics)]);
  }

  async forgetWorker(worker: string): Promise<void> {
    await this.write(stats.FORGET_WORKER, [worker]);
  }

  async pruneReports(): Promise<void> {
    await this.write(stats.PRUNE_ROLLUP, [ROLLUP_AGE_MS]);
    await this.write(stats.PRUNE_WORKERS, [WORKER_AGE_MS]);
  }

  /** Runs a statement for each lane, with an iteration of the event loop after each. */
  private async readLanes<T>(
    lanes: readonly TopicShare[],
    sql: string,
    toResult: (row: SqlRow) => T,
    ...params: unknown[]
  ): Promise<T[]> {
    const results: T[] = [];
    for (const { topic, limit } of lanes) {
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

/** Lists topics. It skips from one topic to the next, so the cost does not depend on the number of jobs. */
function* topicsScript(status?: JobStatus): SqlScript<string[]> {
  const topics = new Set<string>();
  for (let last = ''; ;) {
    const [next] = yield { sql: list.NEXT_TOPIC, params: [last] };
    if (!next) {
      break;
    }
    last = next.topic as string;
    const has = status === undefined || (yield { sql: list.HAS_STATUS, params: [last, status] }).length > 0;
    if (has) {
      topics.add(last);
    }
  }
  const running = status === undefined ? yield { sql: list.RUNNING_TOPICS, params: [] } : [];
  running.forEach(({ topic }) => topics.add(topic as string));
  return [...topics];
}

function* idsScript(plan: ListPlan, limit: number, offset: number): SqlScript<string[]> {
  if (plan.ranges === null) {
    const params = [plan.fromId, plan.beforeId, ...dateParams(plan), limit, offset];
    return toIds(yield { sql: list.ALL_IDS, params });
  }
  const wanted = limit + offset;
  let ids = (yield* otherIdsScript(plan)).sort(newestFirst);
  for (const lane of plan.ranges) {
    // The page needs only ids that are newer than its last one so far.
    const fromId = ids[wanted - 1] ?? plan.fromId;
    const more = toIds(yield laneStatement(LANE_IDS, { ...plan, fromId }, lane, wanted));
    ids = more.length === 0 ? ids : [...ids, ...more].sort(newestFirst).slice(0, wanted);
  }
  return ids.slice(offset, wanted);
}

function* countScript(plan: ListPlan, max: number): SqlScript<number> {
  if (plan.ranges === null) {
    const [row] = yield { sql: list.COUNT_ALL, params: [plan.fromId, plan.beforeId, ...dateParams(plan), max] };
    return Number(row!.total);
  }
  let total = (yield* otherIdsScript(plan)).length;
  for (const lane of plan.ranges) {
    if (total >= max) {
      return max;
    }
    const [size] = yield laneStatement(LANE_SIZE, plan, lane, max - total);
    total += Number(size!.jobs);
  }
  return Math.min(total, max);
}

/** Lists the ids outside of lanes: processing jobs, and jobs that the filter names. */
function* otherIdsScript(plan: ListPlan): SqlScript<string[]> {
  const { topics, statuses } = plan.idFilter;
  const single = [plan.ids, topics, statuses].map((each) => JSON.stringify(each));
  const range = [plan.fromId, plan.beforeId];
  const dates = dateParams(plan);
  const running = yield { sql: list.RUNNING_IDS, params: [...range, JSON.stringify(plan.runningTopics), ...dates] };
  const asked = yield { sql: list.SINGLE_IDS, params: [...range, ...single, ...dates, dueParam(plan)] };
  return [...toIds(running), ...toIds(asked)];
}

/** A statement with a filter on dates, which reads rows, and without, which reads the index only. */
interface LaneStatement {
  readonly dated: string;
  readonly undated: string;
}

const LANE_IDS: LaneStatement = { dated: list.LANE_IDS_DATED, undated: list.LANE_IDS };
const LANE_SIZE: LaneStatement = { dated: list.LANE_SIZE_DATED, undated: list.LANE_SIZE };

function laneStatement(
  { dated, undated }: LaneStatement,
  plan: ListPlan,
  { topic, status }: ListRange,
  limit: number,
): SqlStatement {
  const dates = dateParams(plan);
  const params = [plan.fromId, plan.beforeId, topic, status, limit];
  return isDated(plan) ? { sql: dated, params: [...params, ...dates, dueParam(plan)] } : { sql: undated, params };
}

/** Ids are ASCII, so JavaScript and SQLite order them alike. */
function newestFirst(one: string, other: string): number {
  return one < other ? 1 : -1;
}

function dateParams({ createdFrom, createdTo }: ListPlan): (string | null)[] {
  return [createdFrom, createdTo].map((date) => date && toSqliteTime(date));
}

function dueParam({ idFilter: { due } }: ListPlan): number | null {
  return due === null ? null : Number(due);
}

function toIds(rows: readonly SqlRow[]): string[] {
  return rows.map(toId);
}

function toId({ id }: SqlRow): string {
  return id as string;
}
