import { readListFilter } from '../../lib/core/list-filter.js';
import { readList } from '../../lib/store/job-list.js';
import type { ListSource } from '../../lib/store/job-list.js';
import type { Job } from '../../lib/core/job.js';

const QUERY = readListFilter({ limit: 3 });

/** A table of jobs with these ids, of which some are removed after the list has read the ids. */
function sourceOf(ids: readonly string[], removed: readonly string[]): ListSource {
  const found = ids.filter((id) => !removed.includes(id));
  return {
    ids: (_plan, limit, offset) => Promise.resolve(ids.slice(offset, offset + limit)),
    find: (asked) => Promise.resolve(asked.filter((id) => found.includes(id)).map((id) => ({ id }) as Job)),
    count: () => Promise.resolve(found.length),
  } as Partial<ListSource> as ListSource;
}

describe('a page of a list', () => {
  it.each<[string, string[], string[], string[], string | null]>([
    ['ends where the next one begins', ['e', 'd', 'c', 'b'], [], ['e', 'd', 'c'], 'c'],
    ['is the last one when there are no more', ['e', 'd', 'c'], [], ['e', 'd', 'c'], null],
    ['leaves out what is removed, and says that there are more', ['e', 'd', 'c', 'b'], ['d'], ['e', 'c'], 'c'],
    ['may end with a job that is removed', ['e', 'd', 'c', 'b'], ['c'], ['e', 'd'], 'c'],
    ['may have nothing left', ['e', 'd', 'c', 'b'], ['e', 'd', 'c'], [], 'c'],
    ['has none after it when there is none at all', [], [], [], null],
  ])('%s', async (_, ids, removed, shown, lastId) => {
    const page = await readList(QUERY, sourceOf(ids, removed));
    expect(page.items.map(({ id }) => id)).toEqual(shown);
    expect(page.lastId).toBe(lastId);
  });
});
