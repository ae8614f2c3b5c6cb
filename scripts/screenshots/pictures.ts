import type { Page } from 'playwright-core';
import { chromium } from 'playwright-core';
import { findChromium } from '../../test/support/chromium.js';

interface Picture {
  readonly name: string;
  readonly path: string;
  /** Is there when the screen is. */
  readonly ready: string;
  readonly act?: (page: Page) => Promise<void>;
  /** Those that the documentation shows, as `width-theme`. */
  readonly shown: readonly string[];
}

const PICTURES: readonly Picture[] = [
  { name: 'overview', path: '', ready: '.charts section:nth-child(3) canvas', shown: ['1280-light', '390-dark'] },
  { name: 'jobs', path: 'jobs', ready: 'tr[data-id]', shown: ['1280-light', '390-light'] },
  {
    name: 'bulk',
    path: 'jobs?status=failed',
    ready: 'tr[data-id]',
    shown: ['390-light'],
    act: async (page) => {
      await page.getByLabel('Select all jobs of this page').check();
      await page.getByRole('button', { name: 'Re-queue …' }).click();
      await page.getByText('would be re-queued').waitFor();
    },
  },
  {
    name: 'job',
    path: 'jobs?q=ship_order&status=failed',
    ready: 'tr[data-id]',
    shown: ['1280-dark', '390-dark'],
    act: async (page) => {
      await page.locator('tr[data-id] a').first().click();
      await page.locator('.timeline').waitFor();
    },
  },
  {
    name: 'graph',
    path: 'jobs?topic=mail_invoice&status=cancelled',
    ready: 'tr[data-id]',
    shown: ['1280-light'],
    act: async (page) => {
      await page.locator('tr[data-id] a').first().click();
      await page.getByRole('group', { name: /^Graph/ }).waitFor();
    },
  },
  { name: 'topic', path: 'topics/ship_order', ready: '.charts section:nth-child(3) canvas', shown: ['1280-light'] },
  { name: 'errors', path: 'errors', ready: '.message', shown: ['1280-light'] },
  { name: 'workers', path: 'workers', ready: 'text=draining', shown: ['1280-light'] },
  { name: 'schedules', path: 'schedules', ready: 'text=Every 15 minutes', shown: ['1280-light'] },
  {
    name: 'schedule-form',
    path: 'schedules/invoices',
    ready: 'table',
    shown: ['390-light'],
    act: async (page) => {
      await page.getByRole('button', { name: 'Edit' }).click();
      await page.getByRole('textbox', { name: /^Pattern/ }).fill('0 7 * * 1-5');
    },
  },
  {
    name: 'enqueue',
    path: 'jobs',
    ready: 'tr[data-id]',
    shown: ['390-light'],
    act: async (page) => {
      await page.getByRole('button', { name: 'Enqueue a job' }).click();
      await page.getByLabel('Topic').last().fill('send_receipt');
      await page.getByLabel('Payload').fill('{\n  "orderId": 7,\n  "copies": tru\n}');
    },
  },
];

const SIZES = [
  { width: 1280, height: 860 },
  { width: 390, height: 760 },
];

/** Each screen in both themes, wide and narrow, as `name-width-theme.png`; unless `isWhole` only those that are shown. */
export async function takePictures(root: string, token: string, folder: string, isWhole: boolean): Promise<void> {
  const browser = await chromium.launch({ executablePath: findChromium(), args: ['--no-sandbox', '--disable-gpu'] });
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const viewport of SIZES) {
      const context = await browser.newContext({ viewport, colorScheme, timezoneId: 'UTC', locale: 'en-GB' });
      await context.addInitScript(`sessionStorage.setItem('nestjs-jobs:token', ${JSON.stringify(token)})`);
      const page = await context.newPage();
      const look = `${viewport.width}-${colorScheme}`;
      const wanted = PICTURES.filter(({ shown }) => isWhole || shown.includes(look));
      for (const { name, path, ready, act } of wanted) {
        await page.goto(root + path);
        await page.locator(ready).first().waitFor();
        await page.getByRole('button', { name: /^Live/ }).waitFor();
        await act?.(page);
        await page.screenshot({ path: `${folder}/${name}-${look}.png` });
      }
      await context.close();
    }
  }
  await browser.close();
}
