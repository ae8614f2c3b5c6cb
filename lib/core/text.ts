/** Replaces NUL and lone surrogates, which a `jsonb` column cannot store, with U+FFFD. */
export function toStorableText(text: string): string {
  // eslint-disable-next-line no-control-regex -- NUL is the character to replace
  return text.toWellFormed().replace(/\u0000/g, '\uFFFD');
}

/** Returns whether a `jsonb` column can store the text unchanged. */
export function isStorableText(text: string): boolean {
  return !text.includes('\u0000') && text.isWellFormed();
}

/** Cuts `text` to at most `bytesMax` bytes of UTF-8, between code points. */
export function cutToBytes(text: string, bytesMax: number): string {
  // A UTF-16 unit takes at most three bytes: short text need not be encoded.
  if (text.length * 3 <= bytesMax) {
    return text;
  }
  const target = new Uint8Array(bytesMax);
  const { read } = new TextEncoder().encodeInto(text, target);
  return text.slice(0, read);
}

/**
 * Replaces line breaks and other control characters with spaces, so that text from outside cannot forge a log line, and escapes the
 * characters that change the direction of text, which would show a line in another order.
 */
export function toOneLine(text: string): string {
  return escapeCharacters(text.replace(/[\p{Cc}\u2028\u2029]+\s*/gu, ' '), /\p{Bidi_Control}/gu);
}

/** Writes the matching characters as `\u202e`, and a line break as `\n`. */
export function escapeCharacters(text: string, characters: RegExp): string {
  return text.replace(characters, (character) => {
    const code = character.charCodeAt(0);
    return character === '\n' ? '\\n' : `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

/** Returns the length of `text` in bytes of UTF-8. */
export function byteLength(text: string): number {
  return Buffer.byteLength(text, 'utf8');
}

/**
 * Returns an upper bound of the digits that PostgreSQL adds to JSON. It returns numbers without exponents, `1e308` as 309
 * digits: one megabyte can come back as forty.
 */
export function countExponentDigits(json: string): number {
  return mayHaveExponents.test(json) ? sumExponents(json) : 0;
}

/** Rules out most texts quickly. May match inside a string. */
const mayHaveExponents = /(?:^|[[:,])-?\d+(?:\.\d+)?[eE][+-]?\d/;

function sumExponents(json: string): number {
  let digits = 0;
  // Without escapes a string ends at the next quote: the expression needs no backtracking memory for each letter.
  const withoutEscapes = json.replace(/\\[^]/g, '');
  for (const [, exponent] of withoutEscapes.matchAll(/"[^"]*"|\d[eE][+-]?(\d+)/g)) {
    digits += exponent === undefined ? 0 : Number(exponent);
  }
  return digits;
}

/** Returns whether the value is a Date of any realm: Jest has two. Never throws. */
export function isDate(value: unknown): value is Date {
  // An object can fake the tag, but not the time. Calling getTime on a non-Date throws and costs 200 times the tag test.
  return readTag(value) === '[object Date]' && hasTime(value);
}

function readTag(value: unknown): string | undefined {
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
