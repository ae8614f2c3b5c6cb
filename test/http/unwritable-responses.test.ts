/** @matrix nest-11 */

import type { ServerResponse } from 'node:http';
import { sqliteMemory } from '../nest/support/database-kinds.js';
import { express } from './support/adapters.js';
import { useHttpApps } from './support/http-apps.js';

describe('a response with an invalid header on Express', () => {
  const apps = useHttpApps(sqliteMemory, express);

  it('becomes a 500 and does not end the process', async () => {
    let isFirst = true;
    const app = await apps.listen({
      options: { role: 'producer' },
      before: (nest) =>
        nest.use((_request: unknown, response: ServerResponse, next: () => void) => {
          if (isFirst) {
            jest.spyOn(response, 'writeHead').mockImplementationOnce(() => {
              throw new Error('cannot write');
            });
          }
          isFirst = false;
          next();
        }),
    });
    expect(await app.api.get('/stats')).toMatchObject({ status: 500, body: { status: 500, code: 'INTERNAL' } });
    expect((await app.api.get('/stats')).status).toBe(200);
  });
});
