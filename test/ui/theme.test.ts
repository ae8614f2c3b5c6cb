/** @matrix all */

import type { Locator } from 'playwright-core';
import { UnrecoverableError } from 'nestjs-jobs';
import { useOneHttpApp } from '../http/support/http-apps.js';
import { quick } from '../support/tier.js';
import { usePages } from './support/browser.js';
import { ADMIN_TOKEN, onlyFastify } from './support/ui-apps.js';
import type { UiPage } from './support/ui-page.js';

const { kind, adapterKind } = onlyFastify[0]!;

const pages = usePages();

const LIGHT = 'rgb(246, 246, 248)';
const DARK = 'rgb(17, 18, 21)';

describe('the admin UI', () => {
  const app = useOneHttpApp(kind, adapterKind, {
    handlers: {
      broken: () => {
        throw new UnrecoverableError('printer on fire');
      },
    },
  });

  const background = (ui: UiPage): Promise<string> =>
    ui.page.evaluate('getComputedStyle(document.documentElement).backgroundColor');

  async function choose(ui: UiPage, name: string): Promise<void> {
    await ui.button('Theme').click();
    await ui.button(name).click();
  }

  quick('has the theme of the system until the user chooses another, which is kept', async () => {
    const ui = await pages.open(`${app().url}/admin/jobs/`, { token: ADMIN_TOKEN, colorScheme: 'light' });
    await ui.heading('Overview').waitFor();
    expect(await background(ui)).toBe(LIGHT);
    await ui.page.emulateMedia({ colorScheme: 'dark' });
    expect(await background(ui)).toBe(DARK);

    await choose(ui, 'Light');
    expect(await background(ui)).toBe(LIGHT);
    await ui.page.reload();
    await ui.heading('Overview').waitFor();
    expect(await background(ui)).toBe(LIGHT);

    await choose(ui, 'System');
    expect(await background(ui)).toBe(DARK);
  });

  quick('has the language of the browser until the user chooses another, which is kept', async () => {
    const { id } = await app().jobs.enqueue('broken', 1);
    await app().event('failed', id);
    const ui = await pages.open(`${app().url}/admin/jobs/`, { token: ADMIN_TOKEN, locale: 'zh-CN' });
    await ui.heading('概览').waitFor();
    expect(await ui.page.title()).toBe('概览 · 任务');
    await ui.page.getByRole('link', { name: '任务', exact: true }).click();
    await ui.row(id).getByText('失败').waitFor();
    await ui.page.getByRole('button', { name: '就绪' }).waitFor();
    await ui.row(id).getByRole('link').first().click();
    await ui.page.getByRole('heading', { name: '载荷' }).waitFor();
    await ui.page.getByRole('link', { name: '错误', exact: true }).click();
    await ui.sees('1 个已失败，按主题和错误分组。');
    expect(await ui.page.evaluate('document.documentElement.lang')).toBe('zh-CN');

    await ui.button('语言').click();
    await ui.button('English').click();
    await ui.sees('1 failed, grouped by topic and error.');
    await ui.page.reload();
    await ui.heading('Errors').waitFor();
    expect(await ui.page.evaluate('document.documentElement.lang')).toBe('en');
  });

  it('shows a job and the topics first in a small window, or at a zoom of 200 %', async () => {
    const { id } = await app().jobs.enqueue('later', 1);
    const ui = await pages.open(`${app().url}/admin/jobs/jobs`, {
      token: ADMIN_TOKEN,
      viewport: { width: 640, height: 400 },
    });
    await ui.row(id).waitFor();
    const top = async (locator: Locator): Promise<number> => (await locator.boundingBox())!.y;
    expect((await top(ui.row(id))) + 30).toBeLessThan(400);
    expect(await ui.page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(640);
    await ui.page.getByRole('link', { name: 'Overview' }).click();
    const [topics, charts] = ['Topics', 'Throughput'].map((name) => ui.page.getByRole('region', { name, exact: true }));
    await topics!.getByText('later').waitFor();
    await charts!.waitFor();
    expect(await top(topics!)).toBeLessThan(await top(charts!));
  });
});
