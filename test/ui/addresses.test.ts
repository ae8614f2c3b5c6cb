/**
 * @matrix all
 * @slow
 */

import { readFileSync } from 'node:fs';
import { quick } from '../support/tier.js';
import { until } from '../support/wait.js';
import { useHttpApps, useOneHttpApp } from '../http/support/http-apps.js';
import { usePages } from './support/browser.js';
import { ADMIN_TOKEN, onlyExpress, everySetup } from './support/ui-apps.js';
import type { UiPage } from './support/ui-page.js';

const pages = usePages();

describe.each(onlyExpress)('addresses of the admin UI on $database and $adapter', ({ kind, adapterKind }) => {
  const app = useOneHttpApp(kind, adapterKind);
  /** Newest first. */
  const ids: Record<'red' | 'blue', string[]> = { red: [], blue: [] };

  const open = (path: string): Promise<UiPage> => pages.open(`${app().url}/admin/jobs/${path}`, { token: ADMIN_TOKEN });

  beforeAll(async () => {
    for (const topic of ['red', 'blue'] as const) {
      const jobs = await app().jobs.enqueueMany(
        Array.from({ length: topic === 'red' ? 230 : 3 }, (_, index) => ({ topic, payload: { index } })),
      );
      ids[topic] = jobs.map(({ id }) => id).reverse();
    }
    await app().jobs.cancel(ids.blue[0]!);
  });

  quick('contain the filters and restore them on reload', async () => {
    const ui = await open('jobs');
    await ui.page.getByLabel('Topic', { exact: true }).selectOption('blue');
    await ui.shows(ids.blue);
    await ui.page.getByRole('button', { name: 'pending', exact: true }).click();
    await ui.shows(ids.blue.slice(1));
    expect(ui.address).toBe('/admin/jobs/jobs?status=pending&topic=blue');

    await ui.page.reload();
    await ui.shows(ids.blue.slice(1));
  });

  it('contain the due filter', async () => {
    const { id } = await app().jobs.enqueue('blue', { index: 3 }, { delay: '1d' });
    const ui = await open('jobs?topic=blue');
    await ui.shows([id, ...ids.blue]);
    await ui.button('scheduled').click();
    await ui.shows([id]);
    expect(ui.address).toBe('/admin/jobs/jobs?topic=blue&due=false');
    await ui.page.reload();
    await ui.shows([id]);
    await ui.page.getByRole('button', { name: 'ready', exact: true }).click();
    await ui.shows(ids.blue.slice(1));
    await ui.page.getByRole('button', { name: 'cancelled', exact: true }).click();
    await ui.shows([id, ...ids.blue]);
    expect(ui.address).toBe('/admin/jobs/jobs?status=pending&status=cancelled&topic=blue');
    await app().jobs.delete(id);
  });

  it('contain the search text', async () => {
    const ui = await open('jobs');
    await ui.page.getByRole('searchbox').fill(ids.red[100]!);
    await ui.shows([ids.red[100]!]);
    expect(ui.address).toBe(`/admin/jobs/jobs?q=${ids.red[100]}`);
    await ui.page.getByRole('searchbox').fill('nothing has this');
    await ui.sees('No job matches');
    await ui.button('Show all jobs').click();
    await until(async () => (await ui.ids()).length === 50);
  });

  it('contain a search for a member of the payload', async () => {
    const ui = await open('jobs');
    await ui.button('Show examples of searches').click();
    await ui.sees('customer.email:ann@example.org');
    await ui.page.getByRole('searchbox').fill('index:100');
    await ui.shows([ids.red[129]!]);
    expect(ui.address).toBe('/admin/jobs/jobs?q=index%3A100');
  });

  it('contain the order and the period of the end', async () => {
    const ui = await open('jobs');
    const period = ui.page.getByLabel('Order and end time');
    await period.selectOption('Last ended first');
    await ui.shows([ids.blue[0]!]);
    expect(ui.address).toBe('/admin/jobs/jobs?order=finished');
    const cancelled = ui.page.getByRole('button', { name: 'cancelled', exact: true });
    await cancelled.click();
    await period.selectOption('Failed in the last 24 hours');
    await ui.shows([ids.blue[0]!]);
    expect(ui.address).toMatch(/^\/admin\/jobs\/jobs\?status=cancelled&ended=\d{4}-[\w%.-]+Z$/);
    await ui.page.reload();
    await ui.shows([ids.blue[0]!]);
    await ui.page.getByRole('button', { name: 'pending', exact: true }).click();
    await until(async () => (await ui.ids()).length === 50);
    expect(ui.address).toBe('/admin/jobs/jobs?status=pending&status=cancelled');
  });

  it('select the jobs of a file', async () => {
    const ui = await open('jobs?topic=blue');
    await ui.shows(ids.blue);
    for (const format of ['CSV', 'JSON']) {
      const [download] = await Promise.all([ui.page.waitForEvent('download'), ui.button(format).click()]);
      const file = readFileSync(await download.path(), 'utf8');
      expect(download.suggestedFilename()).toBe(`jobs.${format.toLowerCase()}`);
      expect(ids.blue.filter((id) => file.includes(id))).toEqual(ids.blue);
      expect(file).not.toContain(ids.red[0]);
    }
  });

  it('contain unsent search text when another filter changes', async () => {
    const ui = await open('jobs');
    await until(async () => (await ui.ids()).length === 50);
    await ui.page.evaluate(`
      const field = document.querySelector('input[type=search]');
      field.value = '${ids.red[100]}';
      field.dispatchEvent(new Event('input', { bubbles: true }));
      document.querySelector('button.status.pending').click();
    `);
    await ui.shows([ids.red[100]!]);
    expect(ui.address).toBe(`/admin/jobs/jobs?status=pending&q=${ids.red[100]}`);
    await ui.button('Clear').click();
    await until(async () => (await ui.ids()).length === 50);
    expect(await ui.page.getByRole('searchbox').inputValue()).toBe('');
  });

  it('contain the time range', async () => {
    const ui = await open('jobs');
    await ui.page.getByLabel('Created from').fill('2001-01-01T10:00');
    await ui.page.getByLabel('Created before').fill('2002-01-01T10:00');
    await ui.sees('No job matches');
    const [from, to] = ['2001', '2002'].map((year) =>
      encodeURIComponent(new Date(`${year}-01-01T10:00`).toISOString()),
    );
    expect(ui.address).toBe(`/admin/jobs/jobs?from=${from}&to=${to}`);
    await ui.button('Clear').click();
    await until(async () => (await ui.ids()).length === 50);
  });

  it('work with the back and forward buttons of the browser', async () => {
    const ui = await open('jobs?topic=blue');
    await ui.row(ids.blue[1]!).getByRole('link').click();
    await ui.heading('blue').waitFor();
    expect(ui.address).toBe(`/admin/jobs/jobs/${ids.blue[1]}`);
    await ui.page.goBack();
    await ui.shows(ids.blue);
    await ui.page.goForward();
    await ui.heading('blue').waitFor();
  });

  it('lead back to the row and the scroll position that the user has left', async () => {
    const ui = await open('jobs?topic=red');
    await ui.shows(ids.red.slice(0, 50));
    const link = ui.row(ids.red[40]!).getByRole('link');
    await link.scrollIntoViewIfNeeded();
    const top = await ui.page.evaluate<number>('scrollY');
    expect(top).toBeGreaterThan(0);
    await link.click();
    await ui.heading('red').waitFor();
    await ui.button('Next job').click();
    await until(() => ui.address === `/admin/jobs/jobs/${ids.red[41]}`);
    await ui.page.getByRole('link', { name: 'Back to the list' }).click();
    await until(() => ui.page.evaluate<boolean>(`scrollY === ${top}`));
    const focused = `document.activeElement.closest('tr')?.dataset.id === '${ids.red[41]}'`;
    await until(() => ui.page.evaluate<boolean>(focused));
    expect(ui.address).toBe('/admin/jobs/jobs?topic=red');
  });

  it('with a cursor that the API refuses show the first page', async () => {
    const ui = await open('jobs?topic=blue&cursor=cut-off');
    await ui.shows(ids.blue);
    await ui.sees('This is the first page');
    expect(ui.address).toBe('/admin/jobs/jobs?topic=blue');

    await ui.goto(`${app().url}/admin/jobs/groups?finished=false&before=cut-off`);
    await ui.page.getByRole('heading', { name: 'No unfinished groups' }).waitFor();
    await ui.sees('This is the first page');
    expect(ui.address).toBe('/admin/jobs/groups?finished=false');
  });

  it('contain the page of the list', async () => {
    const ui = await open('jobs?topic=red');
    await ui.shows(ids.red.slice(0, 50));
    await ui.sees('1–50 of 230');
    await ui.button('Next').click();
    await ui.shows(ids.red.slice(50, 100));
    await ui.sees('51–100 of 230');
    await ui.page.reload();
    await ui.shows(ids.red.slice(50, 100));
    await ui.button('Next').click();
    await ui.shows(ids.red.slice(100, 150));
    await ui.button('Previous').click();
    await ui.shows(ids.red.slice(50, 100));
    await ui.button('Newest').click();
    await ui.shows(ids.red.slice(0, 50));
  });

  it('contain a page size of 200', async () => {
    const ui = await open('jobs?topic=red');
    await ui.page.getByLabel('Rows').selectOption('200');
    await ui.shows(ids.red.slice(0, 200));
    expect(ui.address).toBe('/admin/jobs/jobs?topic=red&size=200');
    await ui.button('Next').click();
    await ui.shows(ids.red.slice(200));
  });

  it('of counts lead to the counted jobs, and those of topics to their page', async () => {
    const ui = await open('');
    await ui.page.getByRole('list', { name: 'Jobs by status' }).getByRole('link', { name: 'cancelled' }).click();
    await ui.shows([ids.blue[0]!]);
    await ui.page.goBack();
    await ui.page.getByRole('row', { name: /^blue/ }).getByRole('link', { name: 'blue' }).click();
    await ui.heading('blue').waitFor();
    expect(ui.address).toBe('/admin/jobs/topics/blue');
  });

  it('that do not exist show a message', async () => {
    const ui = await open('jobs/00000000-0000-7000-8000-000000000000');
    await ui.heading('There is no such job').waitFor();
    await ui.goto(`${app().url}/admin/jobs/nowhere/at/all`);
    await ui.heading('There is no such page').waitFor();
  });

  it('work without the trailing slash', async () => {
    const ui = await pages.open(`${app().url}/admin/jobs`, { token: ADMIN_TOKEN });
    await ui.heading('Overview').waitFor();
    await ui.page.getByRole('link', { name: 'Jobs', exact: true }).click();
    await until(async () => (await ui.ids()).length === 50);
    expect(ui.address).toBe('/admin/jobs/jobs');
  });
});

