import type { WorkerDetails, WorkerProcess } from '../../core/job-reports.js';
import type { ListFilter } from '../../core/list-filter.js';
import {
  toCountsJson,
  toCountClaim,
  toRecordedCounts,
  toErrorCount,
  toLastError,
  toTopicAttempts,
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
  ErrorCount,
  FailureKind,
  FailureShares,
  JobCounts,
  LastError,
  PresenceReply,
  TopicAttempts,
  TopicShare,
  RecordedCounts,
  RolledUpMinutes,
  RollupRecord,
  TopicRunTimes,
  WorkerSharing,
} from './report-records.js';
import type { ListedIds, ListedJobs, JobSummary, SweptPage } from '../jobs/job-records.js';
import { SWEPT_ROWS } from '../jobs/job-records.js';
import type { JobReports, ReportRecords } from '../job-store.js';

import { ROLLUP_AGE_MS, WORKER_AGE_MS, WORKER_SEEN_MS } from './report-records.js';
import { toRollupJson } from '../jobs/batch-json.js';
import type { ReadScript, SqlQuery, SqlRow, SqlScript } from '../runtime/sql-runner.js';
import { SqliteLists } from '../lists/sqlite-lists.js';
import { REFRESH_DEFINITIONS } from '../definitions/definition.sqlite.js';
import { toSqliteMoment } from '../jobs/job-row.sqlite.js';
import { EXISTING_TOPICS, KNOWN_TOPICS } from './known-topics.sqlite.js';
import * as list from '../lists/list.sqlite.js';
import * as counts from './counts.sqlite.js';
import * as stats from './reports.sqlite.js';
import { countScript } from './sqlite-count-script.js';

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
    /** Runs a script that sees one state of the database, and may take long. */
    private readonly readSnapshot: ReadScript,
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

  counts(topics: readonly string[] | null): Promise<JobCounts> {
    return this.readSnapshot(() => countScript(topics));
  }

  isSmall(jobsMax: number): Promise<boolean> {
    return this.lists.source.isSmall(jobsMax);
  }

  async recordedCounts(): ReturnType<JobReports['recordedCounts']> {
    return toRecordedCounts((await this.read(counts.RECORDED_COUNTS, []))[0]!);
  }

  async claimCount(restFactor: number): Promise<Date | null> {
    return toCountClaim(await this.write(counts.CLAIM_COUNT, [restFactor]));
  }

  async recordCounts({ countedAt, tookMs, ...counted }: RecordedCounts): Promise<void> {
    const params = [toCountsJson(counted), toSqliteMoment(countedAt.toISOString()), tookMs];
    await this.write(counts.RECORD_COUNTS, params);
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

  async errors({ failed, retrying, labels }: FailureShares): Promise<ErrorCount[]> {
    const counts: ErrorCount[] = [];
    for (const topic of new Set([...failed, ...retrying].map((share) => share.topic))) {
      const limits = [failed, retrying].map((shares) => shares.find((share) => share.topic === topic)?.limit ?? 0);
      counts.push(...(await this.read(list.ERRORS, [topic, ...limits, labels])).map(toErrorCount));
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
