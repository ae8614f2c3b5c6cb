/** @matrix all */

import { useOneHttpApp } from '../http/support/http-apps.js';
import { quick } from '../support/tier.js';
import { until } from '../support/wait.js';
import { usePages } from './support/browser.js';
import { ADMIN_TOKEN, onlyFastify } from './support/ui-apps.js';
import type { UiPage } from './support/ui-page.js';

const { kind, adapterKind } = onlyFastify[0]!;

const JOBS = 50;
const pages = usePages();

describe('during a total outage, with the default options, the admin UI', () => {
  const app = useOneHttpApp(kind, adapterKind, {
    handlers: {
      charge_card: () => {
        throw new Error('connect ECONNREFUSED');
      },
      quiet: () => 'done',
    },
  });

  beforeAll(async () => {
    await app().jobs.topics.pause('quiet');
    await app().jobs.enqueueMany(Array.from({ length: JOBS }, (_, payload) => ({ topic: 'charge_card', payload })));
    await app().jobs.enqueue('quiet', 1);
    await until(async () => {
      const { items } = (
        await app().api.get<{ items: { topic: string; retrying: number; recent: object }[] }>('/topics')
      ).body;
      const failing = items.find(({ topic }) => topic === 'charge_card');
      return failing?.retrying === JOBS && JSON.stringify(failing.recent).includes(`${JOBS}`);
    });
  });

  const open = (path: string): Promise<UiPage> => pages.open(`${app().url}/admin/jobs/${path}`, { token: ADMIN_TOKEN });
  const strip = (ui: UiPage) => ui.page.getByRole('region', { name: 'Needs attention' });

  quick('says so on the overview, in the title and the icon of the tab', async () => {
    const ui = await open('');
    await strip(ui)
      .getByText(/^charge_card: 100 % of 50 attempts failed in the last 5 minutes, 50 retrying, next in/)
      .waitFor();
    await strip(ui)
      .getByText(/^quiet: 1 job waiting, paused /)
      .waitFor();
    expect(await ui.page.title()).toBe('⚠ Overview · Jobs');
    await until(async () =>
      String(await ui.page.evaluate(`document.querySelector('link[rel=icon]').href`)).endsWith('icon-alert.svg'),
    );
    const tiles = ui.page.getByRole('list', { name: 'Jobs by status' });
    expect(await tiles.getByRole('link', { name: /^retrying/ }).innerText()).toMatch(/50$/);
    const rows = ui.page.getByRole('table', { name: 'Topics' }).getByRole('row');
    expect((await rows.nth(1).innerText()).split(/\s+/).slice(0, 3)).toEqual(['charge_card', '50', '50']);

    await ui.page.getByRole('region', { name: 'Throughput' }).getByRole('button', { name: 'Table' }).click();
    const chart = ui.page.getByRole('region', { name: 'Throughput as a table' });
    await chart.getByRole('cell', { name: '50', exact: true }).first().waitFor();
    await chart.getByRole('columnheader', { name: 'Retrying' }).waitFor();
  });

  it('says so in the list of jobs', async () => {
    const ui = await open('jobs');
    await ui.page.getByRole('row').nth(2).getByText('retrying', { exact: true }).waitFor();
    await ui.page.getByRole('group', { name: 'Status' }).getByRole('button', { name: 'retrying' }).click();
    await until(() => ui.address.endsWith('?status=retrying'));
    await ui.sees(/of 50/);
    await until(async () => (await ui.page.title()) === '⚠ Jobs: retrying');
  });

  it('shows the errors, and retries their jobs on request', async () => {
    const ui = await open('errors');
    await ui.sees('50 retrying, grouped by topic and error.');
    await ui.page.getByRole('listitem').getByText('50 will be tried again').waitFor();
    await ui.page.getByRole('listitem').getByRole('link', { name: 'connect ECONNREFUSED' }).click();
    await ui.sees(/of 50/);

    await ui.page.goto(`${app().url}/admin/jobs/`);
    await strip(ui).getByRole('button', { name: 'Resume' }).click();
    await strip(ui).getByText('quiet').waitFor({ state: 'detached' });
    await strip(ui).getByRole('button', { name: 'Retry now …' }).click();
    await ui.dialog.getByRole('button', { name: 'Run 50 jobs' }).click();
    await until(async () => {
      const { items } = await app().jobs.list({ topic: 'charge_card', limit: 200 });
      return items.every(({ retries }) => retries === 2);
    });
  });
});
