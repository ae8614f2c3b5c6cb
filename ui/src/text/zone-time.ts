import { languageTag } from '../messages/messages.js';
import { showsUtc } from './time-zone.js';

/** The reader's own time zone. */
export const OWN_ZONE = new Intl.DateTimeFormat().resolvedOptions().timeZone;

const SHAPE = {
  weekday: 'short',
  year: 'numeric',
  month: 'short',
  day: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
} as const;

/** A formatter takes longer to make than a row of a list to draw. */
const formatters = new Map<string, Intl.DateTimeFormat | null>();

/** A moment in a time zone, with seconds unless they are 0; `null` if the browser does not know the zone. */
export function zoneText(iso: string, zone: string): string | null {
  const date = new Date(iso);
  return getFormatter(zone, date.getTime() % 60_000 === 0 ? undefined : '2-digit')?.format(date) ?? null;
}

/** The zones in which to show the times of a schedule: its own, and that of the page if it is another one. */
export function zonesToShow(zone: string): string[] {
  const page = showsUtc() ? 'UTC' : OWN_ZONE;
  // A zone may have several names.
  return getFormatter(zone)?.resolvedOptions().timeZone === page ? [page] : [zone, page];
}

/** Whether a zone that is shown beside the one of a schedule is the reader's. */
export function isReadersZone(zone: string, scheduleZone: string): boolean {
  return zone === OWN_ZONE && zone !== scheduleZone && !showsUtc();
}

/** Names of time zones that a form can propose. */
export function zoneNames(): string[] {
  return ['UTC', ...Intl.supportedValuesOf('timeZone').filter((name) => name !== 'UTC')];
}

function getFormatter(zone: string, second?: '2-digit'): Intl.DateTimeFormat | null {
  const language = languageTag();
  const key = `${language} ${zone} ${second}`;
  if (!formatters.has(key)) formatters.set(key, createFormatter(language, { ...SHAPE, second, timeZone: zone }));
  return formatters.get(key)!;
}

function createFormatter(language: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat | null {
  try {
    return new Intl.DateTimeFormat(language, options);
  } catch {
    return null;
  }
}
