import fc from 'fast-check';
import { v7 as uuidv7 } from 'uuid';
import { InvalidOptionsError } from '../../lib/core/errors.js';
import type { JobFilter } from '../../lib/core/job.js';
import { JOB_STATUSES } from '../../lib/core/job-state.js';
import type { ListFilter } from '../../lib/core/list-filter.js';
import { buildCursor, readListFilter } from '../../lib/core/list-filter.js';
import { captureThrown } from '../support/unit/capture-thrown.js';

const EVERYTHING: ListFilter = {
  topics: null,
  statuses: null,
  due: null,
  q: null,
  searchPayloads: true,
  errorKey: null,
  concurrencyKey: null,
  groupId: null,
  label: null,
  createdFrom: null,
  createdTo: null,
  limit: 20,
  offset: 0,
  beforeId: null,
  beforeFinished: null,
  finishedFrom: null,
  finishedTo: null,
  order: 'created',
};

const KEY = '0123456789abcdef'.repeat(2);
const ID = '018f4d2e-7b0a-7cc0-8000-000000000000';

/** In these years both databases write dates with a fixed width. */
const FIRST = new Date('1970-01-01T00:00:00.000Z');
const LAST = new Date('9999-12-31T23:59:59.999Z');

/** Reads a filter as JavaScript may pass it: of any type, under any name. */
function read(given: Record<string, unknown>): ListFilter {
  return readListFilter(given);
}

function catchError(given: Record<string, unknown>): InvalidOptionsError {
  const error = captureThrown(() => read(given));
  expect(error).toBeInstanceOf(InvalidOptionsError);
  return error as InvalidOptionsError;
}

