import { byteLength, countExponentDigits, isDate, isStorableText } from './text.js';
import { describeValue } from './error-text.js';
import { InvalidPayloadError, PayloadTooLargeError } from './errors.js';

/** Deepest accepted nesting of arrays and objects. */
const PAYLOAD_DEPTH_MAX = 64;

/**
 * Converts a payload to JSON text.
 *
 * Drops properties that are `undefined`, as JSON does. Rejects every other value that JSON or a `jsonb` column would lose,
 * change or reject.
 *
 * @param subject name of the value in errors, such as `payload`.
 * @param form what the limit applies to, for its error.
 * @throws InvalidPayloadError with the path of the rejected value, or if its numbers have more than `bytesMax` digits.
 * @throws PayloadTooLargeError if the text exceeds `bytesMax` bytes of UTF-8.
 */
export function encodePayload(
  payload: unknown,
  bytesMax: number,
  subject = 'payload',
  form?: PayloadTooLargeError['form'],
): string {
  checkValue(payload, { step: subject });
  const text = stringify(payload, subject);
  const bytes = byteLength(text);
  if (bytes > bytesMax) {
    throw new PayloadTooLargeError(subject, bytes, bytesMax, form);
  }
  if (countExponentDigits(text) > bytesMax) {
    throw new InvalidPayloadError(
      subject,
      `its numbers have more than ${bytesMax} digits when written without exponents`,
    );
  }
  return text;
}

/** Position of a value, as a link to its parent. The text of the path is built only for an error. */
interface Position {
  /** Key or index in the parent; for the whole value, its name. */
  readonly step: string | number;
  readonly parent?: Parent;
  /** Of the whole value: accepts texts that a `jsonb` column rejects. The caller replaces their characters. */
  readonly acceptsAnyText?: boolean;
}

/** An array or an object around the value. */
interface Parent {
  readonly value: object;
  readonly position: Position;
  /** Number of arrays and objects around it. */
  readonly depth: number;
}

function toPath({ step, parent }: Position): string {
  if (!parent) {
    return String(step);
  }
  const path = toPath(parent.position);
  return typeof step === 'number' ? `${path}[${step}]` : toMemberPath(path, step);
}

function stringify(payload: unknown, subject: string): string {
  try {
    // A `toJSON` can return nothing at its second call.
    return JSON.stringify(payload) ?? reject({ step: subject }, 'cannot be written as JSON');
  } catch (error) {
    // Only a getter or a `toJSON` that throws at its second call gets here.
    throw new InvalidPayloadError(subject, 'cannot be written as JSON', { cause: error });
  }
}

function checkValue(value: unknown, position: Position): void {
  switch (typeof value) {
    case 'string':
      return checkText(value, position);
    case 'number':
      return Number.isFinite(value) ? undefined : reject(position, `expected a finite number, got ${value}`);
    case 'boolean':
      return;
    case 'object':
      return value === null ? undefined : checkObject(value, position);
    default:
      return reject(position, `expected a JSON value, got ${typeof value}`);
  }
}

function checkObject(value: object, position: Position): void {
  try {
    readObject(value, position);
  } catch (error) {
    // A getter that throws, or a revoked proxy.
    throw error instanceof InvalidPayloadError
      ? error
      : new InvalidPayloadError(toPath(position), 'cannot be read', { cause: error });
  }
}

function readObject(value: object, position: Position): void {
  if (hasToJson(value)) {
    return checkConverted(value, position);
  }
  const depth = countParents(position);
  if (isInside(value, position)) {
    return reject(position, 'contains itself (a cycle)');
  }
  if (depth >= PAYLOAD_DEPTH_MAX) {
    return reject(position, `is nested deeper than ${PAYLOAD_DEPTH_MAX} levels`);
  }
  const parent = { value, position, depth };
  return Array.isArray(value) ? checkArray(value, parent) : checkMembers(value, parent);
}

/** Returns the number of arrays and objects around the value. */
function countParents({ parent }: Position): number {
  return parent ? parent.depth + 1 : 0;
}

/** Returns whether the value is one of its own parents. */
function isInside(value: object, { parent }: Position): boolean {
  return parent !== undefined && (parent.value === value || isInside(value, parent.position));
}

function checkArray(value: readonly unknown[], parent: Parent): void {
  // An index loop: `forEach` skips the holes of sparse arrays, which JSON writes as null.
  for (let index = 0; index < value.length; index += 1) {
    checkValue(value[index], { step: index, parent });
  }
}

function checkMembers(value: object, parent: Parent): void {
  // Compares tags, not classes: JSON writes a Map of any realm, or a host object, as `{}`.
  const tag = readTag(value);
  if (isBoxed(tag)) {
    return checkValue(value.valueOf(), parent.position);
  }
  if (isWrittenAsEmpty(value, tag)) {
    return reject(parent.position, `expected a JSON value, got ${toArticle(tag)}, which JSON writes as empty`);
  }
  for (const [key, member] of Object.entries(value)) {
    if (member !== undefined) {
      const position = { step: key, parent };
      checkText(key, position);
      checkValue(member, position);
    }
  }
}

