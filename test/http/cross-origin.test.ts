import type { HttpUser } from 'nestjs-jobs';
import { sqliteMemory } from '../nest/support/database-kinds.js';
import { everyAdapter } from './support/adapters.js';
import { useHttpApps } from './support/http-apps.js';

interface AnyRequest {
  readonly headers: Readonly<Record<string, string | undefined>>;
}

const Origin = 'https://evil.example';
const JOB = '{"topic":"a","payload":1,"delay":"1h"}';

describe.each(everyAdapter)('a page of another origin, with the API on $adapter', (adapterKind) => {
  const apps = useHttpApps(sqliteMemory, adapterKind);

  it('may read nothing: no answer names an origin, unless the application does', async () => {
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
    'changes nothing by a sign-in that the browser adds by itself: %s',
    async (Authorization) => {
      const known: HttpUser = { id: 'admin', admin: true };
      const authenticate = ({ headers }: AnyRequest) => (headers.authorization === Authorization ? known : null);
      const { api, jobs } = await apps.listen({ options: { http: { authenticate } } });
      const { id } = await jobs.enqueue('a', 1, { delay: '1h' });
      const ask = (path: string, headers: Record<string, string>, text?: string) =>
        api.as().ask('POST', path, { headers: { Authorization, ...headers }, text });
      const foreign: Record<string, string>[] = [{ Origin }, { Origin: 'null' }, { 'Sec-Fetch-Site': 'cross-site' }];
      for (const headers of foreign) {
        // A form can send this one: it needs no body, and no type that a browser would ask about first.
        expect(await ask(`/${id}/cancel`, headers)).toMatchObject({ status: 403, body: { code: 'CROSS_ORIGIN' } });
        expect(await ask('/enqueue', headers, JOB)).toMatchObject({ status: 403, body: { code: 'CROSS_ORIGIN' } });
      }
      expect(await jobs.get(id)).toMatchObject({ status: 'pending' });
      // From a page of this very origin, or from no page at all, it is as good as any.
      expect((await ask('/enqueue', { 'Sec-Fetch-Site': 'same-origin' }, JOB)).status).toBe(201);
      expect((await ask('/enqueue', {}, JOB)).status).toBe(201);
    },
  );

  it('cannot send a job by a form, whose types no browser asks about first', async () => {
    const { api } = await apps.listen({ options: { http: { enqueueRule: 'public' } } });
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=a', '']) {
      const answer = await api.as().ask('POST', '/enqueue', { headers: { 'Content-Type': type }, text: JOB });
      expect([type, answer.status]).toEqual([type, 415]);
    }
  });
});
