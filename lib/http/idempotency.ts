import { createHash } from 'node:crypto';
import type { Idempotency } from '../core/job.js';
import { text } from '../core/option-checks.js';
import { invalidRequest } from './api-error.js';
import type { Caller } from './caller-resolver.js';
import type { HttpRequest } from './http-adapter.js';
import { shortSharedKey } from './http.messages.js';

const keyCheck = text(255);

/** The queue rejects deeper payloads later. */
const DEPTH_MAX = 100;

/** The header `Idempotency-Key`. @throws ApiError 400 when it is empty or too long. */
export function readIdempotencyKey({ headers }: HttpRequest): string | undefined {
  const key = headers['idempotency-key'];
  if (key !== undefined && keyCheck.parse(key, '') === undefined) {
    throw invalidRequest({ idempotency_key: `expected ${keyCheck.expects}` });
  }
  return key as string | undefined;
}

/** Callers that nothing tells apart use keys that no other caller would use by chance. The client's keys have 32 characters. */
const SHARED_KEY_LENGTH_MIN = 20;

/**
 * Identifies a repeated request. Each caller has separate keys, so that no caller gets another one's job. The order of a
 * body's members does not matter.
 *
 * Unknown callers share their keys. So another body makes another job, and a caller who knows the key of another neither blocks its
 * request nor gets its job.
 *
 * @throws ApiError 400 for a short key of an unknown caller: the job of one would be lost as a repetition of another's.
 */
export function toIdempotency(key: string, caller: Caller, body: object): Idempotency {
  const bodyHash = hash(body);
  if (caller.kind !== 'anonymous') {
    return { key: hash([caller.kind, caller.id, key]), bodyHash };
  }
  if (key.length < SHARED_KEY_LENGTH_MIN) {
    throw invalidRequest({ idempotency_key: shortSharedKey(SHARED_KEY_LENGTH_MIN) });
  }
  return { key: hash([caller.kind, key, bodyHash]), bodyHash };
}

function hash(value: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(sortMembers(value, 0)) ?? '')
    .digest('hex');
}

/** The same value with sorted members. */
function sortMembers(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Date) {
    return value;
  }
  if (depth > DEPTH_MAX) {
    return null;
  }
  if (Array.isArray(value)) {
    return value.map((member) => sortMembers(member, depth + 1));
  }
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(members.map(([key, member]) => [key, sortMembers(member, depth + 1)]));
}
