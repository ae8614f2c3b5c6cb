import type { JobFilterStatus } from '../../core/job-state.js';
import type { EndedJob, EndedPlan, ListPlan, ListRange } from './job-list.js';
import { newestFirst, readsRows } from './job-list.js';
import { VISITED_TOPICS_MAX } from './job-search.js';
import type { FailureKind } from '../reports/report-records.js';
import type { SqlRow, SqlScript, SqlStatement } from '../runtime/sql-runner.js';
import { toSqliteMoment, toSqliteTime } from '../jobs/job-row.sqlite.js';
import * as list from './list.sqlite.js';

/* The statements of a list, range by range. */

/** Lists up to `max` topics, and those of running jobs. It skips from one topic to the next, so many jobs in a topic cost nothing. */
export function* topicsScript(max: number, kind?: FailureKind): SqlScript<string[]> {
  const topics = new Set<string>();
  for (let last = '', visited = 0; topics.size < max && visited < VISITED_TOPICS_MAX; visited += 1) {
    const [next] = yield { sql: list.NEXT_TOPIC[kind ?? 'any'], params: [last] };
    if (!next) {
      break;
    }
    last = next.topic as string;
    if (kind !== 'failed' || (yield { sql: list.HAS_FAILED, params: [last] }).length > 0) {
      topics.add(last);
    }
  }
  const running = kind === undefined ? yield { sql: list.RUNNING_TOPICS, params: [] } : [];
  running.forEach(({ topic }) => topics.add(topic as string));
  return [...topics];
}

export function* idsScript(plan: ListPlan, limit: number, offset: number): SqlScript<string[]> {
  if (plan.ranges === null) {
    return toIds(yield { sql: list.ALL_IDS, params: [...toAllParams(plan), limit, offset] });
  }
  const wanted = limit + offset;
  let ids = (yield* otherIdsScript(plan)).sort(newestFirst);
  for (const range of plan.ranges) {
    // The page needs only ids that are newer than its last one so far.
    const fromId = ids[wanted - 1] ?? plan.fromId;
    const more = toIds(yield toRangeStatement(RANGE_IDS, { ...plan, fromId }, range, wanted));
    ids = more.length === 0 ? ids : [...ids, ...more].sort(newestFirst).slice(0, wanted);
  }
  return ids.slice(offset, wanted);
}

export function* countScript(plan: ListPlan, max: number): SqlScript<number> {
  if (plan.ranges === null) {
    const [row] = yield { sql: list.COUNT_ALL, params: [...toAllParams(plan), max] };
    return Number(row!.total);
  }
  let total = (yield* otherIdsScript(plan)).length;
  for (const range of plan.ranges) {
    if (total >= max) {
      return max;
    }
    const [size] = yield toRangeStatement(RANGE_SIZE, plan, range, max - total);
    total += Number(size!.jobs);
  }
  return Math.min(total, max);
}

function toAllParams(plan: ListPlan): unknown[] {
  const { statuses } = plan.idFilter;
  const filter = [statuses.length === 0 ? null : JSON.stringify(statuses), dueParam(plan)];
  return [plan.fromId, plan.beforeId, ...dateParams(plan), toSqliteMoment(plan.asOf), ...filter];
}

/** Lists the ids outside of the ranges: processing jobs, and jobs that the filter names. */
function* otherIdsScript(plan: ListPlan): SqlScript<string[]> {
  const { topics, statuses } = plan.idFilter;
  const filter = [plan.ids, topics, statuses].map((each) => each && JSON.stringify(each));
  const bounds = [plan.fromId, plan.beforeId];
  const [dates, asOf] = [dateParams(plan), toSqliteMoment(plan.asOf)];
  const running = yield {
    sql: list.RUNNING_IDS,
    params: [...bounds, JSON.stringify(plan.runningTopics), ...dates, asOf],
  };
  const single = yield { sql: list.SINGLE_IDS, params: [...bounds, ...filter, ...dates, dueParam(plan), asOf] };
  return [...toIds(running), ...toIds(single)];
}

/** A statement with a filter on dates, which reads rows, and without, which reads the index only. */
interface RangeStatement {
  readonly dated: string;
  readonly undated: string;
  readonly retrying: { readonly dated: string; readonly undated: string };
}

const RANGE_IDS: RangeStatement = {
  dated: list.RANGE_IDS_DATED,
  undated: list.RANGE_IDS,
  retrying: { dated: list.RETRYING_IDS_DATED, undated: list.RETRYING_IDS },
};
const RANGE_SIZE: RangeStatement = {
  dated: list.RANGE_SIZE_DATED,
  undated: list.RANGE_SIZE,
  retrying: { dated: list.RETRYING_SIZE_DATED, undated: list.RETRYING_SIZE },
};

