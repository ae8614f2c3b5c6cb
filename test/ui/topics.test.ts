/** @matrix all */

import { UnrecoverableError } from 'nestjs-jobs';
import type { Locator } from 'playwright-core';
import type { Timeseries } from '../../client/index.js';
import { useOneHttpApp } from '../http/support/http-apps.js';
import { quick } from '../support/tier.js';
import { until } from '../support/wait.js';
import { usePages } from './support/browser.js';
import { ADMIN_TOKEN, onlyFastify } from './support/ui-apps.js';
import type { UiPage } from './support/ui-page.js';

const { kind, adapterKind } = onlyFastify[0]!;

const pages = usePages();

const OTHERS = Array.from({ length: 14 }, (_, index) => `topic_${index + 10}`);

describe('the table of topics', () => {
  const app = useOneHttpApp(kind, adapterKind, {
    handlers: {
      z_fails: () => {
        throw new UnrecoverableError('no');
      },
    },
  });

  beforeAll(async () => {
    const { id } = await app().jobs.enqueue('z_fails', 1);
    await app().event('failed', id);
  });

  // The page has other tables, which may be drawn first.
  const table = (ui: UiPage): Locator => ui.page.getByRole('table', { name: 'Topics' });

  async function open(width = 1280): Promise<UiPage> {
    const ui = await pages.open(`${app().url}/admin/jobs/`, { token: ADMIN_TOKEN, viewport: { width, height: 844 } });
    await table(ui).getByRole('rowheader').first().waitFor();
    return ui;
  }

  const texts = (ui: UiPage, role: 'rowheader' | 'columnheader'): Promise<string[]> =>
    table(ui).getByRole(role).allInnerTexts();

  const names = async (ui: UiPage): Promise<string[]> =>
    (await texts(ui, 'rowheader')).map((text) => text.split('\n')[0]!.trim());

  quick('is sorted by name; topics that need attention come first', async () => {
    expect(await names(await open())).toEqual(['z_fails']);
    await app().jobs.enqueueMany(OTHERS.map((topic) => ({ topic, payload: 1 })));
    const ui = await open();
    expect(await names(ui)).toEqual(OTHERS.slice(0, 12));
    await ui.page.getByRole('searchbox', { name: 'Find a topic' }).fill('FAILS');
    expect(await names(ui)).toEqual(['z_fails']);
    await ui.page.getByRole('searchbox', { name: 'Find a topic' }).fill('');
    await ui.button('Show all 15 topics').click();
    expect(await names(ui)).toEqual([...OTHERS, 'z_fails']);
    await ui.button(/^Failed/).click();
    expect(await names(ui)).toEqual(['z_fails', ...OTHERS]);
    await ui.button(/^Topic/).click();
    expect(await names(ui)).toEqual([...OTHERS, 'z_fails']);
  });

  it('has a page with figures, errors and handlers for each topic', async () => {
    const isRecorded = async (): Promise<boolean> => {
      const { body } = await app().api.get<Timeseries>('/timeseries?topic=z_fails');
      return body.window.attempts_failed === 1;
    };
    await until(isRecorded, { message: 'the record of the failure' });
    const ui = await pages.open(`${app().url}/admin/jobs/topics/z_fails?minutes=180`, { token: ADMIN_TOKEN });
    await ui.heading('z_fails').waitFor();
    const part = (name: string): Locator => ui.page.getByRole('region', { name });
    expect(await part('Last 3 hours').getByRole('definition').first().innerText()).toBe('1');
    expect(await part('Errors').innerText()).toMatch(/^Errors\s+no\s/);
    expect(await part('Workers that handle this topic').getByRole('cell').allInnerTexts()).toEqual([
      '10, all topics together',
      '10 min',
      '3',
      'quadratic from 1 min, at most 1 d',
      '1',
    ]);
    await ui.page.getByRole('button', { name: 'Pause', exact: true }).click();
    await ui.button('Resume').waitFor();
    await app().jobs.resume('z_fails');
    await ui.page.getByRole('link', { name: 'Show jobs' }).click();
    await ui.heading('Jobs').waitFor();
    expect(ui.address).toBe('/admin/jobs/jobs?topic=z_fails');
  });

  it('has a page with its retention and its dead letters', async () => {
    app().jobs.register('kept', () => null, { retention: { failed: false, cancelled: 0 }, deadLetter: 'z_fails' });
    const isStored = async (): Promise<boolean> =>
      (await app().jobs.topics.list()).some(({ topic, retention }) => topic === 'kept' && retention !== null);
    await until(isStored, { message: 'the options of the topic' });
    const ui = await pages.open(`${app().url}/admin/jobs/topics/kept`, { token: ADMIN_TOKEN });
    const part = ui.page.getByRole('region', { name: 'After the end of a job' });
    await part.waitFor();
    expect(await part.getByRole('definition').allInnerTexts()).toEqual([
      'as set for all topics of the application',
      'kept for ever',
      'deleted at once',
      'z_fails',
    ]);
    expect(await part.getByText('declare').count()).toBe(0);
    await part.getByRole('link', { name: 'z_fails' }).click();
    await ui.heading('z_fails').waitFor();
  });

  it('has a page that says when running versions declare different options', async () => {
    app().jobs.register('rolling', () => null, { retention: { failed: false }, limits: { concurrency: 7 } });
    const isStored = async (): Promise<boolean> =>
      (await app().jobs.topics.list()).some(({ topic, limits }) => topic === 'rolling' && limits !== null);
    await until(isStored, { message: 'the options of the topic' });
    await app().rows.query(`INSERT INTO _jobs_definitions (kind, name, hash, definition, first_seen, declared)
      SELECT kind, name, 'other', definition, first_seen, declared FROM _jobs_definitions WHERE name = 'rolling'`);
    const ui = await pages.open(`${app().url}/admin/jobs/topics/rolling`, { token: ADMIN_TOKEN });
    await ui.page.getByText('declare different limits, ages of finished jobs.').waitFor();
  });

  it('shows failed and pending counts next to the name on a phone', async () => {
    const inOrder = async (width: number): Promise<string[]> =>
      (await texts(await open(width), 'columnheader')).slice(0, 6).map((text) => text.replace(/\W/g, ''));
    expect(await inOrder(390)).toEqual(['Topic', 'Failed', 'Retrying', 'Pending', 'Processing', 'Completed']);
    expect(await inOrder(1280)).toEqual(['Topic', 'Pending', 'Retrying', 'Processing', 'Completed', 'Failed']);
  });
});
