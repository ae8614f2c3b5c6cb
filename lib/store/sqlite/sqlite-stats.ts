import type { ErrorGroup } from '../../core/job-reports.js';
import type { JobStatus } from '../../core/job-state.js';
import { JOB_STATUSES } from '../../core/job-state.js';
import { SMALL_TABLE_JOBS } from '../../core/limits.js';
import type { ListFilter } from '../../core/list-filter.js';
import { errorKeyOf } from '../error-key.js';
import type { ListLane, ListPlan, ListSource } from '../job-list.js';
import { failingLanesOf, isDated, readList, readListIds } from '../job-list.js';
import { nextTurn } from '../real-timers.js';
import type { LaneSize, ReportLane } from '../report-lanes.js';
import { countsOf, errorGroupOf, rolledUpOf, standingOf } from '../report-rows.js';
import type {
  JobReports,
  ListedIds,
  ListedJobs,
  ReportRecords,
  RolledUpMinutes,
  RollupRecord,
  StandingJob,
  TopicCounts,
  TopicRunTimes,
} from '../report-store.js';
import { ROLLUP_AGE_MS, WORKER_AGE_MS, WORKER_SEEN_MS } from '../report-store.js';
import { toJob } from '../row-mapper.js';
import { rollupJson } from '../batch-json.js';
import type { SqlQuery, SqlRow, SqlScript, SqlStatement } from '../sql-runner.js';
import { toSqliteTime } from './sql/columns.js';
import * as sql from './sql/stats.js';

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
    failedUpTo: (lanes) => this.readScript(() => sizesScript(lanes, sql.FAILED_UP_TO)),
    failedWith: (text, lanes) => this.idsOfLanes(lanes, sql.FAILED_WITH, text),
    failedAlike: (errorKey, lanes) => this.failedAlike(errorKey, lanes),
    waitingUpTo: (due, lanes) => this.readScript(() => sizesScript(lanes, due ? sql.DUE_UP_TO : sql.NOT_DUE_UP_TO)),
    waiting: (due, lanes) => this.idsOfLanes(lanes, due ? sql.DUE_IDS : sql.NOT_DUE_IDS),
    isSmall: async (rowsMax) => (await this.read(sql.HAS_MORE_THAN, [rowsMax])).length === 0,
    ids: (plan, limit, offset) => this.idsAfterOffset(plan, limit, offset),
    count: (plan, max) => this.readScript(() => countScript(plan, max)),
    find: async (ids) => (await this.read(sql.FIND_JOBS, [JSON.stringify(ids)])).map(toJob),
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
    return (await this.read(sql.STANDING, [JSON.stringify(ids)])).map(standingOf);
  }

  async counts(asked: readonly string[] | null): Promise<TopicCounts[]> {
    if (await this.source.isSmall(SMALL_TABLE_JOBS)) {
      return countsOf(await this.read(sql.COUNT_ALL_STATUSES, [asked && JSON.stringify(asked)]));
    }
    return this.countsInPieces(asked);
  }

  private async countsInPieces(asked: readonly string[] | null): Promise<TopicCounts[]> {
    const running = await this.read(sql.COUNT_RUNNING, []);
    const rows = [...running.filter(({ topic }) => asked === null || asked.includes(topic as string))];
    for (const topic of asked ?? (await this.source.topics())) {
      for (const status of JOB_STATUSES.filter((each) => each !== 'processing')) {
        rows.push({ topic, status, jobs: await this.countOf(topic, status) });
      }
      await nextTurn();
    }
    return countsOf(rows.filter(({ jobs }) => jobs !== 0));
  }

  private async countOf(topic: string, status: JobStatus): Promise<number> {
    let jobs = 0;
    for (let last: unknown = ''; ;) {
      const [piece] = await this.read(sql.COUNT_PIECE, [topic, status, last, COUNT_PIECE_ROWS]);
      jobs += Number(piece!.jobs);
      if (Number(piece!.jobs) < COUNT_PIECE_ROWS) {
        return jobs;
      }
      last = piece!.last;
      await nextTurn();
    }
  }

  async runTimes(lanes: readonly ReportLane[]): Promise<TopicRunTimes[]> {
    const samples = await readEachLane(lanes, async ({ topic, limit }) => {
      const rows = await this.read(sql.RUN_TIMES, [topic, limit]);
      return { topic, timesMs: rows.map((row) => Number(row.time_ms)) };
    });
    return samples.filter(({ timesMs }) => timesMs.length > 0);
  }

  failingLanes(topics: readonly string[] | null, jobsMax: number): Promise<ReportLane[]> {
    return failingLanesOf(topics, jobsMax, this.source);
  }

  async errors(lanes: readonly ReportLane[], groupsMax: number): Promise<ErrorGroup[]> {
    const groups = await readEachLane(lanes, async ({ topic, limit }) =>
      (await this.read(sql.ERRORS, [topic, limit, groupsMax])).map(errorGroupOf),
    );
    const byCount = (left: ErrorGroup, right: ErrorGroup): number =>
      right.count - left.count || right.lastSeen.getTime() - left.lastSeen.getTime();
    return groups.flat().sort(byCount).slice(0, groupsMax);
  }

  /** Skips the rows before the page in pieces. */
  private async idsAfterOffset(plan: ListPlan, limit: number, offset: number): Promise<string[]> {
    const pieceRows = plan.lanes === null ? COUNT_PIECE_ROWS : SKIP_PIECE_ROWS;
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

  private async idsOfLanes(lanes: readonly ReportLane[], ids: string, ...more: unknown[]): Promise<string[]> {
    const found = await readEachLane(lanes, ({ topic, limit }) => this.read(ids, [topic, limit, ...more]));
    return toIds(found.flat());
  }

  /** SQLite has no SHA-256, so this method finds the message that has the key. PostgreSQL compares in SQL. */
  private async failedAlike(errorKey: string, lanes: readonly ReportLane[]): Promise<string[]> {
    const found = await readEachLane(lanes, async (lane) => {
      const messages = await this.read(sql.FAILED_TEXTS, [lane.topic, lane.limit]);
      const text = messages
        .map(({ message }) => message as string)
        .find((each) => errorKeyOf(lane.topic, each) === errorKey);
      return text === undefined ? [] : this.idsOfLanes([lane], sql.FAILED_ALIKE, text);
    });
    return found.flat();
  }

  async timeseries(topics: readonly string[], minutes: number): Promise<RolledUpMinutes> {
    const rows = await this.read(sql.TIMESERIES, [JSON.stringify(topics), minutes]);
    return { now: await this.readMinute(), entries: rows.map(rolledUpOf) };
  }

  async servedTopics(): Promise<string[]> {
    const rows = await this.read(sql.SERVED_TOPICS, [WORKER_SEEN_MS]);
    return rows.map(({ topic }) => topic as string);
  }

  async waitingTopics(): Promise<string[]> {
    return (await this.read(sql.WAITING_TOPICS, [])).map(({ topic }) => topic as string);
  }

  async recordRollup({ worker, minute, totals, since }: RollupRecord): Promise<Date> {
    const now = await this.readMinute();
    const isSame = now.getTime() === minute?.getTime();
    await this.write(sql.RECORD_ROLLUP, [rollupJson(totals, since), Number(isSame), worker, now.getTime()]);
    return now;
  }

  async noteWorker(worker: string, topics: readonly string[]): Promise<void> {
    await this.write(sql.NOTE_WORKER, [worker, JSON.stringify(topics)]);
  }

  async forgetWorker(worker: string): Promise<void> {
    await this.write(sql.FORGET_WORKER, [worker]);
  }

  async pruneReports(): Promise<void> {
    await this.write(sql.PRUNE_ROLLUP, [ROLLUP_AGE_MS]);
    await this.write(sql.PRUNE_WORKERS, [WORKER_AGE_MS]);
  }

  private async readMinute(): Promise<Date> {
    const [row] = await this.read(sql.THIS_MINUTE, []);
    return new Date(Number(row!.minute));
  }
}

