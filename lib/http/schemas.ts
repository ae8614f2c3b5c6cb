import { JOB_STATUSES } from '../core/job-state.js';
import { PRIORITY_MAX, PRIORITY_MIN } from '../core/limits.js';
import type { JsonSchema } from './json-schema.js';
import {
  COUNT,
  ERROR_KEY,
  FLAG,
  listOfSchema,
  NUMBER,
  objectSchema,
  orNull,
  ref,
  TEXT,
  TIME,
  UUID,
} from './json-schema.js';

const ANY: JsonSchema = {};
const COUNTS = Object.fromEntries([...JOB_STATUSES, 'total'].map((name) => [name, COUNT]));
const SUCCESS_RATE: JsonSchema = { type: 'number', minimum: 0, maximum: 1 };
const WAITING_MS = orNull(NUMBER);

const JOB: Readonly<Record<string, JsonSchema>> = {
  id: { ...UUID, description: 'UUID v7: in the order of creation, as far as clocks of machines agree' },
  topic: TEXT,
  payload: ANY,
  status: ref('JobStatus'),
  run_at: { ...TIME, description: 'Not run before this moment' },
  locked_until: orNull(TIME),
  locked_by: orNull(TEXT),
  attempt: { ...COUNT, description: 'How often it was claimed' },
  retries: { ...COUNT, description: 'Failed attempts since it was enqueued or last re-queued' },
  max_retries: COUNT,
  priority: { type: 'integer', minimum: PRIORITY_MIN, maximum: PRIORITY_MAX },
  timeout_ms: orNull(NUMBER),
  last_error: orNull(TEXT),
  errors: listOfSchema(ref('JobFailure'), { description: 'The last 20 failures, oldest first' }),
  result: ANY,
  progress: ANY,
  unique_key: orNull(TEXT),
  metadata: orNull({ type: 'object' }),
  cancel_requested: FLAG,
  started: orNull(TIME),
  finished: orNull(TIME),
  created: TIME,
  updated: TIME,
  deduplicated: { const: true, description: 'This job held the unique key of the one that was to be' },
};

/** What the answers of the API are made of, by name. */
export const SCHEMAS: Readonly<Record<string, JsonSchema>> = {
  JobStatus: { enum: JOB_STATUSES },
  JobFailure: objectSchema({
    attempt: COUNT,
    started: orNull(TIME),
    finished: TIME,
    message: TEXT,
    stack: orNull(TEXT),
    worker: orNull(TEXT),
  }),
  Job: objectSchema(JOB, ['deduplicated']),
  JobPage: objectSchema({
    items: listOfSchema(ref('Job')),
    total: COUNT,
    total_capped: { ...FLAG, description: '`total` is a lower bound' },
    limit: COUNT,
    offset: COUNT,
    next_cursor: orNull(TEXT),
  }),
  JobStats: objectSchema({
    ...COUNTS,
    success_rate: SUCCESS_RATE,
    avg_execution_time: NUMBER,
    p50: NUMBER,
    p95: NUMBER,
    p99: NUMBER,
    oldest_pending_ms: WAITING_MS,
  }),
  TopicStats: objectSchema({
    topic: TEXT,
    ...COUNTS,
    success_rate: SUCCESS_RATE,
    oldest_pending_ms: WAITING_MS,
    has_handler: { ...FLAG, description: 'Whether some process runs this topic' },
    paused_since: { ...orNull(TIME), description: 'Since when no job of it is started' },
  }),
  Timeseries: objectSchema({
    minutes: COUNT,
    items: listOfSchema(
      objectSchema({
        minute: TIME,
        completed: COUNT,
        failed: COUNT,
        avg_execution_time: NUMBER,
        p95: NUMBER,
        avg_wait_time: NUMBER,
      }),
    ),
  }),
  ErrorGroups: objectSchema({
    items: listOfSchema(
      objectSchema({
        topic: TEXT,
        message: TEXT,
        key: { ...ERROR_KEY, description: 'Finds these jobs, as `error_key`' },
        count: COUNT,
        first_seen: TIME,
        last_seen: TIME,
        sample_id: UUID,
      }),
      { maxItems: 100 },
    ),
    window: objectSchema({ jobs: COUNT, jobs_max: COUNT }),
  }),
  BulkAnswer: objectSchema({
    matched: COUNT,
    changed: COUNT,
    skipped: COUNT,
    more: {
      ...FLAG,
      description: 'More jobs can be moved than one call takes, or may be: call again, while changed is not 0',
    },
    skipped_reasons: listOfSchema(
      objectSchema({ reason: TEXT, count: COUNT, ids: listOfSchema(UUID, { maxItems: 10 }) }),
    ),
  }),
  Capabilities: objectSchema({
    admin: FLAG,
    authenticated: FLAG,
    enqueue: { ...FLAG, description: 'May enqueue' },
    read: { ...FLAG, description: 'May read: jobs, numbers, errors and the stream' },
    manage: { ...FLAG, description: 'May re-queue, promote, cancel and delete jobs, and pause topics; implies read' },
    topics: orNull(listOfSchema(TEXT)),
    database: { enum: ['postgres', 'sqlite'] },
    version: TEXT,
    limits: objectSchema({ page: COUNT, bulk: COUNT, payload_bytes: COUNT }),
  }),
  ApiError: objectSchema({
    status: { type: 'integer' },
    code: { ...TEXT, description: 'Stable, for programs' },
    message: TEXT,
    data: { type: 'object', additionalProperties: TEXT, description: 'What is wrong, by the name of a field' },
  }),
  StreamText: {
    type: 'string',
    description: 'Events `stats` with a JobStats and `changed` with { "topics": [...] } as their data',
  },
};
