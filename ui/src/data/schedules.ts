import type { Job, Schedule } from '../../../client/index.js';
import { messages } from '../messages/messages.js';
import { toHref } from '../route/router.svelte.js';
import { visible } from '../text/visible-text.js';
import { live } from './live.svelte.js';
import { notices } from './notices.svelte.js';
import { questions } from './questions.svelte.js';
import { api } from './session.svelte.js';

/** What the reader does to schedules. */
class ScheduleMoves {
  /** Being changed: a second press does nothing more. */
  readonly #moving = new Set<string>();
  readonly #listeners = new Set<() => void>();
  /** Remove the notices that offer to take a pause back. */
  readonly #pauseNotices = new Map<string, () => void>();

  /** Calls the listener after each change that is made here. @returns a function that unsubscribes */
  onMove(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async pause(name: string): Promise<void> {
    if (!(await this.#move(name, () => api.schedules.pause(name)))) return;
    const undo = (): void => void this.resume(name);
    this.#pauseNotices.set(
      name,
      notices.show({ text: messages.schedules.paused(visible(name)), tone: 'neutral', undo }),
    );
  }

  async resume(name: string): Promise<void> {
    if (!(await this.#move(name, () => api.schedules.resume(name)))) return;
    this.#pauseNotices.get(name)?.();
    notices.say(messages.schedules.resumed(visible(name)));
  }

  async run(name: string): Promise<void> {
    let job: Job | undefined;
    await this.#move(name, async () => {
      job = await api.schedules.run(name);
    });
    if (job) {
      const href = toHref({ screen: 'job', id: job.id });
      notices.show({ text: messages.schedules.enqueued(visible(name)), tone: 'neutral', href });
    }
  }

  /** @returns whether it was removed */
  async remove({ name }: Schedule): Promise<boolean> {
    const title = messages.schedules.deleteTitle(visible(name));
    const { deleteText: text, delete: verb } = messages.schedules;
    if (!(await questions.ask({ title, text, verb }))) return false;
    const isRemoved = await this.#move(name, () => api.schedules.remove(name));
    if (isRemoved) notices.say(messages.schedules.deleted(visible(name)));
    return isRemoved;
  }

  /** A form has stored a schedule. */
  announce(): void {
    this.#listeners.forEach((listener) => listener());
  }

  async #move(name: string, call: () => Promise<void>): Promise<boolean> {
    if (this.#moving.has(name)) return false;
    this.#moving.add(name);
    try {
      await call();
      return true;
    } catch (error) {
      notices.complain(error);
      return false;
    } finally {
      this.#moving.delete(name);
      this.announce();
    }
  }
}

export const scheduleMoves = new ScheduleMoves();

/** The stream reports jobs; a change of a schedule alone is seen this much later. */
const REFRESH_MS = 5_000;

/** Calls `refresh` when schedules of these topics may have changed. @returns a function that stops it */
export function watchSchedules(topics: () => readonly string[], refresh: () => void): () => void {
  const timer = setInterval(() => live.phase === 'live' && refresh(), REFRESH_MS);
  const ends = [
    () => clearInterval(timer),
    scheduleMoves.onMove(refresh),
    live.onChange((changed) => {
      if (changed === null || topics().some((topic) => changed.includes(topic))) refresh();
    }),
  ];
  return () => ends.forEach((end) => end());
}

/** A tick that is later than this found no process that fires it. */
const LATE_AFTER_MS = 60_000;

/** How late the next tick is, in ms, if it should have fired; otherwise 0. */
export function measureLateness({ next_tick, paused_since }: Schedule, now: number): number {
  const ms = next_tick === null || paused_since !== null ? 0 : now - Date.parse(next_tick);
  return ms > LATE_AFTER_MS ? ms : 0;
}

/** Whether no process declares a schedule of the application's code any more. */
export function isOrphan({ source, is_declared }: Schedule): boolean {
  return source === 'code' && !is_declared;
}

/** Whether the API accepts changes of the definition. */
export function isEditable(schedule: Schedule): boolean {
  return schedule.source === 'api' || isOrphan(schedule);
}

const EPOCH = new Date(0).toISOString();

/** The moment from which an interval is counted; `null` for the default, and for a cron pattern. */
export function readAnchor(pattern: Schedule['pattern']): string | null {
  return typeof pattern === 'string' || pattern.anchor === EPOCH ? null : pattern.anchor;
}

/** The search that finds the jobs of a schedule, by their metadata. */
export function jobsQuery(name: string): string {
  return `$schedule.name:${JSON.stringify(name)}`;
}

/** The schedule and tick that a job is for, from its metadata. */
export function readSchedule({ metadata }: Job): { name: string; tick: string } | null {
  const value = metadata?.$schedule as { name?: unknown; tick?: unknown } | null | undefined;
  if (typeof value?.name !== 'string' || typeof value.tick !== 'string') return null;
  return Number.isNaN(Date.parse(value.tick)) ? null : { name: value.name, tick: value.tick };
}
