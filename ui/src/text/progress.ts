/** How far a job is: a part of 1 for the bar, and words. */
export interface Progress {
  readonly fraction: number;
  readonly text: string;
}

const DONE = ['done', 'current', 'completed', 'processed'];
const ALL = ['of', 'total', 'max'];

/**
 * Reads what handlers commonly say of their progress: a number up to 100, or `{ done, of }` and its relatives. `null` when
 * it is something else.
 */
export function progressOf(value: unknown): Progress | null {
  if (typeof value === 'number') return ofPercent(Number.isInteger(value) || value > 1 ? value : value * 100);
  if (typeof value !== 'object' || value === null) return null;
  const members = value as Record<string, unknown>;
  const done = numberOf(members, DONE);
  const all = numberOf(members, ALL);
  if (done !== undefined && all !== undefined && all > 0 && done >= 0) {
    return { fraction: Math.min(1, done / all), text: `${done} of ${all}` };
  }
  return typeof members.percent === 'number' ? ofPercent(members.percent) : null;
}

function ofPercent(percent: number): Progress | null {
  if (!(percent >= 0 && percent <= 100)) return null;
  return { fraction: percent / 100, text: `${Number(percent.toFixed(1))} %` };
}

function numberOf(members: Record<string, unknown>, names: readonly string[]): number | undefined {
  const name = names.find((each) => typeof members[each] === 'number');
  return name === undefined ? undefined : (members[name] as number);
}
