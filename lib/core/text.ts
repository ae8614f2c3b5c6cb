/** Text that a `jsonb` column can hold: NUL and lone surrogates replaced by U+FFFD. */
export function toStorableText(text: string): string {
  // eslint-disable-next-line no-control-regex -- NUL is exactly what must go
  return text.toWellFormed().replace(/\u0000/g, '\uFFFD');
}

/** Whether a `jsonb` column can hold the text as it is. */
export function isStorableText(text: string): boolean {
  return !text.includes('\u0000') && text.isWellFormed();
}

/** The longest beginning of `text` that fits into `bytesMax` bytes of UTF-8, cut between code points. */
export function cutToBytes(text: string, bytesMax: number): string {
  // A UTF-16 unit takes at most three bytes, so short text needs no encoding to be judged.
  if (text.length * 3 <= bytesMax) {
    return text;
  }
  const target = new Uint8Array(bytesMax);
  const { read } = new TextEncoder().encodeInto(text, target);
  return text.slice(0, read);
}

/** Without line breaks and other controls: what looks like a line of a log is one. */
export function toOneLine(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]+\s*/gu, ' ');
}

/** Bytes of `text` in UTF-8. */
export function byteLength(text: string): number {
  return Buffer.byteLength(text, 'utf8');
}

/**
 * How many digits PostgreSQL adds to JSON at most: it gives numbers back without an exponent, `1e308` as 309 digits, so that a
 * megabyte may come back as forty.
 */
export function countExponentDigits(json: string): number {
  return exponents.test(json) ? sumOfExponents(json) : 0;
}

/** Finds most texts to have none; what stands in a string may look like one. */
const exponents = /(?:^|[[:,])-?\d+(?:\.\d+)?[eE][+-]?\d/;

function sumOfExponents(json: string): number {
  let digits = 0;
  // Without their escapes strings end at the next quote, and need no memory of the expression's for each of their letters.
  const withoutEscapes = json.replace(/\\[^]/g, '');
  for (const [, exponent] of withoutEscapes.matchAll(/"[^"]*"|\d[eE][+-]?(\d+)/g)) {
    digits += exponent === undefined ? 0 : Number(exponent);
  }
  return digits;
}

/** Whether this is a Date, of whatever realm: tests in Jest have two. Never throws. */
export function isDate(value: unknown): value is Date {
  // What only calls itself one has no time. Asked in vain for that it throws, at two hundred times the cost of its name.
  return nameOf(value) === '[object Date]' && hasTime(value);
}

function nameOf(value: unknown): string | undefined {
  try {
    return Object.prototype.toString.call(value);
  } catch {
    // A revoked proxy.
    return undefined;
  }
}

function hasTime(value: unknown): boolean {
  try {
    Date.prototype.getTime.call(value);
    return true;
  } catch {
    return false;
  }
}
