import type { Job } from '../../core/job.js';
import type { WorkerDetails, WorkerProcess } from '../../core/job-reports.js';
import type { ListFilter } from '../../core/list-filter.js';
import { findInErrorGroup } from '../lists/error-group-search.js';
import type { EndedJob, EndedPlan, ListPlan, ListSource, RangePiece } from '../lists/job-list.js';
import { readList, readListIds, readsRows, WHOLE_RANGES_MAX } from '../lists/job-list.js';
import { measureFailingTopics } from '../lists/job-search.js';
import type {
  ErrorCount,
  FailureKind,
  FailureShares,
  JobCounts,
  LastError,
  RecordedCounts,
  RolledUpMinutes,
  RollupRecord,
  TopicAttempts,
  TopicRunTimes,
  TopicShare,
} from './report-records.js';
import type { ListedIds, ListedJobs, JobSummary, SweptPage } from '../jobs/job-records.js';
import { SWEPT_ROWS } from '../jobs/job-records.js';
import {
  toJsonText,
  toSearchedContents,
  toCountsJson,
  toJobCounts,
  toCountClaim,
  toRecordedCounts,
  toErrorCount,
  toLastError,
  toTopicAttempts,
  toTopicSize,
  toRolledUpEntry,
  toJobSummary,
  toWorkerProcess,
  toSweptReports,
} from './report-mapper.js';
import type { DefinitionRef } from '../definitions/definition-records.js';
import { toRefsJson } from '../definitions/definition-table.js';
import { toJob, toPresenceReply } from '../jobs/row-mapper.js';
import type { JobReports, ReportRecords } from '../job-store.js';
import type { PresenceReply, WorkerSharing } from './report-records.js';
import { WORKER_SEEN_MS, ROLLUP_AGE_MS, WORKER_AGE_MS } from './report-records.js';
import { toRollupJson } from '../jobs/batch-json.js';
import type { SqlQuery } from '../runtime/sql-runner.js';
import { EXISTING_TOPICS, KNOWN_TOPICS } from './known-topics.postgres.js';
import * as list from '../lists/list.postgres.js';
import * as counts from './counts.postgres.js';
import * as stats from './reports.postgres.js';

/** Lists, counts and statistics of jobs in PostgreSQL. */
export class PostgresStats implements JobReports, ReportRecords {
  private readonly source: ListSource = {
    topics: (max, kind) => this.texts('topic', kind ? list.FAILING_TOPICS[kind] : list.TOPICS, [max]),
    rare: (statuses, max) => this.texts('id', list.RARE_IDS, [statuses, max]),
    failedUpTo: async (kind, shares) =>
      (await this.query(list.FAILED_UP_TO[kind], [toShareJson(shares)])).map(toTopicSize),
    failedWith: (text, kind, shares, asOf) =>
      this.texts('id', list.FAILED_WITH[kind], [toShareJson(shares), text, asOf]),
    holdersOf: (uniqueKeys, topics) => this.texts('id', list.HOLDERS_OF, [topics, uniqueKeys]),
    contents: async (ids, { uniqueKeys, text, member }) => {
      const params = [ids, uniqueKeys, toJsonText(text), member?.path ?? null, member?.value ?? null];
      return toSearchedContents((await this.query(list.SEARCH_CONTENTS, params))[0]!);
    },
    withKey: (filter, ...params) =>
      this.texts('id', list.WITH_KEY[filter], params, filter === 'label' ? this.queryPlanned : this.query),
    failedAlike: async (errorKey, kind, shares, asOf) =>
      findInErrorGroup(await this.query(list.FAILED_TEXTS[kind], [toShareJson(shares), asOf]), errorKey),
    waitingUpTo: async (due, shares) =>
      (await this.query(due ? list.DUE_UP_TO : list.NOT_DUE_UP_TO, [toShareJson(shares)])).map(toTopicSize),
    waiting: (due, shares, asOf) =>
      asOf === null
        ? this.texts('id', due ? list.DUE_IDS : list.NOT_DUE_IDS, [toShareJson(shares)])
        : this.texts('id', due ? list.DUE_IDS_AS_OF : list.NOT_DUE_IDS_AS_OF, [toShareJson(shares), asOf]),
    isSmall: async (rowsMax) => (await this.query(list.HAS_MORE_THAN, [rowsMax])).length === 0,
    ids: (plan, limit, offset) => this.texts('id', selectStatements(plan).ids, [...toParams(plan), limit, offset]),
    pieces: async (ranges, fromId, limit) => {
      const rows = await this.query(list.RANGE_PIECES, [toRangeJson(ranges), fromId, limit]);
      const pieces = ranges.map(() => new Array<string>());
      rows.forEach(({ number, id }) => pieces[number as number]!.push(id as string));
      return pieces;
    },
    count: async (plan, max) => {
      const [row] = await this.query(selectStatements(plan).count, [...toParams(plan), max]);
      return Number(row!.total);
    },
    ended: (plan, limit, offset) => this.ended(plan, limit, offset),
    countEnded: async (plan, max) => {
      const [row] = await this.query(selectEnded(plan).count, [...toEndedParams(plan), max]);
      return Number(row!.total);
    },
    find: async (ids): Promise<Job[]> => (await this.query(list.FIND_JOBS, [ids])).map(toJob),
  };

