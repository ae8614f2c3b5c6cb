import { describeValue, InvalidPayloadError, PayloadTooLargeError } from './errors.js';
import { byteLength, isStorableText } from './text.js';

/** Arrays and objects may stand this deep inside each other. */
export const PAYLOAD_DEPTH_MAX = 64;

/**
 * The JSON text of a payload.
 *
 * Properties that are `undefined` are dropped, as JSON does; whatever else JSON or a `jsonb` column would lose, change
 * or refuse is an error that names its place.
 *
 * @param subject what the value is called in errors, such as `payload`.
 * @throws InvalidPayloadError naming the path of the refused value.
 * @throws PayloadTooLargeError when the text takes more than `bytesMax` bytes of UTF-8.
 */
export function encodePayload(payload: unknown, bytesMax: number, subject = 'payload'): string {
  checkValue(payload, { key: '', path: subject, ancestors: [] });
  const text = stringify(payload, subject);
  const bytes = byteLength(text);
  if (bytes > bytesMax) {
    throw new PayloadTooLargeError(subject, bytes, bytesMax);
  }
  return text;
}

interface Place {
  /** The key under which the value stands in its parent; `toJSON` is told. */
  readonly key: string;
  readonly path: string;
  /** The arrays and objects around the value, outermost first. */
  readonly ancestors: readonly object[];
}

function stringify(payload: unknown, subject: string): string {
  try {
    // A `toJSON` that answers nothing the second time.
    return JSON.stringify(payload) ?? refuse(subject, 'cannot be written as JSON');
  } catch (error) {
    // Only code of the caller's own, a getter or a `toJSON` that throws the second time, can end here.
    throw new InvalidPayloadError(subject, 'cannot be written as JSON', { cause: error });
  }
}

function checkValue(value: unknown, place: Place): void {
  switch (typeof value) {
    case 'string':
      return checkText(value, place.path);
    case 'number':
      return Number.isFinite(value) ? undefined : refuse(place.path, `expected a finite number, got ${value}`);
    case 'boolean':
      return;
    case 'object':
      return value === null ? undefined : checkObject(value, place);
    default:
      return refuse(place.path, `expected a JSON value, got ${typeof value}`);
  }
}

function checkObject(value: object, place: Place): void {
  try {
    readObject(value, place);
  } catch (error) {
    // A getter that throws, or a revoked proxy.
    throw error instanceof InvalidPayloadError
      ? error
      : new InvalidPayloadError(place.path, 'cannot be read', { cause: error });
  }
}

function readObject(value: object, place: Place): void {
  if (hasToJson(value)) {
    return checkConverted(value, place);
  }
  if (place.ancestors.includes(value)) {
    return refuse(place.path, 'stands inside itself (a cycle)');
  }
  if (place.ancestors.length >= PAYLOAD_DEPTH_MAX) {
    return refuse(place.path, `stands deeper than ${PAYLOAD_DEPTH_MAX} levels`);
  }
  const ancestors = [...place.ancestors, value];
  return Array.isArray(value) ? checkArray(value, place, ancestors) : checkMembers(value, place, ancestors);
}

function checkArray(value: readonly unknown[], place: Place, ancestors: readonly object[]): void {
  // An index loop, since `forEach` skips the holes of sparse arrays, which JSON writes as null.
  for (let index = 0; index < value.length; index += 1) {
    checkValue(value[index], { key: String(index), path: `${place.path}[${index}]`, ancestors });
  }
}

function checkMembers(value: object, place: Place, ancestors: readonly object[]): void {
  // By tag and not by class: a Map of another realm, or any of the platform's own objects, would become `{}` in silence.
  const tag = Object.prototype.toString.call(value).slice('[object '.length, -1);
  if (tag === 'String' || tag === 'Number' || tag === 'Boolean') {
    return checkValue(value.valueOf(), place);
  }
  const hasOwnTag = tag !== 'Object' && tag !== 'Arguments';
  if (hasOwnTag && (Object.keys(value).length === 0 || tag === 'Error' || tag.endsWith('Array'))) {
    return refuse(place.path, `expected a JSON value, got a ${tag}, which JSON would empty`);
  }
  for (const [key, member] of Object.entries(value)) {
    if (member !== undefined) {
      const path = pathOfKey(place.path, key);
      checkText(key, path);
      checkValue(member, { key, path, ancestors });
    }
  }
}

function checkConverted(value: { toJSON(key: string): unknown }, place: Place): void {
  if (value instanceof Date && Number.isNaN(value.getTime())) {
    return refuse(place.path, 'expected a JSON value, got an invalid date');
  }
  let converted: unknown;
  try {
    converted = value.toJSON(place.key);
  } catch (error) {
    throw new InvalidPayloadError(place.path, 'its toJSON failed', { cause: error });
  }
  if (typeof converted === 'object' && converted !== null && hasToJson(converted)) {
    return refuse(place.path, `its toJSON gave ${describeValue(converted)} that has a toJSON itself`);
  }
  checkValue(converted, place);
}

function hasToJson(value: object): value is { toJSON(key: string): unknown } {
  return typeof (value as { toJSON?: unknown }).toJSON === 'function';
}

function checkText(text: string, path: string): void {
  if (!isStorableText(text)) {
    refuse(path, text.isWellFormed() ? 'text holds a NUL character' : 'text holds a lone surrogate');
  }
}

/** The path of a member, such as `payload.items`, or `payload["first name"]`. */
export function pathOfKey(path: string, key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;
}

function refuse(path: string, reason: string): never {
  throw new InvalidPayloadError(path, reason);
}
