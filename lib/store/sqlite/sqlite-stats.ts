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
import type * as Seam from '../report-store.js';
import type { JobReports, ReportRecords } from '../report-store.js';
import { ROLLUP_AGE_MS, WORKER_AGE_MS, WORKER_SEEN_MS } from '../report-store.js';
import { toJob } from '../row-mapper.js';
import { rollupJson } from '../batch-json.js';
import type { SqlQuery, SqlRow, SqlScript, SqlStatement } from '../sql-runner.js';
import * as sql from './sql/stats.js';
import { one, sqliteTime } from './scripts.js';

/** Runs a script on the queue's connection, when it is free. */
type Run = <T>(script: () => SqlScript<T>) => Promise<T>;

/** Rows that are counted, or passed over in the order of the table, in one tick: about 2 ms. */
const COUNT_PIECE_ROWS = 40_000;
/** Rows that are passed over in one tick on the way to a page, in each of its lanes. */
const PASSED_PIECE_ROWS = 2_000;

/** Reports on jobs in a SQLite file. */
export class SqliteStats implements JobReports, ReportRecords {
  private readonly source: ListSource = {
    topics: (status) => this.read(() => topicsScript(status)),
    failedUpTo: (lanes) => this.read(() => sizesScript(lanes, sql.FAILED_UP_TO)),
    failedWith: (text, lanes) => this.idsOfLanes(lanes, sql.FAILED_WITH, text),
    failedAlike: (errorKey, lanes) => this.failedAlike(errorKey, lanes),
    waitingUpTo: (due, lanes) => this.read(() => sizesScript(lanes, due ? sql.DUE_UP_TO : sql.NOT_DUE_UP_TO)),
    waiting: (due, lanes) => this.idsOfLanes(lanes, due ? sql.DUE_IDS : sql.NOT_DUE_IDS),
    isSmall: async (rowsMax) => (await this.read(() => one(sql.HAS_MORE_THAN, [rowsMax]))).length === 0,
    ids: (plan, limit, offset) => this.idsBehind(plan, limit, offset),
    count: (plan, max) => this.read(() => countScript(plan, max)),
    find: async (ids) => (await this.read(() => one(sql.FIND_JOBS, [JSON.stringify(ids)]))).map(toJob),
  };

  constructor(
    private readonly read: Run,
    private readonly run: Run,
    private readonly write: SqlQuery,
  ) {}

  list(query: ListFilter): Promise<Seam.ListedJobs> {
    return readList(query, this.source);
  }

  idsOf(query: ListFilter): Promise<Seam.ListedIds> {
    return readListIds(query, this.source);
  }

  async standing(ids: readonly string[]): Promise<Seam.StandingJob[]> {
    return (await this.read(() => one(sql.STANDING, [JSON.stringify(ids)]))).map(standingOf);
  }

  async counts(asked: readonly string[] | null): Promise<Seam.TopicCounts[]> {
    if (await this.source.isSmall(SMALL_TABLE_JOBS)) {
      return countsOf(await this.read(() => one(sql.COUNT_ALL_STATUSES, [asked && JSON.stringify(asked)])));
    }
    return this.countsInPieces(asked);
  }

  /** With turns of the event loop between the pieces: a read ends within its tick. */
  private async countsInPieces(asked: readonly string[] | null): Promise<Seam.TopicCounts[]> {
    const running = await this.read(() => one(sql.COUNT_RUNNING, []));
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
      const [piece] = await this.read(() => one(sql.COUNT_PIECE, [topic, status, last, COUNT_PIECE_ROWS]));
      jobs += Number(piece!.jobs);
      if (Number(piece!.jobs) < COUNT_PIECE_ROWS) {
        return jobs;
      }
      last = piece!.last;
      await nextTurn();
    }
  }

  async runTimes(lanes: readonly ReportLane[]): Promise<Seam.TopicRunTimes[]> {
    const samples = await inTurn(lanes, async ({ topic, limit }) => {
      const rows = await this.read(() => one(sql.RUN_TIMES, [topic, limit]));
      return { topic, timesMs: rows.map((row) => Number(row.time_ms)) };
    });
    return samples.filter(({ timesMs }) => timesMs.length > 0);
  }

  failingLanes(topics: readonly string[] | null, jobsMax: number): Promise<ReportLane[]> {
    return failingLanesOf(topics, jobsMax, this.source);
  }

  async errors(lanes: readonly ReportLane[], groupsMax: number): Promise<ErrorGroup[]> {
    const groups = await inTurn(lanes, async ({ topic, limit }) =>
      (await this.read(() => one(sql.ERRORS, [topic, limit, groupsMax]))).map(errorGroupOf),
    );
    const byCount = (left: ErrorGroup, right: ErrorGroup): number =>
      right.count - left.count || right.lastSeen.getTime() - left.lastSeen.getTime();
    return groups.flat().sort(byCount).slice(0, groupsMax);
  }

  /** What lies before the page is passed over in pieces, with turns of the event loop between them. */
  private async idsBehind(plan: ListPlan, limit: number, offset: number): Promise<string[]> {
    const pieceRows = plan.lanes === null ? COUNT_PIECE_ROWS : PASSED_PIECE_ROWS;
    let { beforeId } = plan;
    let left = offset;
    for (; left > pieceRows; left -= pieceRows) {
      const [last] = await this.read(() => idsScript({ ...plan, beforeId }, 1, pieceRows - 1));
      if (last === undefined) {
        return [];
      }
      beforeId = last;
      await nextTurn();
    }
    return this.read(() => idsScript({ ...plan, beforeId }, limit, left));
  }

  private async idsOfLanes(lanes: readonly ReportLane[], ids: string, ...more: unknown[]): Promise<string[]> {
    const found = await inTurn(lanes, ({ topic, limit }) => this.read(() => one(ids, [topic, limit, ...more])));
    return idsIn(found.flat());
  }

  /** SQLite has no hash: which text has the key is found out here. */
  private async failedAlike(errorKey: string, lanes: readonly ReportLane[]): Promise<string[]> {
    const found = await inTurn(lanes, async (lane) => {
      const texts = await this.read(() => one(sql.FAILED_TEXTS, [lane.topic, lane.limit]));
      const text = texts
        .map(({ message }) => message as string)
        .find((each) => errorKeyOf(lane.topic, each) === errorKey);
      return text === undefined ? [] : this.idsOfLanes([lane], sql.FAILED_ALIKE, text);
    });
    return found.flat();
  }

  async timeseries(topics: readonly string[], minutes: number): Promise<Seam.RolledUpMinutes> {
    const rows = await this.read(() => one(sql.TIMESERIES, [JSON.stringify(topics), minutes]));
    const [now] = await this.read(() => one(sql.THIS_MINUTE, []));
    return { now: new Date(Number(now!.minute)), entries: rows.map(rolledUpOf) };
  }

  async servedTopics(): Promise<string[]> {
    const rows = await this.read(() => one(sql.SERVED_TOPICS, [WORKER_SEEN_MS]));
    return rows.map(({ topic }) => topic as string);
  }

  async waitingTopics(): Promise<string[]> {
    return (await this.read(() => one(sql.WAITING_TOPICS, []))).map(({ topic }) => topic as string);
  }

  recordRollup(record: Seam.RollupRecord): Promise<Date> {
    return this.run(() => recordScript(record));
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
}