  /** @param queryPlanned plans a statement for its values, in a transaction of its own. */
  constructor(
    private readonly query: SqlQuery,
    private readonly queryPlanned: SqlQuery,
  ) {}

  list(query: ListFilter): Promise<ListedJobs> {
    return readList(query, this.source);
  }

  listIds(query: ListFilter): Promise<ListedIds> {
    return readListIds(query, this.source);
  }

  async summarize(ids: readonly string[], asOf: string | null = null): Promise<JobSummary[]> {
    return (await this.query(list.JOB_SUMMARIES, [ids, asOf])).map(toJobSummary);
  }

  async now(): Promise<string> {
    return (await this.texts('now', stats.NOW, []))[0]!;
  }

  async counts(topics: readonly string[] | null): Promise<JobCounts> {
    return toJobCounts(await (topics ? this.query(counts.COUNTS_OF_TOPICS, [topics]) : this.query(counts.COUNTS, [])));
  }

  async recordedCounts(): ReturnType<JobReports['recordedCounts']> {
    return toRecordedCounts((await this.query(counts.RECORDED_COUNTS, []))[0]!);
  }

  async isSmall(jobsMax: number): Promise<boolean> {
    return this.source.isSmall(jobsMax);
  }

  async claimCount(restFactor: number): Promise<Date | null> {
    return toCountClaim(await this.query(counts.CLAIM_COUNT, [restFactor]));
  }

  async recordCounts({ countedAt, tookMs, ...counted }: RecordedCounts): Promise<void> {
    await this.query(counts.RECORD_COUNTS, [toCountsJson(counted), countedAt.toISOString(), tookMs]);
  }

  async runTimes(shares: readonly TopicShare[]): Promise<TopicRunTimes[]> {
    const rows = await this.query(stats.RUN_TIMES, [toShareJson(shares)]);
    return rows.map((row) => ({
      topic: row.topic as string,
      timesMs: JSON.parse(row.times_ms as string) as number[],
    }));
  }

  failingTopics(kind: FailureKind, topics: readonly string[] | null, jobsMax: number): Promise<TopicShare[]> {
    return measureFailingTopics(topics, jobsMax, this.source, kind);
  }

  async errors({ failed, retrying, labels }: FailureShares): Promise<ErrorCount[]> {
    return (await this.query(list.ERRORS, [toShareJson(failed), toShareJson(retrying), labels])).map(toErrorCount);
  }

  async lastErrors(ids: readonly string[]): Promise<LastError[]> {
    return (await this.query(list.LAST_ERRORS, [ids])).map(toLastError);
  }

  async recentAttempts(topics: readonly string[], minutes: number): Promise<TopicAttempts[]> {
    return (await this.query(stats.RECENT_ATTEMPTS, [topics, minutes])).map(toTopicAttempts);
  }

  async timeseries(topics: readonly string[], minutes: number): Promise<RolledUpMinutes> {
    const rows = await this.query(stats.TIMESERIES, [topics, minutes]);
    const [now] = await this.query(stats.THIS_MINUTE, []);
    return { now: new Date(Number(now!.minute)), entries: rows.map(toRolledUpEntry) };
  }

  servedTopics(): Promise<string[]> {
    return this.texts('topic', stats.SERVED_TOPICS, [WORKER_SEEN_MS]);
  }

  async workers(): Promise<WorkerProcess[]> {
    return (await this.query(stats.WORKERS, [WORKER_SEEN_MS])).map(toWorkerProcess);
  }

  async waitingTopics(): Promise<string[]> {
    return [...new Set(await this.texts('topic', stats.WAITING_TOPICS, []))];
  }

  knownTopics(max: number): Promise<string[]> {
    return this.texts('topic', KNOWN_TOPICS, [WORKER_SEEN_MS, max]);
  }

  existingTopics(topics: readonly string[]): Promise<string[]> {
    return this.texts('topic', EXISTING_TOPICS, [WORKER_SEEN_MS, topics]);
  }

  async recordRollup({ worker, minute, totals, since }: RollupRecord): Promise<Date> {
    const [row] = await this.query(stats.RECORD_ROLLUP, [
      toRollupJson(totals, since),
      minute?.toISOString() ?? null,
      worker,
    ]);
    return new Date(Number(row!.minute));
  }

