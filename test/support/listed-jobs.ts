import fc from 'fast-check';
import type { JobFilterStatus } from '../../lib/core/job-state.js';
import { FILTER_STATUSES, isFinal, toJobStatus } from '../../lib/core/job-state.js';
import type { ListFilter } from '../../lib/core/list-filter.js';
import { toErrorKey } from './error-key.js';
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
  /** Only final jobs use it. */
  readonly finished: Date;
  readonly isDue: boolean;
  /** JSON. */
  readonly payload: string;
  readonly metadata: string | null;
  readonly uniqueKey: string | null;
}

/** The jobs of a test are created around this time. */
export const DAY = new Date('2024-05-06T12:00:00.000Z');

const MINUTE_MS = 60_000;
const TOPICS = ['mail', 'mail.bounce', 'sms', 'Mail'];
/** A search reads the contents of the newest jobs only. */
const SEARCHED_JOBS = 10_000;
const PAYLOADS = ['null', '"box"', '{"to":"Ann","size":5}', '{"to":{"city":"Box \\"A\\""},"size":"5","done":true}'];
const METADATA = [null, '{"from":"sms box"}', '{"to":"Ann","x":{"to":0.5}}'];
const KEYS = [null, null, 'key-1', 'key:2', '5'];
const ERRORS = ['connect ECONNREFUSED', 'mail box is full', '100% of [it]'];

