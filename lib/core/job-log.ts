import { describeValue } from './error-text.js';
import { InvalidOptionsError, InvalidPayloadError } from './errors.js';
import type { Check } from './option-checks.js';
import { integer, option } from './option-checks.js';
import { encodeLogData } from './payload.js';
import { findNearest } from './suggestion.js';
import { byteLength, cutToBytes, toStorableText } from './text.js';

/** Severities of a line, the lowest first. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type JobLogLevel = (typeof LOG_LEVELS)[number];

/** A line that a handler has written with `job.log`. */
export interface JobLogLine {
  /** The attempt and the number of the line in it, such as `'2.17'`. As `after` it returns the lines that follow. */
  readonly id: string;
  readonly attempt: number;
  readonly level: JobLogLevel;
  readonly message: string;
  /** The second argument of `job.log`; `null` if there was none. */
  readonly data: unknown;
  /** When `job.log` was called, by the database's clock. */
  readonly time: Date;
}

/** Which lines of a job to read. */
export interface JobLogOptions {
  /** The `id` of a line: returns those after it. Default: from the oldest line on. */
  after?: string | undefined;
  /** Number of lines at most, 1 to 1,000. Default 200. */
  limit?: number | undefined;
}

/** The position of a line in the log of its job. */
export interface LogPosition {
  readonly attempt: number;
  readonly line: number;
}

/** What a line holds, ready to store: bounded, and without characters that a `jsonb` column rejects. */
export interface LogText {
  readonly level: JobLogLevel;
  readonly message: string;
  /** JSON text; `null`: no data. */
  readonly data: string | null;
}

/** Upper bound of a line, message and data together, in bytes of UTF-8. */
const LINE_BYTES_MAX = 4 * 1024;

/**
 * Checks the arguments of `job.log`. Cuts a message over 4 KiB. `{ truncated: true, bytes }` replaces data that does not fit into the
 * line beside the message.
 *
 * @throws InvalidPayloadError for a message that is not text, or data that is not JSON; InvalidOptionsError for an unknown level.
 */
export function toLogText(message: unknown, data: unknown, level: unknown): LogText {
  if (typeof message !== 'string') {
    throw new InvalidPayloadError(
      'message',
      `job.log expected text as its first argument, got ${describeValue(message)}`,
    );
  }
  const stored = cutToBytes(toStorableText(message), LINE_BYTES_MAX);
  return {
    level: readLevel(level),
    message: stored,
    data: data === undefined ? null : encodeLogData(data, LINE_BYTES_MAX - byteLength(stored)),
  };
}

function readLevel(level: unknown = 'info'): JobLogLevel {
  const known = LOG_LEVELS.find((each) => each === level);
  if (known === undefined) {
    const nearest = typeof level === 'string' ? findNearest(level, LOG_LEVELS) : undefined;
    const hint = nearest === undefined ? '' : `; did you mean '${nearest}'?`;
    const reason = `expected 'debug', 'info', 'warn' or 'error', got ${describeValue(level)}${hint}`;
    throw new InvalidOptionsError('level', reason, { call: 'job.log' });
  }
  return known;
}

/** The `id` of a line. */
const lineIdCheck: Check<string> = {
  expects: "the id of a line, such as '1.17'",
  schema: { type: 'string', pattern: '^\\d{1,9}\\.\\d{1,9}$' },
  parse: (value) => (typeof value === 'string' && /^\d{1,9}\.\d{1,9}$/.test(value) ? value : undefined),
};

/** Checks of {@link JobLogOptions}. */
export const LOG_OPTIONS = {
  after: option('0.0', lineIdCheck, 'the `id` of the last line of the previous page'),
  limit: option(200, integer(1, 1_000), 'page size; default 200'),
};

export function toLineId({ attempt, line }: LogPosition): string {
  return `${attempt}.${line}`;
}

/** @param id a valid one. */
export function parseLineId(id: string): LogPosition {
  const [attempt, line] = id.split('.').map(Number) as [number, number];
  return { attempt, line };
}
