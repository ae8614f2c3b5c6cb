import { ERROR_GROUPS_MAX } from '../core/error-groups.js';
import type { FailureReason } from '../core/failure-reason.js';
import type { WaitingReason } from '../core/job-reports.js';
import { GRAPH_NODES_MAX, PARENT_FAILURE_MODES } from '../core/dependencies.js';
import { LOG_LEVELS } from '../core/job-log.js';
import { FINAL_STATUSES, JOB_STATUSES } from '../core/job-state.js';
import type { JsonSchema } from '../core/option-checks.js';
import type { Column, ColumnType } from '../store/jobs/columns.js';
import { columnsWith } from '../store/jobs/columns.js';

const ANY: JsonSchema = {};
export const TIME: JsonSchema = { type: 'string', format: 'date-time' };
export const UUID: JsonSchema = { type: 'string', format: 'uuid' };
const ERROR_KEY: JsonSchema = { type: 'string', pattern: '^[0-9a-f]{32}$' };
const TEXT: JsonSchema = { type: 'string' };
const COUNT: JsonSchema = { type: 'integer', minimum: 0 };
const NUMBER: JsonSchema = { type: 'number', minimum: 0 };
const FLAG: JsonSchema = { type: 'boolean' };
const COUNTS = Object.fromEntries([...JOB_STATUSES, 'total'].map((name) => [name, COUNT]));
const RETRYING: JsonSchema = { ...COUNT, description: 'Pending jobs that have used a retry: a part of `pending`' };
const MINUTE: Readonly<Record<string, JsonSchema>> = {
  completed: COUNT,
  failed: COUNT,
  attempts_failed: { ...COUNT, description: 'Failed attempts, whether or not the job runs again' },
  avg_execution_time: NUMBER,
  p95: NUMBER,
  avg_wait_time: NUMBER,
};
const SUCCESS_RATE: JsonSchema = { type: 'number', minimum: 0, maximum: 1 };
const WAITING_MS = orNull(NUMBER);
const COUNTED_AT: JsonSchema = { ...TIME, description: 'When the jobs were counted. Each job is counted once' };
const AGE: JsonSchema = { description: 'Milliseconds; false: for ever', oneOf: [NUMBER, { const: false }] };

const OF_TYPE: Readonly<Record<ColumnType, JsonSchema>> = {
  uuid: UUID,
  text: TEXT,
  integer: COUNT,
  smallint: COUNT,
  milliseconds: NUMBER,
  flag: FLAG,
  time: TIME,
  json: ANY,
  texts: TEXT,
};

function toMemberSchema({ type, isNullable, isList, api }: Column): JsonSchema {
  const given = typeof api?.schema === 'string' ? ref(api.schema) : (api?.schema ?? OF_TYPE[type]);
  const described = api?.description === undefined ? {} : { description: api.description };
  if (isList) {
    return listOfSchema(given, described);
  }
  return { ...(isNullable && given !== ANY ? orNull(given) : given), ...described };
}

const JOB: Readonly<Record<string, JsonSchema>> = {
  ...Object.fromEntries(columnsWith('api').map(([name, column]) => [name, toMemberSchema(column)])),
  run_at: {
    ...orNull(TIME),
    description:
      'No attempt starts before this moment; null while the job waits for parents, and may start at no known time',
  },
  failed_because: { ...orNull(ref('FailureReason')), description: 'Why a failed job will not run again' },
  waiting_because: {
    ...orNull(ref('WaitingReason')),
    description: 'Why a pending job does not start; null for other jobs, and in the response of an enqueue',
  },
  blocked: { const: true, description: 'The job waits for parents, and its `run_at` is null' },
  waiting_on: { ...COUNT, description: 'Number of parents for which a blocked job waits' },
  deduplicated: { const: true, description: 'This job already held the unique key of the request' },
  replaced: { const: true, description: 'The debounced request replaced the payload of this job' },
};

const JOB_GROUP: Readonly<Record<string, JsonSchema>> = {
  id: UUID,
  name: orNull(TEXT),
  ...COUNTS,
  created: TIME,
  finished: { ...orNull(TIME), description: 'When the last member ended' },
};

const WAITING_CODES: readonly WaitingReason['code'][] = [
  'not_due',
  'paused',
  'concurrency',
  'key',
  'rate',
  'blocked',
  'no_handler',
  'no_free_slot',
];

const FAILURE_CODES: readonly FailureReason['code'][] = ['no_retries_left', 'lease_lost', 'unrecoverable'];

const DEFINED_LIMITS = {
  limits: { ...orNull(ref('Limits')), description: 'The limits that apply' },
  limits_source: { enum: ['code', 'operator', null] },
  code_limits: { ...orNull(ref('Limits')), description: 'Apply when an operator removes the setting' },
};

