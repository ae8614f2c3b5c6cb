/** @matrix all */

import { UnrecoverableError } from 'nestjs-jobs';
import type { Locator } from 'playwright-core';
import { useOneHttpApp } from '../http/support/http-apps.js';
import { quick } from '../support/tier.js';
import { until } from '../support/wait.js';
import type { PageOptions } from './support/browser.js';
import { usePages } from './support/browser.js';
import { ADMIN_TOKEN, onlyFastify } from './support/ui-apps.js';
import type { UiPage } from './support/ui-page.js';

const { kind, adapterKind } = onlyFastify[0]!;

const pages = usePages();

describe('groups and linked jobs in the admin UI', () => {
  const app = useOneHttpApp(kind, adapterKind, {
    handlers: {
      resize: () => 'done',
      scan: (job) => {
        if (job.attempt === 1) throw new UnrecoverableError('scanner is off');
      },
    },
    options: { topics: ['resize', 'scan'] },
  });
  const viewed = useOneHttpApp(kind, adapterKind, {
    options: {
      role: 'producer',
      http: { authenticate: () => ({ id: 'ben', admin: false }), readRule: 'authenticated' },
    },
  });

  async function open(path: string, options: PageOptions = {}): Promise<UiPage> {
    const ui = await pages.open(`${app().url}/admin/jobs/${path}`, { token: ADMIN_TOKEN, ...options });
    await ui.button(/^Live/).waitFor();
    return ui;
  }

  const link = (ui: UiPage, name: string | RegExp): Locator => ui.page.getByRole('link', { name, exact: true });

  const row = (ui: UiPage, name: string): Locator => ui.page.getByRole('listitem').filter({ has: link(ui, name) });

  const members = (ui: UiPage): Locator => ui.page.getByRole('region', { name: 'Members of the group' });

  quick('lists groups, shows one with its members and callbacks, and cancels it', async () => {
    const { jobs } = app();
    const done = await jobs.enqueueGroup([{ topic: 'resize', payload: 1 }], { name: 'done' });
    const topics = ['resize', 'resize', 'scan', 'publish', 'publish'];
    const nightly = await jobs.enqueueGroup(
      topics.map((topic) => ({ topic, payload: 1 })),
      { name: 'nightly', onFinish: { topic: 'report', payload: 1 }, onFailure: { topic: 'alert', payload: 1 } },
    );
    await until(async () => (await jobs.group(nightly.id))?.completed === 2, { message: 'the completed members' });
    await until(async () => (await jobs.group(done.id))?.finished, { message: 'the end of the group' });
    await app().event('failed');

    const ui = await open('');
    await link(ui, 'Groups').click();
    await row(ui, 'nightly').getByText('3 of 5 ended · 2 pending · 2 completed · 1 failed').waitFor();
    await row(ui, 'nightly').getByText('not yet').waitFor();
    await row(ui, 'done').getByRole('img', { name: '1 of 1 ended: 1 completed' }).waitFor();
    const { id: later } = await jobs.enqueueGroup([], { name: 'later' });
    await jobs.enqueue('publish', 2);
    await ui.button('Show 1 new').click();
    expect(await ui.page.getByRole('listitem').getByRole('link').allInnerTexts()).toEqual(['later', 'nightly', 'done']);
    await row(ui, 'later').getByText('no jobs').waitFor();

    await ui.page.getByLabel('Only unfinished groups').check();
    await row(ui, 'done').waitFor({ state: 'detached' });
    expect(ui.address).toBe('/admin/jobs/groups?finished=false');
    await link(ui, 'nightly').click();
    await ui.heading('nightly').waitFor();
    await members(ui).locator('tbody tr').nth(4).waitFor();
    const callback = (topic: string): Locator => ui.page.getByRole('listitem').filter({ has: link(ui, topic) });
    await callback('report').getByText('blocked').waitFor();
    await callback('report').getByText('Starts when all jobs have ended').waitFor();
    await callback('alert').getByText('pending').waitFor();

    await link(ui, /^failed/).click();
    await members(ui).getByText('scanner is off').waitFor();
    expect(await ui.ids()).toEqual([nightly.jobs[2]!.id]);
    expect(ui.address).toBe(`/admin/jobs/groups/${nightly.id}?status=failed`);
    await link(ui, 'Show all').click();

    await ui.button('Cancel group').click();
    await ui.dialog.getByText('2 jobs will not start. Finished work is not undone.').waitFor();
    await ui.dialog.getByRole('button', { name: 'Cancel', exact: true }).click();
    expect(await jobs.group(nightly.id)).toMatchObject({ cancelled: 0 });
    await ui.button('Cancel group').click();
    await ui.dialog.getByRole('button', { name: 'Cancel group' }).click();
    await ui.sees('5 of 5 ended');
    await ui.button('Cancel group').waitFor({ state: 'detached' });
    expect(await jobs.group(nightly.id)).toMatchObject({ cancelled: 2 });
    await callback('report').getByText('pending').waitFor();
    await ui.goto(`${app().url}/admin/jobs/groups/${later.replace(/.{4}$/, '0000')}`);
    await ui.heading('There is no such group').waitFor();
  });

  it('draws linked jobs, and re-queues those that were cancelled because of a parent', async () => {
    const [scan, crop, mail, publish] = await app().jobs.enqueueMany([
      { ref: 'scan', topic: 'scan', payload: 1 },
      { ref: 'crop', topic: 'crop', payload: 1, dependsOn: ['scan'] },
      { ref: 'mail', topic: 'mail', payload: 1, dependsOn: ['scan'] },
      { topic: 'publish', payload: 1, dependsOn: ['crop', 'mail'] },
    ]);
    await app().event('failed', scan!.id);
    const ui = await open(`jobs/${scan!.id}`, { colorScheme: 'dark' });
    const graph = ui.page.getByRole('group', { name: /^Graph of linked jobs/ });
    const node = (job: { id: string } | undefined, status: string): Locator =>
      graph.getByRole('link', { name: new RegExp(`${status} ${job!.id.slice(-8)}`) });
    await node(scan, 'failed').waitFor();
    expect(await node(scan, 'failed').getAttribute('aria-label')).toMatch(/^scan failed \w+, this job$/);
    await node(publish, 'cancelled').waitFor();

    await node(scan, 'failed').focus();
    for (const key of ['ArrowRight', 'ArrowDown', 'ArrowRight']) await ui.page.keyboard.press(key);
    expect(await ui.page.evaluate('document.activeElement.ariaLabel')).toContain(publish!.id.slice(-8));
    await ui.button('List').click();
    const line = ui.page
      .getByRole('listitem')
      .filter({ hasText: publish!.id.slice(-8) })
      .last();
    await line.getByText(/^after (crop|mail) …\w+, (crop|mail) …\w+$/).waitFor();
    await ui.button('Graph').click();

    await ui.page.keyboard.press('r');
    await ui.dialog.getByLabel('Also re-queue the jobs that were cancelled because this job failed').waitFor();
    await ui.dialog.getByRole('button', { name: 'Re-queue' }).click();
    await node(scan, 'completed').waitFor();
    await node(crop, 'pending').waitFor();
    await node(publish, 'blocked').waitFor();
    await node(mail, 'pending').press('Enter');
    await ui.heading('mail').waitFor();
    expect(ui.address).toBe(`/admin/jobs/jobs/${mail!.id}`);
  });

  it('shows for what a blocked job waits, and does not offer to run it', async () => {
    const { id, jobs } = await app().jobs.enqueueGroup(
      [
        { ref: 'a', topic: 'upload', payload: 1 },
        { ref: 'b', topic: 'convert', payload: 1, dependsOn: ['a'] },
      ],
      { onFinish: { topic: 'tidy', payload: 1 } },
    );
    const [parent, child] = jobs;
    const ui = await open('jobs?topic=convert&topic=upload&topic=tidy');
    await ui.row(child!.id).getByText('blocked', { exact: true }).waitFor();
    expect(await ui.action(child!.id, 'Run now').count()).toBe(0);
    expect(await ui.action(child!.id, 'Cancel').count()).toBe(1);
    await link(ui, /^tidy/).click();
    await ui.page.getByText('Waits for its group').waitFor();

    await ui.goto(`${app().url}/admin/jobs/jobs/${child!.id}`);
    const parents = ui.page.getByRole('region', { name: 'Waits for 1 job:' });
    await parents.getByText('pending').waitFor();
    expect(await ui.page.getByRole('button', { name: 'Run now' }).count()).toBe(0);
    expect(await ui.page.getByText('Due', { exact: true }).locator('..').innerText()).toMatch(/–$/);
    await parents.getByRole('link').click();
    await ui.heading('upload').waitFor();
    await ui.page.getByRole('button', { name: 'Cancel', exact: true }).click();
    await ui.button('Undo').click();
    await ui.sees('Re-queued upload');
    await ui.page
      .getByRole('group', { name: /^Graph/ })
      .getByRole('link', { name: /^convert blocked/ })
      .click();
    await parents.waitFor();
    await app().jobs.cancel(parent!.id);
    await parents.waitFor({ state: 'detached' });
    await ui.sees('cancelled');
    await link(ui, `…${id.slice(-8)}`).click();
    await ui.heading(`Group …${id.slice(-6)}`).waitFor();
  });

  it('shows a user with read access no action', async () => {
    const { id } = await viewed().jobs.enqueueGroup([{ topic: 'mail', payload: 1 }], { name: 'seen' });
    const ui = await pages.open(`${viewed().url}/admin/jobs/groups/${id}`);
    await ui.heading('seen').waitFor();
    await members(ui).locator('tbody tr').waitFor();
    expect(await ui.page.getByRole('button', { name: /Cancel|Delete|Run now/ }).count()).toBe(0);
  });
});
