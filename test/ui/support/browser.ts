import type { Browser, BrowserContextOptions } from 'playwright-core';
import { chromium } from 'playwright-core';
import { findChromium } from '../../support/chromium.js';
import { useBuiltPackage } from '../../processes/support/built-package.js';
import { UiPage } from './ui-page.js';

declare global {
  /** Set by the environment of the tests. */
  var hasTestFailed: boolean;
}

const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update'];

/** Options of a browser window. */
export interface PageOptions extends BrowserContextOptions {
  /** Stored in the tab, as after an earlier sign-in. `null`: not signed in. */
  token?: string | null;
  /** The time of the browser, which then stands still. Timers go on. */
  now?: Date;
}

/** Opens windows. */
export interface Pages {
  /** Opens an address in a new window without stored data. */
  open(url: string, options?: PageOptions): Promise<UiPage>;
}

/**
 * A browser for the tests of a file, with the built admin UI. After each test it closes the windows and fails the test for
 * errors of scripts and violations of the content security policy. If the test has failed, adds what the windows show to the failure.
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
    const shown = globalThis.hasTestFailed ? await Promise.all(pages.map((page) => page.describe())) : [];
    await Promise.all(pages.map((page) => page.close()));
    expect([...pages.flatMap(({ problems }) => problems), ...shown]).toEqual([]);
  });
  afterAll(() => browser?.close());

  return {
    async open(url, { token = null, now, ...options } = {}) {
      const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
      if (now !== undefined) await context.clock.setFixedTime(now);
      const page = await UiPage.create(context, token);
      opened.push(page);
      await page.goto(url);
      return page;
    },
  };
}
