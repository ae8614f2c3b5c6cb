/**
 * @npm-test fastify
 * @matrix nest-11
 */

import { sqliteFile } from '../nest/support/database-kinds.js';
import { useBuiltPackage } from '../processes/support/built-package.js';
import { everyAdapter } from './support/adapters.js';
import { useHttpApps } from './support/http-apps.js';
import { sendRaw } from './support/raw-request.js';

useBuiltPackage();

/** A file two folders above that of the UI, and one of every Unix; by which their content is known. */
const wanted = ['package.json', 'etc/passwd'];
const CONTENT = /"nestjs-jobs"|root:/;

const dots = ['..', '%2e%2e', '.%2e', '%252e%252e', '%c0%ae%c0%ae', '..%00', '....', '..;'];
const slashes = ['/', '%2f', '%252f', '%5c', '\\', '%255c', '//', '%c0%af'];

/** Every way up, and every way to begin. */
const climbs = dots.flatMap((dot) =>
  slashes.flatMap((slash) =>
    wanted.map((name) => `${`${dot}${slash}`.repeat(name.startsWith('etc') ? 12 : 2)}${name}`),
  ),
);
const others = ['/etc/passwd', '%2fetc%2fpasswd', 'file:///etc/passwd', '%00', 'index.html%00.js', '~root', 'CON', '%'];
const paths = ['', 'assets/', 'jobs/'].flatMap((folder) => [...climbs, ...others].map((path) => folder + path));

/** Text that would be markup or script if it came back in the page as it is. */
const marks = [
  '"><script>alert(1)</script>',
  "'><img src=x onerror=alert(1)>',",
  '%22%3E%3Cscript%3Ealert(1)%3C/script%3E',
  'javascript:alert(1)',
  '</title><script>alert(1)</script>',
];

describe.each(everyAdapter)('static files of the admin UI on $adapter', (adapterKind) => {
  const apps = useHttpApps(sqliteFile, adapterKind);

  it('are the only files served, however the path is spelled', async () => {
    const { url } = await apps.listen();
    const shell = await sendRaw(url, { path: '/admin/jobs/' });
    expect(shell.text).toContain('<!doctype html>');
    const waiting = [...paths];
    const askInTurn = async (): Promise<void> => {
      for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
        const answer = await sendRaw(url, { path: `/admin/jobs/${path}` });
        expect([path, CONTENT.test(answer.text)]).toEqual([path, false]);
        // The page knows what to do with an address that it does not know; it has no other names.
        const fitting = answer.text.includes('<!doctype html>') ? [200] : [400, 404];
        expect([path, fitting.includes(answer.status)]).toEqual([path, true]);
      }
    };
    await Promise.all(Array.from({ length: 10 }, askInTurn));
  });

  it('contain nothing of the request', async () => {
    const { url } = await apps.listen({ before: (nest) => nest.setGlobalPrefix(':tenant') });
    const plain = await sendRaw(url, { path: '/a/admin/jobs/jobs/x' });
    const tagsOf = (text: string): string[] => text.match(/<[a-z!/][^>\s]*/gi) ?? [];
    for (const mark of marks) {
      const spelled = mark.replaceAll(' ', '%20').replaceAll('/', '%2F');
      for (const path of [
        `/${spelled}/admin/jobs/jobs/x`,
        `/a/admin/jobs/jobs/${spelled}`,
        `/a/admin/jobs?q=${spelled}`,
      ]) {
        const answer = await sendRaw(url, { path, headers: { 'X-Forwarded-Host': spelled, Referer: spelled } });
        expect([path, tagsOf(answer.text), /alert|onerror/.test(answer.text)]).toEqual([
          path,
          tagsOf(plain.text),
          false,
        ]);
      }
    }
  });

  it('cannot be framed and keep their type', async () => {
    const { url } = await apps.listen();
    const page = await sendRaw(url, { path: '/admin/jobs' });
    const [script] = /assets\/[\w.-]+\.js/.exec(page.text)!;
    for (const path of ['/admin/jobs', `/admin/jobs/${script}`, '/admin/jobs/assets/gone.js']) {
      const { headers } = await sendRaw(url, { path });
      expect(headers['x-frame-options']).toBe('DENY');
      expect(headers['content-security-policy']).toContain("frame-ancestors 'none'");
      expect(headers['x-content-type-options']).toBe('nosniff');
    }
  });

  it('exist only at the depth of UI pages', async () => {
    const { url } = await apps.listen();
    for (const [path, status] of [
      ['/admin/jobs/jobs/x/', 200],
      ['/admin/jobs/jobs/w/x/y/z', 404],
      [`/admin/jobs${'/'.repeat(12_000)}`, 404],
    ] as const) {
      expect([path.slice(0, 30), (await sendRaw(url, { path })).status]).toEqual([path.slice(0, 30), status]);
    }
  });

  it('are compressed by a simple check of Accept-Encoding', async () => {
    const { url } = await apps.listen();
    const sinceMs = performance.now();
    for (const accepted of [`${'gzip;'.repeat(1_500)}${' '.repeat(6_000)}`, `gzip;q=0.${'0'.repeat(14_000)}1`]) {
      const answer = await sendRaw(url, { path: '/admin/jobs', headers: { 'Accept-Encoding': accepted } });
      expect(answer.status).toBe(200);
    }
    expect(performance.now() - sinceMs).toBeLessThan(3_000);
  });
});

describe.each(everyAdapter)('API responses on $adapter', (adapterKind) => {
  const apps = useHttpApps(sqliteFile, adapterKind);

  it('are JSON that no browser treats as a page', async () => {
    const { api, jobs } = await apps.listen();
    for (const mark of marks) {
      const asked = encodeURIComponent(mark);
      await jobs.enqueue(mark, mark, { delay: '1h' });
      for (const answer of [
        await api.get(''),
        await api.get(`/${asked}`),
        await api.get(`?${asked}=${asked}`),
        await api.get(`/stats?topic=${asked}`),
        await api.post('/enqueue', { topic: mark, payload: mark, [mark]: mark }),
        await api.post('/bulk', { action: mark, ids: [mark] }),
        await api.as('wrong').get(`/${asked}`),
        await api.post('/enqueue', undefined, { text: mark }),
      ]) {
        expect(answer.headers.get('Content-Type')).toBe('application/json; charset=utf-8');
        expect(answer.headers.get('X-Content-Type-Options')).toBe('nosniff');
        expect(answer.headers.get('Cache-Control')).toBe('no-store');
      }
    }
  });
});
