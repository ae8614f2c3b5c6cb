import type { BrowserContext, Locator, Page } from 'playwright-core';
import { until } from '../../support/wait.js';

/** Something must be seen within this time. */
const SEEN_MS = 20_000;

/** A window on the admin UI, and what a reader does in it. */
export class UiPage {
  /** Errors of scripts, violations of the policy, and dialogs that a foreign script has opened. */
  readonly complaints: string[] = [];

  private constructor(
    private readonly context: BrowserContext,
    readonly page: Page,
  ) {}

  static async create(context: BrowserContext, token: string | null): Promise<UiPage> {
    const page = await context.newPage();
    const ui = new UiPage(context, page);
    page.setDefaultTimeout(SEEN_MS);
    page.on('pageerror', (error) => ui.complaints.push(String(error)));
    page.on('console', (message) => {
      if (/Content Security Policy|Refused to/.test(message.text())) ui.complaints.push(message.text());
    });
    page.on('dialog', (dialog) => {
      ui.complaints.push(`a dialog: ${dialog.message()}`);
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

  /** Path and query of the address. */
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

  /** The row of a job in the list. */
  row(id: string): Locator {
    return this.page.locator(`tr[data-id="${id}"]`);
  }

  /** A button in the row of a job. */
  action(id: string, name: string): Locator {
    return this.row(id).getByRole('button', { name, exact: true });
  }

  /** Ids of the rows, from top to bottom. */
  async ids(): Promise<string[]> {
    return this.page.evaluate("[...document.querySelectorAll('tr[data-id]')].map((row) => row.dataset.id)");
  }

  /** Waits until the list shows these jobs, in this order. */
  async shows(ids: readonly string[]): Promise<void> {
    const wanted = JSON.stringify(ids);
    await until(async () => JSON.stringify(await this.ids()) === wanted, { message: `rows ${wanted}` });
  }

  /** Waits until that text is seen. */
  async sees(text: string | RegExp): Promise<void> {
    await this.page.getByText(text).first().waitFor();
  }

  /** The dialog that is open. */
  get dialog(): Locator {
    return this.page.locator('dialog:modal');
  }

  /** What is asked of the API from now on, as method and path. */
  requests(): string[] {
    const seen: string[] = [];
    this.page.on('request', (request) => seen.push(`${request.method()} ${new URL(request.url()).pathname}`));
    return seen;
  }
}
