/*
 * Schedules. In: declarations of this process, and the table of schedules. Out: jobs, one for each tick.
 * This file is the loop: it declares, reads and fires. failed-ticks.ts delays what failed. schedule-admin.ts holds the methods for
 * users. The rules are in core/schedule.ts (which ticks fire) and core/cron.ts (patterns).
 *
 * There is no leader. At a tick, every process that may fire the schedule sends the same statement. One of them moves the cursor.
 */
import type { JobTopic } from '../../core/job-topic.js';
import { InvalidOptionsError, QueueUnavailableError, StatementCancelledError } from '../../core/errors.js';
import { SET_JOBS_MAX, SET_LENGTH_MAX } from '../../core/bounds.js';
import type { ScheduleDefinition } from '../../core/schedule.js';
import { isReadable, planTicksInSteps, readStoredDefinition, toTicks } from '../../core/schedule.js';
import type {
  FiredSchedule,
  ListedSchedules,
  ScheduleChange,
  ScheduleFiring,
  StoredSchedule,
} from '../../store/schedules/schedule-records.js';
import type { DefinitionDeclarer } from '../topics/definition-declarer.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { Enqueuer } from '../enqueue/enqueuer.js';
import { toSortedJson } from '../../store/definitions/definition-records.js';
import { PollLoop } from '../runtime/poll-loop.js';
import { FailedTicks } from './failed-ticks.js';
import { LoopTurns } from './loop-turns.js';
import { toTickJob } from './tick-job.js';

type SchedulerParts = Pick<EngineParts, 'store' | 'clock' | 'failureLog' | 'random'> & {
  readonly enqueuer: Enqueuer;
  readonly declarer: DefinitionDeclarer;
};

/** A schedule that the code of this process declares. */
interface Declaration {
  readonly definition: ScheduleDefinition;
  /** The topic as declared, with its schema. */
  readonly topic: string | JobTopic<unknown, unknown>;
}

/** How long the loop sleeps when no tick is near; a change of a schedule wakes it. */
const SLEEP_MAX_MS = 3_600_000;
/** Least time between reads for hints that some process has committed something. */
const UNLIKELY_HINT_INTERVAL_MS = 1_000;
/** How often definitions are applied again when other processes change the same schedules. */
const APPLY_TRIES_MAX = 10;

/** Fires the schedules that this process declares, and those created through the API. */
export class Scheduler {
  private readonly loop: PollLoop;
  private readonly declarations = new Map<string, Declaration>();
  /** The declarations of this process have to be written, or those of others may apply now. */
  private mustDeclare = false;
  private readonly failedTicks: FailedTicks;
  private schedules: readonly StoredSchedule[] = [];
  private mustRead = false;
  /** Something was committed since the last read. */
  private isHinted = false;
  private readAtMs = -Infinity;
  /** The database's time minus the clock of the process: the least possible value, so that no tick is tried too early. */
  private clockOffsetMs = 0;
  /** The next response of the database replaces the estimate. */
  private isClockUncertain = true;
  /** Version of the table at the last {@link onPresence}. */
  private version = '';

  constructor(private readonly parts: SchedulerParts) {
    this.failedTicks = new FailedTicks(parts);
    this.loop = new PollLoop({
      ...parts,
      name: 'schedules',
      intervalMs: SLEEP_MAX_MS,
      work: () => this.work(),
    });
  }

  /** Resolves when a pass has fired the ticks that are due now, has failed, or the scheduler stops. */
  passed(): Promise<void> {
    return this.loop.passed();
  }

  /** Declares a schedule of this process's code. @throws InvalidOptionsError when the name is declared already. */
  declare(name: string, definition: ScheduleDefinition, topic: Declaration['topic']): void {
    if (this.declarations.has(name)) {
      throw new InvalidOptionsError(
        `schedule '${name}'`,
        'is declared twice by the code of this process; give one of them another name',
      );
    }
    this.declarations.set(name, { definition, topic });
    this.parts.declarer.addSchedule(name, definition);
    this.mustDeclare = true;
    this.loop.wake();
  }

