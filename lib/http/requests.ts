import { BULK_OPTIONS } from '../core/bulk.js';
import { checkDependencyCount, DEPENDENCY_OPTIONS } from '../core/dependencies.js';
import { ERROR_GROUP_OPTIONS } from '../core/error-groups.js';
import { GROUP_OPTIONS, GROUPS_PAGE_MAX } from '../core/job-group.js';
import { CODE_OPTIONS, ENQUEUE_OPTIONS, REQUEUE_OPTIONS } from '../core/job-options.js';
import { LOG_OPTIONS } from '../core/job-log.js';
import { groupIdCheck, LIST_OPTIONS } from '../core/list-filter.js';
import type { Check } from '../core/option-checks.js';
import { either, flag, integer, jsonCheck, oneOf, oneOrMany, text } from '../core/option-checks.js';
import { patternCheck } from '../core/cron.js';
import { SCHEDULE_OPTIONS } from '../core/schedule.js';
import { topicCheck } from '../core/topic.js';
import { LIMIT_OPTIONS, RATE_OPTIONS } from '../core/topic-limits.js';
import { listOfSchema, ref } from './schemas.js';
import type { Field } from './request-fields.js';
import { fieldsExcept, pickFields, listOfObjects, objectOf } from './request-fields.js';

/** Upper bound of the jobs in one `POST /enqueue-many`. */
const ENQUEUE_MANY_MAX = 1_000;
/** Dependencies of all jobs of a request: fewer than in a call of the application, since the caller may be unknown. */
const ENQUEUE_LINKS_MAX = 10_000;
/** A day. */
const TIMESERIES_MINUTES_MAX = 1_440;
const NEXT_TICKS_MAX = 100;
/** Default and maximum page size of `GET /topics`. */
export const TOPICS_PAGE_MAX = 1_000;

const required = { isRequired: true } as const;
const camelCase = { acceptsCamelCase: true } as const;

const topic = { ...toField(topicCheck, 'the kind of work'), ...required };
const topics = { ...toField(oneOrMany(topicCheck), 'of one of these topics'), isRepeatable: true };

const enqueueOptions = fieldsExcept(ENQUEUE_OPTIONS, ...CODE_OPTIONS);
const requeueOptions = fieldsExcept(REQUEUE_OPTIONS);
const conditions = fieldsExcept(LIST_OPTIONS, 'searchPayloads', 'order', 'limit', 'offset', 'cursor');
const bulkOptions = fieldsExcept(BULK_OPTIONS, 'filter');

/** `POST /enqueue`, and each job of `POST /enqueue-many`. */
export const ENQUEUE = {
  topic,
  payload: { ...toField(jsonCheck, 'what the handler receives'), ...required },
  ...enqueueOptions,
  runAt: { ...enqueueOptions.runAt, ...camelCase },
  maxRetries: { ...enqueueOptions.maxRetries, ...camelCase },
};

/** A job of `POST /enqueue-many`, and a member of `POST /groups`. */
export const NEW_JOB = { ...ENQUEUE, ...pickFields(DEPENDENCY_OPTIONS, 'ref', 'dependsOn', 'onParentFailure') };

const jobList = listOfObjects(objectOf(NEW_JOB), ENQUEUE_MANY_MAX);

const newJobs = {
  check: {
    expects: jobList.expects,
    parse: (value: unknown, path: string) => {
      const jobs = jobList.parse(value, path);
      checkDependencyCount(jobs ?? [], ENQUEUE_LINKS_MAX);
      return jobs;
    },
  },
  schema: listOfSchema(ref('NewJobRequest'), { maxItems: ENQUEUE_MANY_MAX }),
  meaning: 'the queue stores all of them or none',
  ...required,
};

/** `POST /enqueue-many`. */
export const ENQUEUE_MANY = { jobs: newJobs };

const groupCallback = (meaning: string) => ({ check: objectOf(ENQUEUE), schema: ref('EnqueueRequest'), meaning });

/** `POST /groups`. */
export const GROUP = {
  jobs: newJobs,
  ...pickFields(GROUP_OPTIONS, 'id', 'name'),
  onSuccess: groupCallback('starts when all jobs have completed'),
  onFinish: groupCallback('starts when all jobs have ended'),
  onFailure: groupCallback('starts when the first job fails for good'),
};

