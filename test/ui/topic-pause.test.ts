/**
 * @matrix all
 * @slow
 */

import type { Locator } from 'playwright-core';
import type { TopicList } from '../../client/index.js';
import type { HttpApp } from '../http/support/http-apps.js';
import { useHttpApps } from '../http/support/http-apps.js';
import { quick } from '../support/tier.js';
import type { PageOptions } from './support/browser.js';
import { usePages } from './support/browser.js';
import { readShifts, WATCH_SHIFTS } from './support/layout-shifts.js';
import { ADMIN_TOKEN, onlyExpress } from './support/ui-apps.js';
import type { UiPage } from './support/ui-page.js';

const pages = usePages();

/** Wider than its column. */
const LONG_TOPIC = 'resize_images_of_products_that_are_sold_in_many_sizes_and_colours';

/** Every user may read, and none may act. */
const FOR_READERS = { http: { authenticate: () => ({ id: 'ben', admin: false }), readRule: 'authenticated' as const } };

/** Returns the row of a topic on the overview. */
const topicRow = (ui: UiPage, topic: string): Locator =>
  ui.page.getByRole('row').filter({ has: ui.page.getByRole('rowheader', { name: new RegExp(`^${topic}( |$)`) }) });

describe.each(onlyExpress)('pausing topics in the admin UI on $database and $adapter', ({ kind, adapterKind }) => {
  const apps = useHttpApps(kind, adapterKind);
  let app: HttpApp;

  beforeEach(async () => {
    app = await apps.listen({ handlers: { work: () => 'done', other: () => 'done' } });
  });

  async function open(path: string, options: PageOptions = {}): Promise<UiPage> {
    const ui = await pages.open(`${app.url}/admin/jobs/${path}`, { token: ADMIN_TOKEN, ...options });
    await ui.button(/^Live/).waitFor();
    return ui;
  }

  async function readPausedSince(topic: string): Promise<string | null | undefined> {
    const { body } = await app.api.get<TopicList>('/topics');
    return body.items.find((each) => each.topic === topic)?.paused_since;
  }

  /** Waits for a later job of another topic, so that a claim of the paused topic would have happened by now. */
  async function waitForOtherTopic(): Promise<void> {
    const { id } = await app.jobs.enqueue('other', 1);
    await app.jobAfter('completed', id);
  }

  quick('works by keyboard; a new job waits until resume', async () => {
    const ui = await open('');
    await topicRow(ui, 'work').getByRole('button', { name: 'Pause work' }).focus();
    await ui.page.keyboard.press('Enter');
    await ui.sees('Paused work. Its jobs wait until you resume it');
    await topicRow(ui, 'work')
      .getByText(/^paused (now|\d+ s ago)$/)
      .waitFor();
    await topicRow(ui, 'work').getByRole('button', { name: 'Resume work' }).waitFor();
    const { id } = await app.jobs.enqueue('work', 1);
    await waitForOtherTopic();
    expect(await app.job(id)).toMatchObject({ status: 'pending', attempt: 0 });

    expect(await ui.page.evaluate('document.activeElement.ariaLabel')).toBe('Resume work');
    await ui.page.keyboard.press('Enter');
    await ui.sees('Resumed work');
    expect(await app.jobAfter('completed', id)).toMatchObject({ attempt: 1 });
    await topicRow(ui, 'work').getByRole('button', { name: 'Pause work' }).waitFor();
    expect(await topicRow(ui, 'work').getByText('paused').count()).toBe(0);
  });

  it('can be undone', async () => {
    const ui = await open('');
    await topicRow(ui, 'work').getByRole('button', { name: 'Pause work' }).click();
    await ui.button('Undo').click();
    await ui.sees('Resumed work');
    await topicRow(ui, 'work').getByRole('button', { name: 'Pause work' }).waitFor();
    expect([await readPausedSince('work'), await ui.button('Undo').count()]).toEqual([null, 0]);
  });

  it('shows an error if it fails and leaves the topic unchanged', async () => {
    const ui = await open('');
    await ui.page.route('**/api/jobs/topics/pause', (route) =>
      route.fulfill({
        status: 503,
        json: { status: 503, code: 'DATABASE_UNAVAILABLE', message: 'it is away', data: {} },
      }),
    );
    await topicRow(ui, 'work').getByRole('button', { name: 'Pause work' }).click();
    await ui.sees('Database unavailable: it is away');
    await topicRow(ui, 'work').getByRole('button', { name: 'Pause work' }).waitFor();
    await ui.page.unrouteAll();
    await topicRow(ui, 'work').getByRole('button', { name: 'Pause work' }).click();
    await topicRow(ui, 'work').getByRole('button', { name: 'Resume work' }).waitFor();
  });

  it('is visible while the page is held', async () => {
    const ui = await open('');
    await topicRow(ui, 'work').waitFor();
    await ui.button(/^Live/).click();
    await ui.button(/^Paused/).waitFor();
    await topicRow(ui, 'work').getByRole('button', { name: 'Pause work' }).click();
    await topicRow(ui, 'work').getByRole('button', { name: 'Resume work' }).click();
    await topicRow(ui, 'work').getByRole('button', { name: 'Pause work' }).waitFor();
  });

  it.each([{ width: 1280 }, { width: 390 }])(
    'elsewhere is visible without moving anything, $width pixels wide',
    async ({ width }) => {
      await app.jobs.enqueue(LONG_TOPIC, 1);
      const ui = await open('', { viewport: { width, height: 860 } });
      await ui.page.locator('canvas').nth(2).waitFor();
      await topicRow(ui, LONG_TOPIC).getByText('no handler').waitFor();
      await topicRow(ui, 'work').scrollIntoViewIfNeeded();
      await ui.page.evaluate(WATCH_SHIFTS);
      await app.jobs.pause('work');
      await app.jobs.pause(LONG_TOPIC);
      await topicRow(ui, 'work').getByText('paused').waitFor();
      await topicRow(ui, LONG_TOPIC).getByText('paused').waitFor();
      expect(await topicRow(ui, LONG_TOPIC).getByText('no handler').count()).toBe(0);
      await app.jobs.resume('work');
      await app.jobs.resume(LONG_TOPIC);
      await topicRow(ui, 'work').getByText('paused').waitFor({ state: 'detached' });
      await topicRow(ui, LONG_TOPIC).getByText('no handler').waitFor();
      expect(await readShifts(ui)).toEqual([]);
    },
  );

  it('keeps the row of a resumed topic without jobs', async () => {
    await app.jobs.pause('announced');
    const ui = await open('');
    await topicRow(ui, 'announced').getByRole('button', { name: 'Resume announced' }).click();
    await topicRow(ui, 'announced').getByRole('button', { name: 'Pause announced' }).waitFor();
    expect(await topicRow(ui, 'announced').getByText('no handler').count()).toBe(0);
    expect(await readPausedSince('announced')).toBeUndefined();
    await topicRow(ui, 'announced').getByRole('button', { name: 'Pause announced' }).click();
    await topicRow(ui, 'announced').getByText('paused').waitFor();
  });

  it('keeps the table and its focus if the only topic has no jobs', async () => {
    // The new application has no handlers.
    await app.app.close();
    const idle = await apps.listen();
    await idle.jobs.pause('announced');
    const ui = await pages.open(`${idle.url}/admin/jobs/`, { token: ADMIN_TOKEN });
    await ui.button('Resume announced').focus();
    await ui.page.keyboard.press('Enter');
    await ui.button('Pause announced').waitFor();
    expect((await idle.api.get<TopicList>('/topics')).body.items).toEqual([]);
    expect(await ui.page.getByText('No jobs yet').count()).toBe(0);
    expect(await ui.page.evaluate('document.activeElement.ariaLabel')).toBe('Pause announced');
  });

  it('is shown on the page of a pending job, which can resume the topic', async () => {
    const ui = await open('');
    const { id } = await app.jobs.enqueue('unhandled', 1);
    await ui.goto(`${app.url}/admin/jobs/jobs/${id}`);
    await ui.sees('No running worker handles this topic');
    await app.jobs.pause('unhandled');
    await ui.sees('The topic was paused');
    expect(await ui.page.getByText('No running worker handles').count()).toBe(0);
    await app.jobs.resume('unhandled');
    await ui.sees('No running worker handles this topic');

    await app.jobs.pause('work');
    const waiting = await app.jobs.enqueue('work', 1);
    await ui.goto(`${app.url}/admin/jobs/jobs/${waiting.id}`);
    await ui.sees('The topic was paused');
    await ui.button('Resume topic').focus();
    await ui.page.keyboard.press('Enter');
    await ui.sees('Resumed work');
    await ui.page.locator('.timeline').getByText('Completed').waitFor();
    expect(await ui.button('Resume topic').count()).toBe(0);
    expect(await ui.page.evaluate('document.activeElement.localName')).toBe('h1');
    expect(await app.job(waiting.id)).toMatchObject({ attempt: 1 });
  });

  it('is not shown for a delayed job', async () => {
    await app.jobs.pause('work');
    const { id } = await app.jobs.enqueue('work', 1, { delay: '1h' });
    const ui = await open(`jobs/${id}`);
    await ui.page.locator('.timeline').getByText('Due').waitFor();
    expect(await ui.button('Resume topic').count()).toBe(0);
    await ui.button('Run now').click();
    await ui.sees('The topic was paused');
    await waitForOtherTopic();
    expect(await app.job(id)).toMatchObject({ status: 'pending' });
  });

  it('is visible to a user with read access, without buttons', async () => {
    const readers = await apps.listen({ options: FOR_READERS });
    await readers.jobs.pause('work');
    const { id } = await readers.jobs.enqueue('work', 1);
    const ui = await pages.open(`${readers.url}/admin/jobs/`);
    const actionButtons = ui.page.getByRole('button', { name: /^(Pause|Resume) / });
    await topicRow(ui, 'work').getByText('paused').waitFor();
    expect([await actionButtons.count(), await ui.page.getByRole('columnheader', { name: 'Actions' }).count()]).toEqual(
      [0, 0],
    );

    await ui.goto(`${readers.url}/admin/jobs/jobs/${id}`);
    await ui.sees('The topic was paused');
    expect(await actionButtons.count()).toBe(0);
  });
});
