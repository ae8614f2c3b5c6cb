import type { Backoff, BackoffOptions } from './backoff.js';
import type { Duration } from './duration.js';
import { InvalidOptionsError } from './errors.js';
import type { HttpOptions, HttpSettings, UiOptions, UiSettings } from './http-options.js';
import { HTTP_OPTIONS, httpCheck, readHttpOptions, trimSlashes, UI_OPTIONS, uiCheck } from './http-options.js';
import type { FinalStatus } from './job-state.js';
import { MEBIBYTE, PRIORITY_MAX, PRIORITY_MIN, RETRIES_MAX } from './limits.js';
import type { Check, Option, OptionValues } from './option-checks.js';
import {
  checked,
  duration,
  either,
  flag,
  fraction,
  group,
  integer,
  listOf,
  oneOf,
  readOptions,
  text,
} from './option-checks.js';
import type { TopicName } from './topic.js';
import { topicNameCheck } from './topic.js';

const second = 1_000;
const minute = 60 * second;
const day = 24 * 60 * minute;

/** Lower runs first. */
export const priorityCheck = integer(PRIORITY_MIN, PRIORITY_MAX);
/** Retries after the first attempt. */
export const maxRetriesCheck = integer(0, RETRIES_MAX);
/** Limit of one attempt, at least a millisecond. */
export const timeoutCheck = duration(1);
/** Jobs that run at once. */
export const concurrencyCheck = integer(1, 10_000);

/** Backoff as callers write it, read into {@link Backoff}. */
export const backoffCheck: Check<Backoff> = {
  expects: "an object such as { type: 'quadratic', delay: '1m' }",
  parse: (value, path) => {
    if (typeof value !== 'object' || value === null) {
      return undefined;
    }
    const { type, delay, maxDelay, jitter } = readOptions(backoffTable, value, path);
    // An untouched default gives way to a longer delay; a limit that was written is meant.
    const capGiven = 'maxDelay' in value && value.maxDelay !== undefined;
    if (capGiven && delay > maxDelay) {
      throw new InvalidOptionsError(
        `${path}.maxDelay`,
        `expected at least ${path}.delay (${delay} ms), got ${maxDelay} ms`,
      );
    }
    return Object.freeze({ type, delayMs: delay, maxDelayMs: Math.max(delay, maxDelay), jitter });
  },
};

const backoffTable = {
  type: {
    default: 'quadratic',
    check: oneOf('fixed', 'quadratic', 'exponential'),
    meaning: 'how waiting grows',
  } as Option<Backoff['type']>,
  delay: { default: minute, check: duration(0), meaning: 'the unit of waiting' },
  maxDelay: { default: day, check: duration(0), meaning: 'no retry waits longer' },
  jitter: { default: 0.1, check: fraction(0, 1), meaning: 'share of the delay moved at random' },
};

/** How long finished rows stay, in milliseconds by status; `false` keeps them for ever. */
export type Retention = Readonly<Record<FinalStatus, number | false>>;

const keep = either(false, duration(0));
const retentionTable = {
  completed: { default: 7 * day, check: keep, meaning: 'age at which completed jobs are removed' } as Option<
    number | false
  >,
  cancelled: { default: 7 * day, check: keep, meaning: 'age at which cancelled jobs are removed' } as Option<
    number | false
  >,
  failed: { default: 30 * day, check: keep, meaning: 'age at which failed jobs are removed' } as Option<number | false>,
};

const retentionCheck: Check<Retention> = {
  expects: "false, a duration, or an object such as { completed: '7d', failed: '30d' }",
  parse: (value, path) => {
    if (typeof value === 'object' && value !== null) {
      return Object.freeze(readOptions(retentionTable, value, path));
    }
    const age = keep.parse(value, path);
    return age === undefined ? undefined : Object.freeze({ completed: age, cancelled: age, failed: age });
  },
};

const sqliteTable = {
  synchronous: {
    default: 'full',
    check: oneOf('full', 'normal'),
    meaning: "'normal' may lose the last commits at a power cut",
  } as Option<'full' | 'normal'>,
  lockTimeout: { default: 5 * second, check: duration(1), meaning: 'bounds every wait for the write lock' },
};

