import type { Browser, BrowserContextOptions } from 'playwright-core';
import { chromium } from 'playwright-core';
import { findChromium } from '../../support/chromium.js';
import { useBuiltPackage } from '../../processes/support/built-package.js';
import { UiPage } from './ui-page.js';

const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update'];

/** How a page is looked at. */
export interface Look extends BrowserContextOptions {
  /** Kept by the tab, as if the reader had signed in before; `null`: nobody has. */
  token?: string | null;
}

/** Opens pages. */
export interface Pages {
  /** A new window without memories, at that address. */
  open(url: string, look?: Look): Promise<UiPage>;
}

/**
 * A real browser for the tests of a file, with the admin UI as it is built. After each test its pages are closed, and whatever
 * they complained about fails the test: errors of scripts, and violations of the page's policy.
 */
export function usePages(): Pages {
  useBuiltPackage();
  let browser: Browser;
  let opened: UiPage[] = [];
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: findChromium(), args: ARGS });
  }, 300_000);
  afterEach(async () => {
    const pages = opened;
    opened = [];
    await Promise.all(pages.map((page) => page.close()));
    expect(pages.flatMap(({ complaints }) => complaints)).toEqual([]);
  });
  afterAll(() => browser?.close());

  return {
    async open(url, { token = null, ...options } = {}) {
      const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
      const page = await UiPage.create(context, token);
      opened.push(page);
      await page.goto(url);
      return page;
    },
  };
}
