import { messages } from '../messages/messages.js';
import { percentText } from './amount.js';

/** How far a job is: a part of 1 for the bar, and words. */
export interface Progress {
  readonly fraction: number;
  readonly text: string;
  /** What the handler says of it; `null`: nothing. */
  readonly message: string | null;
  /** Whether the value says more than this. */
  readonly hasMore: boolean;
}

const DONE = ['done', 'current', 'completed', 'processed'];
const ALL = ['of', 'total', 'max'];

/**
 * Reads what handlers commonly say of their progress: a number up to 100 or a part of 1, `{ percent, message }`, or `{ done, of }` and
 * its relatives. `null` when it is something else.
 */
export function readProgress(value: unknown): Progress | null {
  if (typeof value === 'number') {
    return ofPercent(Number.isInteger(value) || value > 1 ? value : value * 100);
  }
  return typeof value === 'object' && value !== null ? ofMembers(value as Record<string, unknown>) : null;
}

function ofMembers(members: Record<string, unknown>): Progress | null {
  const done = findName(members, DONE);
  const all = findName(members, ALL);
  const counted = done && all ? ofCount(Number(members[done]), Number(members[all])) : null;
  const progress = counted ?? (typeof members.percent === 'number' ? ofPercent(members.percent) : null);
  const message = typeof members.message === 'string' ? members.message : null;
  const shownCount = (counted ? 2 : 1) + (message === null ? 0 : 1);
  return progress && { ...progress, message, hasMore: Object.keys(members).length > shownCount };
}

function ofCount(done: number, all: number): Progress | null {
  if (!(all > 0 && done >= 0)) return null;
  return {
    fraction: Math.min(1, done / all),
    text: messages.amounts.partOf(String(done), String(all)),
    message: null,
    hasMore: false,
  };
}

function ofPercent(percent: number): Progress | null {
  if (!(percent >= 0 && percent <= 100)) return null;
  return { fraction: percent / 100, text: percentText(percent), message: null, hasMore: false };
}

function findName(members: Record<string, unknown>, names: readonly string[]): string | undefined {
  return names.find((each) => typeof members[each] === 'number');
}
