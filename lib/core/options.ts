import type { Backoff, BackoffOptions } from './backoff.js';
import type { PayloadCodec } from './codec-option.js';
import { codecCheck } from './codec-option.js';
import type { ContextOptions, NamedContext } from './context-option.js';
import { contextCheck } from './context-option.js';
import type { Duration } from './duration.js';
import { InvalidOptionsError } from './errors.js';
import type { RunInTransaction } from './jobs-transaction.js';
import type { HttpOptions, HttpSettings } from './http-options.js';
import { HTTP_OPTIONS, httpCheck, readHttpOptions, trimSlashes } from './http-options.js';
import { MEBIBYTE } from './bounds.js';
import { backoffCheck, concurrencyCheck, maxRetriesCheck, timeoutCheck } from './job-checks.js';
import type { Retention, RetentionOption } from './retention.js';
import { retentionCheck } from './retention.js';
import type { Check } from './option-checks.js';
import {
  applyCheck,
  duration,
  either,
  flag,
  functionCheck,
  group,
  integer,
  listOf,
  oneOf,
  option,
  optional,
  readOptions,
  recordCheck,
  text,
} from './option-checks.js';
import type { TelemetryOptions, TelemetrySettings } from './telemetry-option.js';
import { telemetryCheck } from './telemetry-option.js';
import type { TopicName } from './topic.js';
import type { UiOptions, UiSettings } from './ui-options.js';
import { UI_OPTIONS, uiCheck } from './ui-options.js';
import { topicNameCheck } from './topic.js';

/** Options of `JobsModule.forRoot()`. */
export interface JobsOptions {
  /** Name of the TypeORM DataSource. Default: the application's default DataSource. */
  dataSource?: string | undefined;
  /**
   * The database of an application without TypeORM: `'postgres://user@host/database'`, `'sqlite:path/to/file'`, or a `PoolConfig` of
   * `pg`. Default: that of the DataSource.
   */
  database?: DatabaseOption | undefined;
  /** `'producer'` only enqueues. `'all'` and `'worker'` also run jobs. Default `'all'`. */
  role?: 'all' | 'producer' | 'worker' | undefined;
  /** Jobs that run at once in this process, 1 to 10,000. Default 10. */
  concurrency?: number | undefined;
  /** The only topics that this process runs. Default: all topics with a handler in this process. */
  topics?: readonly TopicName[] | undefined;
  /** How often the process looks for due jobs, in case a notification is lost. At least 10 ms. Default `'1s'`. */
  pollInterval?: Duration | undefined;
  /**
   * Time after which the jobs of a dead process run again. A live process renews its leases every third of it. At least 300
   * ms. Default `'30s'`.
   */
  lease?: Duration | undefined;
  /** Time limit of one attempt, at least 1 ms. Default `'10m'`. */
  timeout?: Duration | undefined;
  /** Retries after the first attempt, 0 to 1,000: 3 means at most 4 runs. Default 3. */
  maxRetries?: number | undefined;
  /** How long retries wait. Default `{ type: 'quadratic', delay: '1m', maxDelay: '1d', jitter: 0.1 }`. */
  backoff?: BackoffOptions | undefined;
  /** Largest payload: bytes of its UTF-8 JSON text, at most 64 MiB. Default 1,048,576. */
  payloadMaxBytes?: number | undefined;
  /**
   * How long finished jobs are kept, for all of them or by status. `false` keeps them for ever, `0` deletes them at once. A topic may
   * have its own. Default: completed and cancelled `'7d'`, failed `'30d'`.
   */
  retention?: RetentionOption | undefined;
  /** How long running jobs have to finish at shutdown. Then the queue aborts and releases them. Default `'30s'`. */
  shutdownTimeout?: Duration | undefined;
  /** Runs the application's global guards, pipes, interceptors and filters around handlers too. Default `false`. */
  globalEnhancers?: boolean | undefined;
  /** Creates and upgrades the queue's own tables at start. `false` if the application runs `jobsMigrations`. Default `true`. */
  migrate?: boolean | undefined;
  /** Connections of the queue to PostgreSQL, besides the one that listens for notifications. 1 to 100. Default 3. */
  connections?: number | undefined;
  /**
   * Runs the transactions of handlers with `transactional: true` through another ORM, on PostgreSQL:
   * `(work) => prisma.$transaction((tx) => work(fromPrisma(tx)))`. Its pool must have more connections than `concurrency`.
   */
  transactions?: RunInTransaction | undefined;
  /** Options for SQLite. */
  sqlite?: SqliteOptions | undefined;
  /**
   * Rejects calls that enqueue or pause a topic that no live process handles. Default `false`: the queue only logs the
   * topic.
   */
  strictTopics?: boolean | undefined;
  /** Logs each transition of a job at debug level. Default `true`. */
  operationLog?: boolean | undefined;
  /**
   * `'json'` logs an object for each line, for loggers that write JSON such as Nest's `ConsoleLogger({ json: true })`. Default `'text'`.
   */
  log?: 'text' | 'json' | undefined;
  /** Options for `job.log`. */
  logs?: LogsOptions | undefined;
  /** Carries values of the caller to the handler: one context, or several by name. At most 4 KiB of JSON. Default: none. */
  context?: ContextOptions | Readonly<Record<string, ContextOptions>> | undefined;
  /** Converts payloads before they are stored, and back for the handler: see `encryptPayloads`. Default: none. */
  codec?: PayloadCodec | undefined;
  /** Spans and metrics of OpenTelemetry. `false` makes none, the default. */
  telemetry?: TelemetryOptions | false | undefined;
  /** Options for events. */
  events?: EventOptions | undefined;
  /**
   * Shows the health of this process to its platform, without the application's own HTTP: a port with `/live` and `/ready`, or a file that
   * is touched while the process is ready. Default: none.
   */
  probe?: ProbeOption | undefined;
  /** Path and access rules of the HTTP API. `false` mounts no routes. */
  http?: HttpOptions | false | undefined;
  /** Path of the admin UI. `false` serves no UI. */
  ui?: UiOptions | false | undefined;
}