function toRangeStatement(
  statement: RangeStatement,
  plan: ListPlan,
  { topic, status }: ListRange,
  limit: number,
): SqlStatement {
  const { dated, undated } = status === 'retrying' ? statement.retrying : statement;
  const dates = dateParams(plan);
  const params = [plan.fromId, plan.beforeId, topic, status, limit];
  return readsRows(plan)
    ? { sql: dated, params: [...params, ...dates, dueParam(plan), toSqliteMoment(plan.asOf)] }
    : { sql: undated, params };
}

/** Lists jobs by their end, from the last one on. */
export function* endedScript(plan: EndedPlan, limit: number): SqlScript<EndedJob[]> {
  let jobs = (yield* singleEndedScript(plan)).sort(lastEndedFirst);
  for (const range of plan.ranges) {
    // The page needs only jobs that ended later than its last one so far.
    const from = jobs[limit - 1]?.finished ?? null;
    const more = (yield toEndedStatement(ENDED_IDS, plan, range, limit, from)).map(toEndedJob);
    jobs = more.length === 0 ? jobs : [...jobs, ...more].sort(lastEndedFirst).slice(0, limit);
  }
  return jobs.slice(0, limit);
}

export function* countEndedScript(plan: EndedPlan, max: number): SqlScript<number> {
  let total = (yield* singleEndedScript(plan)).length;
  for (const range of plan.ranges) {
    if (total >= max) {
      return max;
    }
    const [size] = yield toEndedStatement(ENDED_SIZE, plan, range, max - total, null);
    total += Number(size!.jobs);
  }
  return Math.min(total, max);
}

function* singleEndedScript(plan: EndedPlan): SqlScript<EndedJob[]> {
  if (plan.ids.length === 0) {
    return [];
  }
  const { topics, statuses } = plan.idFilter;
  const filter = [plan.ids, topics, statuses].map((each) => each && JSON.stringify(each));
  const params = [...toEndedBounds(plan, null), ...filter, ...dateParams(plan), toSqliteMoment(plan.asOf)];
  return (yield { sql: list.SINGLE_ENDED_IDS, params }).map(toEndedJob);
}

const ENDED_IDS = { dated: list.ENDED_IDS_DATED, undated: list.ENDED_IDS };
const ENDED_SIZE = { dated: list.ENDED_SIZE_DATED, undated: list.ENDED_SIZE };

/** @param from the earliest end that counts, if it is later than that of the plan. */
function toEndedStatement(
  { dated, undated }: typeof ENDED_IDS,
  plan: EndedPlan,
  { topic, status }: ListRange,
  limit: number,
  from: string | null,
): SqlStatement {
  const params = [...toEndedBounds(plan, from), topic, status, limit];
  return readsRows(plan)
    ? { sql: dated, params: [...params, ...dateParams(plan), toSqliteMoment(plan.asOf)] }
    : { sql: undated, params };
}

/** Text after and before all times. */
const [LAST_TIME, FIRST_TIME] = ['~', ''];

function toEndedBounds({ before, finishedFrom }: EndedPlan, from: string | null): string[] {
  const earliest = from === null ? finishedFrom && toSqliteTime(finishedFrom) : toSqliteMoment(from);
  return [toSqliteMoment(before.finished) ?? LAST_TIME, before.id, earliest ?? FIRST_TIME];
}

function toEndedJob({ id, finished }: SqlRow): EndedJob {
  return { id: id as string, finished: `${(finished as string).replace(' ', 'T')}000Z` };
}

function lastEndedFirst(one: EndedJob, other: EndedJob): number {
  return one.finished === other.finished ? newestFirst(one.id, other.id) : one.finished < other.finished ? 1 : -1;
}

export function toSearchParams(
  key: string,
  topics: readonly string[] | null,
  statuses: readonly JobFilterStatus[],
  max: number,
  asOf: string | null,
): unknown[] {
  return [key, topics && JSON.stringify(topics), JSON.stringify(statuses), max, toSqliteMoment(asOf)];
}

function dateParams({ createdFrom, createdTo }: Pick<ListPlan, 'createdFrom' | 'createdTo'>): (string | null)[] {
  return [createdFrom, createdTo].map((date) => date && toSqliteTime(date));
}

function dueParam({ idFilter: { due } }: ListPlan): number | null {
  return due === null ? null : Number(due);
}

export function toIds(rows: readonly SqlRow[]): string[] {
  return rows.map(toId);
}

export function toId({ id }: SqlRow): string {
  return id as string;
}
