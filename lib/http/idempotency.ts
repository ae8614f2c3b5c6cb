import { createHash } from 'node:crypto';
import type { Idempotency } from '../core/job.js';
import { text } from '../core/option-checks.js';
import { invalidRequest } from './api-error.js';
import type { Caller } from './caller.js';
import type { HttpExchange } from './http-exchange.js';

const keyCheck = text(255);

/** Deeper values are refused as payloads before anybody asks whether they came twice. */
const DEPTH_MAX = 100;

/** The header `Idempotency-Key`. @throws ApiError 400 for one that is empty or too long. */
export function idempotencyKeyOf({ headers }: HttpExchange): string | undefined {
  const key = headers['idempotency-key'];
  if (key !== undefined && keyCheck.parse(key, '') === undefined) {
    throw invalidRequest({ idempotency_key: `expected ${keyCheck.expects}` });
  }
  return key as string | undefined;
}

/**
 * By which a repetition of a request is known. Each caller has keys of its own, so that nobody is given the job of
 * another; the order of a body's members does not matter.
 */
export function idempotencyOf(key: string, caller: Caller, body: object): Idempotency {
  const { kind, id } = { id: '', ...caller };
  return { key: digestOf([kind, id, key]), bodyHash: digestOf(body) };
}

function digestOf(value: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(sorted(value, 0)) ?? '')
    .digest('hex');
}

/** The same value with its members in one order; dates as they are on the wire. */
function sorted(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Date) {
    return value;
  }
  if (depth > DEPTH_MAX) {
    return null;
  }
  if (Array.isArray(value)) {
    return value.map((member) => sorted(member, depth + 1));
  }
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(members.map(([key, member]) => [key, sorted(member, depth + 1)]));
}
