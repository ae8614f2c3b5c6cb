import type { HttpUser } from 'nestjs-jobs';
import { isCrossOrigin } from '../../lib/http/cross-origin.js';
import { sqliteMemory } from '../nest/support/database-kinds.js';
import { everyAdapter } from './support/adapters.js';
import { useHttpApps, useOneHttpApp } from './support/http-apps.js';

interface AnyRequest {
  readonly headers: Readonly<Record<string, string | undefined>>;
}

type Headers = Record<string, string>;

const COOKIE: Headers = { Cookie: 'session=1' };
const PASSWORD: Headers = { Authorization: `Basic ${Buffer.from('anna:secret').toString('base64')}` };
const JOB = { topic: 'a', payload: 1, delay: '1h' };
const TEXT = JSON.stringify(JOB);
const Origin = 'https://evil.example';
const REFUSED = { status: 403, body: { code: 'CROSS_ORIGIN' } };

describe.each(everyAdapter)('a request from a web page on $adapter', (adapterKind) => {
  const authenticate = ({ headers }: AnyRequest) => ({ id: headers.cookie ?? 'none', admin: true });
  const app = useOneHttpApp(sqliteMemory, adapterKind, { options: { role: 'producer', http: { authenticate } } });
  const api = () => app().api.as();
  const host = () => new URL(app().url).host;

  const foreign: [what: string, headers: () => Headers][] = [
    ['another origin', () => ({ Origin: 'https://evil.example' })],
    ['an origin that begins like ours', () => ({ Origin: `https://${host()}.evil.example` })],
    ['an origin with our host as its user', () => ({ Origin: `http://${host()}@evil.example` })],
    ['our origin and another', () => ({ Origin: `http://${host()}, http://evil.example` })],
    ['no origin that can be named', () => ({ Origin: 'null' })],
    ['another site', () => ({ 'Sec-Fetch-Site': 'cross-site' })],
    ['a neighbour', () => ({ 'Sec-Fetch-Site': 'same-site', Origin: `http://${host()}` })],
    ['one that claims our host', () => ({ Origin: 'https://evil.example', 'X-Forwarded-Host': 'evil.example' })],
  ];

  it.each(foreign)('of %s changes nothing with credentials that the browser adds', async (_, from) => {
    for (const ambient of [COOKIE, PASSWORD]) {
      const headers = { ...from(), ...ambient };
      expect(await api().post('/enqueue', JOB, { headers })).toMatchObject(REFUSED);
      expect(await api().post('/x/cancel', undefined, { headers })).toMatchObject(REFUSED);
      expect(await api().delete('/x', { headers })).toMatchObject(REFUSED);
    }
  });

  it.each(foreign)('of %s may read, and may change with credentials that a script sets', async (_, from) => {
    expect((await api().get('/stats', { headers: { ...from(), ...COOKIE } })).status).toBe(200);
    for (const own of [{}, { Authorization: 'Bearer of-the-application' }] as Headers[]) {
      expect((await api().post('/enqueue', JOB, { headers: { ...from(), ...own } })).status).toBe(201);
    }
  });

  it('of the same origin, or without a page, may change jobs', async () => {
    const ours: Headers[] = [
      {},
      { Origin: `http://${host()}` },
      { Origin: `http://${host()}`, 'Sec-Fetch-Site': 'same-origin' },
      { 'Sec-Fetch-Site': 'none' },
    ];
    for (const headers of ours) {
      for (const ambient of [COOKIE, PASSWORD]) {
        expect((await api().post('/enqueue', JOB, { headers: { ...headers, ...ambient } })).status).toBe(201);
      }
    }
  });
});

describe.each(everyAdapter)('a request with the admin token on $adapter', (adapterKind) => {
  const app = useOneHttpApp(sqliteMemory, adapterKind, { options: { role: 'producer' } });

  it('is accepted from any origin', async () => {
    const headers = { ...COOKIE, Origin: 'https://ui.example' };
    expect((await app().api.post('/enqueue', JOB, { headers })).status).toBe(201);
    expect((await app().api.as('wrong').post('/enqueue', JOB, { headers })).status).toBe(401);
  });
});

describe.each(everyAdapter)('a page of another origin with the API on $adapter', (adapterKind) => {
  const apps = useHttpApps(sqliteMemory, adapterKind);

  it('cannot read responses unless the application allows its origin', async () => {
    const { url, api } = await apps.listen();
    const preflight = { 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'authorization' };
    for (const method of ['GET', 'POST', 'OPTIONS']) {
      for (const path of ['/api/jobs', '/api/jobs/enqueue', '/api/jobs/nothing', '/admin/jobs']) {
        const headers = { Origin, Authorization: `Bearer ${api.token}`, ...(method === 'OPTIONS' && preflight) };
        const answer = await fetch(url + path, { method, headers });
        await answer.text();
        const names = [...answer.headers.keys()].filter((name) => name.startsWith('access-control-'));
        expect([method, path, names]).toEqual([method, path, []]);
      }
    }
  });

  it.each(['Basic YWRtaW46c2VjcmV0', 'basic YWRtaW46c2VjcmV0', 'Digest username="admin"', 'Negotiate abc', 'NTLM abc'])(
    'changes nothing with credentials that the browser adds: %s',
    async (Authorization) => {
      const known: HttpUser = { id: 'admin', admin: true };
      const authenticate = ({ headers }: AnyRequest) => (headers.authorization === Authorization ? known : null);
      const { api, jobs } = await apps.listen({ options: { http: { authenticate } } });
      const { id } = await jobs.enqueue('a', 1, { delay: '1h' });
      const ask = (path: string, headers: Record<string, string>, text?: string) =>
        api.as().send('POST', path, { headers: { Authorization, ...headers }, text });
      const foreign: Record<string, string>[] = [{ Origin }, { Origin: 'null' }, { 'Sec-Fetch-Site': 'cross-site' }];
      for (const headers of foreign) {
        // A form can send this request: it needs no body and causes no preflight.
        expect(await ask(`/${id}/cancel`, headers)).toMatchObject({ status: 403, body: { code: 'CROSS_ORIGIN' } });
        expect(await ask('/enqueue', headers, TEXT)).toMatchObject({ status: 403, body: { code: 'CROSS_ORIGIN' } });
      }
      expect(await jobs.get(id)).toMatchObject({ status: 'pending' });
      // From the same origin, or without a page, the request is accepted.
      expect((await ask('/enqueue', { 'Sec-Fetch-Site': 'same-origin' }, TEXT)).status).toBe(201);
      expect((await ask('/enqueue', {}, TEXT)).status).toBe(201);
    },
  );

  it('cannot enqueue by a form', async () => {
    const { api } = await apps.listen({ options: { http: { enqueueRule: 'public' } } });
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=a', '']) {
      const answer = await api.as().send('POST', '/enqueue', { headers: { 'Content-Type': type }, text: TEXT });
      expect([type, answer.status]).toEqual([type, 415]);
    }
  });
});

describe('the host of an HTTP/2 request', () => {
  it.each<[string, boolean]>([
    ['https://shop.example', false],
    ['https://evil.example', true],
  ])('is compared with the origin %s: cross-site %p', (origin, expected) => {
    const headers = { ':authority': 'shop.example', cookie: 'session=1', origin };
    expect(isCrossOrigin({ method: 'POST', headers })).toBe(expected);
  });
});
