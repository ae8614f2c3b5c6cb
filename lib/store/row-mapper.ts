import type { Histogram } from '../core/run-times.js';
import type { ErrorGroup } from '../core/job-reports.js';
import { createHash } from 'node:crypto';
import type { TopicSize } from './job-list.js';
import type {
  RolledUpMinutes,
  StandingJob,
  TopicCounts,
  InsertedJob,
  JobInsert,
  LaneScan,
  ScanTiming,
  ActionResult,
  Rescue,
  Rescued,
  Settled,
} from './store-records.js';
import type { Backoff } from '../core/backoff.js';
import type { Claim, JobFailure } from '../core/job.js';
import { Job } from '../core/job.js';
import type { JobStatus } from '../core/job-state.js';
import type { SqlRow } from './sql-runner.js';

/*
 * Rows come with JSON as text and times as milliseconds since 1970, whatever the driver: the statements say so, or the
 * parsers that are sent with them. Those that an application set on `pg` for itself therefore change nothing here; in a
 * transaction, where none are sent, ids come as text and flags as numbers.
 */

export function toJob(row: SqlRow): Job {
  return Object.assign(new Job(), {
    id: row.id as string,
    topic: row.topic as string,
    payload: json(row.payload),
    status: row.status as JobStatus,
    runAt: time(row.run_at),
    lockedUntil: timeOrNull(row.locked_until),
    lockedBy: row.locked_by as string | null,
    attempt: Number(row.attempt),
    retries: Number(row.retries),
    maxRetries: Number(row.max_retries),
    priority: Number(row.priority),
    timeoutMs: numberOrNull(row.timeout_ms),
    lastError: row.last_error as string | null,
    errors: (json(row.errors) ?? []) as JobFailure[],
    result: json(row.result),
    progress: json(row.progress),
    uniqueKey: row.unique_key as string | null,
    metadata: json(row.metadata) as Record<string, unknown> | null,
    cancelRequested: Boolean(Number(row.cancel_requested)),
    started: timeOrNull(row.started),
    finished: timeOrNull(row.finished),
    created: time(row.created),
    updated: time(row.updated),
  });
}

/** A new row, without asking the database for it. Written member by member: every job that is enqueued passes here. */
export function freshJob(row: JobInsert, { runAt, created }: InsertedJob): Job {
  const job = new Job();
  job.id = row.id;
  job.topic = row.topic;
  job.payload = JSON.parse(row.payload);
  job.status = 'pending';
  job.runAt = runAt;
  job.lockedUntil = null;
  job.lockedBy = null;
  job.attempt = 0;
  job.retries = 0;
  job.maxRetries = row.maxRetries;
  job.priority = row.priority;
  job.timeoutMs = row.timeoutMs;
  job.lastError = null;
  job.errors = [];
  job.result = null;
  job.progress = null;
  job.uniqueKey = row.uniqueKey;
  job.metadata = row.metadata === null ? null : (JSON.parse(row.metadata) as Record<string, unknown>);
  job.cancelRequested = false;
  job.started = null;
  job.finished = null;
  job.created = created;
  job.updated = created;
  return job;
}

/**
 * What most claims say: a first attempt, with the usual options. The databases send NULL for it, and for a time of creation at
 * which the job was due.
 */
export const USUAL_CLAIM = { attempt: 1, retries: 0, max_retries: 3, priority: 0 } as const;

/** A claimed job. A class, since thousands live for a while: see docs/adr/0020-short-lives.md. */
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

  constructor(row: SqlRow) {
    this.id = row.id as string;
    this.attempt = Number(row.attempt ?? USUAL_CLAIM.attempt);
    this.rowRef = row.row_ref as string;
    this.topic = row.topic as string;
    this.payload = json(row.payload);
    this.payloadLength = (row.payload as string).length;
    this.retries = Number(row.retries ?? USUAL_CLAIM.retries);
    this.maxRetries = Number(row.max_retries ?? USUAL_CLAIM.max_retries);
    this.priority = Number(row.priority ?? USUAL_CLAIM.priority);
    this.timeoutMs = numberOrNull(row.timeout_ms);
    this.backoff = json(row.backoff) as Backoff | null;
    this.metadata = json(row.metadata) as Record<string, unknown> | null;
    this.runAt = time(row.run_at);
    this.created = time(row.created ?? row.run_at);
    this.waitedMs = Math.max(0, Number(row.at) - Number(row.run_at));
  }
}

export function toClaimedJob(row: SqlRow): Claim {
  return new ClaimedRow(row);
}

/** A job that an insert has stored, or found. A class, for the same reason. */
class InsertedRow implements InsertedJob {
  constructor(
    readonly id: string,
    readonly runAt: Date,
    readonly created: Date,
    readonly deduplicated = false,
    readonly replayOf: string | null = null,
  ) {}
}

/** What an insert that answers for its whole set says: when it was, and which jobs it has stored. */
export function toInsertedJobs(row: SqlRow, jobs: readonly JobInsert[]): InsertedJob[] {
  const created = time(row.created);
  const isWhole = Number(row.count) === jobs.length;
  const ids = isWhole ? undefined : new Set((json(row.ids) ?? []) as string[]);
  return jobs
    .filter(({ id }) => ids?.has(id) ?? true)
    .map(({ id, runAt, delayMs }) => {
      const dueAt = new Date(runAt ?? created.getTime() + delayMs);
      return new InsertedRow(id, dueAt, created);
    });
}

