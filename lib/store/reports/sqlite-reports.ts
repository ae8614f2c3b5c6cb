import type { WorkerDetails, WorkerProcess } from '../../core/job-reports.js';
import type { JobFilterStatus, JobStatus } from '../../core/job-state.js';
import { FILTER_STATUSES, JOB_STATUSES } from '../../core/job-state.js';
import { SMALL_TABLE_JOBS } from '../../core/bounds.js';
import type { ListFilter } from '../../core/list-filter.js';
import {
  toStatusCounts,
  toTopicCounts,
  toCountClaim,
  toRecordedCounts,
  toErrorCount,
  toLastError,
  toTopicAttempts,
  toGaugeRecord,
  toRolledUpEntry,
  toJobSummary,
  toWorkerProcess,
  toSweptReports,
} from './report-mapper.js';
import type { DefinitionRef } from '../definitions/definition-records.js';
import { toRefsJson } from '../definitions/definition-table.js';
import { toPresenceReply } from '../jobs/row-mapper.js';
import { readList, readListIds } from '../lists/job-list.js';
import { measureFailingTopics } from '../lists/job-search.js';
import { nextTurn } from '../runtime/real-timers.js';
import type {
  CountName,
  ErrorCount,
  FailureKind,
  FailureShares,
  LastError,
  PresenceReply,
  TopicAttempts,
  TopicShare,
  QueueGaugeRecord,
  RecordedCounts,
  RolledUpMinutes,
  RollupRecord,
  TopicCounts,
  TopicRunTimes,
  WorkerSharing,
} from './report-records.js';
import type { ListedIds, ListedJobs, JobSummary, SweptPage } from '../jobs/job-records.js';
import { SWEPT_ROWS } from '../jobs/job-records.js';
import type { JobReports, ReportRecords } from '../job-store.js';

import { GAUGE_LIMITS, ROLLUP_AGE_MS, WORKER_AGE_MS, WORKER_SEEN_MS } from './report-records.js';
import { toRollupJson } from '../jobs/batch-json.js';
import type { ReadScript, SqlQuery, SqlRow, SqlScript } from '../runtime/sql-runner.js';
import { COUNT_PIECE_ROWS, SqliteLists } from '../lists/sqlite-lists.js';
import { REFRESH_DEFINITIONS } from '../definitions/definition.sqlite.js';
import { toSqliteMoment } from '../jobs/job-row.sqlite.js';
import { EXISTING_TOPICS, KNOWN_TOPICS } from './known-topics.sqlite.js';
import * as list from '../lists/list.sqlite.js';
import * as stats from './reports.sqlite.js';

/** Statuses that are counted for each topic. Running jobs are few and have their own index. */
const LISTED = FILTER_STATUSES.filter((status) => status !== 'processing');
/** How often the clock is read until the next millisecond. */
const CLOCK_TURNS_MAX = 1_000;
/** Rows whose errors one statement reads. */
const ERRORS_PIECE_ROWS = 20;

/**
 * Lists and statistics of jobs in a SQLite file. A statement blocks the event loop until it ends, so long reads are cut into
 * pieces, with an iteration of the event loop between them.
 */
export class SqliteStats implements JobReports, ReportRecords {
  private readonly lists: SqliteLists;

  constructor(
    readScript: ReadScript,
    private readonly read: SqlQuery,
    private readonly write: SqlQuery,
    /** Runs the statements of a script in one transaction. */
    private readonly transact: ReadScript,
  ) {
    this.lists = new SqliteLists(readScript, read);
  }

  list(query: ListFilter): Promise<ListedJobs> {
    return readList(query, this.lists.source);
  }

