import type { ScheduledWake } from '../../core/clock.js';
import { FILTER_STATUSES } from '../../core/job-state.js';
import { COUNT_PACE, NO_JOBS } from '../../store/reports/report-records.js';
import type { CountName, RecordedCounts, TopicCounts } from '../../store/reports/report-records.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { Topics } from './query-cache.js';

/** Jobs of one topic by status. */
interface CountedTopic extends TopicCounts {
  /** The database's time of the oldest of these counts. */
  readonly countedAt: Date;
}

export interface CountedJobs {
  /** The database's time. */
  readonly now: Date;
  readonly counts: readonly CountedTopic[];
}

/** With a record, the smallest counts are counted again: those that had up to this many jobs in total in the record. */
const LIVE_JOBS_MAX = 10_000;
/** The record of a smaller table is not used: calls count it, at most every 2 s. */
const RECORDED_JOBS_MIN = 100_000;
/**
 * When the small counts have grown by more than this since the record, as a number of jobs or as a share of the large counts, jobs have
 * moved from large counts to small ones and would be counted twice. Then the call counts all.
 */
const GROWTH_MAX = { jobs: 1_000, share: 0.01 };
/** A call renews a record that is older than this many times its duration, and older than this time. */
const CALL_REST_FACTOR = 10;
const CALL_REST_MS = 1_000;
/** A call starts a count after this delay. On SQLite both share a connection, and the count would slow down the call. */
const CALL_DELAY_MS = 100;
/** When the workers are this late with the next record, none is alive. Then the caller counts. */
const LATE_MS = 60_000;
/** How long a worker waits before it counts. An idle worker may be about to start jobs; a busy worker waits at least BUSY_MS. */
const IDLE_MS = 500;
const BUSY_MS = 15_000;
/** The name in the log. */
const NAME = 'counting jobs';

/**
 * Counts jobs by topic and status. A full count of a million jobs takes 0.2 s, so the database records the last one. A call takes the
 * large counts from the record and counts the others again. Calls renew an old record in the background. Without calls, workers renew it.
 */
export class JobCounter {
  private recording: Promise<RecordedCounts | null> | undefined;
  private timer: ScheduledWake | undefined;
  private callTimer: ScheduledWake | undefined;
  private dueSinceMs: number | undefined;
  private isStopped = false;

  constructor(private readonly parts: Pick<EngineParts, 'store' | 'clock' | 'failureLog'>) {}

  async count(topics: Topics): Promise<CountedJobs> {
    const { now, recorded } = await this.parts.store.reports.recordedCounts();
    const isKnown = recorded !== null && isUsable(recorded, now);
    const record = isKnown ? recorded : topics === null && (await this.recording);
    if (!record) {
      return this.countNow(topics, now);
    }
    const ageMs = now.getTime() - record.countedAt.getTime();
    if (ageMs >= Math.max(CALL_REST_MS, CALL_REST_FACTOR * record.tookMs)) {
      this.refreshSoon();
    }
    const large = findLarge(record.counts).filter(({ topic }) => topics === null || topics.includes(topic));
    const small = await this.parts.store.reports.counts(topics, large);
    if (hasMoved(record, topics, small, large)) {
      return this.countNow(topics, now);
    }
    return { now, counts: addLarge(small, large, { now, recordedAt: record.countedAt }) };
  }

  private async countNow(topics: Topics, now: Date): Promise<CountedJobs> {
    return { now, counts: addLarge(await this.countAll(topics, now), [], { now, recordedAt: now }) };
  }

  /** Called each time that this worker is recorded. If a count is due, an idle worker counts soon and a busy one later. */
  onPresence(isDue: boolean, isIdle: () => boolean): void {
    const { clock } = this.parts;
    this.isStopped = false;
    this.timer?.cancel();
    this.dueSinceMs = isDue ? (this.dueSinceMs ?? clock.now()) : undefined;
    if (this.dueSinceMs === undefined) {
      return;
    }
    if (clock.now() - this.dueSinceMs >= BUSY_MS) {
      this.refresh(COUNT_PACE.restFactor);
    } else {
      this.timer = clock.schedule(IDLE_MS, () => isIdle() && this.refresh(COUNT_PACE.restFactor));
    }
  }

  /** A count that runs is given up when the store closes. */
  stop(): void {
    this.isStopped = true;
    this.timer?.cancel();
    this.callTimer?.cancel();
    this.callTimer = undefined;
  }

  private refreshSoon(): void {
    if (this.recording) {
      return;
    }
    this.callTimer ??= this.parts.clock.schedule(CALL_DELAY_MS, () => {
      this.callTimer = undefined;
      this.refresh(CALL_REST_FACTOR);
    });
  }

