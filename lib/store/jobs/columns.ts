import type { Job } from '../../core/job.js';
import { PRIORITY_MAX, PRIORITY_MIN } from '../../core/bounds.js';
import type { JsonSchema } from '../../core/option-checks.js';
import type { JobInsert } from './job-records.js';

/*
 * The columns of `_jobs`, each described once. The statements that insert, read, list and claim jobs (dead letters are inserted by one of their own), the mappers of their rows, the
 * entity, the OpenAPI document and the responses of the API derive from these entries; docs/architecture.md says what else a new column
 * needs. Migrations stand alone: a test compares the tables that they create with this file.
 *
 * Two mappers name the members of a job by hand, because they run for each job: `toFreshJob` and `ClaimedRow` in row-mapper.ts. A loop
 * over the columns takes 0.8 µs for a job instead of 0.25. A test compares them with this file, too.
 */

/** What a column holds. A time is written as `timestamptz` by PostgreSQL, and as text of a fixed width by SQLite. */
export type ColumnType = 'uuid' | 'text' | 'integer' | 'smallint' | 'milliseconds' | 'flag' | 'time' | 'json' | 'texts';

/** The type of each kind of column in the tables of PostgreSQL and SQLite. */
export const SQL_TYPES = {
  uuid: { postgres: 'uuid', sqlite: 'text' },
  text: { postgres: 'text', sqlite: 'text' },
  integer: { postgres: 'integer', sqlite: 'integer' },
  smallint: { postgres: 'smallint', sqlite: 'integer' },
  milliseconds: { postgres: 'bigint', sqlite: 'integer' },
  flag: { postgres: 'boolean', sqlite: 'boolean' },
  time: { postgres: 'timestamptz', sqlite: 'datetime' },
  json: { postgres: 'jsonb', sqlite: 'text' },
  /** A list, which SQLite stores as JSON. */
  texts: { postgres: 'text[]', sqlite: 'text' },
} as const satisfies Readonly<Record<ColumnType, { postgres: string; sqlite: string }>>;

export interface Column {
  readonly type: ColumnType;
  readonly isNullable?: true;
  /** The default of the table, except that of times. */
  readonly initial?: string | number | boolean;
  /** The member of `Job`. Absent: only the queue reads it. */
  readonly field?: Exclude<keyof Job, 'deduplicated' | 'replaced' | 'replayed' | 'logs'>;
  /** NULL is an empty list. */
  readonly isList?: true;
  /** How an insert writes it. Absent: with its default. */
  readonly insert?: InsertForm;
  /** How a claim returns it. Absent: not at all. */
  readonly claim?: ClaimForm;
  /** How the API shows it. Absent: not at all. */
  readonly api?: ApiForm;
}

/**
 * - `value`: this value of the new job, JSON as text or as an object. `null` and `undefined`: NULL.
 * - `inMs`: a time this many milliseconds after the insert, by the clock of the database; `at` takes precedence. Statements call the
 *   number `member`.
 * - `sql`: computed by the database. `now`, or `key when due`: the concurrency key, if the job is due at once.
 *
 * Most inserts are plain: only their `isPlain` columns have a value. A shorter statement inserts them in two thirds of the time, and each
 * further column slows it down.
 */
type InsertForm =
  | { readonly value: (job: JobInsert) => unknown; readonly isPlain?: true }
  | {
      readonly at?: (job: JobInsert) => Date | null | undefined;
      readonly inMs: (job: JobInsert) => number | null | undefined;
      readonly member: string;
      readonly isPlain?: true;
    }
  | { readonly sql: 'now' | 'key when due'; readonly isPlain?: true };

/**
 * - `always`: each claim returns it.
 * - `{ usual }`: only if it is not this value. Most claims have only usual values. Leaving them out saves
 *   PostgreSQL from writing them, and this process from parsing them.
 * - `seldom`: only if it is not NULL.
 */
type ClaimForm = 'always' | 'seldom' | { readonly usual: number };

interface ApiForm {
  /**
   * Hidden from callers who may only enqueue, and get a job that another call has stored: what the job was given, and what it has
   * done.
   */
  readonly isContent?: true;
  readonly description?: string;
  /** Default: that of the type. A name is that of a schema of the OpenAPI document; for a list, that of its members. */
  readonly schema?: JsonSchema | string;
}

