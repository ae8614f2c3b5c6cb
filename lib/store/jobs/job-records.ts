import type { Backoff } from '../../core/backoff.js';
import type { Failure } from '../../core/error-text.js';
import type { Expiry } from '../../core/expiry.js';
import type { ListPosition } from '../../core/list-filter.js';
import type { Claim, ClaimToken, Idempotency, Job, JobSearch, Outcome } from '../../core/job.js';
import type { JobStatus } from '../../core/job-state.js';
import { PRIORITY_MAX, PRIORITY_MIN } from '../../core/bounds.js';
import type { UniqueMode } from '../../core/unique-key.js';

/* The rows and results of the verbs in job-store.ts, in the order of its interfaces. */

/** A row to insert. Its JSON members are text. */
export interface JobInsert {
  readonly id: string;
  readonly topic: string;
  readonly payload: string;
  /** `null`: `delayMs` from now. */
  readonly runAt: Date | null;
  readonly delayMs: number;
  readonly maxRetries: number;
  readonly priority: number;
  readonly timeoutMs: number | null;
  readonly backoff: Backoff | null;
  readonly uniqueKey: string | null;
  /** `null`: the key allows one unfinished job. */
  readonly uniqueMode: UniqueMode | null;
  readonly concurrencyKey: string | null;
  readonly labels: readonly string[] | null;
  readonly metadata: string | null;
  readonly expiry: Expiry | null;
  readonly idempotency: Idempotency | null;
  /** What hangs on the job; absent: nothing. See `WATCHED` in job-row.ts. */
  readonly watched?: 0 | 1 | undefined;
  /** Of a debounced job whose payload is encoded for its id: the only job whose payload the call may replace. */
  readonly replacement?: PayloadReplacement;
}

/** A payload that is encoded for another job. */
export interface PayloadReplacement {
  readonly id: string;
  /** JSON text. */
  readonly payload: string;
}

/** How long a repeated request is recognized by its idempotency key. Its job is kept as long, whatever `retention` says. */
export const IDEMPOTENCY_MS = 24 * 3_600_000;

export interface InsertedJob {
  /** The id of the job in the table: the given one, or that of the job that holds one of its keys. */
  readonly id: string;
  /** Another job holds the unique key. */
  readonly deduplicated: boolean;
  /** The other job waits with the payload of this one. */
  readonly replaced: boolean;
  /** The hash under which another job holds the idempotency key; `null`: none does. */
  readonly replayedBodyHash: string | null;
  readonly runAt: Date;
  readonly created: Date;
}

/** Jobs of one topic and priority, in the order of `run_at`. */
export interface LaneName {
  readonly topic: string;
  readonly priority: number;
}

/** A lane from some moment on. */
export interface LaneStart extends LaneName {
  /** Skips jobs that are due before this moment, ISO 8601; `null` skips none. */
  readonly lowerBound: string | null;
}

/** A lane to claim from. */
export interface Lane extends LaneStart {
  readonly limit: number;
}

interface ClaimBasics {
  readonly limit: number;
  readonly leaseMs: number;
  readonly worker: string;
}

/** A claim of jobs without a concurrency key, of topics without limits. */
export interface LaneClaimRequest extends ClaimBasics {
  readonly from: 'lanes';
  /** In the order in which they are served. */
  readonly lanes: readonly Lane[];
}

/** A claim of one topic that has limits, or jobs with a concurrency key. */
export interface TopicClaimRequest extends ClaimBasics {
  readonly from: 'topic';
  readonly topic: string;
  /** The priorities to claim from, most urgent first. */
  readonly priorities: readonly number[];
  /** Whether jobs with a concurrency key may wait. */
  readonly hasKeyed: boolean;
  /** A rate counts each job as started at any moment until this long after the claim: its handler must be called by then, or not at all. */
  readonly handOverMs: number;
}

export type ClaimRequest = LaneClaimRequest | TopicClaimRequest;

/** Where a claim has recorded its starts, so that those of jobs whose handlers were not called can be taken back. */
export interface CountedStart {
  /** Length of the rate's window. */
  readonly rateMs: number;
  readonly slice: number;
  readonly isByKey: boolean;
  /** The time of the claim, by the database's clock. */
  readonly atMs: number;
  /** Distance of spread starts. */
  readonly gapMs: number;
}

export interface ClaimResult {
  readonly claims: Claim[];
  /**
   * Why no more jobs were claimed.
   * - `none`: no other due job may start now.
   * - `maybe`: the claim returned as many jobs as it asked for.
   * - `cut`: the claim has not looked at every key; the next one goes on from there.
   * - `held`: due jobs may be left that may not start now; see `held`.
   * - `unlimited`: the topic has neither limits nor keyed jobs; claims from lanes serve it.
   */
  readonly rest: 'none' | 'maybe' | 'cut' | 'held' | 'unlimited';
  /** What prevented the claim from returning more jobs. `lock`: another process claims from the topic at this moment. */
  readonly held?: LimitReason | 'lock' | undefined;
  /** When the rate of the topic may allow another start, in milliseconds from now. */
  readonly rateInMs?: number | undefined;
  /** Set if a rate has counted the jobs. */
  readonly start?: CountedStart | undefined;
}

