import { JobsApiError } from './api-error.js';
import type { ApiErrorBody } from './wire.js';

/** Makes a value of JSON text; throws when it is none. */
export type Parse = (text: string) => unknown;

/** Characters of a foreign answer that an error quotes. */
const QUOTE_LENGTH = 120;

/**
 * The parsed body of a success, `undefined` when it has none. `label` names the request in errors.
 * @throws JobsApiError for every other answer
 */
export async function readAnswer(response: Response, label: string, parse?: Parse): Promise<unknown> {
  const text = await response.text().catch((error: unknown) => {
    throw noAnswer(label, error);
  });
  if (!response.ok) {
    throw refusal(response, text, label);
  }
  if (response.status === 204) {
    return undefined;
  }
  const body = parsed(text, parse);
  if (body === undefined) {
    throw notUnderstood(response.status, `JSON, got ${quoted(response, text)}`, label);
  }
  return body;
}

/** No answer came, or only half of one: the connection was refused or cut. */
export function noAnswer(label: string, cause: unknown): JobsApiError {
  return new JobsApiError({ status: 0, code: 'NETWORK', message: `${label}: no answer: ${deepest(cause)}`, cause });
}

/** Nothing came in time. */
export function tooLate(label: string, ms: number): JobsApiError {
  return new JobsApiError({ status: 0, code: 'TIMEOUT', message: `${label}: no answer within ${ms} ms` });
}

/** A success that is not what this API says. */
export function notUnderstood(status: number, expected: string, label: string): JobsApiError {
  return new JobsApiError({ status, code: 'INVALID_RESPONSE', message: `${label}: expected ${expected}` });
}

function refusal(response: Response, text: string, label: string): JobsApiError {
  const { status, statusText } = response;
  const retryAfterMs = readRetryAfter(response.headers.get('Retry-After'));
  const body = parsed(text) as Partial<ApiErrorBody> | undefined;
  if (typeof body?.code === 'string' && typeof body.message === 'string') {
    return new JobsApiError({ status, code: body.code, message: body.message, data: body.data, retryAfterMs });
  }
  // Not from this API: a proxy, or a path at which something else lives.
  const message = `${label}: ${`${status} ${statusText}`.trim()}: ${quoted(response, text)}`;
  return new JobsApiError({ status, code: `HTTP_${status}`, message, retryAfterMs });
}

/** An object or a list, or `undefined`. */
function parsed(text: string, parse: Parse = JSON.parse): object | undefined {
  try {
    const body = parse(text);
    return typeof body === 'object' && body !== null ? body : undefined;
  } catch {
    return undefined;
  }
}

function quoted(response: Response, text: string): string {
  const type = response.headers.get('Content-Type') || 'an answer without a type';
  const words = text.replace(/\s+/g, ' ').trim();
  return `${type} '${words.length > QUOTE_LENGTH ? `${words.slice(0, QUOTE_LENGTH)}…` : words}'`;
}

/** Seconds, or a date. */
function readRetryAfter(header: string | null): number | undefined {
  if (!header) {
    return undefined;
  }
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

/** Node says `fetch failed`, and hides why in the cause; of an AggregateError in its first member. */
function deepest(thrown: unknown): string {
  const { message, cause, errors } = thrown as { message?: string; cause?: unknown; errors?: unknown[] };
  const inner = cause ?? errors?.[0];
  return inner ? deepest(inner) : message || String(thrown);
}