/** A URL, or a `PoolConfig` of `pg`. */
export type DatabaseOption = string | Readonly<Record<string, unknown>>;

/** Options of `sqlite`. */
interface SqliteOptions {
  /**
   * `'full'`: each commit waits for the disk, also on the application's own connection. `'normal'` is faster, but a power cut can
   * lose the last commits. Default `'full'`.
   */
  synchronous?: 'full' | 'normal' | undefined;
  /** Longest wait for the write lock, or to begin a transaction. At most `lease`. Default `'5s'`. */
  lockTimeout?: Duration | undefined;
  /** Runs the application's transactions on this DataSource one at a time. Default `true`. */
  serializeTransactions?: boolean | undefined;
}

/** Options of `logs`. */
interface LogsOptions {
  /** Lines that each job keeps, the newest; 0 stores none. At most 10,000. Default 200. */
  maxLines?: number | undefined;
}

/** Options of `events`. */
interface EventOptions {
  /**
   * Forwards the events of this process to `@nestjs/event-emitter`, named by this prefix and their type: `'jobs.'` makes
   * `jobs.failed`. Default: does not forward.
   */
  bridge?: string | undefined;
}

/** The option `probe`: a port, or the path of a file. */
export type ProbeOption = number | { readonly file: string };

/** {@link JobsOptions}, checked and complete. */
export interface JobsSettings {
  readonly dataSource: string | undefined;
  readonly database: DatabaseOption | undefined;
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
  readonly transactions: RunInTransaction | undefined;
  readonly sqlite: {
    readonly synchronous: 'full' | 'normal';
    readonly lockTimeoutMs: number;
    readonly serializeTransactions: boolean;
  };
  readonly strictTopics: boolean;
  readonly operationLog: boolean;
  readonly log: 'text' | 'json';
  readonly logs: { readonly maxLines: number };
  /** At least one. */
  readonly context: readonly NamedContext[] | undefined;
  readonly codec: PayloadCodec | undefined;
  readonly telemetry: TelemetrySettings | false;
  readonly events: { readonly bridge: string | undefined };
  readonly probe: ProbeOption | undefined;
  readonly http: HttpSettings | false;
  readonly ui: UiSettings | false;
}

/**
 * Checks the module's options and adds the defaults. The result is frozen.
 *
 * @throws InvalidOptionsError for an unknown name, an invalid value, or two contradictory options.
 */
export function readJobsOptions(given: JobsOptions = {}): JobsSettings {
  const { pollInterval, lease, timeout, payloadMaxBytes, shutdownTimeout, sqlite, ...same } = readOptions(
    OPTIONS,
    given,
  );
  rejectContradictions(given);
  return Object.freeze({
    ...same,
    pollIntervalMs: pollInterval,
    leaseMs: lease,
    timeoutMs: timeout,
    payloadBytesMax: payloadMaxBytes,
    shutdownTimeoutMs: shutdownTimeout,
    sqlite: Object.freeze({
      synchronous: sqlite.synchronous,
      serializeTransactions: sqlite.serializeTransactions,
      lockTimeoutMs: boundLockTimeout(given.sqlite?.lockTimeout === undefined, sqlite.lockTimeout, lease),
    }),
  });
}

