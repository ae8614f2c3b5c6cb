import { until } from '../support/wait.js';
import type { HttpApp } from '../http/support/http-apps.js';
import { useHttpApps } from '../http/support/http-apps.js';
import { TcpProxy } from '../nest/support/tcp-proxy.js';
import { signal } from '../support/wait.js';
import type { Signal } from '../support/wait.js';
import { usePages } from './support/browser.js';
import { ADMIN_TOKEN, places } from './support/ui-apps.js';
import type { UiPage } from './support/ui-page.js';

const pages = usePages();

/** Sums what moved by itself: `layout-shift` without a hand at the page. */
const WATCH_SHIFTS = `
  window.shifts = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts += entry.value;
  }).observe({ type: 'layout-shift', buffered: false });
`;

/** A number that grows in a column aligned to the right begins a little further left; a moved row would count a hundredfold. */
const SHIFT_MAX = 0.0005;

describe.each(places)('the live admin UI on $database and $adapter', ({ kind, adapterKind }) => {
  const apps = useHttpApps(kind, adapterKind);
  let app: HttpApp;
  let end: Signal<void>;

  beforeEach(async () => {
    end = signal();
    app = await apps.listen({ handlers: { work: () => end.promise } });
  });
  afterEach(() => end.resolve());

  async function open(path: string): Promise<UiPage> {
    const ui = await pages.open(`${app.url}/admin/jobs/${path}`, { token: ADMIN_TOKEN });
    await ui.button(/^Live/).waitFor();
    return ui;
  }

  it('counts new jobs instead of moving rows, and shows them when asked', async () => {
    const { id } = await app.jobs.enqueue('later', 1);
    const ui = await open('jobs');
    await ui.shows([id]);
    await ui.page.evaluate(WATCH_SHIFTS);
    const newer = await app.jobs.enqueueMany([1, 2, 3].map((payload) => ({ topic: 'later', payload })));
    await ui.button('3 new').waitFor();
    expect(await ui.ids()).toEqual([id]);
    expect(await ui.page.evaluate('window.shifts')).toBeLessThan(SHIFT_MAX);

    await ui.button('3 new').click();
    await ui.shows([...newer.map((job) => job.id).reverse(), id]);
  });

  it('brings rows up to date where they stand', async () => {
    const { id } = await app.jobs.enqueue('work', 1);
    await app.event('started', id);
    const ui = await open('jobs');
    await ui.row(id).getByText('processing').waitFor();
    await ui.page.evaluate(WATCH_SHIFTS);
    end.resolve();
    await ui.row(id).getByText('completed').waitFor();
    expect(await ui.page.evaluate('window.shifts')).toBeLessThan(SHIFT_MAX);
  });

  it('leaves a row in its place that does not match any more', async () => {
    const jobs = await app.jobs.enqueueMany([1, 2, 3].map((payload) => ({ topic: 'later', payload })));
    const ids = jobs.map((job) => job.id).reverse();
    const ui = await open('jobs?status=pending');
    await ui.shows(ids);
    await app.jobs.cancel(ids[1]!);
    await ui.row(ids[1]!).getByText('no longer here').waitFor();
    expect(await ui.ids()).toEqual(ids);
  });

  it('counts along on the overview, and nothing moves', async () => {
    await app.jobs.enqueue('later', 1);
    const ui = await open('');
    const pending = ui.page.getByRole('list', { name: 'Jobs by status' }).getByRole('link', { name: /pending/ });
    await pending.getByText('1', { exact: true }).waitFor();
    await ui.page.locator('canvas').nth(2).waitFor();
    await ui.page.evaluate(WATCH_SHIFTS);
    await app.jobs.enqueue('later', 2);
    await pending.getByText('2', { exact: true }).waitFor();
    expect(await ui.page.evaluate('window.shifts')).toBeLessThan(SHIFT_MAX);
  });

  it('follows a job to its end', async () => {
    const { id } = await app.jobs.enqueue('work', 1);
    const ui = await open(`jobs/${id}`);
    await ui.sees('Attempt 1 runs');
    end.resolve();
    await ui.page.locator('.timeline').getByText('Completed').waitFor();
  });

  it('says when the connection is gone, and catches up when it is back', async () => {
    const { id } = await app.jobs.enqueue('later', 1);
    const network = TcpProxy.before(app.url);
    await network.open();
    const ui = await pages.open(`${network.url}admin/jobs/jobs`, { token: ADMIN_TOKEN });
    await ui.button(/^Live/).waitFor();
    await network.close();
    await ui.button(/^Stale/).waitFor();
    await app.jobs.cancel(id);
    await network.open();
    await ui.row(id).getByText('cancelled').waitFor();
    await ui.button(/^Live/).waitFor();
    await ui.close();
    await network.close();
  });

  it('stands still when the reader wants it to', async () => {
    const { id } = await app.jobs.enqueue('later', 1);
    const ui = await open('jobs');
    await ui.button(/^Live/).click();
    await ui.button(/^Paused/).waitFor();
    await app.jobs.cancel(id);
    const requests = ui.requests();
    await ui.button(/^Paused/).click();
    await ui.row(id).getByText('cancelled').waitFor();
    expect(requests[0]).toBe('GET /api/jobs/stream');
  });

  it('asks for nothing while nobody looks at it', async () => {
    const ui = await open('jobs');
    const hide = (isHidden: boolean): Promise<unknown> =>
      ui.page.evaluate(`
        Object.defineProperty(document, 'hidden', { value: ${isHidden}, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
      `);
    await hide(true);
    await ui.button(/^Paused/).waitFor();
    const requests = ui.requests();
    const { id } = await app.jobs.enqueue('later', 1);
    await hide(false);
    await until(async () => (await ui.ids()).includes(id));
    expect(requests[0]).toBe('GET /api/jobs/stream');
  });
});
