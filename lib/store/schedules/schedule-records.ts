import type { Schedule, ScheduleDefinition, ScheduleState } from '../../core/schedule.js';
import type { InsertedJob, JobInsert } from '../jobs/job-records.js';

/* The rows and results of `ScheduleStore`. */

/** The database's time, and all schedules, sorted by name. */
export interface ListedSchedules {
  readonly now: Date;
  readonly schedules: readonly StoredSchedule[];
}

/** A schedule. */
export type StoredSchedule = ScheduleDefinition & ScheduleState;

/** A new schedule, or a change of one. */
export interface ScheduleChange {
  readonly name: string;
  readonly definition: ScheduleDefinition;
  readonly source: Schedule['source'];
  /** The revision that the caller has read; `null`: the schedule must not exist. */
  readonly revision: number | null;
  /** The cursor that the caller has read. When the change moves the cursor, and a tick has fired since, nothing changes. */
  readonly cursor?: Date | null | undefined;
  /** The new cursor; `undefined`: the cursor stays. */
  readonly nextTick: Date | null | undefined;
}

/** The ticks of one schedule that fire together, and their jobs. */
export interface ScheduleFiring {
  readonly name: string;
  /** The schedule as the process has read it. If it has changed, nothing fires. */
  readonly revision: number;
  readonly cursor: Date;
  /** The cursor after these ticks. */
  readonly next: Date | null;
  /** The newest tick; `null` if only the cursor moves. */
  readonly tick: Date | null;
  /** One job for each tick, oldest first. */
  readonly jobs: readonly JobInsert[];
}

/** The result of a firing that moved the cursor. */
export interface FiredSchedule {
  readonly name: string;
  /** The jobs that were inserted. A tick whose job exists already inserts none. */
  readonly inserted: readonly InsertedJob[];
}
