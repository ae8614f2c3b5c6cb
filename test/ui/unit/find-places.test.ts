import type { Job, JobGroup, Schedule, TopicStats, WorkerProcess } from '../../../client/index.js';
import type { Searched } from '../../../ui/src/data/find-places.js';
import { findPlaces } from '../../../ui/src/data/find-places.js';
import { jobsRoute } from '../../../ui/src/route/route.js';

const SEARCHED: Searched = {
  topics: ['send_mail', 'mail'].map((topic) => ({ topic }) as TopicStats),
  schedules: [{ name: 'nightly mail', topic: 'report' } as Schedule],
  workers: [{ worker: 'mail-1:77', host: 'mail-1' } as WorkerProcess],
  groups: [{ id: '0197', name: null } as JobGroup],
  jobs: [{ id: '0198', topic: 'invoice' } as Job],
};

describe('a search for pages', () => {
  it('finds jobs, then names of each kind, those that begin with the text first, then a search in all jobs', () => {
    expect(findPlaces(SEARCHED, ' Mail').map(({ kind, name }) => [kind, name])).toEqual([
      ['job', 'invoice'],
      ['topic', 'mail'],
      ['topic', 'send_mail'],
      ['schedule', 'nightly mail'],
      ['worker', 'mail-1'],
      ['search', 'Mail'],
    ]);
    expect(findPlaces(SEARCHED, ' Mail').at(-1)!.route).toEqual(jobsRoute({ q: 'Mail' }));
  });

  it('offers the page of an id at once', () => {
    const id = '0197B9C0-0000-7000-8000-000000000001';
    expect(findPlaces({ ...SEARCHED, jobs: [] }, id)[0]!.route).toEqual({ screen: 'job', id: id.toLowerCase() });
  });

  it('finds a group without a name by its id, and nothing for an empty text', () => {
    expect(findPlaces(SEARCHED, '0197').map(({ kind }) => kind)).toEqual(['job', 'group', 'search']);
    expect(findPlaces(SEARCHED, ' ')).toEqual([]);
  });
});
