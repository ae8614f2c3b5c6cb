import { sqliteMemory } from '../nest/support/database-kinds.js';
import { everyAdapter } from './support/adapters.js';
import { useHttpApps, useOneHttpApp } from './support/http-apps.js';
import { sendRaw } from './support/raw-request.js';

const TOKEN = 'Secret-Token_0123456789.~+/=';

describe.each(everyAdapter)('the admin token in a request on $adapter', (adapterKind) => {
  const app = useOneHttpApp(sqliteMemory, adapterKind, { options: { role: 'producer', http: { adminToken: TOKEN } } });

  const ask = async (headers: Record<string, string>, path = '/api/jobs'): Promise<number> =>
    (await sendRaw(app().url, { path, headers })).status;

  it.each([`Bearer ${TOKEN}`, `bearer ${TOKEN}`, `BEARER ${TOKEN}`, `Bearer   ${TOKEN}`, `Bearer ${TOKEN} `])(
    'is accepted as %p',
    async (Authorization) => {
      expect(await ask({ Authorization })).toBe(200);
    },
  );

  it.each([
    '',
    'Bearer',
    'Bearer ',
    TOKEN,
    `Bearer${TOKEN}`,
    `Bearer ${TOKEN.toLowerCase()}`,
    `Bearer ${TOKEN.slice(0, -1)}`,
    `Bearer ${TOKEN}0`,
    `Bearer ${TOKEN} ${TOKEN}`,
    `Bearer ${TOKEN}, Bearer ${TOKEN}`,
    `Bearer "${TOKEN}"`,
    `Bearer ${encodeURIComponent(TOKEN)}`,
    `Bearer wrong ${TOKEN}`,
    `Token ${TOKEN}`,
    `Basic ${Buffer.from(`admin:${TOKEN}`).toString('base64')}`,
    `Basic ${TOKEN}`,
    'Bearer undefined',
    'Bearer null',
    'Bearer [object Object]',
    `Bearer ${'x'.repeat(8_000)}`,
  ])('is rejected as %p', async (Authorization) => {
    expect(await ask({ Authorization })).toBe(401);
  });

  it('is read only from the header Authorization', async () => {
    const token = encodeURIComponent(TOKEN);
    const queries = ['token', 'access_token', 'authorization', 'auth', 'adminToken', 'JOBS_ADMIN_TOKEN'];
    for (const name of queries) {
      expect([name, await ask({}, `/api/jobs?${name}=${token}`)]).toEqual([name, 401]);
    }
    const headers = [
      'X-Authorization',
      'Proxy-Authorization',
      'X-Api-Key',
      'X-Admin-Token',
      'X-Forwarded-Authorization',
    ];
    for (const name of headers) {
      expect([name, await ask({ [name]: `Bearer ${TOKEN}` })]).toEqual([name, 401]);
    }
    expect(await ask({ Cookie: `token=${token}; Authorization=Bearer ${token}` })).toBe(401);
    expect(await ask({}, `//admin:${token}@127.0.0.1/api/jobs`)).toBeGreaterThanOrEqual(400);
    const inBody = JSON.stringify({ topic: 'a', payload: 1, token: TOKEN, adminToken: TOKEN });
    const post = { method: 'POST', path: '/api/jobs/enqueue', headers: { 'Content-Type': 'application/json' } };
    expect((await sendRaw(app().url, { ...post, body: inBody })).status).toBe(401);
  });
});

describe.each(everyAdapter)('tokens on $adapter', (adapterKind) => {
  const apps = useHttpApps(sqliteMemory, adapterKind);

  it('are never logged, valid or invalid', async () => {
    const { api } = await apps.listen({ options: { role: 'producer', http: { adminToken: TOKEN } } });
    expect((await api.as('a-wrong-secret').get('')).status).toBe(401);
    expect((await api.as(TOKEN).get('')).status).toBe(200);
    expect((await api.as(TOKEN).post('/enqueue', { topic: 1 })).status).toBe(400);
    const log = apps.log.lines.map(({ text }) => text).join('\n');
    expect(log).not.toContain(TOKEN);
    expect(log).not.toContain('a-wrong-secret');
  });

  it('are rejected if they are empty', async () => {
    const { api } = await apps.listen({ options: { role: 'producer', http: { adminToken: '' } } });
    for (const Authorization of ['Bearer ', 'Bearer', '']) {
      expect((await api.as().get('/stats', { headers: { Authorization } })).status).toBe(401);
    }
  });
});