/** Every option of the module, once: default, check, meaning. Durations are milliseconds here. */
export const OPTIONS = {
  dataSource: { default: undefined, check: text(255), meaning: 'name of the TypeORM DataSource' } as Option<
    string | undefined
  >,
  role: { default: 'all', check: oneOf('all', 'producer', 'worker'), meaning: "'producer' never claims" } as Option<
    'all' | 'producer' | 'worker'
  >,
  concurrency: { default: 10, check: concurrencyCheck, meaning: 'jobs running at once in this process' },
  topics: {
    default: undefined,
    check: listOf(topicNameCheck),
    meaning: 'restricts what this process claims',
  } as Option<readonly string[] | undefined>,
  pollInterval: {
    default: second,
    check: duration(10),
    meaning: 'safety net; notifications and due times wake earlier',
  },
  lease: { default: 30 * second, check: duration(300), meaning: 'life of locked_until; renewed every third of it' },
  timeout: { default: 10 * minute, check: timeoutCheck, meaning: 'limit of one attempt' },
  maxRetries: { default: 3, check: maxRetriesCheck, meaning: 'retries after the first attempt' },
  backoff: {
    default: checked(backoffCheck, {}, 'backoff'),
    check: backoffCheck,
    meaning: 'how long retries wait',
  } as Option<Backoff>,
  payloadMaxBytes: {
    default: MEBIBYTE,
    check: integer(1, 64 * MEBIBYTE),
    meaning: 'limit of the UTF-8 JSON text of a payload',
  },
  retention: {
    default: Object.freeze(readOptions(retentionTable, {})),
    check: retentionCheck,
    meaning: 'age at which finished rows are pruned',
  } as Option<Retention>,
  shutdownTimeout: {
    default: 30 * second,
    check: duration(0),
    meaning: 'grace for running jobs before they are aborted and released',
  },
  globalEnhancers: {
    default: false,
    check: flag,
    meaning: 'run APP_* guards, pipes, interceptors and filters around handlers too',
  },
  migrate: { default: true, check: flag, meaning: "create and upgrade the queue's tables at start" },
  connections: {
    default: 3,
    check: integer(1, 100),
    meaning: "size of the queue's own PostgreSQL pool, the listener not counted",
  },
  sqlite: {
    default: Object.freeze(readOptions(sqliteTable, {})),
    check: group(sqliteTable),
    meaning: 'how SQLite is used',
  } as Option<OptionValues<typeof sqliteTable>>,
  http: {
    default: readHttpOptions(),
    check: either(false, httpCheck),
    meaning: 'the HTTP API; false mounts no routes',
  } as Option<HttpSettings | false>,
  ui: {
    default: Object.freeze(readOptions(UI_OPTIONS, {})),
    check: either(false, uiCheck),
    meaning: 'the admin UI; false serves none',
  } as Option<UiSettings | false>,
};

/** What `JobsModule.forRoot()` takes; see {@link OPTIONS} for meanings and defaults. */
export interface JobsOptions {
  /** Name of the TypeORM DataSource. Default: the default one. */
  dataSource?: string | undefined;
  /** `'producer'` never claims, `'worker'` and `'all'` do. Default `'all'`. */
  role?: 'all' | 'producer' | 'worker' | undefined;
  /** Jobs running at once in this process, 1 to 10,000. Default 10. */
  concurrency?: number | undefined;
  /** Restricts what this process claims. Default: every topic with a handler here. */
  topics?: readonly TopicName[] | undefined;
  /**
   * Safety net: a due job starts within this and a second even when no notification arrives. At least 10 ms, default `'1s'`.
   */
  pollInterval?: Duration | undefined;
  /** How long a claim is owned without renewal; renewed every third of it. At least 300 ms, default `'30s'`. */
  lease?: Duration | undefined;
  /** Limit of one attempt. Default `'10m'`. */
  timeout?: Duration | undefined;
  /** Retries after the first attempt, 0 to 1,000: 3 means at most 4 runs. Default 3. */
  maxRetries?: number | undefined;
  /** How long retries wait. Default `{ type: 'quadratic', delay: '1m', maxDelay: '1d', jitter: 0.1 }`. */
  backoff?: BackoffOptions | undefined;
  /** Limit of the UTF-8 JSON text of a payload, in bytes. Default 1,048,576. */
  payloadMaxBytes?: number | undefined;
  /** Age at which finished rows are pruned: `false` keeps them, `0` removes them as they finish. Default 7, 7 and 30 days. */
  retention?: Duration | false | { [Status in FinalStatus]?: Duration | false | undefined } | undefined;
  /** Grace for running jobs when the application stops. Default `'30s'`. */
  shutdownTimeout?: Duration | undefined;
  /** Run the application's global guards, pipes, interceptors and filters around handlers too. Default `false`. */
  globalEnhancers?: boolean | undefined;
  /** Create and upgrade the queue's own tables at start. `false` when the app runs `jobsMigrations` itself. Default `true`. */
  migrate?: boolean | undefined;
  /** Size of the queue's own PostgreSQL pool, the listener not counted, 1 to 100. Default 3. */
  connections?: number | undefined;
  /**
   * `synchronous`: `'full'` (default), with which the application's own connection waits for the disk, too, or `'normal'`;
   * `lockTimeout` (default `'5s'`), not above `lease`, bounds every wait for the write lock.
   */
  sqlite?: { synchronous?: 'full' | 'normal' | undefined; lockTimeout?: Duration | undefined } | undefined;
  /** The HTTP API: where it is and who may use it. `false` mounts no routes. */
  http?: HttpOptions | false | undefined;
  /** The admin UI. `false` serves none. */
  ui?: UiOptions | false | undefined;
}

