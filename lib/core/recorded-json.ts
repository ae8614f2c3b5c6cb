import { byteLength, countExponentDigits } from './text.js';

/** Size limit of `result`, `progress` and `metadata`, in bytes of JSON text. */
export const RECORDED_JSON_BYTES_MAX = 64 * 1024;

/** SQLite takes JSON of a thousand levels, and the value travels inside some of the queue's own. */
const RECORDED_JSON_DEPTH_MAX = 990;

// JSON.stringify writes NUL and lone surrogates as escapes. Every escape is read from the left, so that the second half of
// an escaped backslash is not taken for the beginning of another; looking back instead took quadratic time.
const escapes = /\\(?:u(?:0000|d[89a-f][0-9a-f]{2})|[^])/g;
const unstorableLength = 6;

/**
 * The JSON text under which a handler's result or progress is kept. Recording must not fail, so nothing is refused:
 * what JSON cannot carry at all is kept as `null`, characters that a `jsonb` column refuses are replaced by U+FFFD, and
 * a text over 64 KiB, with as many digits behind exponents, or with values deeper than 990 levels, gives way to a note of its size.
 */
export function toRecordedJson(value: unknown): string | null {
  const text = stringifyOrNull(value);
  if (text === null) {
    return null;
  }
  const storable = text.replace(escapes, (escape) => (escape.length === unstorableLength ? '\uFFFD' : escape));
  const bytes = byteLength(storable);
  return bytes <= RECORDED_JSON_BYTES_MAX &&
    countExponentDigits(storable) <= RECORDED_JSON_BYTES_MAX &&
    !isTooDeep(storable)
    ? storable
    : JSON.stringify({ truncated: true, bytes });
}

function isTooDeep(json: string): boolean {
  if (json.length <= RECORDED_JSON_DEPTH_MAX) {
    return false;
  }
  let depth = 0;
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[[{\]}]/g)) {
    depth += token === '[' || token === '{' ? 1 : token === ']' || token === '}' ? -1 : 0;
    if (depth > RECORDED_JSON_DEPTH_MAX) {
      return true;
    }
  }
  return false;
}

function stringifyOrNull(value: unknown): string | null {
  try {
    return JSON.stringify(value) ?? null;
  } catch {
    // A cycle, a BigInt or a failing toJSON: no JSON, so there is no result to keep. The job itself has succeeded.
    return null;
  }
}
