import type { Route } from '../../../ui/src/route/route.js';
import { groupRoute, jobsRoute, readRoute, writeRoute } from '../../../ui/src/route/route.js';

const KEY = '0123456789abcdef'.repeat(2);

const reread = (route: Route): Route => {
  const [path, query = ''] = writeRoute(route).split('?');
  return readRoute(path!.replace('./', ''), query);
};

describe('an address of the admin UI', () => {
  it.each<Route>([
    { screen: 'overview', minutes: 60 },
    { screen: 'overview', minutes: 1440 },
    jobsRoute(),
    jobsRoute(
      { statuses: ['pending', 'failed'], topics: ['a & b', 'ü/?#'], q: '100 %', from: '2030-01-01T10:00:00.000Z' },
      200,
    ),
    jobsRoute({ topics: ['mail'], errorKey: KEY }),
    jobsRoute({ order: 'finished', statuses: ['failed'], q: 'orderId:7' }),
    jobsRoute({ order: 'finished', ended: '2030-01-01T10:00:00.000Z', topics: ['mail'] }),
    { ...jobsRoute({ to: '2030-01-01T10:00:00.000Z' }), cursor: 'abc' } as Route,
    { screen: 'job', id: '0192-x/y' },
    { screen: 'topic', topic: 'ü/?# a', minutes: 180 },
    { screen: 'errors', topic: '' },
    { screen: 'errors', topic: 'mail', sort: 'count' },
    { screen: 'schedules' },
    { screen: 'schedule', name: 'ReportJobs.nightly' },
    { screen: 'groups', isUnfinished: false, before: null },
    { screen: 'groups', isUnfinished: true, before: 'abc' },
    groupRoute('0192-x'),
    { screen: 'group', id: '0192-x', status: 'failed', size: 200, cursor: 'abc' },
    { screen: 'workers', worker: '' },
    { screen: 'workers', worker: 'web-1:4711:5f1c09ab' },
  ])('round-trips %j', (route) => {
    expect(reread(route)).toEqual(route);
  });

  it.each(['nowhere', 'jobs/a/b', 'errors/x', 'errors/x/y', 'schedules/a/b', 'workers/x', 'groups/a/b', 'constructor'])(
    'is unknown for %s',
    (path) => {
      expect(readRoute(path, '')).toEqual({ screen: 'unknown' });
    },
  );

  it('ignores unknown parts', () => {
    expect(readRoute('jobs', 'status=odd&status=failed&size=7&from=soon&x=1')).toEqual(
      jobsRoute({ statuses: ['failed'] }),
    );
    expect(readRoute('jobs', `q=a&error=${KEY}`)).toEqual(jobsRoute({ errorKey: KEY }));
    expect(readRoute('jobs', 'order=finished&status=pending&status=failed&due=true')).toEqual(
      jobsRoute({ order: 'finished', statuses: ['failed'] }),
    );
    expect(readRoute('jobs', 'q=a&error=odd')).toEqual(jobsRoute({ q: 'a' }));
    expect(readRoute('', 'minutes=7')).toEqual({ screen: 'overview', minutes: 60 });
  });
});