function readTag(value: object): string {
  return Object.prototype.toString.call(value).slice('[object '.length, -1);
}

function isBoxed(tag: string): boolean {
  return tag === 'String' || tag === 'Number' || tag === 'Boolean';
}

/** Whether JSON would lose what the object holds: a `Map`, a `Set`, an `Error`, a typed array and others. */
function isWrittenAsEmpty(value: object, tag: string): boolean {
  const hasOwnTag = tag !== 'Object' && tag !== 'Arguments' && tag !== 'Array';
  return hasOwnTag && (Object.keys(value).length === 0 || tag === 'Error' || tag.endsWith('Array'));
}

function toArticle(tag: string): string {
  return `${/^[AEIO]/.test(tag) ? 'an' : 'a'} ${tag}`;
}

function checkConverted(value: { toJSON(key: string): unknown }, position: Position): void {
  if (isDate(value) && Number.isNaN(value.getTime())) {
    return reject(position, 'expected a JSON value, got an invalid date');
  }
  let converted: unknown;
  try {
    // JSON passes an empty key for the whole value.
    converted = value.toJSON(position.parent ? String(position.step) : '');
  } catch (error) {
    throw new InvalidPayloadError(toPath(position), 'its toJSON failed', { cause: error });
  }
  if (typeof converted === 'object' && converted !== null && hasToJson(converted)) {
    return reject(position, `its toJSON returned ${describeValue(converted)} that has a toJSON itself`);
  }
  checkValue(converted, position);
}

function hasToJson(value: object): value is { toJSON(key: string): unknown } {
  return typeof (value as { toJSON?: unknown }).toJSON === 'function';
}

function checkText(text: string, position: Position): void {
  if (!isStorableText(text) && !getRoot(position).acceptsAnyText) {
    reject(position, text.isWellFormed() ? 'text holds a NUL character' : 'text holds a lone surrogate');
  }
}

function getRoot(position: Position): Position {
  return position.parent ? getRoot(position.parent.position) : position;
}

/** Returns the path of a member, such as `payload.items` or `payload["first name"]`. */
export function toMemberPath(path: string, key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;
}

function reject(position: Position, reason: string): never {
  throw new InvalidPayloadError(toPath(position), reason);
}

/** Top-level members that mark an encoded payload: those of `encryptPayloads`, and those of another codec. */
type EncodedMark = '$encrypted' | '$encoded';

/**
 * Returns the member that marks a stored payload as encoded; `undefined` for a plain one. A plain payload never has such a member, because
 * `assertPlain` rejects it when it is enqueued. It is asked of the payload of every job, and `in` with a constant name costs the least.
 */
export function findEncodedMark(stored: unknown): EncodedMark | undefined {
  if (typeof stored !== 'object' || stored === null) {
    return undefined;
  }
  if ('$encrypted' in stored && Object.hasOwn(stored, '$encrypted')) {
    return '$encrypted';
  }
  return '$encoded' in stored && Object.hasOwn(stored, '$encoded') ? '$encoded' : undefined;
}

/** @throws InvalidPayloadError if no process could run a job with this payload, because it looks like an encoded one. */
export function assertPlain(payload: unknown, text: string): void {
  const isConverted = typeof payload === 'object' && payload !== null && hasToJson(payload);
  const mark = findEncodedMark(isConverted ? JSON.parse(text) : payload);
  if (mark) {
    throw new InvalidPayloadError(
      'payload',
      `has the member '${mark}', which marks the encoded payload of a stored job; pass the plain payload`,
    );
  }
}

/** Upper bound of `result`, `progress` and `metadata`, in bytes of JSON text. */
export const RECORDED_JSON_BYTES_MAX = 64 * 1024;

/** SQLite accepts 1,000 levels of JSON. The value is sent nested in a few levels of the queue's own. */
const RECORDED_JSON_DEPTH_MAX = 990;

// JSON.stringify writes NUL and lone surrogates as escapes. The expression consumes every escape from left to right, so an
// escaped backslash never starts another one. A lookbehind instead took quadratic time.
const escapes = /\\(?:u(?:0000|d[89a-f][0-9a-f]{2})|[^])/g;
const unstorableLength = 6;

/**
 * Returns the JSON text that is stored for a progress value. Replaces characters and large values as `toRecordedJson` does.
 *
 * @throws InvalidPayloadError with the path of a value that is not JSON.
 */
export function encodeProgress(value: unknown): string {
  return encodeRecorded(value, 'progress', RECORDED_JSON_BYTES_MAX);
}

/**
 * Returns the JSON text that is stored for the data of a log line, with a note in place of a value over `bytesMax`.
 *
 * @throws InvalidPayloadError with the path of a value that is not JSON.
 */
export function encodeLogData(value: unknown, bytesMax: number): string {
  return encodeRecorded(value, 'data', bytesMax);
}