describe('a filter of jobs', () => {
  it('without conditions selects the first twenty of all jobs', () => {
    expect(readListFilter()).toEqual(EVERYTHING);
    expect(readListFilter({})).toEqual(EVERYTHING);
    expect(readListFilter({ topic: undefined, cursor: undefined })).toEqual(EVERYTHING);
  });

  it.each<[JobFilter, Partial<ListFilter>]>([
    [{ topic: 'mail' }, { topics: ['mail'] }],
    [{ topic: ['mail', 'ship', 'mail'] }, { topics: ['mail', 'ship'] }],
    [{ status: 'failed' }, { statuses: ['failed'] }],
    [{ status: [...JOB_STATUSES] }, { statuses: JOB_STATUSES }],
    [{ due: true }, { due: true, statuses: ['pending'] }],
    [
      { due: false, status: 'pending' },
      { due: false, statuses: ['pending'] },
    ],
    [{ status: ['retrying', 'failed'] }, { statuses: ['retrying', 'failed'] }],
    [{ status: ['pending', 'retrying'] }, { statuses: ['pending'] }],
    [
      { due: false, status: 'retrying' },
      { due: false, statuses: ['retrying'] },
    ],
    [{ order: 'created' }, {}],
    [{ order: 'finished' }, { order: 'finished', statuses: ['failed', 'cancelled'] }],
    [
      { finishedFrom: FIRST, finishedTo: LAST, status: 'failed' },
      { finishedFrom: FIRST, finishedTo: LAST, order: 'finished', statuses: ['failed'] },
    ],
    [{ q: 'refused' }, { q: 'refused' }],
    [{ errorKey: KEY }, { errorKey: KEY }],
    [{ concurrencyKey: 'tenant-7' }, { concurrencyKey: 'tenant-7' }],
    [{ groupId: ID.toUpperCase() }, { groupId: ID }],
    [
      { createdFrom: FIRST, createdTo: LAST },
      { createdFrom: FIRST, createdTo: LAST },
    ],
    [{ createdFrom: new Date(5) }, { createdFrom: new Date(5) }],
    [{ createdTo: new Date(6) }, { createdTo: new Date(6) }],
    [{ limit: 1 }, { limit: 1 }],
    [{ limit: 200 }, { limit: 200 }],
    [{ offset: 40 }, { offset: 40 }],
  ])('reads %j', (given, conditions) => {
    expect(readListFilter(given)).toEqual({ ...EVERYTHING, ...conditions });
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['topic', { topic: 7 }, 'topic'],
    ['an empty topic', { topic: '' }, 'topic'],
    ['no topics at all', { topic: [] }, 'topic'],
    ['a member of topics', { topic: ['mail', null] }, 'topic[1]'],
    ['status', { status: 'done' }, 'status'],
    ['a member of statuses', { status: ['failed', 'Failed'] }, 'status[1]'],
    ['due', { due: 'true' }, 'due'],
    ['q', { q: '' }, 'q'],
    ['a long q', { q: 'a'.repeat(1_001) }, 'q'],
    ['an errorKey that is too short', { errorKey: KEY.slice(1) }, 'errorKey'],
    ['an errorKey in capitals', { errorKey: 'A'.repeat(32) }, 'errorKey'],
    ['createdFrom as text', { createdFrom: '2026-01-01' }, 'createdFrom'],
    ['createdTo as an invalid date', { createdTo: new Date(NaN) }, 'createdTo'],
    ['a createdFrom before 1970', { createdFrom: new Date(FIRST.getTime() - 1) }, 'createdFrom'],
    ['a createdTo after 9999', { createdTo: new Date(LAST.getTime() + 1) }, 'createdTo'],
    ['a limit of zero', { limit: 0 }, 'limit'],
    ['a limit over 200', { limit: 201 }, 'limit'],
    ['a limit as text', { limit: '20' }, 'limit'],
    ['half an offset', { offset: 0.5 }, 'offset'],
    ['a negative offset', { offset: -1 }, 'offset'],
    ['a cursor that is not a string', { cursor: 7 }, 'cursor'],
    ['an empty cursor', { cursor: '' }, 'cursor'],
  ])('rejects %s', (_name, given, option) => {
    const { option: named, message } = catchError(given);

    expect(named).toBe(option);
    expect(message).toMatch(/expected .+, got .+/);
  });

  it.each([{ q: 'a' }, { errorKey: KEY }, { due: true }])('rejects concurrencyKey together with %j', (other) => {
    expect(catchError({ ...other, concurrencyKey: 'a' }).message).toMatch(/^concurrencyKey: contradicts /);
  });

  it.each([{ q: 'a' }, { errorKey: KEY }, { due: true }, { concurrencyKey: 'a' }])(
    'rejects groupId together with %j',
    (other) => {
      const message = /^groupId: contradicts (q|errorKey|due|concurrencyKey); give one of the two$/;
      expect(catchError({ ...other, groupId: ID }).message).toMatch(message);
    },
  );

  it('rejects errorKey together with q', () => {
    expect(catchError({ q: 'a', errorKey: KEY }).message).toBe('errorKey: contradicts q; give one of the two');
  });

  it('rejects due for other statuses than pending', () => {
    const refusal = 'due: selects pending jobs only;';
    expect(catchError({ due: true, status: ['pending', 'failed'] }).message).toBe(`${refusal} contradicts status`);
    expect(catchError({ due: false, errorKey: KEY }).message).toBe(
      `${refusal} contradicts errorKey, which selects failed jobs`,
    );
  });

  it.each<[Record<string, unknown>, string]>([
    [{ order: 'finished', status: ['failed', 'completed'] }, 'status'],
    [{ finishedTo: LAST, status: 'retrying' }, 'status'],
    [{ order: 'finished', due: true }, 'due'],
    [{ order: 'created', finishedFrom: FIRST }, 'finishedFrom'],
    [{ order: 'created', finishedTo: FIRST }, 'finishedTo'],
    [{ order: 'started' }, 'order'],
    [{ finishedFrom: '2026-01-01' }, 'finishedFrom'],
  ])('rejects what has no place in the order of the end: %j', (given, option) => {
    expect(catchError(given).option).toBe(option);
  });

  it('rejects an unknown name and suggests the nearest', () => {
    expect(catchError({ state: 'failed' }).message).toContain("'status'");
    expect(catchError({ topics: ['a'] }).message).toContain("'topic'");
  });
});

