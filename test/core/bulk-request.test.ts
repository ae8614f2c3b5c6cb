import { InvalidOptionsError } from 'nestjs-jobs';
import { BULK_ACTIONS, BULK_JOBS_MAX, buildBulkCursor, readBulkRequest } from '../../lib/core/bulk.js';
import { JOB_ACTIONS, TRANSITIONS } from '../../lib/core/job-state.js';
import type { BulkRequest } from '../../lib/core/bulk.js';

const KEY = '0123456789abcdef'.repeat(2);
const id = '01890000-0000-7000-8000-000000000001';

describe('readBulkRequest', () => {
  const read = (request: object): ReturnType<typeof readBulkRequest> => readBulkRequest(request as BulkRequest);

  it('reads ids in lower case without duplicates', () => {
    const order = read({ action: 'delete', ids: [id, id.toUpperCase(), id] });
    const others = { asOf: null, max: 10_000, paceMs: null, position: null };
    expect(order).toEqual({ action: 'delete', ids: [id], filter: null, dryRun: false, ...others });
  });

  it('reads its filter as a list does', () => {
    const createdFrom = new Date(0);
    const order = read({
      action: 'cancel',
      filter: { topic: 'mail', status: ['pending'], q: 'x', createdFrom },
      dryRun: true,
    });
    expect(order).toMatchObject({ action: 'cancel', ids: null, dryRun: true });
    expect(order.filter).toMatchObject({
      topics: ['mail'],
      statuses: ['pending'],
      q: 'x',
      createdFrom,
      createdTo: null,
    });
  });

  it('selects all jobs with an empty filter', () => {
    expect(read({ action: 'requeue', filter: {} }).filter).toMatchObject({ topics: null, statuses: null });
  });

  it.each<[string, object, RegExp]>([
    ['no action', { ids: [id] }, /^action: expected 'requeue' or 'promote' or 'cancel' or 'delete', got nothing/],
    ['an unknown action', { action: 'drop', ids: [id] }, /^action: expected .*got 'drop'/],
    ['neither ids nor a filter', { action: 'delete' }, /^ids: expected either ids or filter/],
    ['both', { action: 'delete', ids: [id], filter: {} }, /^ids: expected either ids or filter/],
    ['no ids in the list', { action: 'delete', ids: [] }, /^ids: expected a list of 1 to 10000 job ids/],
    ['an invalid id', { action: 'delete', ids: [id, 'x'] }, /^ids\[1\]: expected a job id, got 'x'/],
    ['a missing id', { action: 'delete', ids: Array(2) }, /^ids\[0\]: expected a job id, got undefined/],
    ['a single id', { action: 'delete', ids: id }, /^ids: expected/],
    ['too many ids', { action: 'delete', ids: Array(BULK_JOBS_MAX + 1).fill(id) }, /^ids: expected/],
    ['a filter that is a list', { action: 'delete', filter: [] }, /^filter: expected an object/],
    ['a filter with a wrong status', { action: 'delete', filter: { status: 'done' } }, /^filter\.status: expected/],
    [
      'a filter with an unknown member',
      { action: 'delete', filter: { topics: 'a' } },
      /^filter\.topics: unknown option/,
    ],
    [
      'a filter with a search and a key',
      { action: 'delete', filter: { q: 'a', errorKey: KEY } },
      /^filter\.errorKey: /,
    ],
    [
      'a filter of due jobs that are failed',
      { action: 'promote', filter: { due: false, status: 'failed' } },
      /^filter\.due: selects pending jobs only/,
    ],
    ['a filter with a limit', { action: 'delete', filter: { limit: 5 } }, /^filter\.limit: not allowed/],
    ['a filter with a cursor', { action: 'delete', filter: { cursor: 'a' } }, /^filter\.cursor: /],
    ['a dryRun that is not a boolean', { action: 'delete', ids: [id], dryRun: 'yes' }, /^dryRun: expected/],
    ['a max of 0', { action: 'delete', ids: [id], max: 0 }, /^max: expected a whole number from 1 to 10000/],
    ['a time without a zone', { action: 'delete', ids: [id], asOf: '2027-01-31T12:00:00' }, /^asOf: expected a time/],
    ['a day that does not exist', { action: 'delete', ids: [id], asOf: '2027-02-30T12:00:00Z' }, /^asOf: expected/],
    ['a pace without a unit', { action: 'requeue', ids: [id], pace: '50' }, /^pace: expected 1 to 999999 jobs in/],
    ['a pace of 0', { action: 'requeue', ids: [id], pace: '0/m' }, /^pace: expected/],
    ['a pace in days', { action: 'requeue', ids: [id], pace: '50/d' }, /^pace: expected/],
    ['a pace of a cancel', { action: 'cancel', ids: [id], pace: '50/m' }, /^pace: applies to 'requeue' only/],
    ['a cursor with ids', { action: 'delete', ids: [id], cursor: 'a' }, /^cursor: continues a request with a filter/],
    ['an invalid cursor', { action: 'delete', filter: {}, cursor: 'a' }, /^cursor: invalid/],
    ['an unknown member', { action: 'delete', ids: [id], force: true }, /^force: unknown option/],
  ])('rejects %s', (_, request, text) => {
    expect(() => read(request)).toThrow(InvalidOptionsError);
    expect(() => read(request)).toThrow(text);
  });

  it.each([
    ['2027-01-31T12:00:00Z', '2027-01-31T12:00:00.000000Z'],
    ['2027-01-31T12:00:00.5Z', '2027-01-31T12:00:00.500000Z'],
    ['2027-01-31T12:00:00.123456Z', '2027-01-31T12:00:00.123456Z'],
  ])('reads the time %s as %s', (asOf, expected) => {
    expect(read({ action: 'delete', ids: [id], asOf }).asOf).toBe(expected);
  });

  it.each([
    ['2/s', 500],
    ['50/m', 1_200],
    ['7/h', 3_600_000 / 7],
  ])('reads the pace %s as one job each %d ms', (pace, ms) => {
    expect(read({ action: 'requeue', ids: [id], pace }).paceMs).toBe(ms);
  });

  it('continues with a cursor of the same action, filter and pace only', () => {
    const request = { action: 'requeue', filter: { status: 'failed', topic: ['a', 'b'] }, pace: '1/s' };
    const position = { asOf: '2027-01-31T12:00:00.123456Z', beforeId: id, pacedUntil: 5 };
    const cursor = buildBulkCursor(position, read(request));
    expect(read({ ...request, filter: { topic: ['b', 'a'], status: ['failed'] }, cursor }).position).toEqual(position);
    for (const other of [{ pace: '2/s' }, { filter: { status: 'failed' } }, { action: 'delete', pace: undefined }]) {
      expect(() => read({ ...request, ...other, cursor })).toThrow(/^cursor: belongs to another action/);
    }
  });

  it.each(BULK_ACTIONS)('to %s applies to the statuses of the state machine', (action) => {
    const from = TRANSITIONS.filter(({ verb }) => verb === action).map((transition) => transition.from);
    // Cancelling a running job only requests it; the status stays.
    const expected = action === 'cancel' ? [...from, 'processing'] : from;
    expect([...JOB_ACTIONS[action].from].sort()).toEqual([...new Set(expected)].sort());
  });
});