function encodeRecorded(value: unknown, step: string, bytesMax: number): string {
  checkValue(value, { step, acceptsAnyText: true });
  return toRecordedJson(value, bytesMax) ?? 'null';
}

/**
 * Returns the JSON text that is stored for a handler's result. Recording must not fail, so no value is rejected:
 * - a value that is not JSON is stored as `null`;
 * - U+FFFD replaces characters that a `jsonb` column rejects;
 * - `{ truncated: true, bytes }` replaces a value over `bytesMax`, deeper than 990 levels, or with as many exponent digits.
 */
export function toRecordedJson(value: unknown, bytesMax = RECORDED_JSON_BYTES_MAX): string | null {
  const text = stringifyOrNull(value);
  if (text === null) {
    return null;
  }
  const storable = text.replace(escapes, (escape) => (escape.length === unstorableLength ? '\uFFFD' : escape));
  const bytes = byteLength(storable);
  return bytes <= bytesMax && countExponentDigits(storable) <= bytesMax && !isTooDeep(storable)
    ? storable
    : JSON.stringify({ truncated: true, bytes });
}

/** The text that is stored for a result, and what of the result JSON cannot hold. */
interface RecordedResult {
  readonly text: string | null;
  /** Names the first value that is lost, such as `result.users is a Map`, and says what is stored. */
  readonly loss?: string;
}

/**
 * Returns the JSON text that is stored for the result of a handler, as `toRecordedJson` does. A note `{ notJson: 'a Map' }` replaces a
 * value that JSON would write as empty. Never throws.
 */
export function recordResult(result: unknown): RecordedResult {
  if (result === undefined) {
    return { text: null };
  }
  const text = toRecordedJson(result);
  if (text === null) {
    return { text, loss: `${describeUnwritable(result)}; null is stored` };
  }
  if (typeof result !== 'object' || result === null) {
    return { text };
  }
  try {
    const loss = findFirst(nameLoss, result, { step: 'result' });
    return loss === undefined ? { text } : { text: toRecordedJson(withNotes(result)), loss };
  } catch {
    // A getter or a proxy that throws at its second read.
    return { text };
  }
}

function describeUnwritable(result: unknown): string {
  try {
    const found = findFirst(nameUnwritable, result, { step: 'result' });
    if (found !== undefined) {
      return found;
    }
  } catch {
    // A getter or a proxy that throws.
  }
  return `result cannot be written as JSON, got ${describeValue(result)}`;
}

/** Names a value that JSON rejects: a BigInt, a cycle, or one whose `toJSON` throws. */
function nameUnwritable(value: unknown, position: Position): string | undefined {
  const suspect = nameSuspect(value, position);
  return suspect === undefined || isWritable(value)
    ? undefined
    : `${toPath(position)} cannot be written as JSON, got ${suspect}`;
}

function nameSuspect(value: unknown, position: Position): string | undefined {
  if (typeof value === 'bigint') {
    return 'a BigInt';
  }
  if (typeof value !== 'object' || value === null) {
    return undefined;
  }
  if (isInside(value, position)) {
    return 'a value that contains itself (a cycle)';
  }
  return hasToJson(value) ? 'a value whose toJSON failed' : undefined;
}

function isWritable(value: unknown): boolean {
  try {
    JSON.stringify(value);
    return true;
  } catch {
    return false;
  }
}

/** Names a value that JSON writes as empty. */
function nameLoss(value: unknown, position: Position): string | undefined {
  if (typeof value !== 'object' || value === null || hasToJson(value)) {
    return undefined;
  }
  const tag = readTag(value);
  return isWrittenAsEmpty(value, tag) && !isBoxed(tag)
    ? `${toPath(position)} is ${toArticle(tag)}, which JSON writes as empty; a note is stored in its place`
    : undefined;
}

/** Returns the first answer of `name` for a value and its members, in the order of JSON. A `toJSON` hides the members. */
function findFirst(
  name: (value: unknown, position: Position) => string | undefined,
  value: unknown,
  position: Position,
): string | undefined {
  const depth = countParents(position);
  if (depth > RECORDED_JSON_DEPTH_MAX) {
    return undefined;
  }
  const found = name(value, position);
  if (found !== undefined || typeof value !== 'object' || value === null || hasToJson(value)) {
    return found;
  }
  const parent = { value, position, depth };
  for (const [key, member] of Object.entries(value)) {
    const step = Array.isArray(value) ? Number(key) : key;
    const inMember = findFirst(name, member, { step, parent });
    if (inMember !== undefined) {
      return inMember;
    }
  }
  return undefined;
}

/** A copy in which notes replace the values that JSON writes as empty. */
function withNotes(result: object): unknown {
  const text = JSON.stringify(result, (_key, value: unknown) => {
    const tag = typeof value === 'object' && value !== null ? readTag(value) : '';
    return tag !== '' && !isBoxed(tag) && isWrittenAsEmpty(value as object, tag) ? { notJson: toArticle(tag) } : value;
  });
  return JSON.parse(text) as unknown;
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
