import { HttpAdapterHost } from '@nestjs/core';
import { sqliteFile } from '../nest/support/database-kinds.js';
import { everyAdapter } from './support/adapters.js';
import { useHttpApps } from './support/http-apps.js';

/** As it is before Nest 11.1.5. */
beforeAll(() => void jest.spyOn(HttpAdapterHost.prototype, 'init$', 'get').mockReturnValue(undefined as never));
afterAll(() => jest.restoreAllMocks());

describe.each(everyAdapter)('the routes on an adapter of which Nest does not tell: $adapter', (adapterKind) => {
  const apps = useHttpApps(sqliteFile, adapterKind);

  it('are there, behind their own rules, and the application has its adapter', async () => {
    const { app, url } = await apps.listen({ before: (nest) => nest.setGlobalPrefix('v1') });
    expect(app.get(HttpAdapterHost).httpAdapter).toBe(app.getHttpAdapter());
    expect((await fetch(`${url}/v1/api/jobs/stats`)).status).toBe(401);
    expect((await fetch(`${url}/v1/admin/jobs`)).status).toBe(200);
  });
});
