import { BULK_ACTIONS, BULK_JOBS_MAX, idsCheck } from '../core/bulk.js';
import {
  CURSOR_LENGTH_MAX,
  errorKeyCheck,
  OFFSET_MAX,
  PAGE_JOBS,
  PAGE_JOBS_MAX,
  SEARCH_LENGTH_MAX,
} from '../core/list-filter.js';
import type { JobStatus } from '../core/job-state.js';
import { JOB_STATUSES } from '../core/job-state.js';
import type { Duration } from '../core/duration.js';
import { PRIORITY_MAX, PRIORITY_MIN, RETRIES_MAX } from '../core/limits.js';
import type { Check } from '../core/option-checks.js';
import { duration, flag, integer, listOf, oneOf, recordCheck, text } from '../core/option-checks.js';
import { maxRetriesCheck, priorityCheck, timeoutCheck } from '../core/options.js';
import { topicCheck } from '../core/topic.js';
import { uniqueKeyCheck } from '../core/unique-key.js';
import { ERROR_KEY, FLAG, listOfSchema, ref, TIME, UUID } from './json-schema.js';
import { momentCheck } from './moment.js';
import type { Field } from './request-fields.js';
import { listField, objectField } from './request-fields.js';

/** Jobs of one request of `POST /enqueue-many`. */
const ENQUEUE_MANY_MAX = 1_000;
/** Topics or statuses of one request. */
const MANY_MAX = 1_000;
/** A day. */
const TIMESERIES_MINUTES_MAX = 1_440;

const shortText = { type: 'string', minLength: 1, maxLength: 255 };
const durationSchema = {
  description: "Milliseconds, or text such as '250ms', '30s', '10m', '1h', '7d'",
  oneOf: [{ type: 'number', minimum: 0 }, { type: 'string' }],
};

const topic: Field<string> = { check: topicCheck, schema: shortText, meaning: 'What kind of work it is' };
const topics: Field<readonly string[]> = {
  check: oneOrMany(topicCheck),
  schema: { oneOf: [shortText, listOfSchema(shortText, { minItems: 1 })] },
  meaning: 'Of one of these topics',
  isRepeatable: true,
};
const statuses: Field<readonly JobStatus[]> = {
  check: oneOrMany(oneOf(...JOB_STATUSES)),
  schema: { oneOf: [ref('JobStatus'), listOfSchema(ref('JobStatus'), { minItems: 1 })] },
  meaning: 'In one of these statuses',
  isRepeatable: true,
};
const payload: Field<unknown> = { check: anyJson(), schema: {}, meaning: 'What the handler is given' };
const runAt: Field<Date> = { check: momentCheck, schema: TIME, meaning: 'Not before this moment', alias: 'runAt' };
const maxRetries: Field<number> = {
  check: maxRetriesCheck,
  schema: { type: 'integer', minimum: 0, maximum: RETRIES_MAX },
  meaning: 'Retries after the first attempt',
  alias: 'maxRetries',
};

/** `POST /enqueue`, and each job of `POST /enqueue-many`. */
export const ENQUEUE = {
  topic: { ...topic, isRequired: true },
  payload: { ...payload, isRequired: true },
  run_at: runAt,
  delay: {
    check: duration(0),
    schema: durationSchema,
    meaning: 'Not before this long from now; not together with run_at',
  } as Field<Duration>,
  max_retries: maxRetries,
  priority: {
    check: priorityCheck,
    schema: { type: 'integer', minimum: PRIORITY_MIN, maximum: PRIORITY_MAX },
    meaning: 'Lower runs first; default 0',
  } as Field<number>,
  timeout: { check: timeoutCheck, schema: durationSchema, meaning: 'Limit of one attempt' } as Field<Duration>,
  unique_key: {
    check: uniqueKeyCheck,
    schema: shortText,
    meaning: 'One unfinished job per topic and key',
  } as Field<string>,
  metadata: {
    check: recordCheck,
    schema: { type: 'object' },
    meaning: "The caller's own notes, at most 64 KiB",
  } as Field<Record<string, unknown>>,
} as const;

/** `POST /enqueue-many`. */
export const ENQUEUE_MANY = {
  jobs: {
    check: listField(objectField(ENQUEUE), ENQUEUE_MANY_MAX),
    schema: listOfSchema(ref('EnqueueRequest'), { maxItems: ENQUEUE_MANY_MAX }),
    meaning: 'All are stored, or none',
    isRequired: true,
  },
} as const;

/** `POST /:id/requeue`. */
export const REQUEUE = {
  payload: { ...payload, meaning: 'A corrected payload; default: as it was' },
  run_at: { ...runAt, meaning: 'Not before this moment; default: now' },
  max_retries: { ...maxRetries, meaning: 'Retries after the first attempt; default: as it was' },
} as const;

