/** The reader's own time zone. */
export const OWN_ZONE = canonicalZone(undefined) ?? 'UTC';

const SHAPE = {
  weekday: 'short',
  year: 'numeric',
  month: 'short',
  day: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
} as const;

/** A moment in a time zone, with seconds unless they are 0; `null` if the browser does not know the zone. */
export function zoneText(iso: string, zone: string): string | null {
  const date = new Date(iso);
  const second = date.getTime() % 60_000 === 0 ? undefined : '2-digit';
  try {
    return new Intl.DateTimeFormat(undefined, { ...SHAPE, second, timeZone: zone }).format(date);
  } catch {
    return null;
  }
}

/** The zones in which to show the times of a schedule: its own, and the reader's if that is another one. */
export function zonesToShow(zone: string): string[] {
  return canonicalZone(zone) === OWN_ZONE ? [OWN_ZONE] : [zone, OWN_ZONE];
}

/** Names of time zones that a form can propose. */
export function zoneNames(): string[] {
  return ['UTC', ...Intl.supportedValuesOf('timeZone').filter((name) => name !== 'UTC')];
}

/** The same name for all names of a zone; `undefined` if the browser does not know it. */
function canonicalZone(zone: string | undefined): string | undefined {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: zone }).resolvedOptions().timeZone;
  } catch {
    return undefined;
  }
}