/** Creates a UUID v7 for a time; `serial` makes ids of the same time different. */
export function createIdAt(moment: Date, serial: number): string {
  const time = moment.getTime().toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${serial.toString(16).padStart(12, '0')}`;
}

const anyMomentWithin = (minutesMax: number): fc.Arbitrary<Date> =>
  fc.integer({ min: -minutesMax, max: minutesMax }).map((minutes) => new Date(DAY.getTime() + minutes * MINUTE_MS));
const anyMoment = anyMomentWithin(180);

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
      // Some of them end in the same millisecond.
      finished: anyMomentWithin(3),
      isDue: fc.boolean(),
      payload: fc.constantFrom(...PAYLOADS),
      metadata: fc.constantFrom(...METADATA),
      uniqueKey: fc.constantFrom(...KEYS),
      clockOffByMinutes: fc.integer({ min: -59, max: 59 }),
    }),
    { maxLength: 40, size: 'max' },
  )
  .map((jobs) =>
    jobs.map(({ error, clockOffByMinutes, uniqueKey, ...job }, index) => ({
      ...job,
      // Only one unfinished job holds a key.
      uniqueKey: uniqueKey && (isFinal(toJobStatus(job.status)) ? uniqueKey : `${uniqueKey}:${index}`),
      id: createIdAt(new Date(job.created.getTime() + clockOffByMinutes * MINUTE_MS), index),
      error: job.status === 'failed' || job.status === 'retrying' ? error : null,
    })),
  );

const orNull = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(arbitrary, { nil: null });

/** An arbitrary query of such jobs. */
export function anyQuery(jobs: readonly ListedJob[]): fc.Arbitrary<ListFilter> {
  const anyId = jobs.length === 0 ? fc.constant(createIdAt(DAY, 0)) : fc.constantFrom(...jobs.map(({ id }) => id));
  const words = ['mail', 'Mail', 'IL.B', 'econn', 'BOX', '100%', '[', 'x', '5', 'key-1', 'key:2:1', 'key-1:0', 'x "a'];
  const members = ['size:5', 'to:Ann', 'to:ann', 'to.city:"Box "A""', 'x.to:0.5', 'done:true', 'unique:key-1', 'to:x'];
  const anyErrorKey = fc
    .tuple(fc.constantFrom(...TOPICS), fc.constantFrom(...ERRORS, 'x'))
    .map(([topic, error]) => toErrorKey(topic, error));
  // A query has a search or an error key, not both.
  const anyText = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        q: orNull(fc.oneof(fc.constantFrom(...words), fc.constantFrom(...members), anyId)),
        errorKey: fc.constant(null),
      }),
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
    searchPayloads: fc.boolean(),
    concurrencyKey: fc.constant(null),
    groupId: fc.constant(null),
    label: fc.constant(null),
    beforeId: orNull(anyId),
    beforeFinished: fc.constant(null),
    finishedFrom: fc.constant(null),
    finishedTo: fc.constant(null),
    order: fc.constant('created' as const),
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
  const anyEnd = anyMomentWithin(3);
  const anyPosition = fc
    .tuple(anyId, anyEnd)
    .map(([beforeId, time]) => ({ beforeId, beforeFinished: time.toISOString().replace('Z', '000Z') }));
  const anyEnded = fc
    .record({
      order: fc.constant('finished' as const),
      statuses: fc.constantFrom<readonly JobFilterStatus[]>(['failed'], ['cancelled'], ['failed', 'cancelled']),
      finishedFrom: orNull(anyEnd),
      finishedTo: orNull(anyEnd),
      position: fc.option(anyPosition, { nil: { beforeId: null, beforeFinished: null } }),
    })
    .map(({ position, ...ended }) => ({ ...ended, ...position }));
  return fc
    .tuple(anyText, anyOther, anyDue, fc.option(anyEnded, { nil: {}, freq: 2 }))
    .map(([text, other, due, ended]) => ({
      ...text,
      ...other,
      ...(text.errorKey === null && !('order' in ended) && due),
      ...ended,
    }));
}

/** `pending` includes `retrying`. */
function withoutPart(statuses: readonly JobFilterStatus[]): readonly JobFilterStatus[] {
  return statuses.includes('pending') ? statuses.filter((status) => status !== 'retrying') : statuses;
}

/** Computes the expected page of a list of these jobs, and what its search covers. */
export function expectedPage(jobs: readonly ListedJob[], query: ListFilter) {
  const { q, searchPayloads, order, beforeId, beforeFinished, offset, limit } = query;
  const toPlace = ({ id, finished }: Pick<ListedJob, 'id' | 'finished'>): string =>
    order === 'created' ? id : `${finished.toISOString()} ${id}`;
  const others = jobs
    .filter((job) => matches(job, query))
    .sort((one, other) => (toPlace(one) < toPlace(other) ? 1 : -1));
  const window = q === null || !searchPayloads ? [] : others.slice(0, SEARCHED_JOBS);
  const searched = new Set(window);
  const isFound = (job: ListedJob): boolean =>
    q === null || isFoundByText(job, q) || (searched.has(job) && containsText(job, q));
  const matching = others.filter(isFound);
  const before = beforeId && toPlace({ id: beforeId, finished: new Date(beforeFinished ?? 0) });
  const page = matching.filter((job) => before === null || toPlace(job) < before).slice(offset, offset + limit);
  const search = {
    window: window.length,
    oldest: window.at(-1)?.[order] ?? null,
    complete: searchPayloads && window.length === others.length,
  };
  return {
    ids: page.map(({ id }) => id),
    total: matching.length,
    search: q === null ? null : search,
  };
}

/** Whether the job matches all conditions but the search text. */
function matches(job: ListedJob, filter: ListFilter): boolean {
  const { topics, statuses, due, errorKey, createdFrom, createdTo, finishedFrom, finishedTo } = filter;
  const hasGroupedError = job.status === 'failed' || (statuses?.includes('retrying') ?? false);
  return (
    (topics === null || topics.includes(job.topic)) &&
    (statuses === null || statuses.includes(job.status) || statuses.includes(toJobStatus(job.status))) &&
    (due === null || job.isDue === due) &&
    (errorKey === null || hasGroupedError) &&
    (errorKey === null || (job.error !== null && toErrorKey(job.topic, job.error) === errorKey)) &&
    (createdFrom === null || job.created >= createdFrom) &&
    (createdTo === null || job.created < createdTo) &&
    (finishedFrom === null || job.finished >= finishedFrom) &&
    (finishedTo === null || job.finished < finishedTo)
  );
}

const includes = (text: string | null, q: string): boolean => text?.toLowerCase().includes(q.toLowerCase()) ?? false;

function isFoundByText({ id, topic, error }: ListedJob, q: string): boolean {
  return id === q || includes(topic, q) || includes(error, q);
}

function containsText({ payload, metadata, uniqueKey }: ListedJob, q: string): boolean {
  const texts = [payload, metadata].flatMap((json) => listTexts(JSON.parse(json ?? 'null')));
  const [, path, value] = /^([^:]+):"?(.*?)"?$/.exec(q) ?? [];
  const isValue = (json: string | null): boolean => path !== undefined && readMember(json, path) === value;
  const isKey = uniqueKey === q || (path === 'unique' && uniqueKey === value);
  return isKey || texts.some((text) => includes(text, q)) || isValue(payload) || isValue(metadata);
}

/** The names and values in a document. */
function listTexts(document: unknown): string[] {
  return typeof document === 'object' && document !== null
    ? Object.entries(document).flatMap(([name, value]) => [
        ...(Array.isArray(document) ? [] : [name]),
        ...listTexts(value),
      ])
    : [String(document)];
}

function readMember(json: string | null, path: string): string | undefined {
  const member = path
    .split('.')
    .reduce<unknown>((value, name) => (value as Record<string, unknown> | null)?.[name], JSON.parse(json ?? 'null'));
  return ['string', 'number', 'boolean'].includes(typeof member) ? String(member) : undefined;
}

/** Inserts these jobs. */
export async function insertListed(fixture: StoreFixture, jobs: readonly ListedJob[]): Promise<void> {
  if (jobs.length > 0) {
    await fixture.store.insert(
      jobs.map(({ id, topic, payload, metadata }) => newJob({ id, topic, payload, metadata })),
    );
  }
  for (const { id, status, error, created, finished, isDue, uniqueKey } of jobs) {
    await fixture.set(id, {
      status: toJobStatus(status),
      retries: Number(status === 'retrying'),
      created,
      run_at: { msFromNow: isDue ? 0 : 3_600_000 },
      last_error: error,
      unique_key: uniqueKey,
      finished: isFinal(toJobStatus(status)) ? finished : null,
      locked_until: status === 'processing' ? { msFromNow: 60_000 } : null,
    });
  }
}