  /** Whether the code of this process declares a schedule. */
  declares(name: string): boolean {
    return this.declarations.has(name);
  }

  /** @throws InvalidPayloadError when the schema of a topic rejects the payload of a declared schedule. */
  async checkPayloads(): Promise<void> {
    for (const { definition, topic } of this.declarations.values()) {
      await this.parts.enqueuer.checkPayload(topic, definition.payload);
    }
  }

  start(): void {
    this.mustDeclare = this.declarations.size > 0;
    this.loop.start();
  }

  async stop(): Promise<void> {
    await this.loop.stop();
    // Until the next start, other processes may fire or change schedules. A process that knows none reads them when one is added.
    this.mustRead ||= this.schedules.length > 0;
    this.failedTicks.clear();
  }

  /** Called when a schedule may have changed. @param isLikely `false`: another process has committed something, perhaps jobs. */
  onHint(isLikely: boolean): void {
    if (isLikely) {
      this.mustRead = true;
      this.loop.wake();
    } else if (this.schedules.length > 0 && !this.isHinted) {
      this.isHinted = true;
      this.loop.wake();
    }
  }

  /**
   * Called after this process has written its row in the list of workers.
   *
   * @param now the database's time.
   * @param sinceMs when this process sent the statement, by its own clock.
   * @param version changes with every change of a schedule.
   * @param isDue whether any schedule has another definition than the one that applies.
   */
  onPresence(now: Date, sinceMs: number, version: string, isDue: boolean): void {
    this.syncClock(now, sinceMs);
    if (version !== this.version) {
      this.version = version;
      this.mustRead = true;
    }
    this.mustDeclare ||= isDue;
    // Wakes always, because the clock of the database may have been changed.
    this.loop.wake();
  }

  /** One pass of the loop. @returns how long to sleep; 0 if ticks may be due. */
  async work(): Promise<number> {
    if (this.mustDeclare) {
      await this.declareAll();
    }
    if (this.mustRead || (this.isHinted && this.hintWaitMs() <= 0)) {
      await this.read();
    }
    const now = this.now();
    const waits = this.ownSchedules().map((schedule) => ({ schedule, waitMs: this.waitMs(schedule, now) }));
    const due = waits.filter(({ waitMs }) => waitMs <= 0).map(({ schedule }) => schedule);
    if (due.length > 0) {
      await this.fireDue(due, now);
      return 0;
    }
    const first = this.isHinted ? this.hintWaitMs() : SLEEP_MAX_MS;
    return waits.reduce((least, { waitMs }) => Math.min(least, waitMs), Math.min(first, SLEEP_MAX_MS));
  }

  /** The schedules that this process may fire, and that have a tick. */
  private ownSchedules(): StoredSchedule[] {
    return this.schedules.filter(
      ({ name, source, nextTick, pausedSince }) =>
        nextTick !== null && pausedSince === null && (source === 'api' || this.declares(name)),
    );
  }

  private hintWaitMs(): number {
    return this.readAtMs + UNLIKELY_HINT_INTERVAL_MS - this.parts.clock.now();
  }

  private waitMs(schedule: StoredSchedule, now: Date): number {
    return Math.max(schedule.nextTick!.getTime() - now.getTime(), this.failedTicks.waitMs(schedule));
  }

  /** Fires as many schedules as fit into one statement. Those that were refused before fire after the others, one by one. */
  private async fireDue(due: readonly StoredSchedule[], now: Date): Promise<void> {
    const others = due.filter((schedule) => !this.failedTicks.isRefused(schedule));
    await this.fire(await this.toFirings(others.length > 0 ? others : due.slice(0, 1), now));
  }

