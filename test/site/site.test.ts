/**
 * @matrix all
 * @slow
 */

import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { chromium } from 'playwright-core';
import { findChromium } from '../support/chromium.js';

const ROOT = join(__dirname, '../..');
const DIST = join(ROOT, '.site/dist');
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
};

describe('the documentation site', () => {
  let server: Server;
  let url: string;
  let browser: Browser;
  let page: Page;
  const problems: string[] = [];

  beforeAll(async () => {
    execFileSync('npm', ['run', '--silent', 'docs:site'], { cwd: ROOT, stdio: 'pipe' });
    server = createServer(({ url: address = '/' }, response) => {
      const file = findFile(new URL(address, 'http://site').pathname);
      response.writeHead(file ? 200 : 404, { 'Content-Type': TYPES[extname(file ?? '')] ?? 'text/plain' });
      response.end(file && readFileSync(file));
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    browser = await chromium.launch({ executablePath: findChromium(), args: ['--no-sandbox', '--disable-gpu'] });
    page = await browser.newPage();
    page.on('pageerror', (error) => problems.push(error.message));
  }, 600_000);

  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  it('finds a page by its search', async () => {
    await page.goto(`${url}/docs/`);
    await page.keyboard.press('Control+k');
    await page.locator('.VPLocalSearchBox input').fill('jobs start late after several processes died');
    await page.locator('.VPLocalSearchBox .result[href*="troubleshooting"]').first().click();
    await page.waitForURL('**/troubleshooting.html*');
    expect(await page.locator('h1').innerText()).toContain('Troubleshooting');
    expect(problems).toEqual([]);
  });

  it('documents the options and the methods of the service in the API reference', async () => {
    await page.goto(`${url}/docs/api/`);
    const text = readdirSync(join(DIST, 'docs/api'), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.html'))
      .map((name) => readFileSync(join(DIST, 'docs/api', name), 'utf8'))
      .join('\n');
    for (const name of ['JobsOptions', 'JobsService', 'JobsClient', 'JobsTesting', 'registerJobsMetrics']) {
      expect(text).toContain(`${name}`);
    }
    expect(problems).toEqual([]);
  });

  it('has no link that leads nowhere', () => {
    const pages = readdirSync(DIST, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.html'));
    expect(pages.length).toBeGreaterThan(70);
    const dead = pages.filter((name) => name !== '404.html').flatMap((name) => findDeadLinks(name));
    expect(dead).toEqual([]);
  });

  it('has the plain Markdown of each page that llms.txt lists', () => {
    const links = [...readFileSync(join(DIST, 'llms.txt'), 'utf8').matchAll(/\]\(([^)]+)\)/g)].map(([, link]) => link!);
    expect(links.length).toBeGreaterThan(60);
    for (const link of links) {
      expect(readFileSync(join(DIST, link), 'utf8')).toMatch(/^# /);
    }
  });
});

function findFile(path: string): string | undefined {
  const candidates = [path, `${path}.html`, join(path, 'index.html')].map((each) =>
    join(DIST, decodeURIComponent(each)),
  );
  return candidates.find((each) => existsSync(each) && statSync(each).isFile());
}

const anchors = new Map<string, Set<string>>();

function anchorsOf(file: string): Set<string> {
  const known = anchors.get(file);
  if (known) return known;
  const found = new Set([...readFileSync(file, 'utf8').matchAll(/\sid="([^"]+)"/g)].map(([, id]) => id!));
  anchors.set(file, found);
  return found;
}

/** Returns the links and pictures of a page that no file or heading of the site answers. */
function findDeadLinks(name: string): string[] {
  const html = readFileSync(join(DIST, name), 'utf8');
  const links = [...html.matchAll(/\s(?:href|src)="([^"]+)"/g)].map(([, link]) => link!.replaceAll('&amp;', '&'));
  return [...new Set(links)].filter((link) => !isAlive(link, name)).map((link) => `${name}: ${link}`);
}

function isAlive(link: string, from: string): boolean {
  if (/^(https?|mailto|data|javascript):/.test(link)) return true;
  const { pathname, hash } = new URL(link, `http://site/${from}`);
  const file = findFile(pathname);
  if (file === undefined) return false;
  return hash === '' || !file.endsWith('.html') || anchorsOf(file).has(decodeURIComponent(hash.slice(1)));
}
