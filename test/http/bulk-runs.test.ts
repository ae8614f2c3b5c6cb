import type { BulkResult } from '../../client/bulk-wire.js';
import type { Job } from '../../client/wire.js';
import { sqliteFile } from '../nest/support/database-kinds.js';
import { textLike } from '../nest/support/matchers.js';
import { express } from './support/adapters.js';
import { useHttpApps } from './support/http-apps.js';

describe('a bulk run over HTTP', () => {
  const apps = useHttpApps(sqliteFile, express);

  it('changes what a dry run has counted, in several paced calls', async () => {
    const { api, jobs } = await apps.listen({});
    const enqueue = (payload: number) => jobs.enqueue('counted', payload, { delay: '1h' });
    const ids = (await Promise.all([1, 2, 3].map(enqueue))).map(({ id }) => id);
    await api.post('/bulk', { action: 'cancel', ids });
    const request = { action: 'requeue', filter: { topic: 'counted', status: 'cancelled' }, pace: '60/h' };
    const { body: counted } = await api.post<BulkResult>('/bulk', { ...request, dry_run: true });
    expect(counted).toMatchObject({ matched: 3, next_cursor: null, as_of: textLike(/\.\d{6}Z$/) });
    await jobs.cancel((await enqueue(4)).id);

    const bound = { ...request, as_of: counted.as_of, max: 2 };
    const { body: first } = await api.post<BulkResult>('/bulk', bound);
    expect(first).toMatchObject({ changed: 2, more: true, as_of: counted.as_of });
    const { body: second } = await api.post<BulkResult>('/bulk', { ...bound, cursor: first.next_cursor });
    expect(second).toMatchObject({ matched: 1, changed: 1, more: false, next_cursor: null });
    const requeued = await Promise.all(ids.map((id) => api.get<Job>(`/${id}`)));
    const times = requeued.map(({ body }) => Date.parse(body.run_at!)).sort((a, b) => a - b);
    expect([times[1]! - times[0]!, times[2]! - times[1]!]).toEqual([60_000, 60_000]);

    const other = { ...bound, pace: '1/s', cursor: first.next_cursor };
    const data = { cursor: textLike(/^belongs to another action/) };
    expect(await api.post('/bulk', other)).toMatchObject({ status: 400, body: { data } });
  });
});
