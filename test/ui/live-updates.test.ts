/**
 * @matrix all
 * @slow
 */

import { UnrecoverableError } from 'nestjs-jobs';
import { until } from '../support/wait.js';
import type { HttpApp } from '../http/support/http-apps.js';
import { useHttpApps } from '../http/support/http-apps.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { quick } from '../support/tier.js';
import { signal } from '../support/wait.js';
import type { Signal } from '../support/wait.js';
import { usePages } from './support/browser.js';
import { readShifts, WATCH_SHIFTS } from './support/layout-shifts.js';
import { ADMIN_TOKEN, onlyExpress } from './support/ui-apps.js';
import type { UiPage } from './support/ui-page.js';

const pages = usePages();

describe.each(onlyExpress)('live updates of the admin UI on $database and $adapter', ({ kind, adapterKind }) => {
  const apps = useHttpApps(kind, adapterKind);
  let app: HttpApp;
  let end: Signal<void>;

  beforeEach(async () => {
    end = signal();
    app = await apps.listen({
      handlers: {
        work: () => end.promise,
        broken: ({ payload }) => {
          throw new UnrecoverableError(String(payload));
        },
      },
    });
  });
  afterEach(() => end.resolve());

  async function open(path: string): Promise<UiPage> {
    const ui = await pages.open(`${app.url}/admin/jobs/${path}`, { token: ADMIN_TOKEN });
    await ui.button(/^Live/).waitFor();
    return ui;
  }

  quick('count new jobs without moving rows and show them on a click', async () => {
    const { id } = await app.jobs.enqueue('later', 1);
    const ui = await open('jobs');
    await ui.shows([id]);
    await ui.page.evaluate(WATCH_SHIFTS);
    const newer = await app.jobs.enqueueMany([1, 2, 3].map((payload) => ({ topic: 'later', payload })));
    await ui.button('3 new').waitFor();
    await ui.page.getByRole('status').getByText('3 new jobs').waitFor();
    newer.push(...(await app.jobs.enqueueMany(Array.from({ length: 9 }, () => ({ topic: 'later', payload: 1 })))));
    await ui.button('12 new').waitFor();
    expect(await ui.ids()).toEqual([id]);
    expect(await readShifts(ui)).toEqual([]);

    await ui.button('12 new').click();
    await ui.shows([...newer.map((job) => job.id).reverse(), id]);
  });

  it('change rows in place', async () => {
    const { id } = await app.jobs.enqueue('work', 1);
    await app.event('started', id);
    const ui = await open('jobs');
    await ui.row(id).getByText('processing').waitFor();
    await ui.page.evaluate(WATCH_SHIFTS);
    end.resolve();
    await ui.row(id).getByText('completed').waitFor();
    expect(await readShifts(ui)).toEqual([]);
  });

  it('show the log lines and the progress of a job while it runs', async () => {
    const more = signal();
    app.jobs.register('logs', async (job) => {
      Array.from({ length: 40 }, (_, index) => job.log(`line ${index + 1}`, { index }, 'debug'));
      await job.progress({ percent: 40, message: 'reading a.csv' });
      await more.promise;
      job.log('last but one', undefined, 'warn');
      await job.progress({ percent: 80, message: 'reading b.csv' });
      await end.promise;
      job.log('the end');
    });
    const { id } = await app.jobs.enqueue('logs', 1);
    const ui = await open(`jobs/${id}`);
    const lines = ui.page.getByRole('region', { name: 'Log lines' });
    const inList = (code: string): Promise<unknown> =>
      ui.page.evaluate(`((list) => ${code})(document.querySelector('[aria-label="Log lines"]'))`);
    const isAtEnd = (): Promise<unknown> => inList('list.scrollHeight - list.scrollTop - list.clientHeight < 2');
    await lines.getByText('line 40', { exact: true }).waitFor();
    await ui.sees('reading a.csv');
    expect(await ui.page.getByRole('progressbar').getAttribute('value')).toBe('0.4');
    expect(await isAtEnd()).toBe(true);

    await inList('(list.scrollTop = 0)');
    await ui.button('To the end').waitFor();
    more.resolve();
    await lines.getByText('last but one').waitFor();
    await ui.sees('reading b.csv');
    expect(await isAtEnd()).toBe(false);
    await ui.button('To the end').click();
    expect(await isAtEnd()).toBe(true);

    await ui.page.getByLabel('Log levels').selectOption('warn');
    expect(await lines.getByRole('listitem').count()).toBe(1);
    await ui.page.getByLabel('Log levels').selectOption('debug');
    end.resolve();
    await lines.getByText('the end', { exact: true }).waitFor();
    await ui.page.getByText('completed').first().waitFor();
  });

  it('keep a row that no longer matches in its place', async () => {
    const jobs = await app.jobs.enqueueMany([1, 2, 3].map((payload) => ({ topic: 'later', payload })));
    const ids = jobs.map((job) => job.id).reverse();
    const ui = await open('jobs?status=pending');
    await ui.shows(ids);
    await app.jobs.cancel(ids[1]!);
    await ui.row(ids[1]!).getByText('now cancelled').waitFor();
    expect(await ui.action(ids[1]!, 'Re-queue').getAttribute('aria-disabled')).toBe('false');
    await ui.sees('1–2 of 2');
    await app.jobs.delete(ids[1]!);
    expect(await ui.ids()).toEqual(ids);
  });

  it('change the counts of the overview without moving anything', async () => {
    await app.jobs.enqueueMany(Array.from({ length: 9 }, () => ({ topic: 'later', payload: 1 })));
    const ui = await open('');
    const pending = ui.page.getByRole('list', { name: 'Jobs by status' }).getByRole('link', { name: /pending/ });
    await pending.getByText('9', { exact: true }).waitFor();
    await ui.page.locator('canvas').nth(2).waitFor();
    await ui.page.evaluate(WATCH_SHIFTS);
    await app.jobs.enqueue('later', 2);
    await pending.getByText('10', { exact: true }).waitFor();
    await ui.page
      .getByRole('row', { name: /^later/ })
      .getByRole('link', { name: '10' })
      .waitFor();
    expect(await readShifts(ui)).toEqual([]);
  });

  it('draw the overview without shifts, in whatever order the responses arrive', async () => {
    await app.jobs.enqueue('later', 1);
    const ui = await pages.open('about:blank', { token: ADMIN_TOKEN });
    const responses = new Map(['topics', 'stats', 'timeseries'].map((path) => [path, signal<void>()]));
    await ui.page.route(/\/api\/jobs\/(topics|stats|timeseries)/, async (route) => {
      await responses.get(new URL(route.request().url()).pathname.split('/').pop()!)!.promise;
      await route.continue();
    });
    await ui.goto(`${app.url}/admin/jobs/`);
    await ui.page.locator('canvas').nth(2).waitFor();
    // The label of this button is longer until the stream is open.
    await ui.button(/^Live/).waitFor();
    await ui.page.evaluate(WATCH_SHIFTS);
    responses.get('topics')!.resolve();
    await ui.page.getByRole('row', { name: /^later/ }).waitFor();
    responses.get('timeseries')!.resolve();
    responses.get('stats')!.resolve();
    await ui.page.getByRole('list', { name: 'Jobs by status' }).getByText('1', { exact: true }).waitFor();
    expect(await readShifts(ui)).toEqual([]);
  });

  it('show tables if the chart library cannot be loaded', async () => {
    const ui = await pages.open('about:blank', { token: ADMIN_TOKEN });
    await ui.page.route('**/assets/plot-*.js', (route) => route.abort());
    await ui.goto(`${app.url}/admin/jobs/`);
    await ui.page.getByRole('region', { name: 'Throughput as a table' }).waitFor();
    expect(await ui.button('Chart').count()).toBe(3);
  });

  it('append new topics to the overview without moving anything', async () => {
    await app.jobs.enqueue('later', 1);
    const ui = await open('');
    const topics = (): Promise<string[]> =>
      ui.page.evaluate("[...document.querySelectorAll('tbody th a')].map((link) => link.innerText)");
    await until(async () => (await topics()).join() === 'later,broken,work');
    await ui.page.locator('canvas').nth(2).waitFor();
    await ui.page.evaluate(WATCH_SHIFTS);
    await app.jobs.enqueue('newer', 1);
    await until(async () => (await topics()).join() === 'later,broken,work,newer');
    await app.jobs.enqueue('another', 1);
    await until(async () => (await topics()).join() === 'later,broken,work,newer,another');
    expect(await readShifts(ui)).toEqual([]);
  });

  it('keep error groups in their everySetup', async () => {
    const fail = async (message: string): Promise<string> => {
      const { id } = await app.jobs.enqueue('broken', message);
      await app.event('failed', id);
      return id;
    };
    const rows = (): Promise<string[]> =>
      ui.page.evaluate(
        "[...document.querySelectorAll('main li')].map((row) => row.querySelector('.count').innerText + ' ' + row.querySelector('.message > bdi').innerText)",
      );
    const [first] = [await fail('first'), await fail('first'), await fail('second')];
    const ui = await open('errors');
    await until(async () => (await rows()).join() === '1 second,2 first');
    await ui.page.evaluate(WATCH_SHIFTS);
    for (let count = 0; count < 9; count += 1) await fail('first');
    await fail('third');
    await ui.button('Show 1 new').waitFor();
    expect(await rows()).toEqual(['1 second', '11 first']);
    for (const { id } of (await app.jobs.list({ topic: 'broken', q: 'first' })).items) await app.jobs.delete(id);
    await ui.sees('no longer failing');
    expect(await rows()).toEqual(['1 second', '0 first']);
    expect(await readShifts(ui)).toEqual([]);
    expect(await app.jobs.get(first)).toBeNull();

    await ui.button('Show 1 new').click();
    await until(async () => (await rows()).join() === '1 third,1 second');
  });

  it('wait for a pending response instead of a second request', async () => {
    const release = signal<void>();
    const ui = await pages.open('about:blank', { token: ADMIN_TOKEN });
    await ui.page.route('**/api/jobs/topics', async (route) => {
      await release.promise;
      await route.continue();
    });
    const requests = ui.requests();
    const countRequests = (path: string): number => requests.filter((each) => each === `GET /api/jobs/${path}`).length;
    await ui.goto(`${app.url}/admin/jobs/`);
    await app.jobs.enqueue('later', 1);
    await until(() => countRequests('stats') > 1, { message: 'a second request of the stats' });
    expect(countRequests('topics')).toBe(1);
    release.resolve();
    await ui.page.getByRole('row', { name: /^later/ }).waitFor();
  });

  it('follow a job to its end', async () => {
    const { id } = await app.jobs.enqueue('work', 1);
    const ui = await open(`jobs/${id}`);
    await ui.sees('Attempt 1 is running');
    end.resolve();
    await ui.page.locator('.timeline').getByText('Completed').waitFor();
  });

  quick('show a lost connection and continue when it is back', async () => {
    const { id } = await app.jobs.enqueue('later', 1);
    const network = TcpProxy.before(app.url);
    await network.open();
    const ui = await pages.open(`${network.url}admin/jobs/jobs`, { token: ADMIN_TOKEN });
    await ui.button(/^Live/).waitFor();
    await network.close();
    await ui.button(/^Offline/).waitFor();
    await app.jobs.cancel(id);
    await network.open();
    await ui.row(id).getByText('cancelled').waitFor();
    await ui.button(/^Live/).waitFor();
    await ui.close();
    await network.close();
  });

  it('show a lost database and continue when it is back', async () => {
    const { id } = await app.jobs.enqueue('later', 1);
    const ui = await open('');
    await ui.page.clock.install();
    await ui.page.reload();
    await ui.button(/^Live/).waitFor();
    await app.dataSource.query('ALTER TABLE _jobs RENAME TO _jobs_away');
    await until(() => apps.log.of('error', 'change feed: ').length > 0);
    await ui.page.clock.runFor(3_000);
    // Without statistics from the stream before the outage, the banner has no age.
    await ui.sees(
      /^The queue database does not respond. (This page shows the state of \d+ s ago|There are no figures yet).$/,
    );
    expect(await ui.button(/^No answer/).getAttribute('title')).toContain('No response from the queue database');
    await ui.page.clock.runFor(6_000);

    await app.dataSource.query('ALTER TABLE _jobs_away RENAME TO _jobs');
    await ui.button(/^Live/).waitFor();
    await app.jobs.cancel(id);
    const cancelled = ui.page.getByRole('list', { name: 'Jobs by status' }).getByRole('link', { name: /cancelled/ });
    await cancelled.getByText('1', { exact: true }).waitFor();
  });

  it('repeat a request that the database could not serve', async () => {
    const { id } = await app.jobs.enqueue('later', 1);
    const ui = await open('errors');
    await app.dataSource.query('ALTER TABLE _jobs RENAME TO _jobs_away');
    await ui.page.getByRole('link', { name: 'Jobs', exact: true }).click();
    await ui.sees('Database unavailable');
    await app.dataSource.query('ALTER TABLE _jobs_away RENAME TO _jobs');
    await ui.shows([id]);
  });

  it('reconnect to a rejected stream', async () => {
    const ui = await open('jobs');
    await ui.page.route('**/api/jobs/stream', (route) => route.fulfill({ status: 404, body: 'being replaced' }));
    await ui.button(/^Live/).click();
    await ui.button(/^Paused/).click();
    await ui.button(/^Offline/).waitFor();
    await ui.page.unrouteAll();
    await ui.button(/^Live/).waitFor();
  });

  it('stop when the user holds the page', async () => {
    const { id } = await app.jobs.enqueue('later', 1);
    const ui = await open('jobs');
    const { clock } = ui.page;
    await clock.install();
    await ui.page.reload();
    await ui.button(/^Live/).waitFor();
    await clock.pauseAt(Date.now() + 5_000);
    await ui.button(/^Live/).click();
    await ui.button(/^Paused/).click();
    // The page has just connected and would reload everything soon.
    await ui.button(/^Live/).click();
    await ui.button(/^Paused/).waitFor();
    const requests = ui.requests();
    await app.jobs.cancel(id);
    await clock.runFor(5_000);
    expect(requests).toEqual([]);
    await clock.resume();
    await ui.button(/^Paused/).click();
    await ui.row(id).getByText('cancelled').waitFor();
    expect(requests[0]).toBe('GET /api/jobs/stream');
  });

  it('send no request while the page is hidden', async () => {
    const ui = await open('jobs');
    const hide = (isHidden: boolean): Promise<unknown> =>
      ui.page.evaluate(`
        Object.defineProperty(document, 'hidden', { value: ${isHidden}, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
      `);
    // The page loads everything again up to a second after it has connected, and what has begun goes on while it is hidden.
    const first = ui.requests();
    for (let before = -1; before < first.length;) {
      before = first.length;
      await ui.page.waitForTimeout(1_500);
    }
    await hide(true);
    await ui.button(/^Paused/).waitFor();
    const requests = ui.requests();
    const { id } = await app.jobs.enqueue('later', 1);
    await hide(false);
    await until(async () => (await ui.ids()).includes(id));
    expect(requests[0]).toBe('GET /api/jobs/stream');
  });
});
