import type { Browser } from 'playwright-core';
import { chromium } from 'playwright-core';
import { findChromium } from '../../test/support/chromium.js';

/** How long a screen took, from its address to what one came for, in whole milliseconds. */
export interface ScreenTime {
  readonly screen: string;
  readonly median: number;
  readonly slowest: number;
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

/** Opens every screen so many times, as a reader who is signed in and has been here before. */
export async function screenTimes(root: string, token: string, rounds: number): Promise<ScreenTime[]> {
  const browser = await chromium.launch({ executablePath: findChromium(), args: ['--no-sandbox', '--disable-gpu'] });
  try {
    const id = await failedJob(root, token);
    const times: ScreenTime[] = [];
    for (const { screen, path, ready } of SCREENS) {
      const measured = await timesOf(browser, { url: root + path.replace('JOB', id), token, ready, rounds });
      times.push({ screen, median: measured[measured.length >> 1]!, slowest: measured.at(-1)! });
    }
    return times;
  } finally {
    await browser.close();
  }
}

interface Visit {
  readonly url: string;
  readonly token: string;
  readonly ready: string;
  readonly rounds: number;
}

async function timesOf(browser: Browser, { url, token, ready, rounds }: Visit): Promise<number[]> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 } });
  await context.addInitScript(`sessionStorage.setItem('nestjs-jobs:token', ${JSON.stringify(token)})`);
  // The files of the UI are in the browser's cache then, as they are at any but the very first visit.
  const first = await context.newPage();
  await first.goto(`${url.split('/admin/jobs/', 1)[0]}/admin/jobs/nowhere/at/all`);
  await first.getByText('There is no such page').waitFor();
  await first.close();
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const page = await context.newPage();
    const sinceMs = performance.now();
    await page.goto(url, { waitUntil: 'commit' });
    await page.locator(ready).waitFor();
    times.push(Math.round(performance.now() - sinceMs));
    await page.close();
  }
  await context.close();
  return times.sort((a, b) => a - b);
}

async function failedJob(root: string, token: string): Promise<string> {
  const response = await fetch(new URL('../../api/jobs?status=failed&limit=1', root), {
    headers: { Authorization: `Bearer ${token}` },
  });
  const { items } = (await response.json()) as { items: { id: string }[] };
  return items[0]!.id;
}
