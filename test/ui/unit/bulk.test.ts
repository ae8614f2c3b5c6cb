import { BULK_ACTIONS, statusesAmong } from '../../../ui/src/data/job-actions.js';
import { parsePace } from '../../../ui/src/data/pace.js';
import { NO_FILTERS } from '../../../ui/src/route/route.js';
import type { Filters } from '../../../ui/src/route/route.js';

describe('bulk actions of the admin UI', () => {
  it.each<[Partial<Filters>, string[]]>([
    [{}, ['requeue', 'promote', 'cancel', 'delete']],
    [{ statuses: ['failed'] }, ['requeue', 'delete']],
    [{ statuses: ['completed'] }, ['delete']],
    [{ statuses: ['processing'] }, ['cancel']],
    [{ statuses: ['pending', 'failed'] }, ['requeue', 'promote', 'cancel', 'delete']],
    [{ due: 'true' }, ['cancel', 'delete']],
    [{ due: 'false' }, ['promote', 'cancel', 'delete']],
    [{ errorKey: 'a' }, ['requeue', 'delete']],
  ])('are offered for the filters %j if they may change a job', (filters, offered) => {
    expect(BULK_ACTIONS.filter((action) => statusesAmong(action, { ...NO_FILTERS, ...filters }).length > 0)).toEqual(
      offered,
    );
  });

  it.each([
    ['2/s', 500],
    ['50/m', 1_200],
    ['1/h', 3_600_000],
    ['0/m', NaN],
    ['50', NaN],
    ['50 a minute', NaN],
    ['1000000/h', NaN],
  ])('read the pace %s as one job each %d ms', (text, ms) => {
    expect(parsePace(text)).toBe(ms);
  });
});
