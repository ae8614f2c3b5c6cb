import type { Duration } from './duration.js';
import { describeValue } from './error-text.js';
import { InvalidOptionsError } from './errors.js';
import type { Check } from './option-checks.js';
import { applyCheck, duration, oneOf, optional, readOptions, text } from './option-checks.js';

/** A unique key: 1 to 255 characters that the database can store. */
export const uniqueKeyCheck = text(255);

/** A concurrency key: 1 to 255 characters that the database can store. */
export const concurrencyKeyCheck = text(255);

/** When a job frees its unique key. */
export type UniqueUntil = 'finished' | 'started';

/** How long a debounced job waits: the option `wait` alone, or an object. */
export type DebounceOptions =
  | Duration
  | {
      /** From the latest call to the start, 1 ms to 30 d. */
      wait: Duration;
      /** Longest time from the first call to the start, at least `wait`. Default: 10 × `wait`. */
      max?: Duration | undefined;
    };

/** {@link DebounceOptions}, checked, in milliseconds. It is valid input itself. */
export interface Debounce {
  /** From the latest call to the start. */
  readonly wait: number;
  /** From the first call to the start. */
  readonly max: number;
}

/** A unique key that does more than allow one unfinished job. */
export interface UniqueMode {
  /** The claim of the job frees the key. */
  readonly untilStarted: boolean;
  /** The key stays taken this long after the job was stored, also when the job has ended; `null`: no longer than the job. */
  readonly forMs: number | null;
  readonly debounce: Debounce | null;
}

const UNIQUE_FOR_MIN_MS = 1_000;
const DAY_MS = 86_400_000;
const UNIQUE_FOR_MAX_MS = 30 * DAY_MS;
const DEBOUNCE_WAIT_MAX_MS = 30 * DAY_MS;
/** The default of `max` in units of `wait`. */
const DEBOUNCE_MAX_FACTOR = 10;

const waitCheck = duration(1, DEBOUNCE_WAIT_MAX_MS);
const debounceTable = {
  wait: optional(waitCheck),
  max: optional(duration(1, DEBOUNCE_MAX_FACTOR * DEBOUNCE_WAIT_MAX_MS)),
};

/** A duration, or `{ wait, max }`. */
export const debounceCheck: Check<Debounce> = {
  expects: `${waitCheck.expects}, or an object with wait and max`,
  schema: {
    oneOf: [
      ...(waitCheck.schema!.oneOf as readonly object[]),
      {
        type: 'object',
        properties: { wait: waitCheck.schema, max: debounceTable.max.check.schema },
        required: ['wait'],
        additionalProperties: false,
      },
    ],
  },
  parse: (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      const wait = waitCheck.parse(value, path);
      return wait === undefined ? undefined : { wait, max: DEBOUNCE_MAX_FACTOR * wait };
    }
    const given = readOptions(debounceTable, value, path);
    const wait = applyCheck(waitCheck, given.wait, `${path}.wait`);
    const { max = DEBOUNCE_MAX_FACTOR * wait } = given;
    if (max < wait) {
      throw new InvalidOptionsError(
        `${path}.max`,
        `expected at least wait, which is ${wait} ms, got ${describeValue(max)}`,
      );
    }
    return { wait, max };
  },
};

export const uniqueUntilCheck: Check<UniqueUntil> = oneOf('finished', 'started');
export const uniqueForCheck = duration(UNIQUE_FOR_MIN_MS, UNIQUE_FOR_MAX_MS);

/** The options that {@link toUniqueMode} combines. */
interface UniqueOptions {
  readonly uniqueKey: string | undefined;
  readonly uniqueUntil: UniqueUntil | undefined;
  readonly uniqueFor: number | undefined;
  readonly debounce: Debounce | undefined;
}

/**
 * Combines checked options. Returns `undefined` when the key only allows one unfinished job.
 *
 * @throws InvalidOptionsError when they contradict each other, or when `uniqueKey` is missing.
 */
export function toUniqueMode({ uniqueKey, uniqueUntil, uniqueFor, debounce }: UniqueOptions): UniqueMode | undefined {
  const given = Object.entries({ uniqueUntil, uniqueFor, debounce }).find(([, value]) => value !== undefined);
  if (!given) {
    return undefined;
  }
  if (uniqueKey === undefined) {
    throw new InvalidOptionsError(given[0], 'needs uniqueKey');
  }
  if (debounce && uniqueFor !== undefined) {
    throw new InvalidOptionsError('uniqueFor', 'contradicts debounce; give one of the two');
  }
  if (debounce && uniqueUntil === 'finished') {
    throw new InvalidOptionsError(
      'uniqueUntil',
      "contradicts debounce, which frees the key when the job starts; use 'started'",
    );
  }
  const untilStarted = uniqueUntil === 'started' || debounce !== undefined;
  return untilStarted || uniqueFor !== undefined
    ? { untilStarted, forMs: uniqueFor ?? null, debounce: debounce ?? null }
    : undefined;
}

/**
 * Compares jobs by topic and unique key; the two kinds of keys are apart. Every process and PostgreSQL's own statements use this
 * order, so that two batches cannot deadlock. Jobs with equal keys keep their order.
 */
export function compareUniqueKeys(a: KeyedJob, b: KeyedJob): number {
  return (
    compareBytes(a.topic, b.topic) || compareBytes(a.uniqueKey ?? '', b.uniqueKey ?? '') || rankMode(a) - rankMode(b)
  );
}

/** Jobs with a waiting key come first. */
function rankMode({ uniqueMode }: KeyedJob): number {
  return uniqueMode?.untilStarted ? 0 : 1;
}

interface KeyedJob {
  readonly topic: string;
  readonly uniqueKey: string | null;
  readonly uniqueMode?: UniqueMode | null;
}

/** Compares by UTF-8 bytes. UTF-16 sorts surrogate pairs before U+E000 to U+FFFF. */
function compareBytes(a: string, b: string): number {
  if (/[\ud800-\udfff]/.test(a + b)) {
    return Buffer.compare(Buffer.from(a), Buffer.from(b));
  }
  return a < b ? -1 : a > b ? 1 : 0;
}
