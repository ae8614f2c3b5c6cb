/** @matrix all */

import { Injectable } from '@nestjs/common';
import type { JobContext } from 'nestjs-jobs';
import { JobHandler } from 'nestjs-jobs';
import type { Locator } from 'playwright-core';
import type { HttpApp } from '../http/support/http-apps.js';
import { useHttpApps } from '../http/support/http-apps.js';
import { quick } from '../support/tier.js';
import { usePages } from './support/browser.js';
import { ADMIN_TOKEN, onlyFastify } from './support/ui-apps.js';
import type { UiPage } from './support/ui-page.js';

const pages = usePages();

/** Every user may read, and none may act. */
const FOR_READERS = { http: { authenticate: () => ({ id: 'ben', admin: false }), readRule: 'authenticated' as const } };

@Injectable()
class SyncJobs {
  /** Runs until the application stops. */
  @JobHandler('sync', { limits: { concurrency: 2, perKey: 1 } })
  async sync({ signal }: JobContext): Promise<void> {
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
  }
}

const parts = { providers: [SyncJobs], options: { shutdownTimeout: 0 } };

describe.each(onlyFastify)('limits in the admin UI on $database and $adapter', ({ kind, adapterKind }) => {
  const apps = useHttpApps(kind, adapterKind);

  async function open(app: HttpApp, token: string | null = ADMIN_TOKEN): Promise<UiPage> {
    const ui = await pages.open(`${app.url}/admin/jobs/`, { token });
    await syncRow(ui).waitFor();
    return ui;
  }

  const syncRow = (ui: UiPage): Locator =>
    ui.page.getByRole('row').filter({ has: ui.page.getByRole('rowheader', { name: /^sync/ }) });

  const editButton = (ui: UiPage): Locator => syncRow(ui).getByRole('button', { name: 'Limits of sync …' });

  quick('are set and removed by keyboard, and explain why a job waits', async () => {
    const app = await apps.listen(parts);
    const { id } = await app.jobs.enqueue('sync', 1, { concurrencyKey: 'tenant-7' });
    await app.event('started', id);
    const ui = await open(app);
    await syncRow(ui).getByText('1 of 2 running').waitFor();
    await syncRow(ui).getByText('in the code: 1 per key').waitFor();

    await editButton(ui).focus();
    await ui.page.keyboard.press('Enter');
    await ui.dialog.getByLabel('Running at once').focus();
    await ui.page.keyboard.press('Control+A');
    await ui.page.keyboard.type('1');
    await ui.page.keyboard.press('Tab');
    await ui.page.keyboard.press('Delete');
    await ui.page.keyboard.press('Tab');
    await ui.page.keyboard.type('100');
    await ui.dialog.getByLabel('Spread the starts evenly').check();
    await ui.dialog.getByLabel('Starts', { exact: true }).press('Enter');
    await ui.sees('Changed the limits of sync');
    await syncRow(ui).getByText('1 of 1 running').waitFor();
    await syncRow(ui).getByText('by an operator: 100 starts in 1 min, evenly').waitFor();
    expect(await ui.page.evaluate('document.activeElement.ariaLabel')).toBe('Limits of sync …');
    expect(await app.jobs.limits.get('sync')).toEqual({
      concurrency: 1,
      rate: { limit: 100, per: 60_000, perKey: false, spread: true },
    });

    const waiting = await app.jobs.enqueue('sync', 2, { concurrencyKey: 'tenant-8' });
    await syncRow(ui).getByText('1 of 1 running, 1 key waits').waitFor();
    await syncRow(ui).getByText('at its limit').waitFor();
    await ui.page.getByRole('link', { name: 'Jobs', exact: true }).click();
    await ui.row(waiting.id).getByText('1 of 1 job of this topic is running · key tenant-8').waitFor();
    await ui.row(id).getByText('key tenant-7').waitFor();

    await ui.page.goBack();
    await editButton(ui).click();
    await ui.dialog.getByText('The code has: 2 running, 1 per key.').waitFor();
    await ui.dialog.getByRole('button', { name: 'Use the limits in the code' }).click();
    await ui.sees('The limits in the code apply to sync again');
    await syncRow(ui).getByText('2 of 2 running').waitFor();
    await syncRow(ui).getByText('in the code: 1 per key').waitFor();
  });

  it('keep what another operator has set while the form was open', async () => {
    const app = await apps.listen(parts);
    const ui = await open(app);
    await editButton(ui).click();
    await ui.dialog.getByLabel('Running per key').fill('4');
    await app.jobs.limits.set('sync', { concurrency: 7, perKey: 1 });
    await ui.dialog.getByRole('button', { name: 'Save' }).click();
    await ui.dialog.getByText('The limits have changed since you opened this form: 7 running, 1 per key.').waitFor();
    expect(await ui.dialog.getByLabel('Running at once').inputValue()).toBe('7');
    await ui.dialog.getByRole('button', { name: 'Save' }).click();
    await ui.sees('Changed the limits of sync');
    expect(await app.jobs.limits.get('sync')).toEqual({ concurrency: 7, perKey: 4 });
  });

  it('are not changed by wrong input; the form shows the error at the field', async () => {
    const app = await apps.listen(parts);
    const ui = await open(app);
    await editButton(ui).click();
    await ui.dialog.getByLabel('Running at once').fill('10001');
    await ui.dialog.getByLabel('Starts', { exact: true }).fill('5');
    await ui.dialog.getByLabel('In any').fill('');
    await ui.dialog.getByRole('button', { name: 'Save' }).click();
    const findComplaint = (label: string): Locator =>
      ui.dialog.locator('label').filter({ hasText: label }).getByRole('alert');
    await findComplaint('Running at once').getByText('expected a whole number from 1 to 10000').waitFor();
    await findComplaint('In any').getByText('expected a duration').waitFor();
    // The API has not checked the new value yet.
    await ui.dialog.getByLabel('Running at once').fill('10000');
    await ui.dialog.getByRole('alert').first().waitFor({ state: 'detached' });
    expect(await app.jobs.limits.get('sync')).toEqual({ concurrency: 2, perKey: 1 });
  });

  it('are visible to a user with read access, without a form', async () => {
    const app = await apps.listen({ ...parts, options: { ...parts.options, ...FOR_READERS } });
    const ui = await open(app, null);
    await syncRow(ui).getByText('0 of 2 running').waitFor();
    expect(await syncRow(ui).getByRole('button').count()).toBe(0);
  });
});
