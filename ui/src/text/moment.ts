import { roughDuration } from './duration.js';

const exact = new Intl.DateTimeFormat(undefined, {
  year: 'numeric',
  month: 'short',
  day: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
  timeZoneName: 'short',
});
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

const preciseClock = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
});

/** `12 s ago`, `in 3 h`, `now`. */
export function relativeText(iso: string, now: number): string {
  const ms = now - Date.parse(iso);
  if (Math.abs(ms) < 1_000) return 'now';
  return ms > 0 ? `${roughDuration(ms)} ago` : `in ${roughDuration(-ms)}`;
}

/** To the millisecond, in the reader's own time zone. */
export function exactText(iso: string): string {
  return exact.format(new Date(iso));
}

/** `14:05`. */
export function clockText(iso: string): string {
  return clock.format(new Date(iso));
}

/** `14:05:09.123`. */
export function preciseClockText(iso: string): string {
  return preciseClock.format(new Date(iso));
}

/** What the API takes, of what an input of a date gives: its text is local time. */
export function isoOfLocal(local: string): string | undefined {
  return local ? new Date(local).toISOString() : undefined;
}

/** The text of an input of a date, in local time and to the minute. */
export function localOfIso(iso: string | null): string {
  if (iso === null) return '';
  const date = new Date(iso);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