  /** Plans the first of the schedules, up to the limits of a statement. */
  private async toFirings(due: readonly StoredSchedule[], now: Date): Promise<ScheduleFiring[]> {
    const firings: ScheduleFiring[] = [];
    const turns = new LoopTurns(this.parts.clock);
    let jobs = 0;
    let length = 0;
    for (const schedule of due) {
      try {
        const firing = await this.toFiring(schedule, now, turns);
        jobs += firing.jobs.length;
        length += firing.jobs.reduce((sum, job) => sum + job.payload.length, 0);
        if (firings.length > 0 && (jobs > SET_JOBS_MAX || length > SET_LENGTH_MAX)) {
          break;
        }
        firings.push(firing);
      } catch (error) {
        this.failedTicks.recordRefused({ ...schedule, cursor: schedule.nextTick! }, error);
      }
      if (firings.length >= SET_JOBS_MAX) {
        break;
      }
    }
    return firings;
  }

  private async toFiring(schedule: StoredSchedule, now: Date, turns: LoopTurns): Promise<ScheduleFiring> {
    const { name, revision, nextTick, overlap } = schedule;
    const { fire, next } = await turns.run(planTicksInSteps(schedule, nextTick!, now));
    const ticks = overlap === 'skip' ? fire.slice(-1) : fire;
    const { enqueuer } = this.parts;
    const jobs = ticks.map((each) => toTickJob(enqueuer, schedule, each));
    if (enqueuer.encoder.isActive) {
      await Promise.all(jobs.map((job) => enqueuer.encoder.encodeRow(job)));
    }
    return {
      name,
      revision,
      cursor: nextTick!,
      next,
      tick: ticks.at(-1) ?? null,
      jobs,
    };
  }

  /** Fires in one statement. If the database refuses it, fires each half, so that a bad schedule stops no other. */
  private async fire(firings: readonly ScheduleFiring[]): Promise<void> {
    if (firings.length === 0) {
      return;
    }
    try {
      this.onFired(firings, await this.parts.store.schedules.fire(firings));
    } catch (error) {
      const isSlow = error instanceof StatementCancelledError;
      if ((error instanceof QueueUnavailableError && !isSlow) || (isSlow && firings.length === 1)) {
        throw error;
      }
      if (firings.length === 1) {
        this.failedTicks.recordRefused(firings[0]!, error);
        return;
      }
      const half = Math.ceil(firings.length / 2);
      await this.fire(firings.slice(0, half));
      await this.fire(firings.slice(half));
    }
  }

  private onFired(firings: readonly ScheduleFiring[], fired: readonly FiredSchedule[]): void {
    const byId = new Map(firings.flatMap(({ jobs }) => jobs).map((row) => [row.id, row]));
    const inserted = fired.flatMap((schedule) => schedule.inserted);
    if (inserted.length > 0) {
      this.parts.enqueuer.onInserted(
        inserted.map(({ id }) => byId.get(id)!),
        inserted,
      );
    }
    const moved = new Set(fired.map(({ name }) => name));
    for (const firing of firings) {
      if (moved.has(firing.name)) {
        this.failedTicks.recordSuccess(firing.name);
      } else {
        this.failedTicks.recordNotMoved(firing);
        // Only the table knows the cursor now, and whether it was too early.
        this.mustRead = true;
        this.isClockUncertain = true;
      }
    }
    const next = new Map(firings.map((firing) => [firing.name, firing.next]));
    this.schedules = this.schedules.map((schedule) =>
      moved.has(schedule.name) ? { ...schedule, nextTick: next.get(schedule.name)! } : schedule,
    );
  }

  private async read(): Promise<void> {
    this.mustRead = false;
    this.isHinted = false;
    let listed: ListedSchedules;
    try {
      listed = await this.list();
    } catch (error) {
      this.mustRead = true;
      throw error;
    }
    this.readAtMs = this.parts.clock.now();
    this.schedules = listed.schedules;
    this.failedTicks.update(this.schedules);
    const names = new Set(this.schedules.map(({ name }) => name));
    if ([...this.declarations.keys()].some((name) => !names.has(name))) {
      this.mustDeclare = true;
      this.loop.wake();
    }
  }

  private async list(): Promise<ListedSchedules> {
    const sinceMs = this.parts.clock.now();
    const listed = await this.parts.store.schedules.list();
    this.syncClock(listed.now, sinceMs);
    return listed;
  }