/** What is read of one lane after another, with a turn of the event loop behind each: a read ends within its tick. */
async function inTurn<T>(lanes: readonly ReportLane[], read: (lane: ReportLane) => Promise<T>): Promise<T[]> {
  const answers: T[] = [];
  for (const lane of lanes) {
    answers.push(await read(lane));
    await nextTurn();
  }
  return answers;
}

/** From one topic to the next, however many jobs each has. */
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
    const params = [plan.fromId, plan.beforeId, ...datesOf(plan), limit, offset];
    return idsIn(yield { sql: sql.ALL_IDS, params });
  }
  const wanted = limit + offset;
  let ids = (yield* othersScript(plan)).sort(newestFirst);
  for (const lane of plan.lanes) {
    // Of the lanes that follow only what is newer than the last one that would be shown is of use.
    const fromId = ids[wanted - 1] ?? plan.fromId;
    const more = idsIn(yield laneStatement(LANE_IDS, { ...plan, fromId }, lane, wanted));
    ids = more.length === 0 ? ids : [...ids, ...more].sort(newestFirst).slice(0, wanted);
  }
  return ids.slice(offset, wanted);
}

function* countScript(plan: ListPlan, max: number): SqlScript<number> {
  if (plan.lanes === null) {
    const [row] = yield { sql: sql.COUNT_ALL, params: [plan.fromId, plan.beforeId, ...datesOf(plan), max] };
    return Number(row!.total);
  }
  let total = (yield* othersScript(plan)).length;
  for (const lane of plan.lanes) {
    if (total >= max) {
      return max;
    }
    const [size] = yield laneStatement(LANE_SIZE, plan, lane, max - total);
    total += Number(size!.jobs);
  }
  return Math.min(total, max);
}

/** What stands in no lane. */
function* othersScript(plan: ListPlan): SqlScript<string[]> {
  const { topics, statuses } = plan.idFilter;
  const single = [plan.ids, topics, statuses].map((each) => JSON.stringify(each));
  const [range, dates] = [[plan.fromId, plan.beforeId], datesOf(plan)];
  const running = yield { sql: sql.RUNNING_IDS, params: [...range, JSON.stringify(plan.runningTopics), ...dates] };
  const asked = yield {
    sql: sql.SINGLE_IDS,
    params: [...range, ...single, ...dates, dueOf(plan)],
  };
  return [...idsIn(running), ...idsIn(asked)];
}

/** The same with dates, for which each row must be visited, and without. */
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
  const dates = datesOf(plan);
  const params = [plan.fromId, plan.beforeId, topic, status, limit];
  return isDated(plan) ? { sql: dated, params: [...params, ...dates, dueOf(plan)] } : { sql: undated, params };
}

/** Ids are ASCII: their order here is that of the database. */
function newestFirst(one: string, other: string): number {
  return one < other ? 1 : -1;
}

function* recordScript({ worker, minute, totals, since }: Seam.RollupRecord): SqlScript<Date> {
  const [now] = yield { sql: sql.THIS_MINUTE, params: [], isRead: true };
  const thisMinute = Number(now!.minute);
  const isSame = thisMinute === minute?.getTime();
  yield { sql: sql.RECORD_ROLLUP, params: [rollupJson(totals, since), Number(isSame), worker, thisMinute] };
  return new Date(thisMinute);
}

function datesOf({ createdFrom, createdTo }: ListPlan): (string | null)[] {
  return [createdFrom, createdTo].map((moment) => moment && sqliteTime(moment));
}

function dueOf({ idFilter: { due } }: ListPlan): number | null {
  return due === null ? null : Number(due);
}

function idsIn(rows: readonly SqlRow[]): string[] {
  return rows.map(({ id }) => id as string);
}