/** `GET /groups`. */
export const GROUP_LIST = {
  before: toField(groupIdCheck, 'the `next_before` of the previous page'),
  limit: toField(integer(1, GROUPS_PAGE_MAX), 'page size; default 20'),
  finished: toField(flag, 'whether all members have ended'),
};

/** `GET /:id/logs`. */
export const LOGS = pickFields(LOG_OPTIONS, 'after', 'limit');

/** `GET /stream`. */
export const STREAM = {
  job: toField(text(36), 'sends only the events of the job with this id'),
  topic: { ...topics, meaning: 'sends only events of these topics' },
};

/** `POST /:id/requeue`. */
export const REQUEUE = {
  ...requeueOptions,
  runAt: { ...requeueOptions.runAt, ...camelCase },
  maxRetries: { ...requeueOptions.maxRetries, ...camelCase },
};

/** Routes without fields. */
export const NO_FIELDS = {};

/** The filter of `POST /bulk`. Over HTTP a topic is text: `defineJob` values have no JSON. */
export const BULK_FILTER = {
  ...conditions,
  topic: topics,
  status: { ...conditions.status, isRepeatable: true },
  label: { ...conditions.label, isRepeatable: true },
};

/** `GET /` of the list. */
export const LIST = { ...BULK_FILTER, ...pickFields(LIST_OPTIONS, 'order', 'limit', 'offset', 'cursor') };

/** `GET /export`. */
export const EXPORT = {
  format: { ...toField(oneOf('csv', 'ndjson', 'json'), 'the format of the file'), ...required },
  ...BULK_FILTER,
  ...pickFields(LIST_OPTIONS, 'order'),
};

/** `POST /bulk`. */
export const BULK = {
  ...bulkOptions,
  action: { ...bulkOptions.action, ...required },
  filter: { check: objectOf(BULK_FILTER), schema: ref('BulkFilter'), meaning: BULK_OPTIONS.filter.meaning },
};

/** `POST /topics/pause` and `POST /topics/resume`. */
export const TOPIC = { topic };

const rate = pickFields(RATE_OPTIONS, 'limit', 'per', 'perKey', 'spread');
const limit = pickFields(LIMIT_OPTIONS, 'concurrency', 'perKey', 'rate');

const RATE = { ...rate, limit: { ...rate.limit, ...required }, per: { ...rate.per, ...required } };
const LIMITS = { ...limit, rate: { ...limit.rate, check: objectOf(RATE), schema: ref('RateLimit') } };

/** `PUT /topics/limits`. */
export const TOPIC_LIMITS = {
  topic,
  limits: {
    check: either(null, objectOf(LIMITS)),
    schema: { anyOf: [ref('Limits'), { type: 'null' }] },
    meaning: 'replace those in the code; null lets those in the code apply again',
    ...required,
  },
};

const scheduleOptions = pickFields(
  SCHEDULE_OPTIONS,
  'tz',
  'payload',
  'missed',
  'overlap',
  'jitter',
  'startAt',
  'endAt',
  'maxRetries',
  'priority',
  'timeout',
  'labels',
  'metadata',
);

/** `PUT /schedules/:name`. */
export const SCHEDULE = {
  pattern: { ...toField(patternCheck, 'when the schedule fires'), ...required },
  topic,
  ...scheduleOptions,
};

/** `GET /schedules/:name/next`. */
export const NEXT_TICKS = { count: toField(integer(1, NEXT_TICKS_MAX), 'number of ticks; default 5') };

/** `GET /topics`. */
export const TOPIC_LIST = {
  topic: topics,
  after: toField(topicCheck, 'the `next_after` of the previous page'),
  limit: toField(integer(1, TOPICS_PAGE_MAX), `page size; default ${TOPICS_PAGE_MAX}`),
};

/** `GET /stats`. */
export const TOPICS = { topic: topics };

/** `GET /errors`. */
export const ERRORS = {
  topic: topics,
  label: { ...pickFields(ERROR_GROUP_OPTIONS, 'label').label, isRepeatable: true },
  ...pickFields(ERROR_GROUP_OPTIONS, 'sort', 'limit', 'offset'),
};

/** `GET /timeseries`. */
export const TIMESERIES = {
  topic: topics,
  minutes: toField(integer(1, TIMESERIES_MINUTES_MAX), 'length of the window; default 60'),
};

/** Describes a field by its check. */
export function toField<T>(check: Check<T>, meaning: string): Field<T> {
  return { check, schema: check.schema ?? {}, meaning };
}
