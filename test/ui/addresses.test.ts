import { until } from '../support/wait.js';
import { useHttpApps, useOneHttpApp } from '../http/support/http-apps.js';
import { usePages } from './support/browser.js';
import { ADMIN_TOKEN, onePlace, places } from './support/ui-apps.js';
import type { UiPage } from './support/ui-page.js';

const pages = usePages();

describe.each(onePlace)('addresses of the admin UI on $database and $adapter', ({ kind, adapterKind }) => {
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

  it('keep the filters, and give them back on reload', async () => {
    const ui = await open('jobs');
    await ui.page.getByLabel('Topic', { exact: true }).selectOption('blue');
    await ui.shows(ids.blue);
    await ui.page.getByRole('button', { name: 'pending', exact: true }).click();
    await ui.shows(ids.blue.slice(1));
    expect(ui.address).toBe('/admin/jobs/jobs?status=pending&topic=blue');

    await ui.page.reload();
    await ui.shows(ids.blue.slice(1));
  });

  it('hold whether jobs are due', async () => {
    const { id } = await app().jobs.enqueue('blue', { index: 3 }, { delay: '1d' });
    const ui = await open('jobs?topic=blue');
    await ui.shows([id, ...ids.blue]);
    await ui.button('not due yet').click();
    await ui.shows([id]);
    expect(ui.address).toBe('/admin/jobs/jobs?topic=blue&due=false');
    await ui.page.reload();
    await ui.shows([id]);
    await ui.page.getByRole('button', { name: 'due', exact: true }).click();
    await ui.shows(ids.blue.slice(1));
    await ui.page.getByRole('button', { name: 'cancelled', exact: true }).click();
    await ui.shows([id, ...ids.blue]);
    expect(ui.address).toBe('/admin/jobs/jobs?status=pending&status=cancelled&topic=blue');
    await app().jobs.delete(id);
  });

  it('follow what is searched for', async () => {
    const ui = await open('jobs');
    await ui.page.getByRole('searchbox').fill(ids.red[100]!);
    await ui.shows([ids.red[100]!]);
    expect(ui.address).toBe(`/admin/jobs/jobs?q=${ids.red[100]}`);
    await ui.page.getByRole('searchbox').fill('nothing has this');
    await ui.sees('No job matches');
    await ui.button('Show all jobs').click();
    await until(async () => (await ui.ids()).length === 50);
  });

  it('hold what is typed when another filter is chosen at once', async () => {
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

  it('hold the span of time', async () => {
    const ui = await open('jobs');
    await ui.page.getByLabel('Created from').fill('2001-01-01T10:00');
    await ui.page.getByLabel('Created before').fill('2002-01-01T10:00');
    await ui.sees('No job matches');
    expect(ui.address).toBe('/admin/jobs/jobs?from=2001-01-01T10%3A00&to=2002-01-01T10%3A00');
    await ui.button('Clear').click();
    await until(async () => (await ui.ids()).length === 50);
  });

  it('are left and found again with the browser’s own buttons', async () => {
    const ui = await open('jobs?topic=blue');
    await ui.row(ids.blue[1]!).getByRole('link').click();
    await ui.heading('blue').waitFor();
    expect(ui.address).toBe(`/admin/jobs/jobs/${ids.blue[1]}`);
    await ui.page.goBack();
    await ui.shows(ids.blue);
    await ui.page.goForward();
    await ui.heading('blue').waitFor();
  });

  it('lead from page to page and back', async () => {
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

  it('take 200 rows', async () => {
    const ui = await open('jobs?topic=red');
    await ui.page.getByLabel('Rows').selectOption('200');
    await ui.shows(ids.red.slice(0, 200));
    expect(ui.address).toBe('/admin/jobs/jobs?topic=red&size=200');
    await ui.button('Next').click();
    await ui.shows(ids.red.slice(200));
  });

  it('lead from each count to the jobs behind it', async () => {
    const ui = await open('');
    await ui.page.getByRole('list', { name: 'Jobs by status' }).getByRole('link', { name: 'cancelled' }).click();
    await ui.shows([ids.blue[0]!]);
    await ui.page.goBack();
    await ui.page.getByRole('row', { name: /^blue/ }).getByRole('link', { name: 'blue' }).click();
    await ui.shows(ids.blue);
  });

  it('of what is not there say so', async () => {
    const ui = await open('jobs/00000000-0000-7000-8000-000000000000');
    await ui.heading('There is no such job').waitFor();
    await ui.goto(`${app().url}/admin/jobs/nowhere/at/all`);
    await ui.heading('There is no such page').waitFor();
  });

  it('may lack the last slash', async () => {
    const ui = await pages.open(`${app().url}/admin/jobs`, { token: ADMIN_TOKEN });
    await ui.heading('Overview').waitFor();
    await ui.page.getByRole('link', { name: 'Jobs', exact: true }).click();
    await until(async () => (await ui.ids()).length === 50);
    expect(ui.address).toBe('/admin/jobs/jobs');
  });
});

describe.each(places)('the admin UI elsewhere, on $adapter', ({ kind, adapterKind }) => {
  const apps = useHttpApps(kind, adapterKind);

  it.each(['', '/', '/jobs', '/errors'])('works at /ops/queue behind the prefix /v1, from %s', async (path) => {
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

  it('works when the prefix is not its own', async () => {
    const exclude = ['admin/jobs', 'admin/jobs/{*path}'];
    const app = await apps.listen({ before: (nest) => nest.setGlobalPrefix('v1', { exclude }) });
    const ui = await pages.open(`${app.url}/admin/jobs/jobs`, { token: ADMIN_TOKEN });
    await ui.sees('No jobs yet');
  });
});