  async recordWorker(
    worker: string,
    topics: readonly string[],
    details: WorkerDetails,
    sharing: WorkerSharing | null = null,
    definitions: readonly DefinitionRef[] = [],
  ): Promise<PresenceReply> {
    const json = JSON.stringify({ ...details, sharing: sharing ?? undefined });
    const params = [worker, JSON.stringify(topics), json];
    const [row] =
      definitions.length === 0
        ? await this.query(stats.RECORD_WORKER, params)
        : await this.query(stats.RECORD_DECLARING_WORKER, [...params, toRefsJson(definitions)]);
    return toPresenceReply(row!);
  }

  async forgetWorker(worker: string): Promise<void> {
    await this.query(stats.FORGET_WORKER, [worker]);
  }

  async pruneReports(limit = SWEPT_ROWS): Promise<SweptPage> {
    const [rollup] = await this.query(stats.PRUNE_ROLLUP, [ROLLUP_AGE_MS, limit]);
    const [workers] = await this.query(stats.PRUNE_WORKERS, [WORKER_AGE_MS, limit]);
    return toSweptReports([Number(rollup!.removed), Number(workers!.removed)], limit);
  }

  /**
   * Of a long list, reads some jobs of each range first. They show from when on the list has all of its jobs, since a hundred ranges may
   * each have as many jobs as the list.
   */
  private async ended(plan: EndedPlan, limit: number, offset: number): Promise<EndedJob[]> {
    const wanted = limit + offset;
    let { finishedFrom } = plan;
    let someJobs = wanted <= WHOLE_RANGES_MAX ? wanted : Math.ceil((2 * wanted) / plan.ranges.length);
    for (let last: EndedJob | undefined; someJobs < wanted && !last; someJobs *= 4) {
      last = (await this.readEnded(plan, wanted, 0, someJobs))[wanted - 1];
      finishedFrom = last ? new Date(last.finished) : finishedFrom;
    }
    return this.readEnded({ ...plan, finishedFrom }, limit, offset, wanted);
  }

  private async readEnded(plan: EndedPlan, limit: number, offset: number, rangeLimit: number): Promise<EndedJob[]> {
    const rows = await this.query(selectEnded(plan).ids, [...toEndedParams(plan), limit, offset, rangeLimit]);
    return rows.map(({ id, ended }) => ({ id: id as string, finished: ended as string }));
  }

  /** Returns one column of text. */
  private async texts(
    column: string,
    statement: string,
    params: readonly unknown[],
    query = this.query,
  ): Promise<string[]> {
    return (await query(statement, params)).map((row) => row[column] as string);
  }
}

function selectStatements(plan: ListPlan): list.ListStatements {
  if (plan.ranges === null) {
    return list.LIST_ALL;
  }
  const hasRetrying = plan.ranges.some(({ status }) => status === 'retrying');
  return list.LIST_RANGES[readsRows(plan) ? 'filtered' : 'unfiltered'][hasRetrying ? 'retrying' : 'other'];
}

function toParams(plan: ListPlan): unknown[] {
  const range = [plan.fromId, plan.beforeId];
  const dates = [plan.createdFrom, plan.createdTo].map((moment) => moment?.toISOString() ?? null);
  const { topics, statuses, due } = plan.idFilter;
  if (plan.ranges === null) {
    return [...range, ...dates, plan.asOf, statuses, due];
  }
  const params = [...range, JSON.stringify(plan.ranges), plan.runningTopics, plan.ids, topics, statuses, due];
  return readsRows(plan) ? [...params, ...dates, plan.asOf] : params;
}

function selectEnded(plan: EndedPlan): list.ListStatements {
  return list.LIST_ENDED[readsRows(plan) ? 'filtered' : 'unfiltered'];
}

function toEndedParams(plan: EndedPlan): unknown[] {
  const { before, finishedFrom, ranges, ids, idFilter } = plan;
  const range = [before.finished ?? 'infinity', before.id, finishedFrom?.toISOString() ?? '-infinity'];
  const params = [...range, JSON.stringify(ranges), ids, idFilter.topics, idFilter.statuses];
  const dates = [plan.createdFrom, plan.createdTo].map((moment) => moment?.toISOString() ?? null);
  return readsRows(plan) ? [...params, ...dates, plan.asOf] : params;
}

function toRangeJson(ranges: readonly RangePiece[]): string {
  return JSON.stringify(
    ranges.map(({ topic, status, beforeId }, number) => ({ number, topic, status, before: beforeId })),
  );
}

function toShareJson(shares: readonly TopicShare[]): string {
  return JSON.stringify(shares.map(({ topic, limit }) => ({ topic, job_limit: limit })));
}
