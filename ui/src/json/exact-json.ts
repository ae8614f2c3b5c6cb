import { messages } from '../messages/messages.js';

/** While text for the eye is made, which can be exact in every browser: what stands before each number in it. */
let printMark: string | undefined;

/** A number that JavaScript would round, as it was written. */
export class ExactNumber {
  constructor(readonly text: string) {}

  /** What `JSON.stringify` writes for the eye. It is not sent: the queue would round it. */
  toJSON(): unknown {
    if (printMark !== undefined) return printMark + this.text;
    throw new Error(messages.forms.jsonRounded(this.text));
  }
}

/** Strings first, so that digits in them are skipped. */
const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const MAY_BE_ROUNDED = /[\d.]{16}|\d[eE]/;

/** Stands before a number that a string carries. Nobody can guess it, or a payload's own text could pass for a number. */
function newMark(): string {
  return `exact-${crypto.getRandomValues(new Uint32Array(4)).join('-')}:`;
}

/**
 * `JSON.parse`, but numbers that would be rounded become an {@link ExactNumber}.
 * @throws SyntaxError
 */
export function parseExact(text: string): unknown {
  const plain: unknown = JSON.parse(text);
  if (!MAY_BE_ROUNDED.test(text)) return plain;
  const mark = newMark();
  let found = 0;
  const marked = text.replace(TOKEN, (token) => {
    if (token.startsWith('"') || isExact(token)) return token;
    found += 1;
    return `"${mark}${token}"`;
  });
  if (found === 0) return plain;
  return JSON.parse(marked, (_, value: unknown) =>
    typeof value === 'string' && value.startsWith(mark) ? new ExactNumber(value.slice(mark.length)) : value,
  );
}

/** JSON text with two spaces a level. Unlike `JSON.stringify` it writes exact numbers in every browser. */
export function printJson(value: unknown): string {
  const mark = newMark();
  printMark = mark;
  try {
    const marked = JSON.stringify(value, null, 2) as string | undefined;
    return (marked ?? 'null').replace(new RegExp(`"${mark}([^"]*)"`, 'g'), '$1');
  } finally {
    printMark = undefined;
  }
}

function isExact(token: string): boolean {
  return toDigits(String(Number(token))) === toDigits(token);
}

/** Sign, significant digits and power of ten: equal for texts of the same number. */
function toDigits(text: string): string {
  const [, sign = '', whole = '', part = '', power = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? [];
  const digits = (whole + part).replace(/^0+/, '');
  const significant = digits.replace(/0+$/, '');
  const exponent = Number(power) - part.length + (digits.length - significant.length);
  return significant === '' ? `${text.startsWith('I') ? text : '0'}` : `${sign}${significant}e${exponent}`;
}
