/** @matrix all */

import { useOneHttpApp } from '../http/support/http-apps.js';
import { quick } from '../support/tier.js';
import { usePages } from './support/browser.js';
import { ADMIN_TOKEN, onlyFastify } from './support/ui-apps.js';

const { kind, adapterKind } = onlyFastify[0]!;

const pages = usePages();

describe('the options of the admin UI', () => {
  const app = useOneHttpApp(kind, adapterKind, {
    options: {
      http: { adminToken: ADMIN_TOKEN, searchPayloads: false },
      ui: {
        title: 'Tea & <b>Coffee</b>',
        environment: { name: 'production', color: '#c2185b' },
        links: [
          { label: 'Logs <i>', url: 'https://logs.example.org/{topic}?q={id}&again={id}' },
          { label: 'Traces', url: 'https://traces.example.org/find?topic={topic}' },
        ],
      },
    },
  });

  quick('name the application and the environment in the bar and in the title of the tab', async () => {
    const ui = await pages.open(`${app().url}/admin/jobs/`, { token: ADMIN_TOKEN });
    await ui.heading('Overview').waitFor();
    expect(await ui.page.locator('header.bar').innerText()).toMatch(/Tea & <b>Coffee<\/b>\s+production/);
    expect(await ui.page.title()).toBe('production · Overview · Jobs · Tea & <b>Coffee</b>');
    const colors = await ui.page.evaluate(
      "['.stripe', '.environment'].map((name) => getComputedStyle(document.querySelector(name)).backgroundColor)",
    );
    expect(colors).toEqual(['rgb(194, 24, 91)', 'rgb(194, 24, 91)']);
  });

  it('link the page of a job to other systems, with its id and topic encoded', async () => {
    const { id } = await app().jobs.enqueue('mail/{id} & "co"?', null);
    const ui = await pages.open(`${app().url}/admin/jobs/jobs/${id}`, { token: ADMIN_TOKEN });
    const link = ui.page.getByRole('link', { name: 'Logs <i>' });
    await link.waitFor();
    const topic = 'mail%2F%7Bid%7D%20%26%20%22co%22%3F';
    expect(await link.getAttribute('href')).toBe(`https://logs.example.org/${topic}?q=${id}&again=${id}`);
    expect(await link.getAttribute('rel')).toBe('noreferrer');
    expect(await link.getAttribute('target')).toBe('_blank');
  });

  it('leave out a link if a topic of dots would change its path', async () => {
    const { id } = await app().jobs.enqueue('..', null);
    const ui = await pages.open(`${app().url}/admin/jobs/jobs/${id}`, { token: ADMIN_TOKEN });
    const link = ui.page.getByRole('link', { name: 'Traces' });
    await link.waitFor();
    expect(await link.getAttribute('href')).toBe('https://traces.example.org/find?topic=..');
    expect(await ui.page.getByRole('link', { name: 'Logs <i>' }).count()).toBe(0);
  });

  it('limit a search: the dialog of a bulk action says that it may not reach all jobs', async () => {
    await app().jobs.enqueueMany(Array.from({ length: 21 }, () => ({ topic: 'found', payload: 1 })));
    const ui = await pages.open(`${app().url}/admin/jobs/jobs?q=found&size=20`, { token: ADMIN_TOKEN });
    await ui.page.getByLabel('Select all jobs of this page').check();
    await ui.button(/^Select all 21/).click();
    await ui.button('Cancel …').click();
    await ui.dialog.getByText('The search does not cover all jobs.').waitFor();
    await ui.dialog.getByRole('button', { name: 'Cancel at least 21 jobs' }).click();
    await ui.dialog.getByText('21 jobs cancelled').waitFor();
  });
});

describe('the time zone of the admin UI', () => {
  const app = useOneHttpApp(kind, adapterKind);

  it('is that of the reader, or UTC for all times and inputs, which is kept', async () => {
    const { id } = await app().jobs.enqueue('later', null, { runAt: new Date('2090-01-01T12:34:56.789Z') });
    const ui = await pages.open(`${app().url}/admin/jobs/jobs/${id}`, {
      token: ADMIN_TOKEN,
      timezoneId: 'Asia/Kathmandu',
    });
    const due = ui.page.locator('time[datetime="2090-01-01T12:34:56.789Z"]').first();
    await due.waitFor();
    expect(await due.getAttribute('title')).toContain('6:19:56.789');
    const choose = async (name: string): Promise<void> => {
      await ui.button('Time zone').click();
      await ui.button(name).click();
    };
    await choose('UTC');
    expect(await due.getAttribute('title')).toMatch(/12:34:56\.789.* UTC/);
    await ui.page.reload();
    await due.waitFor();
    expect(await due.getAttribute('title')).toMatch(/12:34:56\.789.* UTC/);
    await ui.goto(`${app().url}/admin/jobs/jobs?from=2020-01-01T10%3A00%3A00.000Z`);
    const from = ui.page.getByLabel('Created from');
    expect(await from.inputValue()).toBe('2020-01-01T10:00');
    await choose('Local time');
    expect(await from.inputValue()).toBe('2020-01-01T15:45');
    await ui.row(id).getByRole('link').first().click();
    await due.waitFor();
    expect(await due.getAttribute('title')).toContain('6:19:56.789');
  });
});
