import type { Job, JobAction } from '../../../client/index.js';
import { messages } from '../messages/messages.js';
import type { TimelineEvent, TimelineNote } from './timeline.js';

type Entry = TimelineEvent | TimelineNote;

/** Whether a caller has re-queued the job, so that the time is known. */
export function isRequeueKnown({ actions }: Job): boolean {
  return actions.some(({ action }) => action === 'requeue' || action === 'edit');
}

/** Adds what callers have done to a timeline, oldest first. The end of a waiting job is its cancel, and no event of its own. */
export function withActions(entries: readonly Entry[], { actions, finished }: Job): Entry[] {
  const merged = [...entries];
  for (const action of actions) {
    const end = merged.findIndex((entry) => 'at' in entry && entry.at === finished && !entry.attempt);
    if (action.action === 'cancel' && action.time === finished && end >= 0) {
      merged[end] = { ...(merged[end] as TimelineEvent), action };
    } else {
      merged.splice(placeOf(action, merged), 0, toEvent(action));
    }
  }
  return merged;
}

/** Before the first later event, and before the notes about the time before it. */
function placeOf({ time }: JobAction, entries: readonly Entry[]): number {
  const later = entries.findIndex((entry) => 'at' in entry && entry.at > time);
  const before = entries.slice(0, later < 0 ? entries.length : later);
  return before.findLastIndex((entry) => 'at' in entry) + 1;
}

function toEvent(action: JobAction): TimelineEvent {
  return { title: messages.timeline.actions[action.action], at: action.time, tone: 'neutral', action };
}
