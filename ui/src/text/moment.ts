import { messages } from '../messages/messages.js';
import { roughDuration } from './duration.js';
import { perZone, showsUtc } from './time-zone.js';

const EXACT = {
  year: 'numeric',
  month: 'short',
  day: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
  timeZoneName: 'short',
} as const;
const CLOCK = { hour: '2-digit', minute: '2-digit' } as const;
const PRECISE_CLOCK = {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
} as const;

const exact = perZone(EXACT);
const clock = perZone(CLOCK);
const preciseClock = perZone(PRECISE_CLOCK);

/** `12 s ago`, `in 3 h`, `now`. */
export function relativeText(iso: string, now: number): string {
  const ms = now - Date.parse(iso);
  if (Math.abs(ms) < 1_000) return messages.amounts.now;
  return ms > 0 ? messages.amounts.ago(roughDuration(ms)) : messages.amounts.in(roughDuration(-ms));
}

/** To the millisecond, with the time zone. */
export function exactText(iso: string): string {
  return exact().format(new Date(iso));
}

/** `14:05`. */
export function clockText(iso: string): string {
  return clock().format(new Date(iso));
}

/** `14:05:09.123`. */
export function preciseClockText(iso: string): string {
  return preciseClock().format(new Date(iso));
}

/** What the API takes, of what an input of a date gives: its text is in the time zone of the page. */
export function toIsoTime(local: string): string | undefined {
  return local ? new Date(showsUtc() ? `${local}Z` : local).toISOString() : undefined;
}

/** The text of an input of a date, in the time zone of the page and to the minute. */
export function toLocalTime(iso: string | null): string {
  if (iso === null) return '';
  const date = new Date(iso);
  const offsetMs = showsUtc() ? 0 : date.getTimezoneOffset() * 60_000;
  return new Date(date.getTime() - offsetMs).toISOString().slice(0, 16);
}
