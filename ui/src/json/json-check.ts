import { messages } from '../messages/messages.js';
import { bytesText } from '../text/amount.js';
import { parseExact } from './exact-json.js';

/** What is known of a text that is meant to be JSON. */
export type JsonCheck = { ok: true; value: unknown; bytes: number } | { ok: false; message: string; line: number };

/** Reads it, or says in which line it stops being JSON. */
export function checkJson(text: string): JsonCheck {
  try {
    return { ok: true, value: parseExact(text), bytes: new TextEncoder().encode(text).length };
  } catch (error) {
    if (text.trim() === '') return { ok: false, message: messages.forms.jsonEmpty, line: 1 };
    return { ok: false, ...findPlace(error as Error, text) };
  }
}

/** Returns why the queue would reject a text as JSON; `null` if it would not. */
export function jsonComplaint(text: string, bytesMax: number): string | null {
  const check = checkJson(text);
  if (!check.ok) return messages.forms.jsonLine(check.line, check.message);
  try {
    const bytes = new TextEncoder().encode(JSON.stringify(check.value)).length;
    return bytes > bytesMax ? messages.forms.jsonTooLarge(bytesText(bytes), bytesText(bytesMax)) : null;
  } catch (error) {
    // A number that would be rounded.
    return (error as Error).message;
  }
}

/** White space, or one word of JSON. */
const WORD = /\s+|"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[[\]{},:]/y;

/** Browsers name the place as `position 12`, or as `line 3 column 4`, or not at all. */
function findPlace({ message }: Error, text: string): { message: string; line: number } {
  const [, line] = /line (\d+) column \d+/.exec(message) ?? [];
  const [, position] = /position (\d+)/.exec(message) ?? [];
  const words = message
    .replace(/^JSON\.parse: /, '')
    .replace(/(,? \.*".*" is not valid JSON| in JSON at position.*| at line \d+ column.*)$/s, '');
  if (line) return { message: words, line: Number(line) };
  if (position) return { message: words, line: toLine(text, Number(position)) };
  const at = endOfWords(text);
  const [stranger] = /^[^\s,:[\]{}]+/.exec(text.slice(at)) ?? [];
  return {
    message: stranger ? messages.forms.jsonWord(stranger.slice(0, 40)) : words,
    line: toLine(text.trimEnd(), at),
  };
}

/** Where the words of JSON end: at what is none, or at the end of the text. */
function endOfWords(text: string): number {
  let at = 0;
  WORD.lastIndex = 0;
  while (WORD.test(text)) at = WORD.lastIndex;
  return at;
}

function toLine(text: string, position: number): number {
  return text.slice(0, position).split('\n').length;
}
