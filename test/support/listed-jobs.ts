import fc from 'fast-check';
import type { JobFilterStatus } from '../../lib/core/job-state.js';
import { FILTER_STATUSES, isFinal, toJobStatus } from '../../lib/core/job-state.js';
import { toErrorKey } from '../../lib/core/error-groups.js';
import type { ListFilter } from '../../lib/core/list-filter.js';
import { newJob } from './job-rows.js';
import type { StoreFixture } from './stores.js';

/** The fields of a job that a list uses. */
export interface ListedJob {
  readonly id: string;
  readonly topic: string;
  /** `retrying`: pending, with a used retry. */
  readonly status: JobFilterStatus;
  /** Only of a failed or retrying job. */
  readonly error: string | null;
  readonly created: Date;
  readonly isDue: boolean;
}

/** The jobs of a test are created around this time. */
export const DAY = new Date('2024-05-06T12:00:00.000Z');

const MINUTE_MS = 60_000;
const TOPICS = ['mail', 'mail.bounce', 'sms', 'Mail'];
const ERRORS = ['connect ECONNREFUSED', 'mail box is full', '100% of [it]'];

/** Creates a UUID v7 for a time; `serial` makes ids of the same time different. */
export function createIdAt(moment: Date, serial: number): string {
  const time = moment.getTime().toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${serial.toString(16).padStart(12, '0')}`;
}

const anyMoment = fc.integer({ min: -180, max: 180 }).map((minutes) => new Date(DAY.getTime() + minutes * MINUTE_MS));

/**
 * Arbitrary jobs with few topics and errors. The clock of the ids differs from the clock of the database by less
 * than an hour.
 */
export const anyJobs: fc.Arbitrary<ListedJob[]> = fc
  .array(
    fc.record({
      topic: fc.constantFrom(...TOPICS),
      status: fc.constantFrom(...FILTER_STATUSES),
      error: fc.constantFrom(...ERRORS),
      created: anyMoment,
      isDue: fc.boolean(),
      clockOffByMinutes: fc.integer({ min: -59, max: 59 }),
    }),
    { maxLength: 40, size: 'max' },
  )
  .map((jobs) =>
    jobs.map(({ error, clockOffByMinutes, ...job }, index) => ({
      ...job,
      id: createIdAt(new Date(job.created.getTime() + clockOffByMinutes * MINUTE_MS), index),
      error: job.status === 'failed' || job.status === 'retrying' ? error : null,
    })),
  );

const orNull = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(arbitrary, { nil: null });

/** An arbitrary query of such jobs. */
export function anyQuery(jobs: readonly ListedJob[]): fc.Arbitrary<ListFilter> {
  const anyId = jobs.length === 0 ? fc.constant(createIdAt(DAY, 0)) : fc.constantFrom(...jobs.map(({ id }) => id));
  const words = ['mail', 'Mail', 'sms', 'econn', 'BOX', '100%', '[', 'x'];
  const anyErrorKey = fc
    .tuple(fc.constantFrom(...TOPICS), fc.constantFrom(...ERRORS, 'x'))
    .map(([topic, error]) => toErrorKey(topic, error));
  // A query has a search or an error key, not both.
  const anyText = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ q: orNull(fc.oneof(fc.constantFrom(...words), anyId)), errorKey: fc.constant(null) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ q: fc.constant(null), errorKey: anyErrorKey }),
    },
  );
  const anyOther = fc.record({
    topics: orNull(fc.subarray([...TOPICS, 'none'])),
    statuses: orNull(fc.subarray([...FILTER_STATUSES], { minLength: 1 }).map(withoutPart)),
    due: fc.constant(null),
    createdFrom: orNull(anyMoment),
    createdTo: orNull(anyMoment),
    concurrencyKey: fc.constant(null),
    groupId: fc.constant(null),
    beforeId: orNull(anyId),
    limit: fc.integer({ min: 1, max: 30 }),
    offset: fc.constantFrom(0, 0, 3, 25),
  });
  const anyDue = fc.oneof(
    { weight: 4, arbitrary: fc.constant({}) },
    {
      weight: 1,
      arbitrary: fc.record({
        statuses: fc.constantFrom(['pending'] as const, ['retrying'] as const),
        due: fc.boolean(),
      }),
    },
  );
  return fc
    .tuple(anyText, anyOther, anyDue)
    .map(([text, other, due]) => ({ ...text, ...other, ...(text.errorKey === null && due) }));
}

/** `pending` includes `retrying`. */
function withoutPart(statuses: readonly JobFilterStatus[]): readonly JobFilterStatus[] {
  return statuses.includes('pending') ? statuses.filter((status) => status !== 'retrying') : statuses;
}

/** Computes the expected page of a list of these jobs. */
export function expectedPage(jobs: readonly ListedJob[], query: ListFilter): { ids: string[]; total: number } {
  const { beforeId, offset, limit } = query;
  const matching = jobs.filter((job) => matches(job, query)).map(({ id }) => id);
  const ids = matching.filter((id) => beforeId === null || id < beforeId).sort();
  return { ids: ids.reverse().slice(offset, offset + limit), total: matching.length };
}

function matches(job: ListedJob, filter: ListFilter): boolean {
  const { topics, statuses, due, q, errorKey, createdFrom, createdTo } = filter;
  const isErrorSearched = job.status === 'failed' || (statuses?.includes('retrying') ?? false);
  return (
    (topics === null || topics.includes(job.topic)) &&
    (statuses === null || statuses.includes(job.status) || statuses.includes(toJobStatus(job.status))) &&
    (due === null || job.isDue === due) &&
    (q === null || isFoundBy(job, q, isErrorSearched)) &&
    (errorKey === null || isErrorSearched) &&
    (errorKey === null || (job.error !== null && toErrorKey(job.topic, job.error) === errorKey)) &&
    (createdFrom === null || job.created >= createdFrom) &&
    (createdTo === null || job.created < createdTo)
  );
}

function isFoundBy({ id, topic, error }: ListedJob, q: string, isErrorSearched: boolean): boolean {
  const text = isErrorSearched ? (error ?? '') : '';
  return id === q || topic.startsWith(q) || text.toLowerCase().includes(q.toLowerCase());
}

/** Inserts these jobs. */
export async function insertListed(fixture: StoreFixture, jobs: readonly ListedJob[]): Promise<void> {
  if (jobs.length > 0) {
    await fixture.store.insert(jobs.map(({ id, topic }) => newJob({ id, topic })));
  }
  for (const { id, status, error, created, isDue } of jobs) {
    await fixture.set(id, {
      status: toJobStatus(status),
      retries: Number(status === 'retrying'),
      created,
      run_at: { msFromNow: isDue ? 0 : 3_600_000 },
      last_error: error,
      finished: isFinal(toJobStatus(status)) ? { msFromNow: 0 } : null,
      locked_until: status === 'processing' ? { msFromNow: 60_000 } : null,
    });
  }
}