/** A renewal that waits longer than the lease loses it: a short lease shortens the default. */
function boundLockTimeout(isDefault: boolean, lockTimeoutMs: number, leaseMs: number): number {
  if (lockTimeoutMs > leaseMs && !isDefault) {
    throw new InvalidOptionsError(
      'sqlite.lockTimeout',
      'contradicts lease: a renewal that waits longer than the lease loses it; give at most the lease',
    );
  }
  return Math.min(lockTimeoutMs, leaseMs);
}

function rejectContradictions(given: JobsOptions): void {
  if (given.role === 'producer' && given.topics !== undefined) {
    throw new InvalidOptionsError('topics', "contradicts role 'producer', which never claims; remove one of the two");
  }
  if (given.database !== undefined && given.dataSource !== undefined) {
    throw new InvalidOptionsError(
      'database',
      'contradicts dataSource: the queue has one database; remove one of the two',
    );
  }
  rejectOverlappingPaths(given);
}

function rejectOverlappingPaths({ http, ui }: JobsOptions): void {
  if (http === false && ui) {
    throw new InvalidOptionsError(
      'ui',
      'contradicts http: false, because the admin UI uses the HTTP API; set ui: false',
    );
  }
  if (http !== false && ui !== false) {
    const apiPath = trimSlashes(http?.path ?? HTTP_OPTIONS.path.default);
    const uiPath = trimSlashes(ui?.path ?? UI_OPTIONS.path.default);
    // Express ignores the case of paths.
    if (`${uiPath}/`.toLowerCase().startsWith(`${apiPath}/`.toLowerCase())) {
      throw new InvalidOptionsError(
        'ui.path',
        `contradicts http.path: the HTTP API serves everything below '${apiPath}'; choose another path`,
      );
    }
  }
}

const second = 1_000;
const minute = 60 * second;

const databaseCheck: Check<DatabaseOption> = {
  expects: "'postgres://user@host/database', 'sqlite:path/to/file' or a PoolConfig of pg",
  parse: (value) =>
    typeof value === 'string'
      ? /^(postgres(ql)?:\/\/|sqlite:)./i.test(value)
        ? value
        : undefined
      : recordCheck.parse(value, 'database'),
};

const sqliteTable = {
  synchronous: option('full', oneOf('full', 'normal')),
  lockTimeout: option(5 * second, duration(1)),
  serializeTransactions: option(true, flag),
};

const logsTable = {
  maxLines: option(200, integer(0, 10_000)),
};

const eventTable = {
  bridge: optional(text(100)),
};

const portCheck = integer(1, 65_535);
const fileTable = { file: optional(text(4_096)) };
const probeCheck: Check<ProbeOption> = {
  expects: "a port from 1 to 65535, or { file: '/tmp/ready' }",
  parse: (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return portCheck.parse(value, path);
    }
    const { file } = readOptions(fileTable, value, path);
    return file === undefined ? undefined : Object.freeze({ file });
  },
};

/** Default and check of each option. {@link JobsOptions} documents them. Durations are in milliseconds. */
export const OPTIONS = {
  dataSource: optional(text(255)),
  database: optional(databaseCheck),
  role: option('all', oneOf('all', 'producer', 'worker')),
  concurrency: option(10, concurrencyCheck),
  topics: optional(listOf(topicNameCheck)),
  pollInterval: option(second, duration(10)),
  lease: option(30 * second, duration(300)),
  timeout: option(10 * minute, timeoutCheck),
  maxRetries: option(3, maxRetriesCheck),
  backoff: option(applyCheck(backoffCheck, {}, 'backoff'), backoffCheck),
  payloadMaxBytes: option(MEBIBYTE, integer(1, 64 * MEBIBYTE)),
  retention: option(applyCheck(retentionCheck, {}, 'retention'), retentionCheck),
  shutdownTimeout: option(30 * second, duration(0)),
  globalEnhancers: option(false, flag),
  migrate: option(true, flag),
  connections: option(3, integer(1, 100)),
  transactions: optional(functionCheck<RunInTransaction>('a function that runs work in a transaction')),
  sqlite: option(Object.freeze(readOptions(sqliteTable, {})), group(sqliteTable)),
  strictTopics: option(false, flag),
  operationLog: option(true, flag),
  log: option('text', oneOf('text', 'json')),
  logs: option(Object.freeze(readOptions(logsTable, {})), group(logsTable)),
  context: optional(contextCheck),
  codec: optional(codecCheck),
  telemetry: option(false, either(false, telemetryCheck)),
  events: option(Object.freeze(readOptions(eventTable, {})), group(eventTable)),
  probe: optional(probeCheck),
  http: option(readHttpOptions(), either(false, httpCheck)),
  ui: option(Object.freeze(readOptions(UI_OPTIONS, {})), either(false, uiCheck)),
};
