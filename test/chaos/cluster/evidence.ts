import type { HistoryEntry } from '../history.js';
import { readHistory } from '../history.js';
import type { ChaosDatabase } from './chaos-database.js';
import type { ProcessExit } from './member.js';
import { CURSOR_MOVES, EFFECTS, selectJobs, selectLedger, selectSchedules, ORDERS } from './tables.js';

/** A fault that was tried. */
export interface Strike {
  readonly what: string;
  /** The process it was aimed at, when it was one. */
  readonly at?: string;
  /** What it is known to have hit, for faults that the history does not show. */
  readonly hits?: number;
  readonly atUs: number;
}

/** A job that was enqueued into a quiet queue, to see how soon it begins. */
export interface Probe {
  readonly waitedMs: number;
  readonly allowedMs: number;
}

export type Status = 'pending' | 'processing' | 'completed' | 'failed' | 'cancelled';

export interface JobRow {
  readonly id: string;
  readonly topic: string;
  readonly status: Status;
  readonly attempt: number;
  readonly retries: number;
  /** `null`: of a schedule. */
  readonly n: string | null;
  /** A {@link LoadLink} as JSON; `null`: of no graph. */
  readonly link: string | null;
  /** Of a dead letter: the id of the failed job and its attempt. */
  readonly failed: string | null;
  readonly schedule: string | null;
  /** ISO 8601. */
  readonly tick: string | null;
}

/** An every-second schedule at the end; times in milliseconds. */
export interface ScheduleRow {
  readonly name: string;
  readonly created: number;
  readonly next_tick: number;
  readonly paused_since: number | null;
}

/** One change of the next tick of a schedule. */
export interface CursorMove {
  readonly name: string;
  readonly was: number;
  readonly now: number;
}

/** One change of one row of `_jobs`, by the clock of the database; of an insert there is no `was`, of a delete no `now`. */
export interface LedgerRow {
  readonly seq: number;
  readonly job_id: string;
  readonly topic: string;
  readonly key: string | null;
  /** When it was claimed, until the job ends. */
  readonly started: number | null;
  readonly at: number;
  readonly was: Status | null;
  readonly now: Status | null;
  readonly was_attempt: number | null;
  readonly attempt: number | null;
  readonly was_locked_until: number | null;
  readonly locked_until: number | null;
  readonly was_retries: number | null;
  readonly retries: number | null;
  readonly max_retries: number | null;
  readonly run_at: number | null;
}

/** How many jobs of a key ran at a moment; '' stands for those without a key. */
export interface RunningOfKey {
  readonly topic: string;
  readonly key: string;
  readonly running: number;
}

/** The version of each definition that applied at a moment, and the workers. */
export interface VersionSample {
  /** `null`: none applied. */
  readonly applied: Readonly<Record<'limits' | 'retention' | 'dead letters' | 'schedule', number | null>>;
  readonly processes: readonly VersionedProcess[];
}

export interface VersionedProcess {
  readonly version: number;
  /** For how long it has been ready; 0: it is not. */
  readonly readyMs: number;
  /** For how long it has been gone; `null`: it is not. */
  readonly goneMs: number | null;
}

/** All that a run has left behind. Nothing in it was written by the queue, but for the rows of `_jobs`. */
export interface Evidence {
  readonly jobs: readonly JobRow[];
  readonly effects: readonly { readonly job_id: string; readonly attempt: number; readonly worker: string }[];
  readonly orders: readonly { readonly n: string; readonly job_id: string }[];
  readonly ledger: readonly LedgerRow[];
  readonly schedules: readonly ScheduleRow[];
  readonly cursorMoves: readonly CursorMove[];
  readonly history: readonly HistoryEntry[];
  readonly strikes: readonly Strike[];
  /** When faults with a measured recovery ended, in milliseconds since 1970. */
  readonly endsMs: readonly number[];
  readonly departures: readonly ProcessExit[];
  readonly probes: readonly Probe[];
  /** What ran of limited topics, each sample in one snapshot. */
  readonly samples: readonly (readonly RunningOfKey[])[];
  readonly versionSamples: readonly VersionSample[];
  /** Whether all jobs were finished in the time given for that. */
  readonly isDrained: boolean;
  readonly seconds: number;
}

export async function gatherEvidence(
  target: ChaosDatabase,
  historyFolder: string,
  known: Pick<
    Evidence,
    'strikes' | 'endsMs' | 'departures' | 'probes' | 'samples' | 'versionSamples' | 'isDrained' | 'seconds'
  >,
): Promise<Evidence> {
  const ledger = await target.observe<LedgerRow>(selectLedger(target.kind));
  return {
    ...known,
    jobs: await target.observe(selectJobs(target.kind)),
    effects: await target.observe(EFFECTS),
    orders: await target.observe(ORDERS),
    ledger: ledger.map((row) => ({ ...row, seq: Number(row.seq) })),
    schedules: await target.observe(selectSchedules(target.kind)),
    cursorMoves: (await target.observe<CursorMove>(CURSOR_MOVES)).map(toNumbers),
    history: readHistory(historyFolder),
  };
}

/** PostgreSQL returns a bigint as text. */
function toNumbers({ name, was, now }: CursorMove): CursorMove {
  return { name, was: Number(was), now: Number(now) };
}