describe('a cursor', () => {
  const id = uuidv7();
  const storableDates = fc.date({ min: FIRST, max: LAST, noInvalidDate: true });
  const anyConditions = fc.record(
    {
      topic: fc.uniqueArray(fc.constantFrom('mail', 'ship', 'é'), { minLength: 1 }),
      status: fc.uniqueArray(fc.constantFrom(...JOB_STATUSES), { minLength: 1 }),
      due: fc.boolean(),
      q: fc.string({ minLength: 1, maxLength: 20 }),
      createdFrom: storableDates,
      createdTo: storableDates,
    },
    { requiredKeys: [] },
  );
  const conditions = anyConditions.map(({ due, ...others }) =>
    due === undefined ? others : { ...others, due, status: 'pending' as const },
  );

  const last = { id, finished: null };

  it('continues after the last job of its page', () => {
    const cursor = buildCursor(last, readListFilter({ topic: 'mail' }));

    expect(readListFilter({ topic: 'mail', cursor })).toEqual({ ...EVERYTHING, topics: ['mail'], beforeId: id });
  });

  it('continues after the end of the last job in the order of the end', () => {
    const finished = '2030-01-31T09:00:00.123456Z';
    const filter = { order: 'finished', topic: 'mail' } as const;
    const cursor = buildCursor({ id, finished }, readListFilter(filter));
    expect(cursor).toMatch(/^[\w-]{1,200}$/);
    expect(readListFilter({ ...filter, cursor })).toMatchObject({ beforeId: id, beforeFinished: finished });
    expect(catchError({ topic: 'mail', cursor }).option).toBe('cursor');
    const [created, forged] = [null, '2030-01-31T09:00:00Z'].map((time) =>
      buildCursor({ id, finished: time }, readListFilter(filter)),
    );
    expect(catchError({ ...filter, cursor: created }).option).toBe('cursor');
    expect(catchError({ ...filter, cursor: forged }).option).toBe('cursor');
  });

  it('can be read with any filter that it was created for', () => {
    fc.assert(
      fc.property(conditions, fc.uuid(), (filter, lastId) => {
        const cursor = buildCursor({ id: lastId, finished: null }, readListFilter(filter));

        expect(readListFilter({ ...filter, cursor }).beforeId).toBe(lastId);
      }),
    );
  });

  it('stays within its maximum length and needs no escapes in a URL', () => {
    fc.assert(
      fc.property(conditions, (filter) => {
        expect(buildCursor(last, readListFilter(filter))).toMatch(/^[\w-]{1,200}$/);
      }),
    );
  });

  it('accepts topics and statuses in another order and another page size', () => {
    const cursor = buildCursor(last, readListFilter({ topic: ['a', 'b'], status: ['failed', 'pending'], limit: 5 }));

    expect(readListFilter({ topic: ['b', 'a'], status: ['pending', 'failed'], limit: 50, cursor }).beforeId).toBe(id);
  });

  it('does not depend on the start of its page', () => {
    expect(readListFilter({ cursor: buildCursor(last, readListFilter({ offset: 40 })) }).beforeId).toBe(id);
  });

  it.each<[string, JobFilter]>([
    ['topic', { topic: 'ship' }],
    ['further topic', { topic: ['mail', 'ship'] }],
    ['status', { topic: 'mail', status: 'failed' }],
    ['time', { topic: 'mail', due: true }],
    ['search', { topic: 'mail', q: 'mail' }],
    ['error', { topic: 'mail', errorKey: KEY }],
    ['start', { topic: 'mail', createdFrom: new Date(0) }],
    ['end', { topic: 'mail', createdTo: new Date(0) }],
    ['order', { topic: 'mail', order: 'finished' }],
    ['first end', { topic: 'mail', finishedFrom: new Date(0) }],
    ['lack of conditions', {}],
  ])('is rejected with another %s', (_name, filter) => {
    const cursor = buildCursor(last, readListFilter({ topic: 'mail' }));

    expect(catchError({ ...filter, cursor })).toMatchObject({
      option: 'cursor',
      message: 'cursor: belongs to another filter; request the first page again',
    });
  });

  it('is rejected together with an offset', () => {
    const cursor = buildCursor(last, readListFilter());

    expect(catchError({ cursor, offset: 1 }).message).toBe('offset: contradicts cursor; give one of the two');
    expect(() => readListFilter({ cursor, offset: 0 })).not.toThrow();
  });

  it.each([
    ['an id', id],
    ['an encoded id without a filter', Buffer.from(id).toString('base64url')],
    ['no base64', '!!!'],
    ['an invalid id', Buffer.from('7 abc').toString('base64url')],
    ['SQL', Buffer.from("' OR 1=1 --").toString('base64url')],
  ])('is rejected when it is forged: %s', (_name, cursor) => {
    expect(catchError({ cursor }).option).toBe('cursor');
  });
});
