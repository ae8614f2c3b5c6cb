import { backoffMs } from '../../core/backoff.js';
import type { ScheduleFiring, StoredSchedule } from '../../store/schedules/schedule-records.js';
import type { EngineParts } from '../runtime/engine-parts.js';

/** A tick that did not fire. */
interface FailedTick {
  readonly revision: number;
  readonly tickMs: number;
  readonly failures: number;
  readonly isRefused: boolean;
  /** By the process's clock. */
  readonly retryAtMs: number;
}

/** Identifies a schedule in one revision, and its next tick. */
type Tick = Pick<ScheduleFiring, 'name' | 'revision' | 'cursor'>;

/** Pauses of a tick whose row another transaction locks. The first retry comes at once, after a read. */
const LOCKED_PAUSE = { minMs: 25, maxMs: 1_000 };
/** Pauses of a schedule whose definition is invalid, or whose job the database refuses. */
const REFUSED_PAUSE = { minMs: 1_000, maxMs: 60_000 };

/** The ticks that failed in this process. Each waits alone: a bad schedule delays no other. */
export class FailedTicks {
  private readonly byName = new Map<string, FailedTick>();

  constructor(private readonly parts: Pick<EngineParts, 'clock' | 'failureLog' | 'random'>) {}

  /** How long the schedule's next tick still waits after a failure; 0 or less if it does not wait. */
  waitMs(schedule: StoredSchedule): number {
    return (this.find(toTick(schedule))?.retryAtMs ?? -Infinity) - this.parts.clock.now();
  }

  /** Whether the next tick was refused before. */
  isRefused(schedule: StoredSchedule): boolean {
    return this.find(toTick(schedule))?.isRefused ?? false;
  }

  /** The cursor did not move: another process was first or locks the row, the schedule has changed, or it is too early. */
  recordNotMoved(tick: Tick): void {
    const failures = this.countFailures(tick, false);
    this.add(tick, false, failures === 1 ? 0 : backoffMs(failures - 2, LOCKED_PAUSE, this.parts.random()));
  }

  /** The definition is invalid, or the database refused the job. */
  recordRefused(tick: Tick, error: unknown): void {
    this.parts.failureLog.recordFailure(toLogName(tick.name), error);
    this.add(tick, true, backoffMs(this.countFailures(tick, true) - 1, REFUSED_PAUSE, this.parts.random()));
  }

  recordSuccess(name: string): void {
    if (this.byName.get(name)?.isRefused) {
      this.parts.failureLog.recordSuccess(toLogName(name));
    }
    this.byName.delete(name);
  }

  /** Forgets the ticks that fired in another process, and those of schedules that were changed or removed. */
  update(schedules: readonly StoredSchedule[]): void {
    const current = new Set(schedules.filter((schedule) => this.find(toTick(schedule))).map(({ name }) => name));
    for (const name of this.byName.keys()) {
      if (!current.has(name)) {
        this.recordSuccess(name);
      }
    }
  }

  /** The process stops firing. */
  clear(): void {
    for (const name of this.byName.keys()) {
      this.parts.failureLog.forget(toLogName(name));
    }
    this.byName.clear();
  }

  private find({ name, revision, cursor }: Tick): FailedTick | undefined {
    const failed = this.byName.get(name);
    return failed?.revision === revision && failed.tickMs === cursor.getTime() ? failed : undefined;
  }

  private countFailures(tick: Tick, isRefused: boolean): number {
    const before = this.find(tick);
    return before?.isRefused === isRefused ? before.failures + 1 : 1;
  }

  private add(tick: Tick, isRefused: boolean, pauseMs: number): void {
    const { name, revision, cursor } = tick;
    const failures = this.countFailures(tick, isRefused);
    const retryAtMs = this.parts.clock.now() + pauseMs;
    this.byName.set(name, { revision, tickMs: cursor.getTime(), failures, isRefused, retryAtMs });
  }
}

function toTick({ name, revision, nextTick }: StoredSchedule): Tick {
  // A schedule without a next tick has none that failed.
  return { name, revision, cursor: nextTick ?? new Date(NaN) };
}

function toLogName(schedule: string): string {
  return `schedule '${schedule}'`;
}
