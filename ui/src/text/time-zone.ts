import { perLanguage } from '../messages/per-language.js';

let isUtc = false;
let whenRead = (): void => undefined;

/** Whether the page shows times in UTC, and not in the reader's own time zone. */
export function showsUtc(): boolean {
  whenRead();
  return isUtc;
}

/** @param onRead is called at each read, to draw again what has read when the choice changes */
export function useUtc(utc: boolean, onRead: () => void): void {
  isUtc = utc;
  whenRead = onRead;
}

/** Returns the formatter of the current language and time zone. Makes each of them once. */
export function perZone(options: Intl.DateTimeFormatOptions): () => Intl.DateTimeFormat {
  const local = perLanguage((language) => new Intl.DateTimeFormat(language, options));
  const utc = perLanguage((language) => new Intl.DateTimeFormat(language, { ...options, timeZone: 'UTC' }));
  return () => (showsUtc() ? utc() : local());
}
