import { readListFilter } from '../../lib/core/list-filter.js';
import { readList } from '../../lib/store/lists/job-list.js';
import type { ListSource } from '../../lib/store/lists/job-list.js';
import type { Job } from '../../lib/core/job.js';

const QUERY = readListFilter({ limit: 3 });

/** A table with these jobs; some are deleted after the list has read the ids. */
function createSource(ids: readonly string[], removed: readonly string[]): ListSource {
  const found = ids.filter((id) => !removed.includes(id));
  return {
    ids: (_plan, limit, offset) => Promise.resolve(ids.slice(offset, offset + limit)),
    find: (asked) => Promise.resolve(asked.filter((id) => found.includes(id)).map((id) => ({ id }) as Job)),
    count: () => Promise.resolve(found.length),
  } as Partial<ListSource> as ListSource;
}

describe('a page of a list', () => {
  it.each<[string, string[], string[], string[], string | null]>([
    ['has lastId when there are more jobs', ['e', 'd', 'c', 'b'], [], ['e', 'd', 'c'], 'c'],
    ['has no lastId when it is the last page', ['e', 'd', 'c'], [], ['e', 'd', 'c'], null],
    ['omits a deleted job and keeps lastId', ['e', 'd', 'c', 'b'], ['d'], ['e', 'c'], 'c'],
    ['may have a lastId of a deleted job', ['e', 'd', 'c', 'b'], ['c'], ['e', 'd'], 'c'],
    ['may be empty and have a lastId', ['e', 'd', 'c', 'b'], ['e', 'd', 'c'], [], 'c'],
    ['is empty without a lastId for an empty table', [], [], [], null],
  ])('%s', async (_, ids, removed, shown, lastId) => {
    const page = await readList(QUERY, createSource(ids, removed));
    expect(page.items.map(({ id }) => id)).toEqual(shown);
    expect(page.last?.id ?? null).toBe(lastId);
  });
});
