import { en } from './en.js';

/**
 * Every text of the admin UI: one file per language. A text with a number or a name in it is a function.
 *
 * A new text goes into `en.ts` and `zh-cn.ts`, in the section of the screen that shows it. Components read `messages.jobs.title`
 * where they show it, not once at start: the language may change. Texts with code, links or names in the middle are shown
 * by `parts/words.svelte`.
 */
export type Messages = typeof en;

let current: Messages = en;
let tag = 'en';
let whenRead = (): void => undefined;

/** The texts in the current language. */
export const messages = Object.defineProperties(
  {},
  Object.fromEntries(
    Object.keys(en).map((section) => [section, { enumerable: true, get: () => read()[section as keyof Messages] }]),
  ),
) as Messages;

/** The language of numbers and times, such as `en`. */
export function languageTag(): string {
  whenRead();
  return tag;
}

/** @param onRead is called at each read, to draw again what has read when the language changes */
export function useMessages(messages: Messages, language: string, onRead: () => void): void {
  current = messages;
  tag = language;
  whenRead = onRead;
}

function read(): Messages {
  whenRead();
  return current;
}
