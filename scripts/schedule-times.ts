// Writes the tables of docs/guide/schedule-times.md: the ticks of some patterns around changes of the clocks.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SchedulePattern } from '../lib/core/cron.js';
import { parsePattern } from '../lib/core/cron.js';

const PAGE = join(__dirname, '../docs/guide/schedule-times.md');
const MARKED = /(?<=<!-- schedule times: begin -->\n).*(?=<!-- schedule times: end -->)/s;

const HOUR_MS = 3_600_000;
const BEFORE_MS = HOUR_MS;
const AFTER_MS = 2 * HOUR_MS;

const PATTERNS: readonly SchedulePattern[] = ['30 1 * * *', '30 2 * * *', '*/10 * * * *', '0 * * * *', { every: '1h' }];

interface Night {
  readonly tz: string;
  readonly title: string;
  /** The moment at which the clocks change. */
  readonly change: string;
}

const NIGHTS: readonly Night[] = [
  { tz: 'Europe/Berlin', title: '29 March 2026, 02:00 becomes 03:00', change: '2026-03-29T01:00:00Z' },
  { tz: 'Europe/Berlin', title: '25 October 2026, 03:00 becomes 02:00', change: '2026-10-25T01:00:00Z' },
  { tz: 'America/New_York', title: '8 March 2026, 02:00 becomes 03:00', change: '2026-03-08T07:00:00Z' },
  { tz: 'America/New_York', title: '1 November 2026, 02:00 becomes 01:00', change: '2026-11-01T06:00:00Z' },
  { tz: 'Australia/Lord_Howe', title: '4 October 2026, 02:00 becomes 02:30', change: '2026-10-03T15:30:00Z' },
  { tz: 'Australia/Lord_Howe', title: '5 April 2026, 02:00 becomes 01:30', change: '2026-04-04T15:00:00Z' },
  { tz: 'Asia/Kathmandu', title: 'no change, 45 minutes beside the hour', change: '2026-03-28T20:15:00Z' },
];

/** Returns the tables as Markdown. */
export function renderScheduleTimes(): string {
  return `\n${NIGHTS.map(renderNight).join('\n')}\n`;
}

/** Returns the tables in the text of the page. */
export function readScheduleTimes(): string | undefined {
  return MARKED.exec(readFileSync(PAGE, 'utf8'))?.[0];
}

function renderNight({ tz, title, change }: Night): string {
  const rows = PATTERNS.map((pattern) => {
    const ticks = ticksAround(pattern, tz, Date.parse(change));
    const utc = ticks.map((tick) => timeOf(tick, 'UTC')).join(' ');
    return `| \`${toText(pattern)}\` | ${renderLocal(ticks, tz) || '–'} | ${utc || '–'} |`;
  });
  return `## ${tz}: ${title}\n\n| pattern | local time | UTC |\n|---|---|---|\n${rows.join('\n')}\n`;
}

function ticksAround(pattern: SchedulePattern, tz: string, changeMs: number): Date[] {
  const parsed = parsePattern(pattern, tz);
  const found: Date[] = [];
  let tick = parsed.next(new Date(changeMs - BEFORE_MS - 1));
  while (tick && tick.getTime() < changeMs + AFTER_MS) {
    found.push(tick);
    tick = parsed.next(tick);
  }
  return found;
}

/** Groups the local times by their offset: `01:50 (+01:00), 03:00 03:10 (+02:00)`. */
function renderLocal(ticks: readonly Date[], tz: string): string {
  const groups = new Map<string, string[]>();
  for (const tick of ticks) {
    const offset = offsetOf(tick, tz);
    groups.set(offset, [...(groups.get(offset) ?? []), timeOf(tick, tz)]);
  }
  return [...groups].map(([offset, times]) => `${times.join(' ')} (${offset})`).join(', ');
}

function timeOf(moment: Date, timeZone: string): string {
  return moment.toLocaleTimeString('en-GB', { timeZone, hour: '2-digit', minute: '2-digit' });
}

function offsetOf(moment: Date, timeZone: string): string {
  const parts = new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset' }).formatToParts(moment);
  return parts.find(({ type }) => type === 'timeZoneName')!.value.replace('GMT', '');
}

function toText(pattern: SchedulePattern): string {
  return typeof pattern === 'string' ? pattern : `{ every: '${pattern.every}' }`;
}

if (require.main === module) {
  writeFileSync(PAGE, readFileSync(PAGE, 'utf8').replace(MARKED, renderScheduleTimes));
}
