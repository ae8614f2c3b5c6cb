import type {
  InsertedJob,
  JobInsert,
  LaneScan,
  ScanTiming,
  ActionResult,
  ExpiredJob,
  Rescue,
  Rescued,
  Settled,
  WaitingLane,
} from './job-records.js';
import type { OtherWorker, PresenceReply } from '../reports/report-records.js';
import type { Backoff } from '../../core/backoff.js';
import type { Claim, JobStep } from '../../core/job.js';
import { Job } from '../../core/job.js';
import type { JobActionEntry } from '../../core/job-action.js';
import type { JobStatus } from '../../core/job-state.js';
import type { SqlRow } from '../runtime/sql-runner.js';
import type { ColumnType } from './columns.js';
import { columnsWith, USUAL_CLAIM } from './columns.js';

/*
 * Converts rows to jobs and results. JSON arrives as text and times as milliseconds since 1970 from both databases: the statements
 * or the type parsers of the queue's connections convert them. In a transaction of the application, which has its own type
 * parsers, ids arrive as text and flags as numbers.
 */

function isNull(value: unknown): value is null | undefined {
  return value === null || value === undefined;
}

function toJson(value: unknown): unknown {
  return isNull(value) ? null : (JSON.parse(value as string) as unknown);
}

function toNumber(value: unknown): number | null {
  return isNull(value) ? null : Number(value);
}

function toText(value: unknown): unknown {
  return value ?? null;
}

const READERS: Readonly<Record<ColumnType, (value: unknown) => unknown>> = {
  uuid: toText,
  text: toText,
  integer: toNumber,
  smallint: toNumber,
  milliseconds: toNumber,
  flag: (value) => Boolean(Number(value)),
  time: (value) => (isNull(value) ? null : time(value)),
  json: toJson,
  texts: toJson,
};

/** The members of a job, and how each is read from its column. */
const members = columnsWith('field').map(([name, { field, type, isList }]) => {
  const read = READERS[type];
  return { name, field, read: isList ? (value: unknown) => read(value) ?? [] : read };
});

export function toJob(row: SqlRow): Job {
  const job: Record<string, unknown> = {};
  for (const { name, field, read } of members) {
    job[field] = read(row[name]);
  }
  return Object.assign(new Job(), job);
}

const NO_STEPS: readonly JobStep[] = Object.freeze([]);
const NO_LABELS: readonly string[] = Object.freeze([]);
const NO_ACTIONS: readonly JobActionEntry[] = Object.freeze([]);

/** Returns a new job without reading its row. Sets each member on its own: every enqueued job passes here. */
export function toFreshJob(row: JobInsert, { runAt, created }: InsertedJob): Job {
  const job = new Job();
  job.id = row.id;
  job.topic = row.topic;
  job.payload = JSON.parse(row.payload);
  job.status = 'pending';
  job.runAt = runAt;
  job.lockedUntil = null;
  job.lockedBy = null;
  job.attempt = 0;
  job.rescuedAttempt = null;
  job.retries = 0;
  job.maxRetries = row.maxRetries;
  job.priority = row.priority;
  job.timeoutMs = row.timeoutMs;
  job.lastError = null;
  job.errors = [];
  job.result = null;
  job.progress = null;
  job.steps = NO_STEPS;
  job.actions = NO_ACTIONS;
  job.uniqueKey = row.uniqueKey;
  job.concurrencyKey = row.concurrencyKey;
  job.labels = row.labels ?? NO_LABELS;
  job.metadata = row.metadata === null ? null : (JSON.parse(row.metadata) as Record<string, unknown>);
  job.expiresAt = row.expiry && (row.expiry.at ?? new Date(created.getTime() + row.expiry.inMs));
  job.cancelRequested = false;
  job.started = null;
  job.finished = null;
  job.created = created;
  job.updated = created;
  return job;
}

/** A claimed job. A class, because thousands are in memory at once: see docs/adr/0020-short-lived-objects.md. */
class ClaimedRow implements Claim {
  readonly id: string;
  readonly attempt: number;
  readonly rowRef: string;
  readonly topic: string;
  readonly payload: unknown;
  readonly payloadLength: number;
  readonly retries: number;
  readonly maxRetries: number;
  readonly priority: number;
  readonly timeoutMs: number | null;
  readonly backoff: Backoff | null;
  readonly metadata: Record<string, unknown> | null;
  readonly runAt: Date;
  readonly created: Date;
  readonly waitedMs: number;
  readonly isWatched: boolean;
  readonly expiresMs: number | null;

  constructor(row: SqlRow) {
    this.id = row.id as string;
    this.attempt = Number(row.attempt ?? USUAL_CLAIM.attempt);
    this.rowRef = row.row_ref as string;
    this.topic = row.topic as string;
    this.payload = toJson(row.payload);
    this.payloadLength = (row.payload as string).length;
    this.retries = Number(row.retries ?? USUAL_CLAIM.retries);
    this.maxRetries = Number(row.max_retries ?? USUAL_CLAIM.max_retries);
    this.priority = Number(row.priority ?? USUAL_CLAIM.priority);
    this.timeoutMs = toNumber(row.timeout_ms);
    this.backoff = toJson(row.backoff) as Backoff | null;
    this.metadata = toJson(row.metadata) as Record<string, unknown> | null;
    this.runAt = time(row.run_at);
    this.created = time(row.created ?? row.run_at);
    this.waitedMs = Math.max(0, Number(row.at) - Number(row.run_at));
    // NULL and, for the usual values, absent: not watched, and no expiry.
    this.isWatched = Boolean(row.watched);
    this.expiresMs = toNumber(row.expires_at);
  }
}

