import type { SchedulePattern, Ticks } from '../../core/cron.js';
import { parsePattern, timeZoneCheck } from '../../core/cron.js';
import { ScheduleNotFoundError, ScheduleStateError } from '../../core/errors.js';
import type { Job } from '../../core/job.js';
import { applyCheck, dateCheck, integer, option, optional, readOptions } from '../../core/option-checks.js';
import type { Schedule, ScheduleOptions } from '../../core/schedule.js';
import { readSchedule, readScheduleName, toSchedule, toTicks } from '../../core/schedule.js';
import type { StoredSchedule } from '../../store/schedules/schedule-records.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { Enqueuer } from '../enqueue/enqueuer.js';
import type { Scheduler } from './scheduler.js';
import { isSameDefinition, moveCursor } from './scheduler.js';
import { toScheduledJob } from './tick-job.js';

type ScheduleAdminParts = Pick<EngineParts, 'store'> & {
  readonly enqueuer: Enqueuer;
  readonly scheduler: Scheduler;
};

/** Options of {@link ScheduleAdmin.preview}. */
export interface PreviewOptions {
  /** IANA time zone of a cron pattern. Default `'UTC'`. */
  tz?: string | undefined;
  /** Ticks after this moment. Default: now, by the clock of this process. */
  from?: Date | undefined;
  /** Number of ticks, 1 to 100. Default 5. */
  count?: number | undefined;
}

const countCheck = integer(1, 100);

const previewTable = {
  tz: option('UTC', timeZoneCheck),
  from: optional(dateCheck),
  count: option(5, countCheck),
};

/** How often a change is tried when other processes change the schedule at the same time. */
const TRIES_MAX = 10;

/** Creates, changes, lists, pauses, runs and removes schedules. */
export class ScheduleAdmin {
  constructor(private readonly parts: ScheduleAdminParts) {}

  /**
   * Creates a schedule, or changes it. All workers fire it. A new schedule, or one with a new pattern or time zone, starts with
   * its next tick from now. Other changes do not move the next tick.
   *
   * @throws InvalidOptionsError for a wrong pattern or option, and a pattern without a next tick; InvalidPayloadError when the
   * topic's schema rejects the payload; ScheduleStateError when the code of a process declares the name.
   */
  async upsert(name: string, pattern: SchedulePattern, options: ScheduleOptions): Promise<Schedule> {
    return (await this.put(name, pattern, options)).schedule;
  }

  /** Like `upsert`. Also returns whether the schedule is new. */
  async put(
    name: string,
    pattern: SchedulePattern,
    options: ScheduleOptions,
  ): Promise<{ schedule: Schedule; isNew: boolean }> {
    const { store, enqueuer } = this.parts;
    readScheduleName(name);
    const definition = readSchedule(pattern, options);
    await enqueuer.checkPayload(options.topic!, definition.payload);
    return this.repeat(name, async (stored, now) => {
      this.assertNotDeclared(name, stored);
      if (stored?.source === 'api' && isSameDefinition(stored, definition)) {
        return { schedule: toSchedule(stored), isNew: false };
      }
      const change = {
        name,
        definition,
        source: 'api' as const,
        revision: stored?.revision ?? null,
        cursor: stored?.nextTick,
        nextTick: stored ? moveCursor(stored, definition, now) : toTicks(definition).next(now),
      };
      const changed = (await store.schedules.put(change)) ? (await this.find(name)).stored : undefined;
      return changed && { schedule: toSchedule(changed), isNew: !stored };
    });
  }

  /** Returns a schedule, or `null` if none has the name. @throws InvalidOptionsError for an invalid name. */
  async get(name: string): Promise<Schedule | null> {
    const { stored } = await this.find(readScheduleName(name));
    return stored ? toSchedule(stored) : null;
  }

  /** Lists all schedules, sorted by name. */
  async list(): Promise<Schedule[]> {
    return (await this.parts.store.schedules.list()).schedules.map(toSchedule);
  }

