/**
 * @matrix all
 * @slow
 */

import { JobsEngine } from 'nestjs-jobs';
import type { Locator } from 'playwright-core';
import type { Schedule } from '../../client/index.js';
import type { HttpApp, HttpAppParts } from '../http/support/http-apps.js';
import { useHttpApps } from '../http/support/http-apps.js';
import { quick } from '../support/tier.js';
import { until } from '../support/wait.js';
import type { PageOptions } from './support/browser.js';
import { usePages } from './support/browser.js';
import { ADMIN_TOKEN, onlyExpress } from './support/ui-apps.js';
import type { UiPage } from './support/ui-page.js';

const pages = usePages();

/** Fires no schedule, so that only a test changes them. */
const producer = { options: { role: 'producer' } } as const;

/** A year from which daylight saving is known to browsers, and far enough away. */
const START = new Date('2031-01-15T00:00:00Z');

describe.each(onlyExpress)('schedules in the admin UI on $database and $adapter', ({ kind, adapterKind }) => {
  const apps = useHttpApps(kind, adapterKind);

  async function open(app: HttpApp, path = 'schedules', options: PageOptions = {}): Promise<UiPage> {
    const zone = { timezoneId: 'America/New_York', locale: 'en-GB' };
    const ui = await pages.open(`${app.url}/admin/jobs/${path}`, { token: ADMIN_TOKEN, ...zone, ...options });
    await ui.button(/^Live/).waitFor();
    return ui;
  }

  /** Starts an application whose code declares the schedule `nightly`. */
  async function listenWithNightly(parts?: HttpAppParts): Promise<HttpApp> {
    const app = await apps.listen(parts);
    app.app.get(JobsEngine, { strict: false }).declareSchedule('nightly', '0 3 * * *', { topic: 'report' });
    await until(async () => (await app.api.get('/schedules/nightly')).status === 200, { message: 'the declaration' });
    return app;
  }

  const row = (ui: UiPage, name: string): Locator =>
    ui.page.getByRole('listitem').filter({ has: ui.page.getByRole('link', { name, exact: true }) });

  const pausedSince = async (app: HttpApp, name: string): Promise<string | null> =>
    (await app.api.get<Schedule>(`/schedules/${name}`)).body.paused_since;

  quick('are listed with the pattern in words, and with the next run in two zones', async () => {
    const app = await apps.listen(producer);
    const { schedules } = app.jobs;
    await schedules.upsert('digest', '0 7 * * 1-5', { tz: 'Europe/Berlin', topic: 'mail', startAt: START });
    await schedules.upsert('here', '30 2 1 * *', { tz: 'America/New_York', topic: 'mail', startAt: START });
    await schedules.upsert('sync', { every: '90m' }, { topic: 'sync' });
    await schedules.upsert('workday', '0 9 15W * *', { topic: 'mail' });
    const ui = await open(app, '');
    await ui.page.getByRole('link', { name: 'Schedules' }).click();
    await ui.heading('Schedules').waitFor();
    expect(ui.address).toBe('/admin/jobs/schedules');

    await row(ui, 'digest').getByText('Monday to Friday at 07:00').waitFor();
    await row(ui, 'digest').getByText('0 7 * * 1-5').waitFor();
    expect((await row(ui, 'digest').locator('.time').allInnerTexts()).map((text) => text.replace(/\s+/g, ' '))).toEqual(
      ['Wed, 15 Jan 2031, 07:00 Europe/Berlin', 'Wed, 15 Jan 2031, 01:00 America/New_York (yours)'],
    );
    await row(ui, 'here').getByText('On day 1 of the month at 02:30').waitFor();
    expect(await row(ui, 'here').locator('.time').count()).toBe(1);
    await row(ui, 'sync').getByText('Every 90 minutes').waitFor();
    await row(ui, 'workday').getByText('0 9 15W * *').waitFor();
    await row(ui, 'digest').getByText('never').waitFor();
  });

  it('show the next five runs in two zones', async () => {
    const app = await apps.listen(producer);
    await app.jobs.schedules.upsert('digest', '0 7 * * 1-5', { tz: 'Europe/Berlin', topic: 'mail', startAt: START });
    const ui = await open(app);
    await ui.page.getByRole('link', { name: 'digest', exact: true }).click();
    await ui.heading('digest').waitFor();
    expect(ui.address).toBe('/admin/jobs/schedules/digest');
    const table = ui.page.getByRole('table', { name: 'Next runs' });
    expect(await table.getByRole('columnheader').allInnerTexts()).toEqual([
      'Europe/Berlin',
      'America/New_York (yours)',
      'When',
    ]);
    expect(await table.locator('tbody tr td:first-child').allInnerTexts()).toEqual([
      'Wed, 15 Jan 2031, 07:00',
      'Thu, 16 Jan 2031, 07:00',
      'Fri, 17 Jan 2031, 07:00',
      'Mon, 20 Jan 2031, 07:00',
      'Tue, 21 Jan 2031, 07:00',
    ]);
    expect(await table.locator('tbody tr:last-child td:nth-child(2)').innerText()).toBe('Tue, 21 Jan 2031, 01:00');
  });

  quick('pause and resume by keyboard', async () => {
    const app = await apps.listen(producer);
    await app.jobs.schedules.upsert('digest', '0 7 * * *', { topic: 'mail' });
    const ui = await open(app);
    await ui.button('Pause digest').focus();
    await ui.page.keyboard.press('Enter');
    await ui.sees('Paused digest');
    await row(ui, 'digest')
      .getByText(/^paused (now|\d+ s ago)$/)
      .waitFor();
    await ui.button('Resume digest').waitFor();
    expect(await pausedSince(app, 'digest')).not.toBeNull();
    expect(await ui.page.evaluate('document.activeElement.ariaLabel')).toBe('Resume digest');
    await ui.page.keyboard.press('Enter');
    await ui.sees('Resumed digest');
    await ui.button('Pause digest').waitFor();
    expect(await pausedSince(app, 'digest')).toBeNull();
  });

  it('resume when the user takes a pause back', async () => {
    const app = await apps.listen(producer);
    await app.jobs.schedules.upsert('digest', '0 7 * * *', { topic: 'mail' });
    const ui = await open(app);
    await ui.button('Pause digest').click();
    await ui.button('Undo').click();
    await ui.sees('Resumed digest');
    expect(await pausedSince(app, 'digest')).toBeNull();
  });

  it('that another process pauses are shown as paused', async () => {
    const app = await apps.listen(producer);
    await app.jobs.schedules.upsert('digest', '0 7 * * *', { topic: 'mail' });
    const ui = await open(app);
    await ui.button('Pause digest').waitFor();
    for (const [change, next] of [
      ['pause', 'Resume digest'],
      ['resume', 'Pause digest'],
      ['pause', 'Resume digest'],
    ] as const) {
      await app.jobs.schedules[change]('digest');
      await ui.button(next).waitFor();
    }
    await ui.goto(`${app.url}/admin/jobs/schedules/digest`);
    await ui.sees('The schedule is paused. If you resume it');
  });

  it('run now and lead to the job, which leads back', async () => {
    const app = await apps.listen(producer);
    await app.jobs.schedules.upsert('digest', '0 7 * * *', { topic: 'mail' });
    const ui = await open(app);
    await ui.button('Run now digest').click();
    await ui.sees('Enqueued a job of digest');
    await ui.page.getByRole('link', { name: 'Open' }).click();
    await ui.heading('mail').waitFor();
    await ui.sees(/digest ?, run of (now|\d+ s ago)/);
    await ui.page.getByRole('link', { name: 'digest' }).click();
    await ui.heading('digest').waitFor();
  });

  it('show the last run, its job and its lateness', async () => {
    const app = await apps.listen({ handlers: { tick: () => 'done' } });
    await app.jobs.schedules.upsert('often', { every: '1s' }, { topic: 'tick' });
    await app.event('completed');
    const ui = await open(app);
    await row(ui, 'often')
      .getByRole('link', { name: /^(now|\d+ s ago)$/ })
      .waitFor();
    await app.jobs.schedules.pause('often');
    await ui.page.getByRole('link', { name: 'often', exact: true }).click();
    await ui.sees('Delay of the last run');
    const job = ui.page.getByRole('link', { name: 'its job' });
    const { last_job_id } = (await app.api.get<Schedule>('/schedules/often')).body;
    await until(async () => (await job.getAttribute('href'))?.endsWith(`/jobs/${last_job_id}`), { message: 'its job' });
    await job.click();
    await ui.heading('tick').waitFor();
  });

  it('are late while no process starts their next run', async () => {
    const app = await apps.listen(producer);
    await app.jobs.schedules.upsert('digest', '0 7 * * *', { topic: 'mail' });
    const ui = await open(app);
    await row(ui, 'digest').waitFor();
    expect(await ui.page.getByText(/ late$/).count()).toBe(0);
    await app.rows.query(`UPDATE _jobs_schedules SET next_tick = now() - interval '5 minutes'`);
    await row(ui, 'digest').getByText('5 min late').waitFor();
    await app.jobs.schedules.pause('digest');
    await ui.page.getByText(/ late$/).waitFor({ state: 'detached' });
  });

  it('that code declares cannot be edited or deleted; without a process they can', async () => {
    const declaring = await listenWithNightly();
    const ui = await open(declaring, 'schedules/nightly');
    await ui.button('Pause nightly').waitFor();
    await ui.sees('the code');
    expect(await ui.page.getByRole('button', { name: /^(Edit|Delete)/ }).count()).toBe(0);
    expect(await ui.page.getByText('no worker declares it').count()).toBe(0);
    await ui.close();
    await declaring.close();

    const app = await apps.listen(producer);
    await app.rows.query(`UPDATE _jobs_definitions SET declared = now() - interval '1 hour'`);
    const orphan = await open(app);
    await row(orphan, 'nightly').getByText('no worker declares it').waitFor();
    await orphan.page.getByRole('link', { name: 'nightly', exact: true }).click();
    await orphan.button('Edit').waitFor();
    await orphan.button('Delete').click();
    await orphan.dialog.getByRole('button', { name: 'Delete' }).click();
    await orphan.sees('Deleted nightly');
    await orphan.sees('No schedules yet');
    expect(orphan.address).toBe('/admin/jobs/schedules');
  });

  it('say when running versions declare them differently', async () => {
    const app = await listenWithNightly();
    const ui = await open(app);
    await row(ui, 'nightly').waitFor();
    expect(await row(ui, 'nightly').getByText('versions differ').count()).toBe(0);
    await app.rows.query(`INSERT INTO _jobs_definitions (kind, name, hash, definition, first_seen, declared)
      SELECT kind, name, 'other', definition, first_seen - interval '1 s', now() FROM _jobs_definitions WHERE name = 'nightly'`);
    await row(ui, 'nightly').getByText('versions differ').waitFor();
  });

  it('are shown to a user with read access without actions', async () => {
    const app = await apps.listen({
      options: {
        role: 'producer',
        http: { authenticate: () => ({ id: 'ben', admin: false }), readRule: 'authenticated' },
      },
    });
    await app.jobs.schedules.upsert('digest', '0 7 * * *', { topic: 'mail' });
    const ui = await open(app, 'schedules', { token: null });
    await row(ui, 'digest').waitFor();
    const actions = ui.page.getByRole('button', { name: /Pause|Run now|New schedule|Edit|Delete/ });
    expect(await actions.count()).toBe(0);
    await ui.page.getByRole('link', { name: 'digest', exact: true }).click();
    await ui.heading('digest').waitFor();
    expect(await actions.count()).toBe(0);
  });

  it('open by the key 4; an unknown name has its own page', async () => {
    const app = await apps.listen(producer);
    const ui = await open(app, '');
    await ui.heading('Overview').waitFor();
    await ui.page.keyboard.press('4');
    await ui.sees('No schedules yet');
    await ui.goto(`${app.url}/admin/jobs/schedules/nobody`);
    await ui.heading('There is no such schedule').waitFor();
  });

  it.each([{ width: 390 }, { width: 320 }])('fit a window of $width pixels', async ({ width }) => {
    const app = await apps.listen(producer);
    await app.jobs.schedules.upsert(`n${'o'.repeat(254)}`, '*/7 9-17 1 1 1', {
      topic: 't'.repeat(255),
      tz: 'America/Argentina/ComodRivadavia',
    });
    const ui = await open(app, 'schedules', { viewport: { width, height: 844 } });
    await ui.button(/^Run now/).waitFor();
    const isCutOff = (): Promise<boolean> =>
      ui.page.evaluate('document.documentElement.scrollWidth > document.documentElement.clientWidth');
    expect(await isCutOff()).toBe(false);
    expect(await ui.page.getByRole('link', { name: 'Schedules' }).isVisible()).toBe(true);
    await ui.page.getByRole('link', { name: /^no+$/ }).click();
    await ui.page.getByRole('table', { name: 'Next runs' }).waitFor();
    expect(await isCutOff()).toBe(false);
  });
});