export function toClaimedJob(row: SqlRow): Claim {
  return new ClaimedRow(row);
}

/** A job that an insert has stored or found. A class for the same reason. */
class InsertedRow implements InsertedJob {
  readonly replaced = false;

  constructor(
    readonly id: string,
    readonly runAt: Date,
    readonly created: Date,
    readonly deduplicated = false,
    readonly replayedBodyHash: string | null = null,
  ) {}
}

/** Reads the row of a plain insert: one row for the whole set, with the time and the ids it has stored. */
export function toInsertedJobs(row: SqlRow, jobs: readonly JobInsert[]): InsertedJob[] {
  const created = time(row.created);
  const isWhole = Number(row.count) === jobs.length;
  const ids = isWhole ? undefined : new Set((toJson(row.ids) ?? []) as string[]);
  return jobs
    .filter(({ id }) => ids?.has(id) ?? true)
    .map(({ id, runAt, delayMs }) => {
      const dueAt = new Date(runAt ?? created.getTime() + delayMs);
      return new InsertedRow(id, dueAt, created);
    });
}

export function toInsertedJob(row: SqlRow): InsertedJob {
  const replayedBodyHash = (row.replay_of ?? null) as string | null;
  return new InsertedRow(
    row.id as string,
    time(row.run_at),
    time(row.created),
    Boolean(Number(row.deduplicated)),
    replayedBodyHash,
  );
}

/** Reads the row of a debounced job that was inserted, or that has replaced the payload of another one. */
export function toDebouncedJob({ id }: JobInsert, row: SqlRow): InsertedJob {
  const replaced = row.id !== id;
  const times = { runAt: time(row.run_at), created: time(row.created) };
  return { id: row.id as string, ...times, deduplicated: replaced, replaced, replayedBodyHash: null };
}

export function toPresenceReply(row: SqlRow): PresenceReply {
  return {
    now: time(row.now),
    schedulesVersion: row.schedules_version as string,
    hasLinks: Boolean(row.has_links),
    hasLogs: Boolean(row.has_logs),
    hasDefinitions: Boolean(row.has_definitions),
    isCountDue: Boolean(row.is_count_due),
    others: row.others
      ? (JSON.parse(row.others as string) as [string, string[] | null, number][]).map(toOtherWorker)
      : [],
  };
}

function toOtherWorker([worker, topics, pollIntervalMs]: [string, string[] | null, number]): OtherWorker {
  return { worker, topics: topics ?? undefined, pollIntervalMs };
}

export function toSettled(row: SqlRow): Settled {
  const isWaiting = row.status === 'pending';
  return {
    applied: Boolean(row.applied),
    status: row.status as JobStatus | null,
    attempt: Number(row.attempt),
    retries: isWaiting ? Number(row.retries) : null,
    runAt: isWaiting ? time(row.run_at) : null,
    ...(row.was_rescued ? { wasRescued: true } : {}),
    ...(row.watched ? { isWatched: true } : {}),
  };
}

export function toActionResult(row: SqlRow): ActionResult {
  return {
    id: row.id as string,
    changed: Boolean(row.changed),
    status: row.status as JobStatus | null,
    topic: row.topic as string | null,
    attempt: Number(row.attempt),
    holderId: (row.holder_id ?? null) as string | null,
    reason: (row.reason ?? null) as Error | null,
    ...(row.watched ? { isWatched: true as const } : {}),
    ...(row.is_newer ? { isNewer: true as const } : {}),
    job: row.changed && row.payload !== undefined ? toJob(row) : null,
  };
}

/** The last row of a scan holds its time and duration, the others what it found. */
function toScanTiming(rows: readonly SqlRow[]): ScanTiming {
  const { at, took_ms: tookMs } = rows.at(-1)!;
  return { at: time(at), tookMs: Number(tookMs) };
}

export function toLaneScan(rows: readonly SqlRow[]): LaneScan {
  const found = rows.slice(0, -1);
  const keyed = found.filter((row) => row.is_keyed).map(toWaitingLane);
  const waiting = (keyed.length === 0 ? found : found.filter((row) => !row.is_keyed)).map(toWaitingLane);
  return { ...toScanTiming(rows), waiting, keyed };
}

function toWaitingLane(row: SqlRow): WaitingLane {
  return {
    topic: row.topic as string,
    priority: Number(row.priority),
    dueInMs: Number(row.due_in_ms),
    isPaused: row.state === 'paused',
    isLimited: row.state === 'limited',
  };
}

export function toRescue(rows: readonly SqlRow[]): Rescue {
  return {
    ...toScanTiming(rows),
    rescued: rows.slice(0, -1).map(toRescued),
    hasOverdue: Boolean(rows.at(-1)!.has_overdue),
  };
}

export function toExpiredJob({ id, topic, attempt }: SqlRow): ExpiredJob {
  return { id: id as string, topic: topic as string, attempt: Number(attempt) };
}

function toRescued(row: SqlRow): Rescued {
  return {
    id: row.id as string,
    topic: row.topic as string,
    attempt: Number(row.attempt),
    status: row.status as Rescued['status'],
    retries: Number(row.retries),
    failure: row.status === 'failed' ? { message: row.message as string, stack: null } : null,
  };
}

/**
 * Cuts off microseconds. PostgreSQL multiplies seconds as floating-point numbers, so that a whole millisecond may arrive slightly
 * smaller. Comparing is exact; a sum would be rounded to the next millisecond from the year 2109 on.
 */
export function time(value: unknown): Date {
  const ms = Number(value);
  const next = Math.ceil(ms);
  return new Date(next - ms < 0.000_5 ? next : next - 1);
}
