import { byteLength, countExponentDigits, isDate, isStorableText } from './text.js';
import { describeValue } from './error-text.js';
import { InvalidPayloadError, PayloadTooLargeError } from './errors.js';

/** Arrays and objects may stand this deep inside each other. */
const PAYLOAD_DEPTH_MAX = 64;

/**
 * The JSON text of a payload.
 *
 * Properties that are `undefined` are dropped, as JSON does; whatever else JSON or a `jsonb` column would lose, change
 * or refuse is an error that names its place.
 *
 * @param subject what the value is called in errors, such as `payload`.
 * @throws InvalidPayloadError naming the path of the refused value, or when its numbers have more digits than `bytesMax`.
 * @throws PayloadTooLargeError when the text takes more than `bytesMax` bytes of UTF-8.
 */
export function encodePayload(payload: unknown, bytesMax: number, subject = 'payload'): string {
  checkValue(payload, { step: subject });
  const text = stringify(payload, subject);
  const bytes = byteLength(text);
  if (bytes > bytesMax) {
    throw new PayloadTooLargeError(subject, bytes, bytesMax);
  }
  if (countExponentDigits(text) > bytesMax) {
    throw new InvalidPayloadError(subject, `its numbers have more than ${bytesMax} digits, written without exponents`);
  }
  return text;
}

/** Where a value stands: a link to its parent. The text of a path is written only when something is refused. */
interface Place {
  /** The key or the index in the parent; of the whole value, what it is called. */
  readonly step: string | number;
  readonly parent?: Parent;
}

/** An array or an object around the value. */
interface Parent {
  readonly value: object;
  readonly place: Place;
  /** How many are around it. */
  readonly depth: number;
}

function pathOf({ step, parent }: Place): string {
  if (!parent) {
    return String(step);
  }
  const path = pathOf(parent.place);
  return typeof step === 'number' ? `${path}[${step}]` : toMemberPath(path, step);
}

function stringify(payload: unknown, subject: string): string {
  try {
    // A `toJSON` that answers nothing the second time.
    return JSON.stringify(payload) ?? refuse({ step: subject }, 'cannot be written as JSON');
  } catch (error) {
    // Only code of the caller's own, a getter or a `toJSON` that throws the second time, can end here.
    throw new InvalidPayloadError(subject, 'cannot be written as JSON', { cause: error });
  }
}

function checkValue(value: unknown, place: Place): void {
  switch (typeof value) {
    case 'string':
      return checkText(value, place);
    case 'number':
      return Number.isFinite(value) ? undefined : refuse(place, `expected a finite number, got ${value}`);
    case 'boolean':
      return;
    case 'object':
      return value === null ? undefined : checkObject(value, place);
    default:
      return refuse(place, `expected a JSON value, got ${typeof value}`);
  }
}

function checkObject(value: object, place: Place): void {
  try {
    readObject(value, place);
  } catch (error) {
    // A getter that throws, or a revoked proxy.
    throw error instanceof InvalidPayloadError
      ? error
      : new InvalidPayloadError(pathOf(place), 'cannot be read', { cause: error });
  }
}

function readObject(value: object, place: Place): void {
  if (hasToJson(value)) {
    return checkConverted(value, place);
  }
  const depth = place.parent ? place.parent.depth + 1 : 0;
  if (isInside(value, place)) {
    return refuse(place, 'stands inside itself (a cycle)');
  }
  if (depth >= PAYLOAD_DEPTH_MAX) {
    return refuse(place, `stands deeper than ${PAYLOAD_DEPTH_MAX} levels`);
  }
  const parent = { value, place, depth };
  return Array.isArray(value) ? checkArray(value, parent) : checkMembers(value, parent);
}

/** Whether a value is one of those around its place. */
function isInside(value: object, { parent }: Place): boolean {
  return parent !== undefined && (parent.value === value || isInside(value, parent.place));
}

function checkArray(value: readonly unknown[], parent: Parent): void {
  // An index loop, since `forEach` skips the holes of sparse arrays, which JSON writes as null.
  for (let index = 0; index < value.length; index += 1) {
    checkValue(value[index], { step: index, parent });
  }
}

function checkMembers(value: object, parent: Parent): void {
  // By tag and not by class: a Map of another realm, or any of the platform's own objects, would become `{}` in silence.
  const tag = Object.prototype.toString.call(value).slice('[object '.length, -1);
  if (tag === 'String' || tag === 'Number' || tag === 'Boolean') {
    return checkValue(value.valueOf(), parent.place);
  }
  const hasOwnTag = tag !== 'Object' && tag !== 'Arguments';
  if (hasOwnTag && (Object.keys(value).length === 0 || tag === 'Error' || tag.endsWith('Array'))) {
    const article = /^[AEIO]/.test(tag) ? 'an' : 'a';
    return refuse(parent.place, `expected a JSON value, got ${article} ${tag}, which JSON would empty`);
  }
  for (const [key, member] of Object.entries(value)) {
    if (member !== undefined) {
      const place = { step: key, parent };
      checkText(key, place);
      checkValue(member, place);
    }
  }
}

function checkConverted(value: { toJSON(key: string): unknown }, place: Place): void {
  if (isDate(value) && Number.isNaN(value.getTime())) {
    return refuse(place, 'expected a JSON value, got an invalid date');
  }
  let converted: unknown;
  try {
    // As JSON does, which calls the whole value the member of no name.
    converted = value.toJSON(place.parent ? String(place.step) : '');
  } catch (error) {
    throw new InvalidPayloadError(pathOf(place), 'its toJSON failed', { cause: error });
  }
  if (typeof converted === 'object' && converted !== null && hasToJson(converted)) {
    return refuse(place, `its toJSON gave ${describeValue(converted)} that has a toJSON itself`);
  }
  checkValue(converted, place);
}

function hasToJson(value: object): value is { toJSON(key: string): unknown } {
  return typeof (value as { toJSON?: unknown }).toJSON === 'function';
}

function checkText(text: string, place: Place): void {
  if (!isStorableText(text)) {
    refuse(place, text.isWellFormed() ? 'text holds a NUL character' : 'text holds a lone surrogate');
  }
}

/** The path of a member, such as `payload.items`, or `payload["first name"]`. */
export function toMemberPath(path: string, key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;
}

function refuse(place: Place, reason: string): never {
  throw new InvalidPayloadError(pathOf(place), reason);
}