  /** Writes the declarations of this process, then the definitions that apply, of all processes. */
  private async declareAll(): Promise<void> {
    const { store, declarer } = this.parts;
    this.mustDeclare = false;
    try {
      await declarer.writeSchedules();
      if (await this.applyDefinitions()) {
        store.announceSchedules();
      }
    } catch (error) {
      this.mustDeclare = true;
      throw error;
    }
    this.mustRead = true;
  }

  /** Writes the definitions that apply to the rows of their schedules. @returns whether a row has changed. */
  private async applyDefinitions(): Promise<boolean> {
    const { store, declarer } = this.parts;
    let hasChanged = false;
    for (let tries = 1; tries <= APPLY_TRIES_MAX; tries += 1) {
      const pending = (await store.definitions.pendingSchedules(declarer.isSettling))
        .map(({ name, json }) => ({ name, definition: readStoredDefinition(json) }))
        .filter(({ definition }) => isReadable(definition));
      if (pending.length === 0) {
        break;
      }
      const { now, schedules } = await this.list();
      const stored = new Map(schedules.map((schedule) => [schedule.name, schedule]));
      for (const { name, definition } of pending) {
        const current = stored.get(name);
        if (tries === 1 && current?.source === 'code' && isSameDefinition(current, definition)) {
          // Another process has written it since. One that is still pending on the next try differs in its JSON only, and is written.
          continue;
        }
        const isStored = await store.schedules.put(toChange(name, definition, current, now));
        hasChanged ||= isStored;
      }
    }
    return hasChanged;
  }

  private now(): Date {
    return new Date(Math.floor(this.parts.clock.now() + this.clockOffsetMs));
  }

  /**
   * Estimates the clock of the database from one response. The time in it lies between request and response, so a slow response
   * gives a wide range. It replaces the estimate only if the estimate is outside that range.
   */
  private syncClock(now: Date, sinceMs: number): void {
    const leastMs = now.getTime() - this.parts.clock.now();
    const mostMs = now.getTime() + 1 - sinceMs;
    if (this.isClockUncertain || this.clockOffsetMs < leastMs || this.clockOffsetMs > mostMs) {
      this.clockOffsetMs = leastMs;
    }
    this.isClockUncertain = false;
  }
}

/** Returns the change of the row that a definition of the code needs. */
function toChange(
  name: string,
  definition: ScheduleDefinition,
  stored: StoredSchedule | undefined,
  now: Date,
): ScheduleChange {
  const source = 'code';
  if (!stored) {
    return { name, definition, source, revision: null, nextTick: toTicks(definition).next(now) };
  }
  const nextTick = moveCursor(stored, definition, now);
  return { name, definition, source, revision: stored.revision, cursor: stored.nextTick, nextTick };
}

/**
 * Returns the new cursor of a changed schedule; `undefined` if it stays. After a change of pattern or zone the schedule starts again from
 * now, without catching up. After a change of `startAt` or `endAt`, a due tick within the new bounds still fires.
 */
export function moveCursor(stored: StoredSchedule, definition: ScheduleDefinition, now: Date): Date | null | undefined {
  const differs = (member: keyof ScheduleDefinition): boolean => stored[member] !== definition[member];
  if (differs('pattern') || differs('tz')) {
    return toTicks(definition).next(now);
  }
  if (differs('startAt') || differs('endAt')) {
    const isDue = stored.nextTick !== null && stored.nextTick <= now;
    return toTicks(definition).next(isDue ? new Date(stored.nextTick.getTime() - 1) : now);
  }
  return undefined;
}

/** Compares the members of a definition. The database may have changed the order of members in objects. */
export function isSameDefinition(stored: ScheduleDefinition, definition: ScheduleDefinition): boolean {
  return (Object.keys(definition) as (keyof ScheduleDefinition)[]).every(
    (member) => toSortedJson(stored[member]) === toSortedJson(definition[member]),
  );
}
