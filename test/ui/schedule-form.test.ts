/** @matrix all */

import { JobsEngine } from 'nestjs-jobs';
import type { Schedule } from '../../client/index.js';
import type { HttpApp } from '../http/support/http-apps.js';
import { useHttpApps } from '../http/support/http-apps.js';
import { quick } from '../support/tier.js';
import { until } from '../support/wait.js';
import { usePages } from './support/browser.js';
import { ADMIN_TOKEN, onlyFastify } from './support/ui-apps.js';
import type { UiPage } from './support/ui-page.js';

const pages = usePages();

describe.each(onlyFastify)('the form of a schedule on $database and $adapter', ({ kind, adapterKind }) => {
  const apps = useHttpApps(kind, adapterKind);
  let app: HttpApp;

  beforeEach(async () => {
    app = await apps.listen({ options: { role: 'producer' } });
  });

  async function open(path = 'schedules'): Promise<UiPage> {
    return pages.open(`${app.url}/admin/jobs/${path}`, {
      token: ADMIN_TOKEN,
      timezoneId: 'America/New_York',
      locale: 'en-GB',
    });
  }

  async function openNew(): Promise<UiPage> {
    const ui = await open();
    await ui.button('New schedule').click();
    await ui.dialog.getByLabel('Name').waitFor();
    return ui;
  }

  const read = async (name: string): Promise<Schedule> => (await app.api.get<Schedule>(`/schedules/${name}`)).body;

  quick('creates a schedule by keyboard, with a preview of its runs in two zones', async () => {
    const ui = await open();
    await ui.button('New schedule').focus();
    await ui.page.keyboard.press('Enter');
    await ui.dialog.getByLabel('Name').focus();
    await ui.page.keyboard.type('digest');
    const next = async (text: string): Promise<void> => {
      await ui.page.keyboard.press('Tab');
      await ui.page.keyboard.press('Control+A');
      await ui.page.keyboard.type(text);
    };
    await ui.page.keyboard.press('Tab');
    await next('30 9 29 2 *');
    await next('Europe/Berlin');
    const preview = ui.dialog.getByRole('region', { name: 'Preview' });
    await preview.getByText('On day 29 of the month at 09:30, in February').waitFor();
    await preview.getByText(/^Tue, 29 Feb 2028, 09:30$/).waitFor();
    await preview.getByText(/^Tue, 29 Feb 2028, 03:30$/).waitFor();
    expect(await preview.getByRole('columnheader').allInnerTexts()).toEqual([
      'Europe/Berlin',
      'America/New_York (yours)',
      'When',
    ]);
    // The table of next runs may scroll, so the Tab key stops at it.
    await ui.page.keyboard.press('Tab');
    await next('mail');
    await ui.page.keyboard.press('Enter');
    await ui.sees('Created digest');
    await ui.dialog.waitFor({ state: 'detached' });
    await ui.page.getByRole('link', { name: 'digest', exact: true }).waitFor();
    expect(await read('digest')).toMatchObject({
      pattern: '30 9 29 2 *',
      tz: 'Europe/Berlin',
      topic: 'mail',
      payload: null,
      missed: { policy: 'last', within_ms: 86_400_000, max: 100 },
      overlap: 'allow',
      source: 'api',
    });
  });

  it('creates an interval with a payload', async () => {
    const ui = await openNew();
    await ui.dialog.getByLabel('Name').fill('sync');
    await ui.dialog.getByLabel('Runs by').selectOption('interval');
    await ui.dialog.getByLabel('Every').fill('1ms');
    await ui.dialog.getByText('Use an interval of at least 1s').waitFor();
    await ui.dialog.getByLabel('Every').fill('90m');
    await ui.dialog.getByText('Every 90 minutes').waitFor();
    await ui.dialog.getByLabel('Counted from').fill('2031-01-15T08:15');
    await ui.dialog.getByText(/^Wed, 15 Jan 2031, 09:45$/).waitFor();
    await ui.dialog.getByLabel('Topic').fill('sync');
    await ui.dialog.getByLabel('Payload').fill('{ "shop": 7 }');
    await ui.dialog.getByRole('button', { name: 'Create' }).click();
    await ui.sees('Created sync');
    expect(await read('sync')).toMatchObject({
      pattern: { every: 5_400_000, anchor: '2031-01-15T13:15:00.000Z' },
      payload: { shop: 7 },
    });
  });

  it('says what is wrong with a pattern at once, and what the API refuses beside each field', async () => {
    const ui = await openNew();
    await ui.dialog.getByLabel('Name').fill('digest');
    await ui.dialog.getByLabel('Topic').fill('mail');
    const preview = ui.dialog.getByRole('region', { name: 'Preview' });
    const pattern = ui.dialog.getByRole('textbox', { name: /^Pattern/ });
    await pattern.fill('0 3 *');
    await preview.getByText('The pattern has 3').waitFor();
    await pattern.fill('0 0 30 2 *');
    await preview.getByText('The pattern has no next run').waitFor();
    await pattern.fill('61 * * * *');
    await preview.getByText(/minute/).waitFor();
    await ui.dialog.getByRole('button', { name: 'Create' }).click();
    await ui.dialog.getByRole('alert').getByText('is not a cron pattern').waitFor();

    await pattern.fill('0 3 * * *');
    await ui.dialog.getByText('More options').click();
    await ui.dialog.getByLabel('Jitter').fill('soon');
    await ui.dialog.getByText('More options').click();
    await ui.dialog.getByRole('button', { name: 'Create' }).click();
    // The closed part opens.
    await ui.dialog.getByRole('alert').getByText('expected a duration').waitFor();
    expect((await app.api.get('/schedules/digest')).status).toBe(404);
  });

  it('does not replace another schedule, nor one that code declares', async () => {
    await app.jobs.schedules.upsert('taken', '0 7 * * *', { topic: 'mail' });
    const ui = await openNew();
    await ui.dialog.getByLabel('Name').fill('taken');
    await ui.dialog.getByLabel('Topic').fill('other');
    await ui.dialog.getByRole('button', { name: 'Create' }).click();
    await ui.dialog.getByText('A schedule that was created here or over HTTP has this name.').waitFor();
    expect(await read('taken')).toMatchObject({ topic: 'mail', revision: 1 });

    // The code of a process declares the name while the form is open.
    await ui.goto(`${app.url}/admin/jobs/schedules/taken`);
    await ui.button('Edit').click();
    await ui.dialog.getByLabel('Topic').fill('other');
    app.app.get(JobsEngine, { strict: false }).declareSchedule('taken', '0 3 * * *', { topic: 'report' });
    await ui.dialog.getByRole('button', { name: 'Save' }).click();
    await ui.dialog.getByText('Change the schedule in the code, or pause it.').waitFor();
    await ui.dialog.getByText('is declared by the code of a process').waitFor();
  });

  it('changes only what the user changes', async () => {
    const { body: before } = await app.api.send<Schedule>('PUT', '/schedules/full', {
      body: {
        pattern: { every: '25s', anchor: '2029-05-06T07:08:09.123Z' },
        topic: 'mail',
        payload: { a: [1, 'b'] },
        missed: { policy: 'all', within: '90m', max: 7 },
        overlap: 'skip',
        jitter: '250ms',
        start_at: '2031-01-15T08:15:16.500Z',
        end_at: '2032-01-15T08:15:16.500Z',
        max_retries: 2,
        priority: -5,
        timeout: '45s',
        metadata: { by: 'anna' },
      },
    });
    const ui = await open('schedules/full');
    await ui.button('Edit').click();
    await ui.dialog.getByLabel('Topic').fill('letter');
    await ui.dialog.getByRole('button', { name: 'Save' }).click();
    await ui.sees('Changed full');
    const { updated: _, ...same } = before;
    expect(await read('full')).toEqual({
      ...same,
      topic: 'letter',
      revision: 2,
      updated: expect.any(String) as string,
    });
    await ui.page.getByRole('link', { name: 'letter' }).waitFor();
  });

  it('asks before it discards input', async () => {
    const ui = await openNew();
    await ui.dialog.getByLabel('Name').fill('digest');
    await ui.page.keyboard.press('Escape');
    await ui.heading('Discard your changes?').waitFor();
    await ui.button('Discard').click();
    await until(async () => (await ui.dialog.count()) === 0);
  });
});
