import type { BrowserContext } from 'playwright-core';
import { chromium } from 'playwright-core';
import { findChromium } from '../../test/support/chromium.js';

/** The time until a screen showed its data, in whole milliseconds. */
export interface ScreenTime {
  readonly screen: string;
  /** Opened in an empty tab. */
  readonly 'new tab': number;
  readonly 'new tab, slowest': number;
  /** Opened by a link on another screen. */
  readonly link: number;
  readonly 'link, slowest': number;
}

/** Each screen with what shows that it can be used. `JOB` stands for the id of a failed job. */
const SCREENS: readonly { screen: string; path: string; ready: string }[] = [
  { screen: 'overview', path: '', ready: 'th[scope=row] >> nth=11' },
  { screen: 'overview, all charts', path: '', ready: '.charts section:nth-child(3) canvas' },
  { screen: 'jobs', path: 'jobs', ready: 'tr[data-id] >> nth=49' },
  { screen: 'jobs, failed', path: 'jobs?status=failed', ready: 'tr[data-id] >> nth=49' },
  { screen: 'jobs, one topic, 200 rows', path: 'jobs?topic=topic_7&size=200', ready: 'tr[data-id] >> nth=199' },
  { screen: 'jobs, rare topic', path: 'jobs?topic=topic_rare', ready: 'tr[data-id] >> nth=10' },
  { screen: 'jobs, part of an error', path: 'jobs?q=10.0.0.13', ready: 'tr[data-id] >> nth=49' },
  { screen: 'job', path: 'jobs/JOB', ready: '.timeline' },
  { screen: 'errors', path: 'errors', ready: 'text=ECONNREFUSED >> nth=20' },
];

/** Opens each screen several times, as a signed-in user with a filled browser cache. */
export async function screenTimes(root: string, token: string, rounds: number): Promise<ScreenTime[]> {
  const browser = await chromium.launch({ executablePath: findChromium(), args: ['--no-sandbox', '--disable-gpu'] });
  try {
    const id = await failedJob(root, token);
    const context = await browser.newContext({ viewport: { width: 1280, height: 860 } });
    await context.addInitScript(`sessionStorage.setItem('nestjs-jobs:token', ${JSON.stringify(token)})`);
    const times: ScreenTime[] = [];
    for (const { screen, path, ready } of SCREENS) {
      const url = root + path.replace('JOB', id);
      const tabs: number[] = [];
      const links: number[] = [];
      for (let round = 0; round < rounds; round += 1) {
        // This also puts the files of the UI into the cache of the browser, as after any visit.
        links.push(await timeOfLink(context, { root, url, ready }));
        tabs.push(await timeOfTab(context, { url, ready }));
      }
      times.push({
        screen,
        'new tab': median(tabs),
        'new tab, slowest': Math.max(...tabs),
        link: median(links),
        'link, slowest': Math.max(...links),
      });
    }
    return times;
  } finally {
    await browser.close();
  }
}

async function timeOfTab(context: BrowserContext, { url, ready }: { url: string; ready: string }): Promise<number> {
  const page = await context.newPage();
  const sinceMs = performance.now();
  await page.goto(url, { waitUntil: 'commit' });
  await page.locator(ready).waitFor();
  const ms = Math.round(performance.now() - sinceMs);
  await page.close();
  return ms;
}

async function timeOfLink(
  context: BrowserContext,
  { root, url, ready }: { root: string; url: string; ready: string },
): Promise<number> {
  const page = await context.newPage();
  await page.goto(`${root}nowhere/at/all`);
  await page.getByText('There is no such page').waitFor();
  const link = JSON.stringify(`<a href="${url}">There</a>`);
  await page.evaluate(`document.querySelector('h1').insertAdjacentHTML('beforeend', ${link})`);
  const sinceMs = performance.now();
  await page.evaluate(`document.querySelector('h1 a').click()`);
  await page.locator(ready).waitFor();
  const ms = Math.round(performance.now() - sinceMs);
  await page.close();
  return ms;
}

function median(times: readonly number[]): number {
  return [...times].sort((a, b) => a - b)[times.length >> 1]!;
}

async function failedJob(root: string, token: string): Promise<string> {
  const response = await fetch(new URL('../../api/jobs?status=failed&limit=1', root), {
    headers: { Authorization: `Bearer ${token}` },
  });
  const { items } = (await response.json()) as { items: { id: string }[] };
  return items[0]!.id;
}