  /**
   * Removes a schedule. Its jobs stay.
   *
   * @throws ScheduleNotFoundError; ScheduleStateError when the code of a live process declares it.
   */
  async remove(name: string): Promise<void> {
    await this.repeat(name, async (stored) => {
      const { revision } = this.assertFound(name, stored);
      this.assertNotDeclared(name, stored);
      return (await this.parts.store.schedules.remove(name, revision)) ? true : undefined;
    });
  }

  /** Stops a schedule in all processes, until `resume`. Ticks during the pause never fire. @throws ScheduleNotFoundError */
  async pause(name: string): Promise<void> {
    if (!(await this.parts.store.schedules.pause(readScheduleName(name)))) {
      throw new ScheduleNotFoundError(name);
    }
    this.announce();
  }

  /** Resumes a paused schedule, from its next tick. Has no effect on others. @throws ScheduleNotFoundError */
  async resume(name: string): Promise<void> {
    await this.repeat(name, async (stored, now) => {
      const schedule = this.assertFound(name, stored);
      if (schedule.pausedSince === null) {
        return true;
      }
      const next = toTicks(schedule).next(now);
      return (await this.parts.store.schedules.resume(name, schedule.revision, next)) ? true : undefined;
    });
  }

  /**
   * Enqueues a job of the schedule now. Does not change its next tick.
   *
   * @throws ScheduleNotFoundError; the errors of `enqueue`.
   */
  async run(name: string): Promise<Job> {
    const { now, stored } = await this.find(readScheduleName(name));
    const { enqueuer } = this.parts;
    return enqueuer.insertRow(toScheduledJob(enqueuer, name, this.assertFound(name, stored), now, now));
  }

  /** Returns the next ticks of a pattern. @throws InvalidOptionsError for a wrong pattern or option. */
  preview(pattern: SchedulePattern, options: PreviewOptions = {}): Date[] {
    const { tz, from = new Date(), count } = readOptions(previewTable, options, 'preview');
    return listTicks(parsePattern(pattern, tz), from, count);
  }

  /**
   * Returns the next ticks of a schedule, paused or not.
   *
   * @param count 1 to 100. Default 5.
   * @throws ScheduleNotFoundError; InvalidOptionsError for a wrong count.
   */
  async next(name: string, count = 5): Promise<Date[]> {
    applyCheck(countCheck, count, 'count');
    const { now, stored } = await this.find(readScheduleName(name));
    return listTicks(toTicks(this.assertFound(name, stored)), now, count);
  }

  private async find(name: string): Promise<{ now: Date; stored: StoredSchedule | undefined }> {
    const { now, schedules } = await this.parts.store.schedules.list(name);
    return { now, stored: schedules.find((schedule) => schedule.name === name) };
  }

  /** Reads a schedule and changes it. `change` returns `undefined` when another process changed it first: then both are repeated. */
  private async repeat<T>(
    name: string,
    change: (stored: StoredSchedule | undefined, now: Date) => Promise<T | undefined>,
  ): Promise<T> {
    readScheduleName(name);
    for (let tries = 1; tries <= TRIES_MAX; tries += 1) {
      const { now, stored } = await this.find(name);
      const result = await change(stored, now);
      if (result !== undefined) {
        this.announce();
        return result;
      }
    }
    throw new ScheduleStateError(name, 'other processes keep changing it; try again');
  }

  private assertFound(name: string, stored: StoredSchedule | undefined): StoredSchedule {
    if (!stored) {
      throw new ScheduleNotFoundError(name);
    }
    return stored;
  }

  private assertNotDeclared(name: string, stored: StoredSchedule | undefined): void {
    if (this.parts.scheduler.declares(name) || (stored?.source === 'code' && stored.isDeclared)) {
      throw new ScheduleStateError(
        name,
        'is declared by the code of a process; change it there, pause it, or choose another name',
      );
    }
  }

  private announce(): void {
    this.parts.scheduler.onHint(true);
    this.parts.store.announceSchedules();
  }
}

function listTicks(ticks: Ticks, from: Date, count: number): Date[] {
  const found: Date[] = [];
  for (let tick = ticks.next(from); tick && found.length < count; tick = ticks.next(tick)) {
    found.push(tick);
  }
  return found;
}
