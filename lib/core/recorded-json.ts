import { byteLength, countExponentDigits } from './text.js';

/** Upper bound of `result`, `progress` and `metadata`, in bytes of JSON text. */
export const RECORDED_JSON_BYTES_MAX = 64 * 1024;

/** SQLite accepts 1,000 levels of JSON. The value is sent nested in a few levels of the queue's own. */
const RECORDED_JSON_DEPTH_MAX = 990;

// JSON.stringify writes NUL and lone surrogates as escapes. The expression consumes every escape from left to right, so an
// escaped backslash never starts another one. A lookbehind instead took quadratic time.
const escapes = /\\(?:u(?:0000|d[89a-f][0-9a-f]{2})|[^])/g;
const unstorableLength = 6;

/**
 * Returns the JSON text that is stored for a handler's result or progress. Recording must not fail, so no value is rejected:
 * - a value that is not JSON is stored as `null`;
 * - U+FFFD replaces characters that a `jsonb` column rejects;
 * - `{ truncated: true, bytes }` replaces a value over 64 KiB, deeper than 990 levels, or with as many exponent digits.
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
    // A cycle, a BigInt or a toJSON that throws: there is no result to store. The job itself has succeeded.
    return null;
  }
}