/** A limit that prevents jobs from starting. */
export type LimitReason = 'concurrency' | 'rate' | 'key';

/** The priorities of a topic strictly between two bounds. */
export interface LaneGap {
  readonly topic: string;
  readonly after: number;
  readonly before: number;
}

/** A lane that has a waiting job. */
export interface WaitingLane extends LaneName {
  /** Milliseconds until its first job is due; 0 or less: it is due. */
  readonly dueInMs: number;
  /** Its topic is paused: claims skip it. */
  readonly isPaused: boolean;
  /** Its topic has limits, or jobs with a concurrency key: ordinary claims skip it. */
  readonly isLimited: boolean;
}

export function toLaneKey({ topic, priority }: LaneName): string {
  return `${priority} ${topic}`;
}

/** Returns the job of each lane that is due first. */
export function selectEarliest<Waiting extends LaneName & { readonly runAt: Date }>(
  jobs: readonly Waiting[],
): Waiting[] {
  const earliest = new Map<string, Waiting>();
  for (const job of jobs) {
    const known = earliest.get(toLaneKey(job));
    if (!known || job.runAt < known.runAt) {
      earliest.set(toLaneKey(job), job);
    }
  }
  return [...earliest.values()];
}

/** Returns the gaps between these priorities of a topic. A scan of a gap finds its first lane and whether that is due. */
export function findGaps(topic: string, priorities: readonly number[]): LaneGap[] {
  const bounds = [PRIORITY_MIN - 1, ...[...priorities].sort((a, b) => a - b), PRIORITY_MAX + 1];
  return bounds
    .slice(1)
    .map((before, index) => ({ topic, after: bounds[index]!, before }))
    .filter(({ after, before }) => before - after > 1);
}

/** Returns the gap of all priorities of a topic. */
export function toFullGap(topic: string): LaneGap {
  return findGaps(topic, [])[0]!;
}

export interface ScanTiming {
  /** The database's time at the start of the scan. */
  readonly at: Date;
  /**
   * How long the database worked. On PostgreSQL this grows with the entries of claimed and finished jobs that a long
   * transaction keeps in the index. SQLite has none and reports 0.
   */
  readonly tookMs: number;
}

export interface LaneScan extends ScanTiming {
  /** Lanes of jobs without a concurrency key. */
  readonly waiting: readonly WaitingLane[];
  /** Lanes of jobs with one. Of several due jobs, `dueInMs` is that of any. */
  readonly keyed: readonly WaitingLane[];
}

/** `held`: owned and written. `locked`: owned, but a transaction holds the row; try again. */
export interface ClaimState {
  readonly state: 'held' | 'locked' | 'lost';
  readonly cancelRequested: boolean;
  /** The new row reference of the claim's token, if the store has one. */
  readonly rowRef?: string;
}

/** An outcome to record. */
export interface Settlement {
  readonly token: ClaimToken;
  readonly outcome: Outcome;
  /** How long the handler ran; `null`: it did not run, or that is not known. */
  readonly durationMs: number | null;
  /** When the handler was called: whole milliseconds since 1970, by the database's clock. Absent: the row keeps the time of the claim. */
  readonly startedMs?: number | undefined;
  /** When the job expires again, because its handler was not called after all: milliseconds since 1970. */
  readonly expiresMs?: number | undefined;
  /** Where a rate has counted the start of the job. */
  readonly counted?: CountedStart | undefined;
  /** The handler was not called, so the rate need not count the start. */
  readonly isUncalled?: boolean | undefined;
  /** JSON text of the last progress value, if it is not in the row yet. */
  readonly progress?: string | undefined;
  /** An earlier try found the row locked or changed: no statement should wait for it. */
  readonly wasLocked?: boolean;
}

/** The most frequent outcome. Both databases have a cheaper statement for it. */
export interface Completion extends Settlement {
  readonly outcome: Extract<Outcome, { kind: 'completed' }>;
}

/** Whether the cheaper statement may record it. */
export function isCompletion(settlement: Settlement): settlement is Completion {
  return settlement.outcome.kind === 'completed' && !settlement.wasLocked && settlement.progress === undefined;
}

/** An attempt that has lost its lease, and why. */
export interface LostLease {
  readonly token: ClaimToken;
  /** A clause, such as `the event loop of this worker stood still for 6.1 s`. */
  readonly reason: string;
}

export interface ProgressEntry {
  readonly token: ClaimToken;
  /** JSON text. */
  readonly progress: string;
}

