import type { ScheduledWake } from '../../core/clock.js';
import type { OtherTopics } from '../../core/job-reports.js';
import { COUNT_PACE, sumCounts, total } from '../../store/reports/report-records.js';
import type { JobCounts, RecordedCounts, TopicCounts } from '../../store/reports/report-records.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { Topics } from './query-cache.js';

/** Jobs of one topic by status. */
interface CountedTopic extends TopicCounts {
  /** The database's time of these counts. */
  readonly countedAt: Date;
}

/** Counts in which each job is counted once. */
export interface CountedJobs {
  /** The database's time. */
  readonly now: Date;
  readonly counts: readonly CountedTopic[];
  /** The sum of all other topics; `null` if there are none. */
  readonly other: OtherTopics | null;
  /** The time of the oldest count. */
  readonly countedAt: Date;
}

/** Calls count a smaller table themselves, so that their counts are at most 2 s old. */
const RECORDED_JOBS_MIN = 100_000;
/** A record that is not older serves a smaller table, too. */
const RECENT_MS = 2_000;
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
 * Counts jobs by topic and status: the only source of the counts in the API, the health check, the CLI and the metrics. A full count of a
 * million jobs takes 0.2 s, so the database records the last one. All counts of a call are those of the record, or all are new: a job that
 * moves from one status to another while some are counted again would count twice. Calls renew an old record in the background. Without
 * calls, workers renew it.
 */
export class JobCounter {
  private recording: Promise<RecordedCounts | null> | undefined;
  private timer: ScheduledWake | undefined;
  private callTimer: ScheduledWake | undefined;
  private dueSinceMs: number | undefined;
  private isStopped = false;

  constructor(private readonly parts: Pick<EngineParts, 'store' | 'clock' | 'failureLog'>) {}

  async count(topics: Topics): Promise<CountedJobs> {
    const { reports } = this.parts.store;
    const { now, recorded } = await reports.recordedCounts();
    const isKnown = recorded !== null && (await this.isUsable(recorded, now));
    const record = isKnown ? recorded : topics === null && (await this.recording);
    if (!record) {
      return select(await this.countAll(topics, now), { now, countedAt: now });
    }
    const ageMs = now.getTime() - record.countedAt.getTime();
    if (ageMs >= Math.max(CALL_REST_MS, CALL_REST_FACTOR * record.tookMs)) {
      this.refreshSoon();
    }
    const named = new Set(record.topics.map(({ topic }) => topic));
    const missing = record.other === null ? [] : (topics ?? []).filter((topic) => !named.has(topic));
    const known = select(record, { now, countedAt: record.countedAt }, topics);
    if (missing.length === 0) {
      return known;
    }
    // A job keeps its topic, so it is not in two of these counts.
    const others = select(await reports.counts(missing), { now, countedAt: now });
    return { ...known, counts: [...known.counts, ...others.counts] };
  }

  /** A record with a future time is not used: the clock of the database was set back. */
  private async isUsable(recorded: RecordedCounts, now: Date): Promise<boolean> {
    const ageMs = now.getTime() - recorded.countedAt.getTime();
    if (!isSlow(recorded) || ageMs < 0 || ageMs > COUNT_PACE.restFactor * recorded.tookMs + LATE_MS) {
      return false;
    }
    return ageMs <= RECENT_MS || !(await this.parts.store.reports.isSmall(RECORDED_JOBS_MIN));
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
    const { store } = this.parts;
    const countedAt = await store.reports.claimCount(restFactor);
    if (!countedAt) {
      return null;
    }
    const record = await this.measure(null, countedAt);
    await store.reports.recordCounts(record);
    return isSlow(record) ? record : null;
  }

  /** Counts while the caller waits. Records the result if the count was slow. */
  private async countAll(topics: Topics, countedAt: Date): Promise<JobCounts> {
    const { store, failureLog } = this.parts;
    const record = await this.measure(topics, countedAt);
    if (topics === null && isSlow(record)) {
      await store.reports.recordCounts(record).catch((error: unknown) => failureLog.recordFailure(NAME, error));
    } else if (isSlow(record)) {
      this.refreshSoon();
    }
    return record;
  }

  private async measure(topics: Topics, countedAt: Date): Promise<RecordedCounts> {
    const { store, clock } = this.parts;
    const sinceMs = clock.now();
    const counts = await store.reports.counts(topics);
    return { ...counts, countedAt, tookMs: Math.min(clock.now() - sinceMs, COUNT_PACE.tookMsMax) };
  }
}

/** @param topics the counts of these, if they have their own; `null`: of all. */
function select(
  { topics: named, other }: JobCounts,
  times: Pick<CountedJobs, 'now' | 'countedAt'>,
  topics: Topics = null,
): CountedJobs {
  const selected = topics && new Set(topics);
  const counts = named
    .filter(({ topic }) => selected?.has(topic) ?? true)
    .map((each) => ({ ...each, countedAt: times.countedAt }));
  return { ...times, counts, other: topics === null ? other : null };
}

/** Only slow counts are used again. A small table is always counted, even if a count was slow because the machine was busy. */
function isSlow({ tookMs, topics, other }: RecordedCounts): boolean {
  return tookMs >= COUNT_PACE.fastMs && total(sumCounts([...topics, ...(other ? [other] : [])])) >= RECORDED_JOBS_MIN;
}
