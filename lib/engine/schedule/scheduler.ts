/*
 * Schedules. In: declarations of this process, and the table of schedules. Out: jobs, one for each tick.
 * This file is the loop: it declares, reads and fires. schedule-admin.ts holds what users call. The rules are in core/schedule.ts
 * (which ticks fire) and core/cron.ts (patterns).
 *
 * There is no leader. Every process that may fire a schedule tries to at its tick; the statement lets one of them move the cursor.
 */
import type { JobTopic } from '../../core/job-topic.js';
import { InvalidOptionsError } from '../../core/errors.js';
import type { ScheduleDefinition } from '../../core/schedule.js';
import { planTicks, toTicks } from '../../core/schedule.js';
import type { ScheduleChange, ScheduleFiring, StoredSchedule } from '../../store/store-records.js';
import type { EngineParts } from '../engine-parts.js';
import type { Enqueuer } from '../enqueue/enqueuer.js';
import { PollLoop } from '../poll-loop.js';
import { toTickJob } from './tick-job.js';

type SchedulerParts = Pick<EngineParts, 'store' | 'clock' | 'failureLog' | 'random'> & { readonly enqueuer: Enqueuer };

/** A schedule that the code of this process declares. */
interface Declaration {
  readonly definition: ScheduleDefinition;
  /** The topic as declared, with its schema. */
  readonly topic: string | JobTopic<unknown, unknown>;
}

/** How long the loop sleeps when no tick is near; a change of a schedule wakes it. */
const SLEEP_MAX_MS = 3_600_000;
/** Schedules that fire in one statement. */
const FIRINGS_MAX = 1_000;
/** How often hints that something was committed lead to a read. */
const UNLIKELY_HINT_INTERVAL_MS = 1_000;
/** How often a declaration is repeated when other processes change the schedule at the same time. */
const DECLARE_TRIES_MAX = 10;
/** How long a schedule stays in the table after the last process that declared it. */
const ORPHAN_AGE_MS = 30 * 86_400_000;

/** Fires the schedules that this process declares, and those created through the API. */
export class Scheduler {
  private readonly loop: PollLoop;
  private readonly declarations = new Map<string, Declaration>();
  private schedules: readonly StoredSchedule[] = [];
  private mustDeclare = false;
  private mustRead = false;
  private readAtMs = -Infinity;
  /** Milliseconds from the process's clock to the database's time. */
  private clockOffsetMs = 0;
  /** What the last {@link onPresence} said of the table. */
  private version = '';

  constructor(private readonly parts: SchedulerParts) {
    this.loop = new PollLoop({
      ...parts,
      name: 'schedules',
      intervalMs: SLEEP_MAX_MS,
      work: () => this.work(),
    });
  }