export function toInsertedJob(row: SqlRow): InsertedJob {
  const replayOf = (row.replay_of ?? null) as string | null;
  return new InsertedRow(
    row.id as string,
    time(row.run_at),
    time(row.created),
    Boolean(Number(row.deduplicated)),
    replayOf,
  );
}

export function toSettled(row: SqlRow): Settled {
  const isWaiting = row.status === 'pending';
  return {
    applied: Boolean(row.applied),
    status: row.status as JobStatus | null,
    attempt: Number(row.attempt),
    retries: isWaiting ? Number(row.retries) : null,
    runAt: isWaiting ? time(row.run_at) : null,
    ...(row.is_taken_over ? { wasRescued: true } : {}),
  };
}

export function toActionResult(row: SqlRow): ActionResult {
  return {
    id: row.id as string,
    moved: Boolean(row.moved),
    status: row.status as JobStatus | null,
    topic: row.topic as string | null,
    attempt: Number(row.attempt),
    holderId: (row.holder_id ?? null) as string | null,
    reason: (row.reason ?? null) as Error | null,
    job: row.moved && row.payload !== undefined ? toJob(row) : null,
  };
}

/** The last row of a look says when and how long; the others are what it found. */
function toScanTiming(rows: readonly SqlRow[]): ScanTiming {
  const { at, took_ms: tookMs } = rows.at(-1)!;
  return { at: time(at), tookMs: Number(tookMs) };
}

export function toLaneScan(rows: readonly SqlRow[]): LaneScan {
  const waiting = rows.slice(0, -1).map((row) => ({
    topic: row.topic as string,
    priority: Number(row.priority),
    dueInMs: Number(row.due_in_ms),
    isPaused: Boolean(row.is_paused),
  }));
  return { ...toScanTiming(rows), waiting };
}

export function toRescue(rows: readonly SqlRow[]): Rescue {
  return { ...toScanTiming(rows), rescued: rows.slice(0, -1).map(toRescued) };
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

function json(value: unknown): unknown {
  return value === null || value === undefined ? null : (JSON.parse(value as string) as unknown);
}

/**
 * Microseconds are cut off. The database may have multiplied seconds: what is a millisecond there is a hair less here. They
 * are compared and not added up, since from the year 2109 on a sum is rounded to the next millisecond.
 */
function time(value: unknown): Date {
  const ms = Number(value);
  const next = Math.ceil(ms);
  return new Date(next - ms < 0.000_5 ? next : next - 1);
}

function timeOrNull(value: unknown): Date | null {
  return value === null || value === undefined ? null : time(value);
}

function numberOrNull(value: unknown): number | null {
  return value === null || value === undefined ? null : Number(value);
}

/*
 * Parts of statements that are the same on both databases; `j` is the row.
 */

const leaseLost = `'lease of attempt ' || j.attempt || ' lost: worker '`;

/** What the rescue writes of an attempt whose lease has ended, but had begun: as `last_error`, and in `errors`. */
export const LEASE_LOST = `${leaseLost} || coalesce(j.locked_by, '?') || ' stopped renewing it; its handler may have run'`;

/** Whether that stands there: the attempt itself has recorded nothing, then. */
export const IS_TAKEN_OVER = `coalesce(j.last_error LIKE ${leaseLost} || '%', false)`;

/* Rows of the report statements, which are the same in every dialect: times as milliseconds since 1970, JSON as text. */

/** One row for each topic and status becomes one for each topic. */
export function toTopicCounts(rows: readonly SqlRow[]): TopicCounts[] {
  const topics = new Map<string, Record<JobStatus, number> & { topic: string }>();
  for (const row of rows) {
    const topic = row.topic as string;
    const counts = topics.get(topic) ?? { topic, pending: 0, processing: 0, completed: 0, failed: 0, cancelled: 0 };
    counts[row.status as JobStatus] += Number(row.jobs);
    topics.set(topic, counts);
  }
  return [...topics.values()];
}

export function toStandingJob(row: SqlRow): StandingJob {
  const isDue = Number(row.is_due) === 1;
  return { id: row.id as string, topic: row.topic as string, status: row.status as JobStatus, isDue };
}

export function toTopicSize(row: SqlRow): TopicSize {
  return { topic: row.topic as string, jobs: Number(row.jobs) };
}

export function toErrorGroup(row: SqlRow): ErrorGroup {
  const topic = row.topic as string;
  const message = (row.message ?? '') as string;
  return {
    topic,
    message,
    key: toErrorKey(topic, message),
    count: Number(row.jobs),
    firstSeen: new Date(Number(row.first_seen)),
    lastSeen: new Date(Number(row.last_seen)),
    sampleId: row.sample_id as string,
  };
}

export function toRolledUpEntry(row: SqlRow): RolledUpMinutes['entries'][number] {
  return {
    minute: new Date(Number(row.minute)),
    completed: Number(row.completed),
    failed: Number(row.failed),
    started: Number(row.started),
    runMs: Number(row.run_ms),
    waitMs: Number(row.wait_ms),
    histogram: JSON.parse(row.histogram as string) as Histogram,
  };
}

/**
 * Names an error of a topic by its whole text, the same on every database: 32 hexadecimal digits of a SHA-256. A text of up to
 * 8 KiB would not fit into an address, and what `redact` makes of it finds nothing. Who re-queues the mails that had a `timeout`
 * does not mean the payments that had one.
 */
export function toErrorKey(topic: string, message: string): string {
  const text = `${Buffer.byteLength(topic)}:${topic}${message}`;
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}