/** Reads one lane after the other, with an iteration of the event loop after each. */
async function readEachLane<T>(lanes: readonly ReportLane[], read: (lane: ReportLane) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (const lane of lanes) {
    results.push(await read(lane));
    await nextTurn();
  }
  return results;
}

/** Lists topics. It skips from one topic to the next, so the cost does not depend on the number of jobs. */
function* topicsScript(status?: JobStatus): SqlScript<string[]> {
  const topics = new Set<string>();
  for (let last = ''; ;) {
    const [next] = yield { sql: sql.NEXT_TOPIC, params: [last] };
    if (!next) {
      break;
    }
    last = next.topic as string;
    const has = status === undefined || (yield { sql: sql.HAS_STATUS, params: [last, status] }).length > 0;
    if (has) {
      topics.add(last);
    }
  }
  const running = status === undefined ? yield { sql: sql.RUNNING_TOPICS, params: [] } : [];
  running.forEach(({ topic }) => topics.add(topic as string));
  return [...topics];
}

function* sizesScript(lanes: readonly ReportLane[], count: string): SqlScript<LaneSize[]> {
  const sizes: LaneSize[] = [];
  for (const { topic, limit } of lanes) {
    const [row] = yield { sql: count, params: [topic, limit] };
    sizes.push({ topic, jobs: Number(row!.jobs) });
  }
  return sizes;
}