  /** Declares a schedule of this process's code. @throws InvalidOptionsError when the name is declared already. */
  declare(name: string, definition: ScheduleDefinition, topic: Declaration['topic']): void {
    if (this.declarations.has(name)) {
      throw new InvalidOptionsError(`schedule '${name}'`, 'is declared twice; give one of them another name');
    }
    this.declarations.set(name, { definition, topic });
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

  stop(): Promise<void> {
    return this.loop.stop();
  }

  /** A schedule may have changed. @param isLikely whether a notification says so, and not only that something was committed. */
  onHint(isLikely: boolean): void {
    const { clock } = this.parts;
    if (isLikely || (this.schedules.length > 0 && clock.now() - this.readAtMs > UNLIKELY_HINT_INTERVAL_MS)) {
      this.mustRead = true;
      this.loop.wake();
    }
  }

  /**
   * This process has recorded that it lives.
   *
   * @param now the database's time.
   * @param version changes with every change of a schedule.
   */
  async onPresence(now: Date, version: string): Promise<void> {
    this.syncClock(now);
    if (version !== this.version) {
      this.version = version;
      this.mustRead = true;
    }
    // Wakes in any case: the database's clock may have been set.
    this.loop.wake();
    if (this.declarations.size > 0) {
      await this.parts.store.schedules.declare([...this.declarations.keys()]);
    }
  }

  /** @returns how long to sleep. */
  private async work(): Promise<number> {
    if (this.mustDeclare) {
      this.mustDeclare = false;
      await this.declareAll().catch((error: unknown) => {
        this.mustDeclare = true;
        throw error;
      });
    }
    if (this.mustRead) {
      await this.read();
    }
    const now = this.now();
    const due = this.ownSchedules()
      .filter(({ nextTick }) => nextTick! <= now)
      .slice(0, FIRINGS_MAX);
    if (due.length > 0) {
      await this.fire(due, now);
      return 0;
    }
    const next = Math.min(...this.ownSchedules().map(({ nextTick }) => nextTick!.getTime()));
    return Math.min(SLEEP_MAX_MS, next - now.getTime());
  }

  /** The schedules that this process may fire, and that have a tick. */
  private ownSchedules(): StoredSchedule[] {
    return this.schedules.filter(
      ({ name, source, nextTick, pausedSince }) =>
        nextTick !== null && pausedSince === null && (source === 'api' || this.declares(name)),
    );
  }

  private async fire(due: readonly StoredSchedule[], now: Date): Promise<void> {
    const { store, enqueuer } = this.parts;
    const firings = due.map((schedule) => this.toFiring(schedule, now));
    const fired = new Map((await store.schedules.fire(firings)).map(({ name, inserted }) => [name, inserted]));
    const rows = firings.flatMap(({ jobs }) => jobs);
    const inserted = [...fired.values()].flat();
    const byId = new Map(rows.map((row) => [row.id, row]));
    if (inserted.length > 0) {
      enqueuer.onInserted(
        inserted.map(({ id }) => byId.get(id)!),
        inserted,
      );
    }
    const next = new Map(firings.map((firing) => [firing.name, firing]));
    // Where another process was first, or the schedule has changed, only the table knows the cursor.
    this.mustRead ||= fired.size < due.length;
    this.schedules = this.schedules.map((schedule) =>
      fired.has(schedule.name) ? { ...schedule, nextTick: next.get(schedule.name)!.next } : schedule,
    );
  }

  private toFiring(schedule: StoredSchedule, now: Date): ScheduleFiring {
    const { name, revision, nextTick, overlap } = schedule;
    const { fire, next } = planTicks(schedule, nextTick!, now);
    const ticks = overlap === 'skip' ? fire.slice(-1) : fire;
    return {
      name,
      revision,
      cursor: nextTick!,
      next,
      tick: ticks.at(-1) ?? null,
      jobs: ticks.map((tick) => toTickJob(this.parts.enqueuer, schedule, tick)),
    };
  }

  private async read(): Promise<void> {
    this.mustRead = false;
    try {
      const { now, schedules } = await this.parts.store.schedules.list();
      this.syncClock(now);
      this.readAtMs = this.parts.clock.now();
      this.schedules = schedules;
      await this.removeOrphans(now);
    } catch (error) {
      this.mustRead = true;
      throw error;
    }
    const names = new Set(this.schedules.map(({ name }) => name));
    if ([...this.declarations.keys()].some((name) => !names.has(name))) {
      await this.declareAll();
    }
  }

  private async removeOrphans(now: Date): Promise<void> {
    const oldest = now.getTime() - ORPHAN_AGE_MS;
    for (const { name, revision, source, declared } of this.schedules) {
      if (source === 'code' && declared.getTime() < oldest && !this.declares(name)) {
        await this.parts.store.schedules.remove(name, revision);
      }
    }
  }

  /** Writes the declarations of this process that are new or differ from the table. */
  private async declareAll(): Promise<void> {
    const { store } = this.parts;
    let hasChanged = false;
    for (let tries = 1; ; tries += 1) {
      const { now, schedules } = await store.schedules.list();
      const stored = new Map(schedules.map((schedule) => [schedule.name, schedule]));
      const changes = [...this.declarations].flatMap(([name, { definition }]) =>
        toChange(name, definition, stored.get(name), now),
      );
      if (changes.length === 0 || tries > DECLARE_TRIES_MAX) {
        break;
      }
      for (const change of changes) {
        hasChanged = (await store.schedules.put(change)) || hasChanged;
      }
    }
    await store.schedules.declare([...this.declarations.keys()]);
    this.mustRead = true;
    if (hasChanged) {
      store.announceSchedules();
    }
  }

  private now(): Date {
    return new Date(Math.floor(this.parts.clock.now() + this.clockOffsetMs));
  }

  private syncClock(now: Date): void {
    this.clockOffsetMs = now.getTime() - this.parts.clock.now();
  }
}

/** Returns what must change in the table for a declaration: one change or none. */
function toChange(
  name: string,
  definition: ScheduleDefinition,
  stored: StoredSchedule | undefined,
  now: Date,
): readonly ScheduleChange[] {
  const source = 'code';
  if (!stored) {
    return [{ name, definition, source, revision: null, nextTick: toTicks(definition).next(now) }];
  }
  if (stored.source === source && isSameDefinition(stored, definition)) {
    return [];
  }
  const nextTick = movesCursor(stored, definition) ? toTicks(definition).next(now) : undefined;
  return [{ name, definition, source, revision: stored.revision, nextTick }];
}

/** Whether the ticks differ. Then the cursor starts again from now, and no tick is caught up. */
export function movesCursor(stored: ScheduleDefinition, definition: ScheduleDefinition): boolean {
  return (['pattern', 'tz', 'startAt', 'endAt'] as const).some((member) => stored[member] !== definition[member]);
}

/** Compares the members of a definition. The database may have changed the order of members in objects. */
export function isSameDefinition(stored: ScheduleDefinition, definition: ScheduleDefinition): boolean {
  return (Object.keys(definition) as (keyof ScheduleDefinition)[]).every(
    (member) => toSortedJson(stored[member]) === toSortedJson(definition[member]),
  );
}

function toSortedJson(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}