  /** Renews the record in the background, unless another process does or the record is recent. */
  private refresh(restFactor: number): void {
    const { failureLog } = this.parts;
    this.recording ??= this.claimAndRecord(restFactor)
      .then((record) => {
        failureLog.recordSuccess(NAME);
        return record;
      })
      .catch((error: unknown) => {
        if (!this.isStopped) {
          failureLog.recordFailure(NAME, error);
        }
        return null;
      })
      .finally(() => (this.recording = undefined));
  }

  private async claimAndRecord(restFactor: number): Promise<RecordedCounts | null> {
    const { store, clock } = this.parts;
    const countedAt = await store.reports.claimCount(restFactor);
    if (!countedAt) {
      return null;
    }
    const sinceMs = clock.now();
    const counts = await store.reports.counts(null);
    const record = { counts, countedAt, tookMs: toTookMs(clock.now() - sinceMs) };
    await store.reports.recordCounts(record);
    return isSlow(record) ? record : null;
  }

  /** Counts while the caller waits. Records the result if the count was slow. */
  private async countAll(topics: Topics, countedAt: Date): Promise<readonly TopicCounts[]> {
    const { store, clock, failureLog } = this.parts;
    const sinceMs = clock.now();
    const counts = await store.reports.counts(topics);
    const record = { counts, countedAt, tookMs: toTookMs(clock.now() - sinceMs) };
    if (isSlow(record) && topics === null) {
      await store.reports.recordCounts(record).catch((error: unknown) => failureLog.recordFailure(NAME, error));
    } else if (isSlow(record)) {
      this.refreshSoon();
    }
    return counts;
  }
}

/** A record with a future time is not used: the clock of the database was set back. */
function isUsable(record: RecordedCounts, now: Date): boolean {
  const ageMs = now.getTime() - record.countedAt.getTime();
  return isSlow(record) && ageMs >= 0 && ageMs <= COUNT_PACE.restFactor * record.tookMs + LATE_MS;
}

function toTookMs(elapsedMs: number): number {
  return Math.min(elapsedMs, COUNT_PACE.tookMsMax);
}

/** Only slow counts are used again. A small table is always counted, even if a count was slow because the machine was busy. */
function isSlow({ tookMs, counts }: RecordedCounts): boolean {
  return tookMs >= COUNT_PACE.fastMs && sumJobs(counts) >= RECORDED_JOBS_MIN;
}

/** Whether more jobs may have moved from large counts of the record to small ones than its age excuses. */
function hasMoved(
  { counts }: RecordedCounts,
  topics: Topics,
  small: readonly TopicCounts[],
  large: readonly LargeCount[],
): boolean {
  const recorded = sumJobs(counts.filter(({ topic }) => topics === null || topics.includes(topic)));
  const ofLarge = large.reduce((sum, { jobs }) => sum + jobs, 0);
  const growth = sumJobs(small) - (recorded - ofLarge);
  return growth > Math.max(GROWTH_MAX.jobs, GROWTH_MAX.share * ofLarge);
}

function sumJobs(counts: readonly TopicCounts[]): number {
  return counts.reduce((sum, each) => sum + countJobs(each), 0);
}

function countJobs({ pending, processing, completed, failed, cancelled }: TopicCounts): number {
  return pending + processing + completed + failed + cancelled;
}

/** One count of a record. */
interface LargeCount extends CountName {
  readonly jobs: number;
}

/** Returns all counts but the smallest, and none of running jobs: those are few and have their own index. */
function findLarge(counts: readonly TopicCounts[]): LargeCount[] {
  const all = counts.flatMap((each) =>
    FILTER_STATUSES.filter((status) => status !== 'processing').map((status) => ({
      topic: each.topic,
      status,
      jobs: each[status],
    })),
  );
  let live = 0;
  return all.sort((one, other) => one.jobs - other.jobs).filter(({ jobs }) => (live += jobs) > LIVE_JOBS_MAX);
}

function addLarge(
  small: readonly TopicCounts[],
  large: readonly LargeCount[],
  { now, recordedAt }: { readonly now: Date; readonly recordedAt: Date },
): CountedTopic[] {
  const topics = new Map(small.map((each) => [each.topic, { ...each, countedAt: now }]));
  for (const { topic, status, jobs } of large) {
    const counts = topics.get(topic) ?? { ...NO_JOBS, topic };
    topics.set(topic, { ...counts, [status]: jobs, countedAt: recordedAt });
  }
  // A job may move while the counts are read.
  return [...topics.values()].map((each) => ({ ...each, retrying: Math.min(each.retrying, each.pending) }));
}