export const COLUMNS = {
  id: {
    type: 'uuid',
    field: 'id',
    insert: { value: ({ id }) => id, isPlain: true },
    claim: 'always',
    api: { description: 'UUID v7: ordered by creation, as far as the clocks of machines agree' },
  },
  topic: {
    type: 'text',
    field: 'topic',
    insert: { value: ({ topic }) => topic, isPlain: true },
    claim: 'always',
    api: {},
  },
  payload: {
    type: 'json',
    field: 'payload',
    insert: { value: ({ payload }) => payload, isPlain: true },
    claim: 'always',
    api: { isContent: true },
  },
  status: { type: 'text', initial: 'pending', field: 'status', api: { schema: 'JobStatus' } },
  run_at: {
    type: 'time',
    field: 'runAt',
    insert: { at: ({ runAt }) => runAt, inMs: ({ delayMs }) => delayMs, member: 'delay_ms', isPlain: true },
    claim: 'always',
    api: {},
  },
  locked_until: { type: 'time', isNullable: true, field: 'lockedUntil', api: {} },
  locked_by: { type: 'text', isNullable: true, field: 'lockedBy', api: { isContent: true } },
  attempt: {
    type: 'integer',
    initial: 0,
    field: 'attempt',
    claim: { usual: 1 },
    api: { description: 'How often a worker claimed it' },
  },
  rescued_attempt: { type: 'integer', isNullable: true, field: 'rescuedAttempt' },
  retries: {
    type: 'integer',
    initial: 0,
    field: 'retries',
    claim: { usual: 0 },
    api: { description: 'Failed attempts since the job was enqueued or last requeued' },
  },
  max_retries: {
    type: 'integer',
    initial: 3,
    field: 'maxRetries',
    insert: { value: ({ maxRetries }) => maxRetries, isPlain: true },
    claim: { usual: 3 },
    api: {},
  },
  priority: {
    type: 'smallint',
    initial: 0,
    field: 'priority',
    insert: { value: ({ priority }) => priority, isPlain: true },
    claim: { usual: 0 },
    api: { schema: { type: 'integer', minimum: PRIORITY_MIN, maximum: PRIORITY_MAX } },
  },
  timeout_ms: {
    type: 'milliseconds',
    isNullable: true,
    field: 'timeoutMs',
    insert: { value: ({ timeoutMs }) => timeoutMs, isPlain: true },
    claim: 'seldom',
    api: {},
  },
  backoff: {
    type: 'json',
    isNullable: true,
    insert: { value: ({ backoff }) => backoff, isPlain: true },
    claim: 'seldom',
  },
  last_error: { type: 'text', isNullable: true, field: 'lastError', api: { isContent: true } },
  errors: {
    type: 'json',
    isNullable: true,
    field: 'errors',
    isList: true,
    api: { isContent: true, schema: 'JobFailure', description: 'The last 20 failures, oldest first' },
  },
  result: { type: 'json', isNullable: true, field: 'result', api: { isContent: true } },
  progress: { type: 'json', isNullable: true, field: 'progress', api: { isContent: true } },
  steps: {
    type: 'json',
    isNullable: true,
    field: 'steps',
    isList: true,
    api: { isContent: true, schema: 'JobStep', description: 'The finished steps of its handler, in their order' },
  },
  actions: {
    type: 'json',
    isNullable: true,
    field: 'actions',
    isList: true,
    api: {
      isContent: true,
      schema: 'JobAction',
      description: 'The last 20 times that a caller re-queued, promoted or cancelled it, oldest first',
    },
  },
  unique_key: {
    type: 'text',
    isNullable: true,
    field: 'uniqueKey',
    insert: { value: ({ uniqueKey }) => uniqueKey },
    api: {},
  },
  concurrency_key: {
    type: 'text',
    isNullable: true,
    field: 'concurrencyKey',
    insert: { value: ({ concurrencyKey }) => concurrencyKey },
    api: { isContent: true },
  },
  labels: {
    type: 'texts',
    isNullable: true,
    field: 'labels',
    isList: true,
    insert: { value: ({ labels }) => labels },
    api: { isContent: true, description: 'Words by which people find the job' },
  },
  metadata: {
    type: 'json',
    isNullable: true,
    field: 'metadata',
    insert: { value: ({ metadata }) => metadata, isPlain: true },
    claim: 'seldom',
    api: { isContent: true, schema: { type: 'object' } },
  },
  expires_at: {
    type: 'time',
    isNullable: true,
    field: 'expiresAt',
    insert: { at: ({ expiry }) => expiry?.at, inMs: ({ expiry }) => expiry?.inMs, member: 'expires_in_ms' },
    claim: 'seldom',
    api: {
      description:
        'The job is cancelled if it has not started by then; null for a job without expiry, and once it has started',
    },
  },
  cancel_requested: { type: 'flag', initial: false, field: 'cancelRequested', api: {} },
  started: { type: 'time', isNullable: true, field: 'started', api: {} },
  finished: { type: 'time', isNullable: true, field: 'finished', api: {} },
  // A default of the table would not read the time that tests move.
  created: { type: 'time', field: 'created', insert: { sql: 'now', isPlain: true }, claim: 'always', api: {} },
  updated: { type: 'time', field: 'updated', insert: { sql: 'now', isPlain: true }, api: {} },

  /* Columns of the queue alone. */

  idempotency_key: { type: 'text', isNullable: true, insert: { value: ({ idempotency }) => idempotency?.key } },
  body_hash: { type: 'text', isNullable: true, insert: { value: ({ idempotency }) => idempotency?.bodyHash } },
  /** The last attempt that the job may use, until its handler is called: see docs/adr/0019-unstarted-last-attempts.md. */
  unstarted_attempt: { type: 'integer', isNullable: true },
  /**
   * What cancelled the job before it had started: `parent` for a parent or a group, `expiry`, or `delete` until its follow-up deletes the
   * row. NULL after a re-queue.
   */
  ended_by: { type: 'text', isNullable: true },
  /** The concurrency key of a job that is due: see docs/adr/0025-limits-count-rows.md. */
  flow_key: { type: 'text', isNullable: true, insert: { sql: 'key when due' } },
  /** The unique key of a job that holds it until it has started. */
  waiting_key: {
    type: 'text',
    isNullable: true,
    insert: { value: ({ uniqueKey, uniqueMode }) => (uniqueMode?.untilStarted ? uniqueKey : null) },
  },
  /** How long `uniqueFor` keeps the unique key. */
  unique_until: {
    type: 'time',
    isNullable: true,
    insert: { inMs: ({ uniqueMode }) => uniqueMode?.forMs, member: 'unique_for_ms' },
  },
  /** The latest start of a debounced job. */
  debounce_until: {
    type: 'time',
    isNullable: true,
    insert: { inMs: ({ uniqueMode }) => uniqueMode?.debounce?.max, member: 'debounce_max_ms' },
  },
  /** What hangs on the job: see `WATCHED` in job-row.ts. */
  watched: {
    type: 'smallint',
    isNullable: true,
    insert: { value: ({ watched }) => watched ?? null },
  },
} as const satisfies Readonly<Record<string, Column>>;