/** The result of one outcome: the row as it is now. */
export interface Settled {
  /** Whether this call has changed the row. An earlier call for the same attempt may have completed it. */
  readonly applied: boolean;
  /** `null`: the job does not exist any more. */
  readonly status: JobStatus | null;
  readonly attempt: number;
  /** The used retries of a job that waits again. */
  readonly retries: number | null;
  /** When a job that waits again is due. */
  readonly runAt: Date | null;
  /**
   * The rescue, and not this attempt, has recorded how the attempt ended. After the rescue of an attempt that never started
   * this is not known.
   */
  readonly wasRescued?: true;
}

export interface Rescue extends ScanTiming {
  readonly rescued: readonly Rescued[];
  /** Jobs have not started by their expiry: `expire` ends them. */
  readonly hasOverdue: boolean;
  /** Jobs have owed a follow-up for a while: `LinkStore.followOwed`. */
  readonly hasOwed: boolean;
}

/** A job that was cancelled because it had not started by its expiry. */
export interface ExpiredJob {
  readonly id: string;
  readonly topic: string;
  readonly attempt: number;
}

export interface Rescued {
  readonly id: string;
  readonly topic: string;
  readonly attempt: number;
  readonly status: 'pending' | 'failed' | 'cancelled';
  readonly retries: number;
  /** The recorded failure, if the job has failed. */
  readonly failure: Failure | null;
}

export interface PrunePage {
  /** Reads jobs after this id; `null` starts with the oldest. */
  readonly after: string | null;
  readonly rows: number;
  /** Jobs that stay. Default none. */
  readonly except?: readonly string[];
}

/** What a page of a table has come to. */
export interface SweptPage {
  /** How many rows were deleted or repaired. */
  readonly removed: number;
  /** Where the next page starts; `null`: the table was read to its end, or the rest of it is too young. */
  readonly next: string | null;
}

/** Rows that a page of a sweep reads, unless the caller wants fewer. */
export const SWEPT_ROWS = 1_000;

export interface PrunedPage extends SweptPage {
  /** The deleted jobs. */
  readonly ids: readonly string[];
}

/** Absent members keep their value; `runAt` absent means now. `payload` is JSON text. */
export interface RequeueChanges {
  readonly payload?: string;
  readonly runAt?: Date;
  readonly maxRetries?: number;
  /** The changed jobs become due one after another, counted from `runAt`. */
  readonly pace?: Pace;
}

export interface Pace {
  /** Between two jobs. */
  readonly intervalMs: number;
  /** The first job becomes due this number of intervals after `runAt`. */
  readonly firstSlot: number;
}

/** What must be true of a job when an action runs. Other jobs are left unchanged. */
export interface ActionGuard {
  /** It has one of these statuses; `null`, the default, is all that the action allows. */
  readonly from?: readonly JobStatus[] | null;
  /** It has not finished, started or, while pending, been written since this time, ISO 8601 in microseconds. `null`: no condition. */
  readonly asOf?: string | null;
}

/** Which jobs an action changes, and what it records in them. */
export interface ActionRequest extends ActionGuard {
  /** JSON text of a `JobActionEntry` without its time. `null`, the default, records nothing. A deletion leaves nothing to record. */
  readonly entry?: string | null;
}

/** The result of an action for one job. */
export interface ActionResult {
  readonly id: string;
  readonly changed: boolean;
  /** The status now; `null`: the job does not exist (any more). */
  readonly status: JobStatus | null;
  readonly topic: string | null;
  readonly attempt: number;
  /** The other job that holds its unique key, if that prevented the action. */
  readonly holderId: string | null;
  /**
   * What prevented the action otherwise: a `RowLockedError`, since an open transaction holds its row or its key, or a
   * `SqlError`, since the database refused the statement.
   */
  readonly reason: Error | null;
  /** It has ended and owes a follow-up. */
  readonly owes?: true;
  /** It has changed since `ActionGuard.asOf`. */
  readonly isNewer?: true;
  /** The changed row, if the action was for one job and did not delete it. */
  readonly job: Job | null;
}

export interface PausedTopic {
  readonly topic: string;
  readonly since: Date;
}

export interface ListedJobs {
  readonly items: Job[];
  /** The next page starts after this job; `null` on the last one. It may be deleted already. */
  readonly last: ListPosition | null;
  readonly total: number;
  /** There may be more than `total`. */
  readonly totalCapped: boolean;
  /** What the search for a text has read; `null`: there was none. */
  readonly search: JobSearch | null;
}

export interface ListedIds {
  readonly ids: readonly string[];
  /** Whether the search has covered all jobs. If not, some matches may be missing. */
  readonly isComplete: boolean;
}

/** What an action checks before it runs. */
export interface JobSummary {
  readonly id: string;
  readonly topic: string;
  readonly status: JobStatus;
  readonly isDue: boolean;
  /** It has changed since the given time. */
  readonly isNewer?: true;
}