/** The options of the module, checked and complete. */
export interface JobsSettings {
  readonly dataSource: string | undefined;
  readonly role: 'all' | 'producer' | 'worker';
  readonly concurrency: number;
  readonly topics: readonly string[] | undefined;
  readonly pollIntervalMs: number;
  readonly leaseMs: number;
  readonly timeoutMs: number;
  readonly maxRetries: number;
  readonly backoff: Backoff;
  readonly payloadBytesMax: number;
  readonly retention: Retention;
  readonly shutdownTimeoutMs: number;
  readonly globalEnhancers: boolean;
  readonly migrate: boolean;
  readonly connections: number;
  readonly sqlite: { readonly synchronous: 'full' | 'normal'; readonly lockTimeoutMs: number };
  readonly http: HttpSettings | false;
  readonly ui: UiSettings | false;
}

/**
 * Checks the module's options and fills in the defaults; the result is frozen.
 *
 * @throws InvalidOptionsError for an unknown name, a refused value, or two options that contradict each other.
 */
export function readJobsOptions(given: JobsOptions = {}): JobsSettings {
  const { pollInterval, lease, timeout, payloadMaxBytes, shutdownTimeout, sqlite, ...same } = readOptions(
    OPTIONS,
    given,
  );
  refuseContradictions(given);
  return Object.freeze({
    ...same,
    pollIntervalMs: pollInterval,
    leaseMs: lease,
    timeoutMs: timeout,
    payloadBytesMax: payloadMaxBytes,
    shutdownTimeoutMs: shutdownTimeout,
    sqlite: Object.freeze({
      synchronous: sqlite.synchronous,
      lockTimeoutMs: lockTimeoutOf(given.sqlite?.lockTimeout === undefined, sqlite.lockTimeout, lease),
    }),
  });
}

/** A renewal that waits longer than the lease cannot keep it: the default is shorter with a short lease. */
function lockTimeoutOf(isDefault: boolean, lockTimeoutMs: number, leaseMs: number): number {
  if (lockTimeoutMs > leaseMs && !isDefault) {
    throw new InvalidOptionsError(
      'sqlite.lockTimeout',
      'contradicts lease: a renewal that waits longer than the lease cannot keep it',
    );
  }
  return Math.min(lockTimeoutMs, leaseMs);
}

function refuseContradictions(given: JobsOptions): void {
  if (given.role === 'producer' && given.topics !== undefined) {
    throw new InvalidOptionsError('topics', "contradicts role 'producer', which never claims; drop one of the two");
  }
  refuseContradictingPaths(given);
}

function refuseContradictingPaths({ http, ui }: JobsOptions): void {
  if (http === false && ui) {
    throw new InvalidOptionsError('ui', 'contradicts http: false; the admin UI shows what the HTTP API gives it');
  }
  if (http !== false && ui !== false) {
    const apiPath = trimSlashes(http?.path ?? HTTP_OPTIONS.path.default);
    const uiPath = trimSlashes(ui?.path ?? UI_OPTIONS.path.default);
    // Express knows a path in either case.
    if (`${uiPath}/`.toLowerCase().startsWith(`${apiPath}/`.toLowerCase())) {
      throw new InvalidOptionsError('ui.path', `contradicts http.path: below '${apiPath}' the HTTP API answers`);
    }
  }
}
