import type { JobStatus } from '../core/job-state.js';
import type { Cell, Style } from './terminal.js';

const STATUS_STYLES: Readonly<Record<JobStatus, Style>> = {
  pending: 'yellow',
  processing: 'cyan',
  completed: 'green',
  failed: 'red',
  cancelled: 'dim',
};

export function toStatusCell(status: JobStatus): Cell {
  return { text: status, style: STATUS_STYLES[status] };
}

/** Returns `1,234`. */
export function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}

/** Returns `1 job` or `1,234 jobs`. */
export function formatJobs(count: number): string {
  return count === 1 ? '1 job' : `${formatCount(count)} jobs`;
}

/** Returns ISO 8601 text in UTC, to the second. */
export function formatTime(time: Date | null | undefined): string {
  return time ? time.toISOString().replace(/\.\d+Z$/, 'Z') : '';
}

const UNITS: readonly (readonly [name: string, ms: number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
];

/** Returns a length of time in its two largest units, such as `2h 5m`; below a second in milliseconds. */
export function formatAge(ms: number): string {
  const first = UNITS.findIndex(([, unit]) => ms >= unit);
  if (first === -1) {
    return `${Math.round(ms)}ms`;
  }
  const [name, unit] = UNITS[first]!;
  const [nextName, nextUnit] = UNITS[first + 1] ?? ['ms', 1];
  const rest = Math.floor((ms % unit) / nextUnit);
  return `${Math.floor(ms / unit)}${name}${rest > 0 && nextName !== 'ms' ? ` ${rest}${nextName}` : ''}`;
}

/** Cuts a text to a column of a table. */
export function cut(text: string, lengthMax: number): string {
  return text.length > lengthMax ? `${text.slice(0, lengthMax - 1)}…` : text;
}
