import { parseExact } from './exact-json.js';

/** What is known of a text that is meant to be JSON. */
export type JsonCheck = { ok: true; value: unknown; bytes: number } | { ok: false; message: string; line: number };

/** Reads it, or says in which line it stops being JSON. */
export function checkJson(text: string): JsonCheck {
  try {
    return { ok: true, value: parseExact(text), bytes: new TextEncoder().encode(text).length };
  } catch (error) {
    if (text.trim() === '') return { ok: false, message: 'Write JSON, such as { "orderId": 7 }', line: 1 };
    return { ok: false, ...placeOf(error as Error, text) };
  }
}

/** Browsers name the place as `position 12`, or as `line 3 column 4`, or not at all. */
function placeOf({ message }: Error, text: string): { message: string; line: number } {
  const [, line] = /line (\d+) column \d+/.exec(message) ?? [];
  const [, position] = /position (\d+)/.exec(message) ?? [];
  const words = message
    .replace(/^JSON\.parse: /, '')
    .replace(/(,? \.*".*" is not valid JSON| in JSON at position.*| at line \d+ column.*)$/s, '');
  const at = line
    ? Number(line)
    : position
      ? text.slice(0, Number(position)).split('\n').length
      : text.trimEnd().split('\n').length;
  return { message: words, line: at };
}
