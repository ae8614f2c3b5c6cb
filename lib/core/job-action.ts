import type { JobAction } from './job-state.js';
import { toStorableText } from './text.js';

/** Who acts on a job. */
export interface Actor {
  /** Through the HTTP API, the command line, or a method of the application. */
  readonly via: 'api' | 'cli' | 'application';
  /** The id of the caller; `null` if it has none. The first 200 characters are stored. */
  readonly by: string | null;
}

/** An action on a job, as its row stores it. */
export interface JobActionEntry extends Actor {
  /** `edit`: it was re-queued with another payload. */
  readonly action: 'requeue' | 'edit' | 'promote' | 'cancel';
  /** ISO 8601 text in UTC, by the database's clock. */
  readonly time: string;
}

/** The actor of methods that the application calls. */
export const APPLICATION: Actor = Object.freeze({ via: 'application', by: null });

const ACTOR_LENGTH_MAX = 200;

/** Returns the JSON text of a {@link JobActionEntry} without its time. */
export function toActionText(action: JobAction, { via, by }: Actor, isEdit = false): string {
  const name = by === null ? null : toStorableText(by.slice(0, ACTOR_LENGTH_MAX));
  return JSON.stringify({ action: isEdit ? 'edit' : action, via, by: name });
}