describe.each(everySetup)('the admin UI at another path, on $adapter', ({ kind, adapterKind }) => {
  const apps = useHttpApps(kind, adapterKind);

  it.each(['', '/', '/jobs', '/errors'])('works at /ops/queue below the prefix /v1, from %s', async (path) => {
    const app = await apps.listen({
      options: { ui: { path: 'ops/queue' }, http: { adminToken: ADMIN_TOKEN, path: 'queue/api' } },
      before: (nest) => nest.setGlobalPrefix('v1'),
    });
    const { id } = await app.jobs.enqueue('later', 1);
    const ui = await pages.open(`${app.url}/v1/ops/queue${path}`, { token: ADMIN_TOKEN });
    await ui.page.getByRole('link', { name: 'Jobs', exact: true }).click();
    await ui.row(id).getByRole('link').click();
    await ui.heading('later').waitFor();
    expect(ui.address).toBe(`/v1/ops/queue/jobs/${id}`);
    await ui.page.reload();
    await ui.heading('later').waitFor();
  });

  quick('works without the prefix if it is excluded', async () => {
    const exclude = ['admin/jobs', 'admin/jobs/{*path}'];
    const app = await apps.listen({ before: (nest) => nest.setGlobalPrefix('v1', { exclude }) });
    const ui = await pages.open(`${app.url}/admin/jobs/jobs`, { token: ADMIN_TOKEN });
    await ui.sees('No jobs yet');
  });
});
