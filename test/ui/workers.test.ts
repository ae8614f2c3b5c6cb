/** @matrix all */

import type { IncomingMessage } from 'node:http';
import { JobsEngine } from 'nestjs-jobs';
import { hostname } from 'node:os';
import type { Locator } from 'playwright-core';
import type { JobStore } from '../../lib/store/job-store.js';
import { useOneHttpApp } from '../http/support/http-apps.js';
import { WORKER_DETAILS } from '../support/job-rows.js';
import { quick } from '../support/tier.js';
import type { PageOptions } from './support/browser.js';
import { usePages } from './support/browser.js';
import { ADMIN_TOKEN, onlyFastify } from './support/ui-apps.js';
import type { UiPage } from './support/ui-page.js';

const { kind, adapterKind } = onlyFastify[0]!;
const TOPICS = Array.from({ length: 30 }, (_, index) => `topic_${index + 10}`);
const OLDER = 'CreateJobs1000000000000';

const pages = usePages();

const row = (ui: UiPage, worker: string): Locator => ui.page.getByRole('listitem').filter({ hasText: worker });

describe('the workers in the admin UI', () => {
  const app = useOneHttpApp(kind, adapterKind, {
    handlers: {
      hold: (job) => new Promise((resolve) => job.signal.addEventListener('abort', resolve)),
    },
    options: {
      shutdownTimeout: 0,
      concurrency: 7,
      http: {
        authenticate: ({ headers }: IncomingMessage) => ({ id: 'ben', admin: headers.cookie === undefined }),
        readRule: 'authenticated',
      },
    },
  });
  let reports: JobStore['reports'];
  let worker: string;

  beforeAll(() => {
    const engine = app().app.get(JobsEngine, { strict: false });
    worker = engine.worker;
    reports = (engine as unknown as { store: JobStore }).store.reports;
  });

  async function open(path: string, options: PageOptions = {}): Promise<UiPage> {
    const ui = await pages.open(`${app().url}/admin/jobs/${path}`, options);
    await ui.button(/^Live/).waitFor();
    return ui;
  }

  quick('are listed with what they do; the page of a running job leads to its worker', async () => {
    const { id } = await app().jobs.enqueue('hold', 1);
    await app().event('started', id);
    const ui = await open(`jobs/${id}`);
    await ui.page.getByRole('link', { name: worker }).click();
    await ui.heading('Workers').waitFor();
    expect(ui.address).toBe(`/admin/jobs/workers?worker=${encodeURIComponent(worker)}`);
    await ui.page.locator('li[aria-current=true]').getByText(worker).waitFor();

    const own = row(ui, worker);
    await own.getByRole('heading', { name: hostname() }).waitFor();
    expect((await own.innerText()).replace(/\s+/g, ' ')).toMatch(
      new RegExp(
        `pid ${process.pid} live .* hold Running \\d Concurrency 7 Finds jobs by notification Version 0\\.1\\.0 Last seen`,
      ),
    );
    await own.getByRole('link', { name: 'hold' }).click();
    await ui.heading('hold').waitFor();
    expect(ui.address).toBe('/admin/jobs/topics/hold');
  });

  it('are marked as draining or lost; different schema versions give a warning until they have ended', async () => {
    await reports.recordWorker('b:7:drains', TOPICS, { ...WORKER_DETAILS, isDraining: true, isNotified: false });
    await reports.recordWorker('c:7:crashed', ['mail'], { ...WORKER_DETAILS, schemaVersion: 'CreateJobs1' });
    const past = "strftime('%Y-%m-%d %H:%M:%f', 'now', '-2 minutes')";
    await app().rows.query(`UPDATE _jobs_workers SET seen = ${past} WHERE worker LIKE 'c:%'`);
    await reports.recordWorker('d:7:older', [], { ...WORKER_DETAILS, schemaVersion: OLDER });
    const ui = await open('');
    await ui.heading('Overview').waitFor();
    await ui.page.keyboard.press('5');
    await row(ui, 'b:7:drains').getByText('draining', { exact: true }).waitFor();
    await row(ui, 'b:7:drains').getByText('by polling').waitFor();
    await row(ui, 'c:7:crashed').getByText('lost', { exact: true }).waitFor();
    expect(await row(ui, 'b:7:drains').getByRole('link').count()).toBe(12);
    await ui.button('18 more topics').click();
    await row(ui, 'b:7:drains')
      .getByRole('link', { name: TOPICS.at(-1)! })
      .waitFor();

    await ui.sees(/different schema versions/);
    await row(ui, 'd:7:older').getByText(OLDER).waitFor();
    await ui.sees(`${OLDER}: 1 process`);
    await ui.sees('CreateJobs1736500000000: 2 processes');
    await reports.forgetWorker('d:7:older');
    await ui.page.getByText(/different schema versions/).waitFor({ state: 'detached' });
    for (const ended of ['b:7:drains', 'c:7:crashed']) await reports.forgetWorker(ended);
  });

  it.each([{ width: 390 }, { width: 320 }])(
    'are shown to a user with read access in a window of $width pixels',
    async ({ width }) => {
      await reports.recordWorker(`${'h'.repeat(230)}:7:long`, ['t'.repeat(255)], {
        ...WORKER_DETAILS,
        host: 'h'.repeat(230),
        version: `0.1.0-${'x'.repeat(60)}`,
      });
      const ui = await open('workers', {
        viewport: { width, height: 844 },
        extraHTTPHeaders: { cookie: 'session=ben' },
      });
      await ui.page.getByRole('heading', { name: /^h+$/ }).waitFor();
      expect(
        await ui.page.evaluate('document.documentElement.scrollWidth > document.documentElement.clientWidth'),
      ).toBe(false);
      const { x, width: length } = (await ui.page.getByRole('link', { name: 'Workers' }).boundingBox())!;
      expect(x + length).toBeLessThanOrEqual(width);
      expect(await ui.page.locator('main').getByRole('button').count()).toBe(0);
      await reports.forgetWorker(`${'h'.repeat(230)}:7:long`);
    },
  );
});

describe('the workers in the admin UI without a process that runs jobs', () => {
  const app = useOneHttpApp(kind, adapterKind, { options: { role: 'producer' } });

  it('say how to start one', async () => {
    const ui = await pages.open(`${app().url}/admin/jobs/workers?worker=gone`, { token: ADMIN_TOKEN });
    await ui.sees('No process runs jobs');
    await ui.sees("JobsModule.forRoot({ role: 'worker' })");
    await ui.sees('The process gone has ended');
  });
});
