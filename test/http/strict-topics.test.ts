/** @matrix nest-11 */

import type { ApiErrorBody } from '../../client/wire.js';
import { sqliteFile } from '../nest/support/database-kinds.js';
import { until } from '../support/wait.js';
import { everyAdapter } from './support/adapters.js';
import { useHttpApps } from './support/http-apps.js';

const HINT = "no live process handles 'mial'; did you mean 'mail'?";

describe.each(everyAdapter)('a topic without a live handler over HTTP on $adapter', (adapterKind) => {
  const apps = useHttpApps(sqliteFile, adapterKind);

  it('is rejected with strictTopics by every route that uses it', async () => {
    const app = await apps.listen({ options: { strictTopics: true }, handlers: { mail: () => null } });
    const job = { topic: 'mial', payload: 1 };
    for (const [path, body, field] of [
      ['/enqueue', job, 'topic'],
      ['/enqueue-many', { jobs: [{ ...job, topic: 'mail' }, job] }, 'jobs[1].topic'],
      ['/topics/pause', { topic: 'mial' }, 'topic'],
    ] as const) {
      const { status, body: error } = await app.api.post<ApiErrorBody>(path, body);
      expect({ path, status, code: error.code, data: error.data }).toEqual({
        ...{ path, status: 400, code: 'INVALID_REQUEST' },
        data: { [field]: HINT },
      });
    }
    expect((await app.jobs.stats()).total).toBe(0);
    expect((await app.api.post('/topics/resume', { topic: 'mial' })).status).toBe(204);
  });

  it('is logged without strictTopics', async () => {
    const app = await apps.listen({ handlers: { mail: () => null } });
    expect((await app.api.post('/enqueue', { topic: 'mial', payload: 1 })).status).toBe(201);
    await until(() => apps.log.of('warn', HINT).length > 0);
  });
});