/** The schemas of responses by name. A test compares them with real responses. */
export const SCHEMAS: Readonly<Record<string, JsonSchema>> = {
  JobStatus: { enum: JOB_STATUSES },
  JobFailure: objectSchema({
    attempt: COUNT,
    started: orNull(TIME),
    finished: TIME,
    message: TEXT,
    name: { ...orNull(TEXT), description: 'Class of the error, from its stack' },
    stack: orNull(TEXT),
    worker: { ...orNull(TEXT), description: 'The process that ran the attempt' },
  }),
  JobStep: objectSchema({ name: TEXT, finished: TIME }),
  JobAction: objectSchema({
    action: { enum: ['requeue', 'edit', 'promote', 'cancel'], description: 'edit: re-queued with another payload' },
    via: { enum: ['api', 'cli', 'application'] },
    by: { ...orNull(TEXT), description: 'The id of the caller, as the application identifies it' },
    time: TIME,
  }),
  JobLogLine: objectSchema({
    id: { ...TEXT, description: 'Attempt and number of the line; `after` takes it' },
    attempt: COUNT,
    level: { enum: LOG_LEVELS },
    message: TEXT,
    data: ANY,
    time: { ...TIME, description: "When the handler logged it, by the database's clock" },
  }),
  Job: objectSchema(JOB, ['blocked', 'waiting_on', 'deduplicated', 'replaced']),
  JobPage: objectSchema({
    items: listOfSchema(ref('Job')),
    total: COUNT,
    total_capped: { ...FLAG, description: '`total` is a lower bound' },
    limit: COUNT,
    offset: COUNT,
    next_cursor: orNull(TEXT),
    search: { ...orNull(ref('JobSearch')), description: 'What `q` has searched; null without `q`' },
  }),
  JobSearch: objectSchema({
    window: { ...COUNT, description: 'How many of the newest jobs were searched by payload, metadata and unique key' },
    oldest: { ...orNull(TIME), description: 'When the oldest of them was created' },
    complete: { ...FLAG, description: 'The search has covered all jobs that match the other conditions' },
  }),
  JobStats: objectSchema({
    ...COUNTS,
    retrying: RETRYING,
    success_rate: SUCCESS_RATE,
    avg_execution_time: NUMBER,
    p50: NUMBER,
    p95: NUMBER,
    p99: NUMBER,
    oldest_pending_ms: WAITING_MS,
    counted_at: COUNTED_AT,
  }),
  OtherTopics: objectSchema({
    topics: { ...COUNT, description: 'How many topics these are' },
    pending: COUNT,
    retrying: RETRYING,
    processing: COUNT,
    completed: COUNT,
    failed: COUNT,
    cancelled: COUNT,
  }),
  TopicStats: objectSchema({
    topic: TEXT,
    ...COUNTS,
    retrying: RETRYING,
    success_rate: SUCCESS_RATE,
    oldest_pending_ms: WAITING_MS,
    next_due_ms: { ...WAITING_MS, description: 'When the next pending job becomes due; 0 if one is due' },
    recent: {
      ...objectSchema({ completed: COUNT, attempts_failed: COUNT }),
      description: 'Attempts that ended in the current minute and the four before it',
    },
    has_handler: { ...FLAG, description: 'Whether any process has a handler for this topic' },
    paused_since: { ...orNull(TIME), description: 'Since when the topic is paused' },
    counted_at: COUNTED_AT,
    ...DEFINED_LIMITS,
    retention: {
      ...orNull(objectSchema({ completed: AGE, cancelled: AGE, failed: AGE }, FINAL_STATUSES)),
      description: 'Ages at which its finished jobs are deleted, where they differ from those of the module',
    },
    dead_letters: { ...listOfSchema(TEXT), description: 'The topics that receive its dead letters' },
    live_definitions: {
      ...objectSchema({ limits: COUNT, retention: COUNT, dead_letters: COUNT }, [
        'limits',
        'retention',
        'dead_letters',
      ]),
      description: 'How many different definitions in the code live processes declare, of each kind that the topic has',
    },
    running: { ...COUNT, description: 'Running jobs, as the limits count them' },
    waiting_keys: { ...COUNT, description: 'Concurrency keys with due jobs, at most 1,000 in all topics together' },
    limited_by: {
      enum: ['concurrency', 'key', 'rate', null],
      description: 'The limit that prevents a due job from starting',
    },
  }),
  RateLimit: objectSchema(
    {
      limit: COUNT,
      per: { description: 'Milliseconds; in a request also text such as 1m', oneOf: [NUMBER, TEXT] },
      per_key: FLAG,
      spread: { ...FLAG, description: 'Whether the starts are spread evenly over the window; absent: false' },
    },
    ['per_key', 'spread'],
  ),
  Limits: objectSchema({ concurrency: COUNT, per_key: COUNT, rate: ref('RateLimit') }, [
    'concurrency',
    'per_key',
    'rate',
  ]),
  DefinedLimits: objectSchema({ topic: TEXT, ...DEFINED_LIMITS }),
  FailureReason: objectSchema({ code: { enum: FAILURE_CODES }, text: TEXT }),
  WaitingReason: objectSchema({ code: { enum: WAITING_CODES }, text: TEXT }),
  JobGroup: objectSchema(JOB_GROUP),
  JobGroupWithCallbacks: objectSchema({
    ...JOB_GROUP,
    callbacks: listOfSchema(
      objectSchema({
        kind: { enum: ['on_success', 'on_finish', 'on_failure'] },
        id: UUID,
        topic: orNull(TEXT),
        status: { enum: [...JOB_STATUSES, 'deleted'] },
      }),
    ),
  }),
  JobGraph: objectSchema({
    nodes: listOfSchema(
      objectSchema({ id: UUID, topic: orNull(TEXT), status: { enum: [...JOB_STATUSES, 'deleted'] } }),
      { maxItems: GRAPH_NODES_MAX },
    ),
    links: listOfSchema(
      objectSchema({
        parent_id: UUID,
        child_id: UUID,
        on_parent_failure: { enum: PARENT_FAILURE_MODES },
        open: { ...FLAG, description: 'The child still waits for the parent' },
      }),
    ),
    cut: { ...FLAG, description: 'The graph has more jobs than these' },
  }),
  Schedule: objectSchema({
    name: TEXT,
    pattern: {
      description: 'Cron text, or an interval in milliseconds',
      oneOf: [TEXT, objectSchema({ every: NUMBER, anchor: TIME })],
    },
    tz: TEXT,
    topic: TEXT,
    payload: ANY,
    missed: objectSchema({ policy: { enum: ['skip', 'last', 'all'] }, within_ms: NUMBER, max: COUNT }),
    overlap: { enum: ['allow', 'skip'] },
    jitter_ms: NUMBER,
    start_at: orNull(TIME),
    end_at: orNull(TIME),
    max_retries: orNull(COUNT),
    priority: orNull({ type: 'integer' }),
    timeout_ms: orNull(NUMBER),
    labels: listOfSchema(TEXT),
    metadata: orNull({ type: 'object' }),
    source: { enum: ['code', 'api'] },
    revision: { ...COUNT, description: 'Rises with each change, pause and resume' },
    next_tick: orNull(TIME),
    last_tick: { ...orNull(TIME), description: 'The last tick that fired' },
    last_job_id: orNull(UUID),
    paused_since: orNull(TIME),
    is_declared: { ...FLAG, description: 'Whether a live process declares it; always true for source api' },
    live_definitions: { ...COUNT, description: 'How many different definitions in the code live processes declare' },
    created: TIME,
    updated: TIME,
  }),
  Timeseries: objectSchema({
    minutes: COUNT,
    items: listOfSchema(objectSchema({ minute: TIME, ...MINUTE })),
    window: { ...objectSchema({ ...MINUTE, p50: NUMBER, p99: NUMBER }), description: 'The whole window' },
  }),
  WorkerProcess: objectSchema({
    worker: { ...TEXT, description: 'As in locked_by of its jobs' },
    host: TEXT,
    pid: COUNT,
    version: { ...TEXT, description: 'Version of this package' },
    schema_version: { ...TEXT, description: 'The newest migration of that version' },
    topics: listOfSchema(TEXT, { description: 'The topics of its handlers' }),
    running: { ...COUNT, description: 'Running jobs when it was last seen' },
    concurrency: { ...COUNT, description: 'How many jobs it runs at a time, a batch counted as one' },
    is_draining: { ...FLAG, description: 'Whether it shuts down, waiting for its running jobs' },
    is_notified: { ...FLAG, description: 'Whether notifications wake it; otherwise it polls' },
    last_seen: TIME,
    is_alive: { ...FLAG, description: 'Whether it was seen in the last minute' },
    handlers: listOfSchema(
      objectSchema({
        topic: TEXT,
        concurrency: { ...orNull(COUNT), description: 'Jobs of the topic at a time; null: as many as of all topics' },
        timeout_ms: NUMBER,
        max_retries: COUNT,
        backoff: {
          ...orNull(
            objectSchema({
              type: { enum: ['fixed', 'quadratic', 'exponential'] },
              delay_ms: NUMBER,
              max_delay_ms: NUMBER,
              jitter: NUMBER,
            }),
          ),
          description: 'null: a function',
        },
        batch_size: { ...orNull(COUNT), description: 'Jobs in one call; null: one job' },
        transactional: FLAG,
      }),
      { description: 'Its handlers, with the options that are in force' },
    ),
  }),
  ErrorGroups: objectSchema({
    items: listOfSchema(
      objectSchema({
        topic: TEXT,
        message: { ...TEXT, description: 'The error of the job sample_id' },
        pattern: { ...TEXT, description: 'The message of all jobs of the group: # stands for numbers and ids' },
        name: { ...orNull(TEXT), description: 'Class of the error of that job, from its stack' },
        key: { ...ERROR_KEY, description: 'Finds these jobs as `error_key`' },
        count: { ...COUNT, description: 'Jobs that failed for good' },
        retrying: { ...COUNT, description: 'Pending jobs whose last error this is' },
        first_seen: TIME,
        last_seen: TIME,
        last_hour: {
          ...listOfSchema(COUNT, { minItems: 12, maxItems: 12 }),
          description: 'Jobs whose latest attempt failed in each five minutes of the last hour, oldest first',
        },
        sample_id: { ...UUID, description: 'The newest of these jobs' },
      }),
      { maxItems: ERROR_GROUPS_MAX },
    ),
    groups_total: { ...COUNT, description: 'Number of all groups, on whichever page' },
    window: objectSchema({ jobs: COUNT, retrying: COUNT, jobs_max: COUNT }),
  }),
  BulkResult: objectSchema({
    matched: COUNT,
    changed: COUNT,
    skipped: COUNT,
    more: {
      ...FLAG,
      description:
        'Further jobs match, or may match because the search did not cover all jobs. To continue, pass next_cursor as cursor',
    },
    as_of: { ...TIME, description: "The database's time for which matched holds, in microseconds" },
    by_topic: listOfSchema(objectSchema({ topic: TEXT, count: COUNT }), { maxItems: 100 }),
    sample_ids: {
      ...listOfSchema(UUID, { maxItems: 10 }),
      description: 'The first jobs that changed, or in a dry run would change',
    },
    next_cursor: {
      ...orNull(TEXT),
      description: 'Continues the run; null after the last call, a dry run, and for ids',
    },
    skipped_reasons: listOfSchema(
      objectSchema({ reason: TEXT, count: COUNT, ids: listOfSchema(UUID, { maxItems: 10 }) }),
    ),
  }),
  Capabilities: objectSchema({
    admin: FLAG,
    authenticated: FLAG,
    enqueue: { ...FLAG, description: 'May enqueue' },
    read: { ...FLAG, description: 'May read jobs, numbers, errors and the stream' },
    manage: { ...FLAG, description: 'May requeue, promote, cancel and delete jobs, and pause topics; implies read' },
    topics: {
      ...orNull(listOfSchema(TEXT)),
      description: 'The topics with which the caller may do one of these; null: all, or more than 1,000',
    },
    database: { enum: ['postgres', 'sqlite'] },
    version: TEXT,
    limits: objectSchema({ page: COUNT, bulk: COUNT, payload_bytes: COUNT }),
    search_payloads: { ...FLAG, description: 'A search reads payloads, metadata and unique keys' },
  }),
  ApiError: objectSchema({
    status: { type: 'integer' },
    code: { ...TEXT, description: 'Stable, for programs' },
    message: TEXT,
    data: {
      type: 'object',
      additionalProperties: TEXT,
      description:
        "What is wrong with each field, such as 'topic', and with each value that a schema rejects, such as 'payload.email'",
    },
  }),
  StreamText: {
    type: 'string',
    description:
      'Events `stats` with a JobStats, and `changed` with { "topics": [...] }; with `job`, events `job` with ' +
      '{ "id", "status", "updated", "last_line" }',
  },
};

/** The same schema, or `null`. */
export function orNull(schema: JsonSchema): JsonSchema {
  return typeof schema.type === 'string'
    ? { ...schema, type: [schema.type, 'null'] }
    : { anyOf: [schema, { type: 'null' }] };
}

/** A list of one kind of member. */
export function listOfSchema(items: JsonSchema, more: JsonSchema = {}): JsonSchema {
  return { type: 'array', items, ...more };
}

/** An object with exactly these members; those in `optional` may be absent. */
export function objectSchema(
  properties: Readonly<Record<string, JsonSchema>>,
  optional: readonly string[] = [],
): JsonSchema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', properties, required, additionalProperties: false };
}

/** Refers to a schema in the components of the document. */
export function ref(name: string): JsonSchema {
  return { $ref: `#/components/schemas/${name}` };
}
