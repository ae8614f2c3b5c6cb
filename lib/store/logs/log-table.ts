import type { JobLogLevel, JobLogLine, LogPosition } from '../../core/job-log.js';
import { toLineId } from '../../core/job-log.js';
import type { WatchedJob } from '../../core/job-reports.js';
import type { JobStatus } from '../../core/job-state.js';
import { byId } from '../jobs/batch-json.js';
import type { LogEntry, LogSet, LogStore } from './log-store.js';
import type { SqlQuery, SqlRow } from '../runtime/sql-runner.js';
import type { SweptPage } from '../jobs/job-records.js';
import { SWEPT_ROWS } from '../jobs/job-records.js';

/** The statements of a database. Sets are JSON arrays. */
interface LogStatements {
  readonly INSERT_LINES: string;
  readonly TRIM_LINES: string;
  readonly READ_LINES: string;
  readonly WATCHED_JOBS: string;
  readonly LOGGED_JOBS: string;
  readonly DELETE_LINES: string;
}

/** Reads and writes the table of log lines. */
export class LogTable implements LogStore {
  constructor(
    private readonly statements: LogStatements,
    private readonly readRows: SqlQuery,
    private readonly writeRows: SqlQuery,
  ) {}

  async write(sets: readonly LogSet[], maxLines: number): Promise<void> {
    await this.writeRows(this.statements.INSERT_LINES, [toLinesJson(sets)]);
    const ids = sets.filter((set) => mayExceed(set, maxLines)).map(({ token }) => token.id);
    if (ids.length > 0) {
      await this.writeRows(this.statements.TRIM_LINES, [JSON.stringify(ids), maxLines]);
    }
  }

  async read(id: string, { attempt, line }: LogPosition, limit: number): Promise<JobLogLine[]> {
    return (await this.readRows(this.statements.READ_LINES, [id, attempt, line, limit])).map(toLine);
  }

  async watched(ids: readonly string[]): Promise<WatchedJob[]> {
    const rows = await this.readRows(this.statements.WATCHED_JOBS, [JSON.stringify(ids)]);
    return rows.map((row) => ({
      id: row.id as string,
      status: row.status as JobStatus,
      updated: new Date(Number(row.updated)),
      lastLine: row.last_line as string | null,
    }));
  }

  async prune(after: string | null, limit = SWEPT_ROWS): Promise<SweptPage> {
    const rows = await this.readRows(this.statements.LOGGED_JOBS, [after, limit]);
    const gone = rows.filter(({ is_gone: isGone }) => isGone).map(({ job_id: id }) => id as string);
    if (gone.length > 0) {
      await this.delete(gone);
    }
    return { removed: gone.length, next: rows.length < limit ? null : (rows.at(-1)!.job_id as string) };
  }

  async delete(ids: readonly string[]): Promise<void> {
    await this.writeRows(this.statements.DELETE_LINES, [JSON.stringify(ids)]);
  }
}

/** The first attempt numbers all lines of the job. */
function mayExceed({ token, lines }: LogSet, maxLines: number): boolean {
  return token.attempt > 1 || lines.at(-1)!.line > maxLines;
}

function toLinesJson(sets: readonly LogSet[]): string {
  const sorted = [...sets].sort((a, b) => byId(a.token, b.token));
  return `[${sorted.flatMap(({ token, lines }) => lines.map((line) => toLineText(token.id, token.attempt, line))).join(',')}]`;
}

function toLineText(id: string, attempt: number, { line, level, message, data, ageMs }: LogEntry): string {
  const head = `"id":${JSON.stringify(id)},"attempt":${attempt},"line":${line},"level":"${level}"`;
  return `{${head},"message":${JSON.stringify(message)},"data":${data},"age_ms":${ageMs}}`;
}

function toLine(row: SqlRow): JobLogLine {
  const position = { attempt: Number(row.attempt), line: Number(row.line) };
  return {
    id: toLineId(position),
    attempt: position.attempt,
    level: row.level as JobLogLevel,
    message: row.message as string,
    data: row.data === null ? null : (JSON.parse(row.data as string) as unknown),
    time: new Date(Number(row.time)),
  };
}
