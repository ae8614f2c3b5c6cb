/** @matrix all */

import { UnrecoverableError } from 'nestjs-jobs';
import { useOneHttpApp } from '../http/support/http-apps.js';
import { quick } from '../support/tier.js';
import { usePages } from './support/browser.js';
import { ADMIN_TOKEN, onlyExpress } from './support/ui-apps.js';
import type { UiPage } from './support/ui-page.js';

const pages = usePages();

const MARKUP = '<img src=x onerror=alert(1)><script>alert(2)</script>';
const LINK = 'javascript:alert(3)';
const TURNED = 'left\u202ethgir\u2066\u200b';
const TOPIC = `${MARKUP} ${TURNED}`;
const LONG = 'x'.repeat(200_000);
const PAYLOAD = { [MARKUP]: MARKUP, link: LINK, turned: TURNED, long: LONG, escape: '\\u0000 \u0001', __html: MARKUP };

describe.each(onlyExpress)('hostile text in the admin UI on $database and $adapter', ({ kind, adapterKind }) => {
  const app = useOneHttpApp(kind, adapterKind, {
    handlers: {
      [TOPIC]: async (job) => {
        await job.progress({ done: MARKUP, link: LINK });
        const error = new UnrecoverableError(`${MARKUP} ${LINK} ${TURNED}\u0000 ${'y'.repeat(20_000)}`);
        error.stack = `${MARKUP}\n    at ${MARKUP} (${LINK}:1:1)`;
        throw error;
      },
    },
  });
  let id: string;

  beforeAll(async () => {
    ({ id } = await app().jobs.enqueue(TOPIC, PAYLOAD, { metadata: { [MARKUP]: TURNED }, uniqueKey: MARKUP }));
    await app().event('failed', id);
  });

  const open = (path: string): Promise<UiPage> => pages.open(`${app().url}/admin/jobs/${path}`, { token: ADMIN_TOKEN });

  /** Expects that the text created no element and that the page fits a phone. Scripts that ran fail the test in `usePages`. */
  async function expectTextOnly(ui: UiPage): Promise<void> {
    expect(await ui.page.locator('img, #app script, a[href^="javascript:"]').count()).toBe(0);
    const text = await ui.page.evaluate<string>('document.body.innerText + document.title');
    expect(text).toContain('<img src=x onerror=alert(1)>');
    // eslint-disable-next-line no-control-regex -- invisible characters must be shown as escapes
    expect(text).not.toMatch(/[\u202e\u2066\u200b\u0000\u0001]/);
    await ui.page.setViewportSize({ width: 390, height: 760 });
    const isCutOff = await ui.page.evaluate<boolean>(
      'document.documentElement.scrollWidth > document.documentElement.clientWidth',
    );
    expect(isCutOff).toBe(false);
  }

  it('is plain text on the overview', async () => {
    const ui = await open('');
    await ui.page.getByRole('row', { name: /onerror/ }).waitFor();
    await expectTextOnly(ui);
  });

  quick('is plain text in the list and its filters', async () => {
    const ui = await open(`jobs?topic=${encodeURIComponent(TOPIC)}&q=${encodeURIComponent(MARKUP)}`);
    await ui.row(id).waitFor();
    await expectTextOnly(ui);
  });

  quick('is plain text on the page of the job, shortened', async () => {
    const ui = await open(`jobs/${id}`);
    await ui.sees('… all 200,000 characters');
    await expectTextOnly(ui);
    expect((await ui.page.evaluate<string>('document.body.innerText')).length).toBeLessThan(30_000);
    await ui.button('… all 200,000 characters').click();
    await ui.page.getByText(LONG.slice(0, 150_000)).waitFor();
  });

  it('is plain text on the errors', async () => {
    const ui = await open('errors');
    await ui.page.locator('.message').waitFor();
    await expectTextOnly(ui);
  });

  it('is plain text in messages and forms', async () => {
    const ui = await open(`jobs/${id}`);
    await ui.button('Edit …').click();
    expect(JSON.parse(await ui.dialog.getByLabel('Payload').inputValue())).toEqual(PAYLOAD);
    await ui.page.keyboard.press('Escape');
    await ui.button('Delete').click();
    await ui.sees(/^Deleting <img/);
    await ui.button('Undo').click();
    await expectTextOnly(ui);
  });
});