/** Routes that take a body by habit of their callers, but nothing in it. */
export const NOTHING = {} as const;

const CONDITIONS = {
  topic: topics,
  status: statuses,
  due: {
    check: flag,
    schema: FLAG,
    meaning:
      'Of pending jobs only: those that are due (true), or those that wait for their time (false); 10,000 are searched, those that would run first',
  } as Field<boolean>,
  q: {
    check: text(SEARCH_LENGTH_MAX),
    schema: { type: 'string', minLength: 1, maxLength: SEARCH_LENGTH_MAX },
    meaning:
      'An exact id, the beginning of a topic, or a part of an error; 10,000 failed jobs are searched, the newest of each topic',
  } as Field<string>,
  error_key: {
    check: errorKeyCheck,
    schema: ERROR_KEY,
    meaning:
      'Only failed jobs with exactly this error, the key of a group; searches the same 10,000; not together with q',
  } as Field<string>,
  created_from: { check: momentCheck, schema: TIME, meaning: 'Created at this moment or later' } as Field<Date>,
  created_to: { check: momentCheck, schema: TIME, meaning: 'Created before this moment' } as Field<Date>,
} as const;

/** From the text of a query. */
const flagText: Check<boolean> = {
  expects: flag.expects,
  parse: (value) => (value === 'true' ? true : value === 'false' ? false : undefined),
};

/** `GET ` of the list. */
export const LIST = {
  ...CONDITIONS,
  due: { ...CONDITIONS.due, check: flagText },
  limit: {
    check: integerText(1, PAGE_JOBS_MAX),
    schema: { type: 'integer', minimum: 1, maximum: PAGE_JOBS_MAX, default: PAGE_JOBS },
    meaning: 'Jobs on a page',
  } as Field<number>,
  offset: {
    check: integerText(0, OFFSET_MAX),
    schema: { type: 'integer', minimum: 0, maximum: OFFSET_MAX, default: 0 },
    meaning: 'Jobs to skip; not together with cursor',
  } as Field<number>,
  cursor: {
    check: text(CURSOR_LENGTH_MAX),
    schema: { type: 'string', minLength: 1, maxLength: CURSOR_LENGTH_MAX },
    meaning: 'The next_cursor of the page before, with the same filter',
  } as Field<string>,
} as const;

/** `POST /bulk`. */
export const BULK = {
  action: {
    check: oneOf(...BULK_ACTIONS),
    schema: { enum: [...BULK_ACTIONS] },
    meaning: 'What is done',
    isRequired: true,
  },
  ids: {
    check: idsCheck,
    schema: listOfSchema(UUID, { minItems: 1, maxItems: BULK_JOBS_MAX }),
    meaning: 'The jobs that are meant; either these or a filter',
  } as Field<readonly string[]>,
  filter: {
    check: objectField(CONDITIONS),
    schema: ref('BulkFilter'),
    meaning:
      'What the jobs that are meant have; at most 10,000 a call, the newest, or with due those that would run first',
  },
  dry_run: { check: flag, schema: FLAG, meaning: 'Only count: nothing is changed' } as Field<boolean>,
} as const;

/** The filter of `POST /bulk`. */
export const BULK_FILTER = CONDITIONS;

/** `POST /topics/pause` and `POST /topics/resume`. */
export const TOPIC = { topic: { ...topic, isRequired: true } } as const;

/** `GET /stats` and `GET /errors`. */
export const TOPICS = { topic: topics } as const;

/** `GET /timeseries`. */
export const TIMESERIES = {
  topic: topics,
  minutes: {
    check: integerText(1, TIMESERIES_MINUTES_MAX),
    schema: { type: 'integer', minimum: 1, maximum: TIMESERIES_MINUTES_MAX, default: 60 },
    meaning: 'Length of the window',
  } as Field<number>,
} as const;

/** A whole number within bounds, from the text of a query. */
function integerText(min: number, max: number): Check<number> {
  const number = integer(min, max);
  return {
    expects: number.expects,
    parse: (value, path) =>
      typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? number.parse(Number(value), path) : undefined,
  };
}

/** One or several; read as a list. */
function oneOrMany<T>(member: Check<T>): Check<readonly T[]> {
  const many = listOf(member);
  return {
    expects: `${member.expects}, or a list of 1 to ${MANY_MAX} such`,
    parse: (value, path) => {
      if (Array.isArray(value)) {
        return value.length <= MANY_MAX ? many.parse(value, path) : undefined;
      }
      const one = member.parse(value, path);
      return one === undefined ? undefined : [one];
    },
  };
}

/** Judged where it is stored; `undefined` cannot come from JSON. */
function anyJson(): Check<unknown> {
  return { expects: 'a JSON value', parse: (value) => value };
}
