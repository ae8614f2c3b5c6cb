/** @matrix all */

import { UnrecoverableError } from 'nestjs-jobs';
import { useOneHttpApp } from '../http/support/http-apps.js';
import { quick } from '../support/tier.js';
import { until } from '../support/wait.js';
import { usePages } from './support/browser.js';
import { ADMIN_TOKEN, onlyFastify } from './support/ui-apps.js';

const { kind, adapterKind } = onlyFastify[0]!;

const pages = usePages();

describe('keys of the admin UI', () => {
  const app = useOneHttpApp(kind, adapterKind, {
    handlers: {
      broken: () => {
        throw new UnrecoverableError('printer on fire');
      },
    },
    options: { topics: ['broken'] },
  });
  let ids: string[];

  beforeAll(async () => {
    const jobs = await app().jobs.enqueueMany([1, 2, 3].map((payload) => ({ topic: 'broken', payload })));
    ids = jobs.map(({ id }) => id).reverse();
    for (const id of ids) await app().event('failed', id);
  });

  quick('move through the list, open, select, search and re-queue', async () => {
    const ui = await pages.open(`${app().url}/admin/jobs/jobs`, { token: ADMIN_TOKEN });
    await ui.shows(ids);
    for (const key of ['j', 'j', 'j', 'k']) await ui.page.keyboard.press(key);
    await ui.page.keyboard.press('x');
    expect(await ui.row(ids[1]!).getByRole('checkbox').isChecked()).toBe(true);
    await ui.page.keyboard.press('r');
    await ui.dialog.getByRole('button', { name: 'Re-queue' }).click();
    await app().event('failed', ids[1], 2);

    await ui.page.keyboard.press('Enter');
    await ui.heading('broken').and(ui.page.locator(':focus')).waitFor();
    expect(ui.address).toBe(`/admin/jobs/jobs/${ids[1]}`);
    await ui.page.locator('.timeline').getByText('Failed: the error allows no retry').waitFor();
    await ui.page.keyboard.press('r');
    await ui.dialog.getByRole('button', { name: 'Re-queue' }).click();
    await app().event('failed', ids[1], 3);
    await ui.page.keyboard.press('n');
    await until(() => ui.address === `/admin/jobs/jobs/${ids[2]}`);

    await ui.page.keyboard.press('2');
    await ui.shows(ids);
    await ui.page.keyboard.press('/');
    await ui.page.keyboard.type('fire');
    await until(() => ui.address === '/admin/jobs/jobs?q=fire');
  });

  quick('find a page from every screen, also from a field', async () => {
    const ui = await pages.open(`${app().url}/admin/jobs/`, { token: ADMIN_TOKEN });
    const field = ui.dialog.getByRole('combobox', { name: 'Find a page' });
    const options = ui.dialog.getByRole('option');
    await ui.heading('Overview').waitFor();
    await ui.button(/^Live/).waitFor();
    await ui.page.keyboard.press('/');
    await field.fill('brok');
    await options.filter({ hasText: 'broken' }).waitFor();
    await ui.page.keyboard.press('Enter');
    await until(() => ui.address === '/admin/jobs/topics/broken');

    await ui.page.keyboard.press('2');
    await ui.shows(ids);
    await ui.page.keyboard.press('/');
    await ui.page.keyboard.press('Control+k');
    await field.fill(ids[1]!);
    await options.filter({ hasText: ids[1]! }).first().waitFor();
    await ui.page.keyboard.press('Enter');
    await until(() => ui.address === `/admin/jobs/jobs/${ids[1]}`);

    await ui.page.keyboard.press('Control+k');
    await field.fill('fire');
    await options.filter({ hasText: 'Search all jobs for “fire”' }).waitFor();
    await ui.page.keyboard.press('ArrowUp');
    await ui.page.keyboard.press('Enter');
    await until(() => ui.address === '/admin/jobs/jobs?q=fire');
  });

  it('are listed and can be disabled', async () => {
    const ui = await pages.open(`${app().url}/admin/jobs/`, { token: ADMIN_TOKEN });
    await ui.heading('Overview').waitFor();
    await ui.page.keyboard.press('?');
    await ui.dialog.getByText('Overview').waitFor();
    await ui.dialog.getByLabel('Enable keyboard shortcuts').uncheck();
    await ui.page.keyboard.press('Escape');
    await ui.page.keyboard.press('3');
    await ui.page.keyboard.press('?');
    expect(await ui.dialog.count()).toBe(0);
    expect(ui.address).toBe('/admin/jobs/');
  });

  it('are ignored during text input', async () => {
    const ui = await pages.open(`${app().url}/admin/jobs/jobs`, { token: ADMIN_TOKEN });
    await ui.shows(ids);
    await ui.page.keyboard.press('/');
    await ui.page.keyboard.type('jk?3r');
    expect(await ui.page.getByRole('searchbox').inputValue()).toBe('jk?3r');
    expect(await ui.dialog.count()).toBe(0);
  });

  it('close a form by Escape, after a confirmation if it has input', async () => {
    const ui = await pages.open(`${app().url}/admin/jobs/`, { token: ADMIN_TOKEN });
    const form = ui.page.getByRole('dialog', { name: 'Enqueue a job' });
    const question = ui.page.getByRole('dialog', { name: 'Discard your changes?' });
    const open = (): Promise<void> => ui.button('Enqueue a job').or(ui.button('Enqueue')).first().click();
    await open();
    await form.waitFor();
    await ui.page.keyboard.press('Escape');
    await form.waitFor({ state: 'detached' });

    await open();
    await form.getByLabel('Delay').fill('2h');
    // A second Escape closes the confirmation, never the form.
    for (let times = 0; times < 3; times += 1) {
      await ui.page.keyboard.press('Escape');
      await question.waitFor();
      await ui.page.keyboard.press('Escape');
      await question.waitFor({ state: 'detached' });
    }
    expect(await form.getByLabel('Delay').inputValue()).toBe('2h');
    await ui.page.keyboard.press('Escape');
    await question.getByRole('button', { name: 'Discard' }).click();
    await form.waitFor({ state: 'detached' });
  });
});
