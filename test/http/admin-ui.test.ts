/** @matrix nest-11 */

import { useBuiltPackage } from '../processes/support/built-package.js';
import { sqliteFile } from '../nest/support/database-kinds.js';
import { everyAdapter } from './support/adapters.js';
import { useHttpApps } from './support/http-apps.js';

useBuiltPackage();

describe.each(everyAdapter)('the files of the admin UI on $adapter', (adapterKind) => {
  const apps = useHttpApps(sqliteFile, adapterKind);

  it('are public, with a policy that allows only their own origin', async () => {
    const { url } = await apps.listen();
    const response = await fetch(`${url}/admin/jobs`);
    const page = await response.text();

    expect(response.status).toBe(200);
    expect(response.headers.get('Content-Type')).toBe('text/html; charset=utf-8');
    expect(response.headers.get('Content-Security-Policy')).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
        "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    expect(response.headers.get('X-Content-Type-Options')).toBe('nosniff');
    expect(response.headers.get('Cache-Control')).toBe('no-cache');
    expect(page).not.toMatch(/<script(?![^>]* src=)|<style| style=| on\w+=|https?:|href="\/|src="\//);
  });

  it('load by relative addresses from any page', async () => {
    const { url } = await apps.listen({ before: (nest) => nest.setGlobalPrefix('v1') });
    for (const path of ['', '/', '/jobs', '/jobs/', '/jobs/some-id', '/errors']) {
      const place = `${url}/v1/admin/jobs${path}`;
      const page = await (await fetch(place)).text();
      const addresses = [...page.matchAll(/(?:src|href|content)="(\.[^"]*)"/g)].map(
        ([, link]) => new URL(link!, place).href,
      );
      expect(addresses).toEqual(expect.arrayContaining([`${url}/v1/api/jobs`, `${url}/v1/admin/jobs/`]));
      for (const address of addresses.filter((each) => /\.\w+$/.test(each))) {
        expect((await fetch(address)).status).toBe(200);
      }
    }
  });

  it('contain the title, the environment and the links of the options, escaped', async () => {
    const ui = {
      title: 'Tea & "Coffee" </title><script>',
      environment: { name: "<b>$1'", color: '#C2185B' },
      links: [{ label: '"><i>', url: 'https://logs.example.org/?q={id}&t={topic}' }],
    };
    const { url } = await apps.listen({ options: { ui } });
    const text = await (await fetch(`${url}/admin/jobs/`)).text();
    expect(text).toContain(`<title>&lt;b>$1' · Jobs · Tea &amp; &quot;Coffee&quot; &lt;/title>&lt;script></title>`);
    expect(text).toContain('name="jobs-title" content="Tea &amp; &quot;Coffee&quot; &lt;/title>&lt;script>"');
    expect(text).toContain(`name="jobs-environment" content="&lt;b>$1'"`);
    expect(text).toContain('name="jobs-color" content="#c2185b"');
    const [, links = ''] = /name="jobs-links" content="([^"]*)"/.exec(text) ?? [];
    const unescaped = links.replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&amp;', '&');
    expect(JSON.parse(unescaped)).toEqual(ui.links);
  });

  it('contain the sign-in address of the options, escaped, and whether the browser sent a cookie', async () => {
    const signIn = "/login?a=1&copy=$1'";
    const { url } = await apps.listen({ options: { ui: { signIn } } });
    const place = `${url}/admin/jobs/`;
    const pages = [await fetch(place), await fetch(place, { headers: { Cookie: 'sid=1' } })];
    const texts = await Promise.all(pages.map((page) => page.text()));
    expect(texts.map((text) => /name="jobs-cookie" content="(\w+)"/.exec(text)![1])).toEqual(['no', 'yes']);
    expect(texts[0]).toContain(`name="jobs-sign-in" content="/login?a=1&amp;copy=$1'"`);
    expect(pages.map(({ headers }) => headers.get('Vary'))).toEqual(Array(2).fill('Accept-Encoding, Cookie'));
    const ETag = pages[0]!.headers.get('ETag')!;
    const unchanged = await fetch(place, { headers: { 'If-None-Match': ETag } });
    const changed = await fetch(place, { headers: { 'If-None-Match': ETag, Cookie: 'sid=1' } });
    expect([unchanged.status, changed.status]).toEqual([304, 200]);
  });

  it('are cached: hashed names forever, others until they change', async () => {
    const { url } = await apps.listen();
    const page = await fetch(`${url}/admin/jobs/`);
    const [, script] = /src="\.\/(assets\/[^"]+\.js)"/.exec(await page.text())!;
    const file = await fetch(`${url}/admin/jobs/${script}`);

    expect(file.headers.get('Content-Type')).toBe('text/javascript; charset=utf-8');
    expect(file.headers.get('Cache-Control')).toBe('public, max-age=31536000, immutable');
    const again = await fetch(`${url}/admin/jobs/`, { headers: { 'If-None-Match': page.headers.get('ETag')! } });
    expect([again.status, await again.text()]).toEqual([304, '']);
  });

  it('are compressed if the browser accepts it', async () => {
    const { url } = await apps.listen();
    const place = `${url}/admin/jobs/theme.js`;
    const plain = await fetch(place, { headers: { 'Accept-Encoding': 'identity' } });
    const packed = await fetch(place, { headers: { 'Accept-Encoding': 'gzip' } });

    expect(plain.headers.get('Content-Encoding')).toBeNull();
    expect(packed.headers.get('Content-Encoding')).toBe('gzip');
    // fetch has already decompressed the body.
    expect(await packed.text()).toBe(await plain.text());
  });

  it('respond to HEAD, and with 404 to POST and to unknown files', async () => {
    const { url } = await apps.listen();
    const head = await fetch(`${url}/admin/jobs/errors`, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
    const post = await fetch(`${url}/admin/jobs`, { method: 'POST' });
    expect(post.status).toBe(404);
    for (const path of ['assets/index-old.js', 'assets/..%2f..%2fpackage.json', 'assets/%00']) {
      expect((await fetch(`${url}/admin/jobs/${path}`)).status).toBe(404);
    }
  });

  it.each([
    ['ui: false', { ui: false }],
    ['http: false', { http: false }],
  ] as const)('are not served with %s', async (_, options) => {
    const { url } = await apps.listen({ options });
    expect((await fetch(`${url}/admin/jobs`)).status).toBe(404);
  });

  it('are protected by global guards', async () => {
    const { url } = await apps.listen({ before: (nest) => nest.useGlobalGuards({ canActivate: () => false }) });
    for (const path of ['', '/theme.js', '/jobs/some-id']) {
      expect((await fetch(`${url}/admin/jobs${path}`)).status).toBe(403);
    }
  });
});
