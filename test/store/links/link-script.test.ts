import { endRestScript } from '../../../lib/store/links/link-script.js';

const names = ['WATCH_PARENTS', 'CLOSE_LINKS', 'CLOSE_LINKS_OF_COMPLETED'] as const;
const statements = Object.fromEntries(names.map((name) => [name, name])) as never;

describe('the links that an ending has left', () => {
  it.each([
    ['completed', 'CLOSE_LINKS_OF_COMPLETED'],
    ['cancelled', 'CLOSE_LINKS'],
  ])('end with the status of a parent that was re-queued and is %s now', (status, expected) => {
    const script = endRestScript(statements, [{ id: 'p', status: 'failed' }]);
    expect(script.next().value).toMatchObject({ sql: 'WATCH_PARENTS' });
    expect(script.next([{ id: 'p', status }]).value).toMatchObject({ sql: expected });
  });

  it('stay open while the parent runs again', () => {
    const script = endRestScript(statements, [{ id: 'p', status: 'failed' }]);
    script.next();
    expect(script.next([{ id: 'p', status: 'pending' }])).toMatchObject({ done: true });
  });

  it('end with the remembered status of a group or a deleted job, which has no row', () => {
    const script = endRestScript(statements, [{ id: 'p', status: 'deleted' }]);
    script.next();
    expect(script.next([]).value).toMatchObject({ sql: 'CLOSE_LINKS', params: ['["p"]', 5_000, 'deleted'] });
  });
});