export type ColumnName = keyof typeof COLUMNS;
/** The columns with a property, with their entries. */
type ColumnWith<Property extends keyof Column> = readonly [
  name: ColumnName,
  column: Column & Required<Pick<Column, Property>>,
];

/** Returns the columns that have a property, in their order. */
export function columnsWith<Property extends keyof Column>(property: Property): readonly ColumnWith<Property>[] {
  return (Object.entries(COLUMNS) as unknown as readonly ColumnWith<Property>[]).filter(
    ([, column]) => column[property] !== undefined,
  );
}

/** A member of a new job as statements take it. */
export interface InsertMember {
  readonly name: string;
  /** The type of the parameter in PostgreSQL. */
  readonly type: string;
  readonly isPlain: boolean;
  /** A time is a `Date`. JSON is text, or an object. */
  readonly value: (job: JobInsert) => unknown;
}

const PARAMETER_TYPES: Readonly<Record<ColumnType, string>> = {
  ...Object.fromEntries(Object.entries(SQL_TYPES).map(([type, { postgres }]) => [type, postgres])),
  integer: 'int',
  // An `int` parameter is converted on assignment.
  smallint: 'int',
} as Record<ColumnType, string>;

/** The members of a new job, in the order of the columns. */
export const INSERT_MEMBERS: readonly InsertMember[] = columnsWith('insert').flatMap(
  ([name, column]): InsertMember[] => {
    const { type, insert } = column;
    if ('sql' in insert) {
      return [];
    }
    const isPlain = insert.isPlain === true;
    const parameter = PARAMETER_TYPES[type];
    if ('value' in insert) {
      return [{ name, type: parameter, isPlain, value: insert.value }];
    }
    const { at, inMs, member } = insert;
    return [
      ...(at ? [{ name, type: parameter, isPlain, value: at }] : []),
      { name: member, type: 'float8', isPlain, value: inMs },
    ];
  },
);

/** The values of most claims: a first attempt with the default options. Statements return NULL instead of them. */
export const USUAL_CLAIM = Object.fromEntries(
  columnsWith('claim').flatMap(([name, { claim }]) => (typeof claim === 'object' ? [[name, claim.usual]] : [])),
) as Readonly<Record<'attempt' | 'retries' | 'max_retries' | 'priority', number>>;

/** The columns that claims return only if they are not NULL. */
export const SELDOM_CLAIMED = columnsWith('claim')
  .filter(([, { claim }]) => claim === 'seldom')
  .map(([name]) => name);
