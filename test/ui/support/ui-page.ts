import type { BrowserContext, Locator, Page } from 'playwright-core';
import { until } from '../../support/wait.js';

/** The timeout of locators. */
const TIMEOUT_MS = 20_000;

/** A window of the admin UI with the actions of a user. */
export class UiPage {
  /** Errors of scripts, policy violations, and dialogs opened by scripts. */
  readonly problems: string[] = [];
  /** Requests that failed, and responses with an error. Some tests cause them. */
  private readonly failures: string[] = [];

  private constructor(
    private readonly context: BrowserContext,
    readonly page: Page,
  ) {}

  static async create(context: BrowserContext, token: string | null): Promise<UiPage> {
    const page = await context.newPage();
    const ui = new UiPage(context, page);
    page.setDefaultTimeout(TIMEOUT_MS);
    page.on('pageerror', (error) => ui.problems.push(String(error)));
    page.on('console', (message) => {
      if (/Content Security Policy|Refused to/.test(message.text())) ui.problems.push(message.text());
    });
    page.on('requestfailed', (request) => ui.failures.push(`${request.url()} ${request.failure()?.errorText}`));
    page.on('response', (response) => {
      if (response.status() >= 400) ui.failures.push(`${response.url()} ${response.status()}`);
    });
    page.on('dialog', (dialog) => {
      ui.problems.push(`a dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    if (token !== null) {
      await page.addInitScript(
        `if (location.protocol !== 'about:') sessionStorage.setItem('nestjs-jobs:token', ${JSON.stringify(token)})`,
      );
    }
    return ui;
  }

  async goto(url: string): Promise<void> {
    await this.page.goto(url);
  }

  async close(): Promise<void> {
    await this.context.close();
  }

  /** The address, the visible text and the requests that failed, for a test that has failed. */
  async describe(): Promise<string> {
    const text = await this.page.locator('body').innerText({ timeout: 2_000 }).catch(String);
    return [`${this.page.url()} shows:`, text, 'Requests that failed:', ...this.failures].join('\n');
  }

  /** The path and query of the current address. */
  get address(): string {
    const { pathname, search } = new URL(this.page.url());
    return pathname + search;
  }

  heading(name: string | RegExp): Locator {
    return this.page.getByRole('heading', { name, level: 1 });
  }

  button(name: string | RegExp): Locator {
    return this.page.getByRole('button', { name });
  }

  /** Returns the row of a job in the list. */
  row(id: string): Locator {
    return this.page.locator(`tr[data-id="${id}"]`);
  }

  /** Returns a button in the row of a job. */
  action(id: string, name: string): Locator {
    return this.row(id).getByRole('button', { name, exact: true });
  }

  /** Returns the ids of the rows from top to bottom. */
  async ids(): Promise<string[]> {
    return this.page.evaluate("[...document.querySelectorAll('tr[data-id]')].map((row) => row.dataset.id)");
  }

  /** Waits until the list shows exactly these jobs in this order. */
  async shows(ids: readonly string[]): Promise<void> {
    const wanted = JSON.stringify(ids);
    await until(async () => JSON.stringify(await this.ids()) === wanted, { message: `rows ${wanted}` });
  }

  /** Waits until this text is visible. */
  async sees(text: string | RegExp): Promise<void> {
    await this.page.getByText(text).first().waitFor();
  }

  /** The open dialog. */
  get dialog(): Locator {
    return this.page.locator('dialog:modal');
  }

  /** Records the requests from now on, as method and path. */
  requests(): string[] {
    const seen: string[] = [];
    this.page.on('request', (request) => seen.push(`${request.method()} ${new URL(request.url()).pathname}`));
    return seen;
  }
}