function* idsScript(plan: ListPlan, limit: number, offset: number): SqlScript<string[]> {
  if (plan.lanes === null) {
    const params = [plan.fromId, plan.beforeId, ...dateParams(plan), limit, offset];
    return toIds(yield { sql: sql.ALL_IDS, params });
  }
  const wanted = limit + offset;
  let ids = (yield* otherIdsScript(plan)).sort(newestFirst);
  for (const lane of plan.lanes) {
    // The page needs only ids that are newer than its last one so far.
    const fromId = ids[wanted - 1] ?? plan.fromId;
    const more = toIds(yield laneStatement(LANE_IDS, { ...plan, fromId }, lane, wanted));
    ids = more.length === 0 ? ids : [...ids, ...more].sort(newestFirst).slice(0, wanted);
  }
  return ids.slice(offset, wanted);
}

function* countScript(plan: ListPlan, max: number): SqlScript<number> {
  if (plan.lanes === null) {
    const [row] = yield { sql: sql.COUNT_ALL, params: [plan.fromId, plan.beforeId, ...dateParams(plan), max] };
    return Number(row!.total);
  }
  let total = (yield* otherIdsScript(plan)).length;
  for (const lane of plan.lanes) {
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
  const [range, dates] = [[plan.fromId, plan.beforeId], dateParams(plan)];
  const running = yield { sql: sql.RUNNING_IDS, params: [...range, JSON.stringify(plan.runningTopics), ...dates] };
  const asked = yield {
    sql: sql.SINGLE_IDS,
    params: [...range, ...single, ...dates, dueParam(plan)],
  };
  return [...toIds(running), ...toIds(asked)];
}

/** A statement with a filter on dates, which reads rows, and without, which reads the index only. */
interface LaneStatement {
  readonly dated: string;
  readonly undated: string;
}

const LANE_IDS: LaneStatement = { dated: sql.LANE_IDS_DATED, undated: sql.LANE_IDS };
const LANE_SIZE: LaneStatement = { dated: sql.LANE_SIZE_DATED, undated: sql.LANE_SIZE };

function laneStatement(
  { dated, undated }: LaneStatement,
  plan: ListPlan,
  { topic, status }: ListLane,
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
  return rows.map(({ id }) => id as string);
}