  listIds(query: ListFilter): Promise<ListedIds> {
    return readListIds(query, this.lists.source);
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

  async counts(topics: readonly string[] | null, except: readonly CountName[] = []): Promise<TopicCounts[]> {
    const isCounted = buildNameFilter(except);
    const rows = (await this.lists.source.isSmall(SMALL_TABLE_JOBS))
      ? (await this.read(stats.COUNT_ALL_STATUSES, [topics && JSON.stringify(topics)])).filter(isCounted)
      : await this.countInPieces(topics ?? (await this.lists.source.topics()), isCounted);
    return toTopicCounts(rows.filter(({ jobs }) => jobs !== 0));
  }

  async recordedCounts(): ReturnType<JobReports['recordedCounts']> {
    return toRecordedCounts((await this.read(stats.RECORDED_COUNTS, []))[0]!);
  }

  async claimCount(restFactor: number): Promise<Date | null> {
    return toCountClaim(await this.write(stats.CLAIM_COUNT, [restFactor]));
  }

  async recordCounts({ counts, countedAt, tookMs }: RecordedCounts): Promise<void> {
    await this.write(stats.RECORD_COUNTS, [JSON.stringify(counts), toSqliteMoment(countedAt.toISOString()), tookMs]);
  }

  private async countInPieces(topics: readonly string[], isCounted: (name: SqlRow) => boolean): Promise<SqlRow[]> {
    const running = await this.read(stats.COUNT_RUNNING, []);
    const rows = running.filter(({ topic }) => topics.includes(topic as string));
    for (const topic of topics) {
      for (const status of LISTED.filter((each) => isCounted({ topic, status: each }))) {
        rows.push({ topic, status, jobs: await this.countTopic(topic, status) });
      }
      await nextTurn();
    }
    return rows;
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
    for (const topic of await this.lists.source.topics()) {
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
    const samples = await this.lists.readShares(shares, stats.RUN_TIMES, ({ topic, times_ms: timesMs }) => ({
      topic: topic as string,
      timesMs: JSON.parse(timesMs as string) as number[],
    }));
    return samples.filter(({ timesMs }) => timesMs.length > 0);
  }

  failingTopics(kind: FailureKind, topics: readonly string[] | null, jobsMax: number): Promise<TopicShare[]> {
    return measureFailingTopics(topics, jobsMax, this.lists.source, kind);
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

  async knownTopics(max: number): Promise<string[]> {
    return (await this.read(KNOWN_TOPICS, [WORKER_SEEN_MS, max])).map(({ topic }) => topic as string);
  }

  async existingTopics(topics: readonly string[]): Promise<string[]> {
    const rows = await this.read(EXISTING_TOPICS, [WORKER_SEEN_MS, JSON.stringify(topics)]);
    return rows.map(({ topic }) => topic as string);
  }

  async recordRollup({ worker, minute, totals, since }: RollupRecord): Promise<Date> {
    const now = await this.readMinute();
    const isSame = now.getTime() === minute?.getTime();
    await this.write(stats.RECORD_ROLLUP, [toRollupJson(totals, since), Number(isSame), worker, now.getTime()]);
    return now;
  }

  async recordWorker(
    worker: string,
    topics: readonly string[],
    details: WorkerDetails,
    _sharing?: WorkerSharing | null,
    definitions: readonly DefinitionRef[] = [],
  ): Promise<PresenceReply> {
    const params = [worker, JSON.stringify(topics), JSON.stringify(details)];
    const rows =
      definitions.length === 0
        ? await this.write(stats.RECORD_WORKER, params)
        : await this.transact(() => recordScript(definitions, params));
    return toPresenceReply(rows[0]!);
  }

  async forgetWorker(worker: string): Promise<void> {
    await this.write(stats.FORGET_WORKER, [worker]);
  }

  async pruneReports(limit = SWEPT_ROWS): Promise<SweptPage> {
    const rollup = await this.write(stats.PRUNE_ROLLUP, [ROLLUP_AGE_MS, limit]);
    const workers = await this.write(stats.PRUNE_WORKERS, [WORKER_AGE_MS, limit]);
    return toSweptReports([rollup.length, workers.length], limit);
  }

  private async readMinute(): Promise<Date> {
    const [row] = await this.read(stats.THIS_MINUTE, []);
    return new Date(Number(row!.minute));
  }
}

function* recordScript(
  definitions: readonly DefinitionRef[],
  params: readonly unknown[],
): SqlScript<readonly SqlRow[]> {
  yield { sql: REFRESH_DEFINITIONS, params: [toRefsJson(definitions)] };
  return yield { sql: stats.RECORD_WORKER, params };
}

/** Returns a filter that leaves out rows with these names. */
function buildNameFilter(except: readonly CountName[]): (row: SqlRow) => boolean {
  const names = new Set(except.map(({ topic, status }) => `${status} ${topic}`));
  return ({ topic, status }) => !names.has(`${status as string} ${topic as string}`);
}
