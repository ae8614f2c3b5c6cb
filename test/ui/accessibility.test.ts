/** @matrix all */

import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import type { AxeResults, RunOptions } from 'axe-core';
import { UnrecoverableError } from 'nestjs-jobs';
import { useOneHttpApp } from '../http/support/http-apps.js';
import type { PageOptions } from './support/browser.js';
import { usePages } from './support/browser.js';
import { ADMIN_TOKEN, onlyFastify } from './support/ui-apps.js';
import type { UiPage } from './support/ui-page.js';

const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const { kind, adapterKind } = onlyFastify[0]!;

/** The maximum length of a topic, without a break opportunity. */
const LONG_TOPIC = 'w'.repeat(255);

/** A time with wide texts: a Wednesday in December, and the times of all jobs are many days before it. */
const NOW = new Date('2099-12-30T22:48:58Z');

/** Both names are long, and the two zones never have the same offset. */
const [OWN_ZONE, SCHEDULE_ZONE] = ['America/Argentina/Buenos_Aires', 'America/North_Dakota/New_Salem'];

const pages = usePages();

/** The admin UI takes the time from the server's responses. */
function setDate(_: unknown, response: ServerResponse, next: () => void): void {
  response.setHeader('Date', NOW.toUTCString());
  next();
}

/**
 * Elements that may scroll, but cannot have the focus or have no name; except those of controls and links only. axe reports only those
 * that do scroll, which depends on the length of their texts.
 */
const FIND_UNNAMED_SCROLL_AREAS = `[...document.querySelectorAll('body *:not(dialog, nav, [popover], textarea, select)')]
  .filter((element) => /auto|scroll/.test(getComputedStyle(element).overflow) && element.childElementCount > 0)
  .filter((element) => element.tabIndex < 0 || !element.ariaLabel)
  .map((element) => 'may scroll without focus or name: ' + element.cloneNode().outerHTML)`;

const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

describe.each([{ width: 1280 }, { width: 320 }])(
  'axe finds no violation in the admin UI, $width pixels wide,',
  ({ width }) => {
    const app = useOneHttpApp(kind, adapterKind, {
      handlers: {
        broken: () => {
          throw new UnrecoverableError('printer on fire');
        },
        [LONG_TOPIC]: () => {
          throw new UnrecoverableError('e'.repeat(1_000));
        },
        running: async (job) => {
          await job.progress({ done: 3, of: 8 });
          job.log('begin', { file: 'a.csv', rows: 8 }, 'debug');
          job.log('w'.repeat(400));
          job.log('row 3 has no price', { row: 3 }, 'warn');
          job.log('row 4 is broken', undefined, 'error');
          await new Promise((resolve) => job.signal.addEventListener('abort', resolve));
        },
        fine: () => ({ pages: 3, nothing: null }),
      },
      before: (nest) => nest.use(setDate),
      options: {
        shutdownTimeout: 0,
        ui: {
          title: 'w'.repeat(60),
          environment: { name: 'w'.repeat(30), color: '#808080' },
          links: [{ label: 'w'.repeat(60), url: 'https://logs.example.org/{id}' }],
        },
      },
    });
    const appWithAccounts = useOneHttpApp(kind, adapterKind, {
      options: { role: 'producer', http: { authenticate: () => null }, ui: { signIn: '/login' } },
    });
    const ids: Record<string, string> = {};

    beforeAll(async () => {
      const { schedules } = app().jobs;
      await schedules.upsert('digest', '48 22 * 12 1-5', {
        topic: 'fine',
        tz: SCHEDULE_ZONE,
        startAt: NOW,
        payload: { orderId: 7 },
      });
      await schedules.upsert('paused', { every: '90m' }, { topic: 'fine' });
      await schedules.pause('paused');
      await schedules.upsert('n'.repeat(255), '*/7 9-17 1 1 1', { topic: LONG_TOPIC });
      await app().jobs.pause('paused');
      await app().jobs.limits.set('running', { concurrency: 1, perKey: 1, rate: { limit: 100, per: '1m' } });
      for (const topic of ['broken', LONG_TOPIC, 'running', 'fine', 'waiting', 'paused']) {
        ids[topic] = (
          await app().jobs.enqueue(topic, { orderId: 7, tags: ['a', true, 1.5] }, { metadata: { by: 'anna' } })
        ).id;
      }
      await app().event('failed', ids.broken);
      await app().event('failed', ids[LONG_TOPIC]);
      await app().event('completed');
      await app().event('started', ids.running);
      const cancelled = await app().jobs.enqueue('waiting', 1);
      await app().jobs.cancel(cancelled.id);
    });

    async function open(path: string, options: PageOptions = {}): Promise<UiPage> {
      const surroundings = { viewport: { width, height: 844 }, now: NOW, timezoneId: OWN_ZONE };
      return pages.open(`${app().url}/admin/jobs/${path}`, { token: ADMIN_TOKEN, ...surroundings, ...options });
    }

    /** Runs all rules in the light theme. The dark theme differs only in its colours. */
    async function findViolations(ui: UiPage): Promise<string[]> {
      await ui.page.evaluate(AXE);
      await ui.page.emulateMedia({ colorScheme: 'light' });
      const inLightTheme = await runAxe(ui, { runOnly: TAGS });
      await ui.page.emulateMedia({ colorScheme: 'dark' });
      const inDarkTheme = await runAxe(ui, { runOnly: { type: 'rule', values: ['color-contrast'] } });
      await ui.page.emulateMedia({ forcedColors: 'active' });
      const inForcedColors = await runAxe(ui, { runOnly: { type: 'rule', values: ['color-contrast'] } });
      await ui.page.emulateMedia({ forcedColors: 'none' });
      const isCutOff = await ui.page.evaluate<boolean>(
        'document.documentElement.scrollWidth > document.documentElement.clientWidth',
      );
      return [
        ...(await ui.page.evaluate<string[]>(FIND_UNNAMED_SCROLL_AREAS)),
        ...inLightTheme,
        ...inDarkTheme.map((violation) => `dark theme: ${violation}`),
        ...inForcedColors.map((violation) => `forced colours: ${violation}`),
        ...(isCutOff ? ['the page is wider than the window'] : []),
      ];
    }

    async function runAxe(ui: UiPage, options: RunOptions): Promise<string[]> {
      const results: AxeResults = await ui.page.evaluate(`axe.run(document, ${JSON.stringify(options)})`);
      return results.violations.map(
        ({ id, nodes }) => `${id}: ${nodes.map(({ html, any }) => `${html} ${any[0]?.message ?? ''}`).join('\n')}`,
      );
    }

    it('on the sign-in page', async () => {
      const ui = await open('', { token: null });
      await ui.heading('Sign in').waitFor();
      expect(await findViolations(ui)).toEqual([]);
    });

    it('on the sign-in page with a link to the sign-in page of the application', async () => {
      const ui = await pages.open(`${appWithAccounts().url}/admin/jobs/`, { viewport: { width, height: 844 } });
      await ui.page.getByRole('link', { name: 'Sign in to the application' }).waitFor();
      await ui.page.getByLabel('Bearer token').waitFor();
      await ui.button('Try again').click();
      await ui.sees('Not signed in');
      expect(await findViolations(ui)).toEqual([]);
    });

    it('on the overview, with charts and with tables', async () => {
      const ui = await open('');
      await ui.page.locator('canvas').nth(2).waitFor();
      await ui.button('Resume paused').waitFor();
      expect(await findViolations(ui)).toEqual([]);
      const table = ui.page.getByRole('button', { name: 'Table' }).first();
      while (await table.isVisible()) await table.click();
      // Scrolled, the bar at the top covers a part of what is below it.
      await ui.page.evaluate('scrollTo(0, 0)');
      expect(await findViolations(ui)).toEqual([]);
    });

    it('on the form of limits', async () => {
      const ui = await open('');
      await ui.button('Limits of running …').click();
      expect(await findViolations(ui)).toEqual([]);
      await ui.dialog.getByLabel('In any').fill('soon');
      await ui.dialog.getByRole('button', { name: 'Save' }).click();
      await ui.dialog.getByRole('alert').waitFor();
      expect(await findViolations(ui)).toEqual([]);
    });

    it('on the list, with a selection and its dialogs', async () => {
      const ui = await open('jobs?status=failed&status=pending');
      await ui.row(ids.broken!).getByRole('checkbox').check();
      expect(await findViolations(ui)).toEqual([]);
      await ui.button('Delete …').click();
      await ui.dialog.getByLabel(/^Type/).waitFor();
      expect(await findViolations(ui)).toEqual([]);
    });

    it('on the filters, which one button shows on a phone', async () => {
      const ui = await open('jobs?status=failed');
      const filters = ui.page.getByRole('group', { name: 'Status' });
      const button = ui.button('Filters (1)');
      await filters.or(button).first().waitFor();
      if (await button.isVisible()) await button.click();
      await filters.waitFor();
      expect(await findViolations(ui)).toEqual([]);
    });

    it('on an empty search result', async () => {
      const ui = await open('jobs?q=nothing');
      await ui.sees('No job matches');
      expect(await findViolations(ui)).toEqual([]);
    });

    it.each([
      ['failed', 'broken'],
      ['running', 'running'],
      ['completed', 'fine'],
      ['pending', 'waiting'],
      ['failed with a long topic', LONG_TOPIC],
    ])('on the page of a job that is %s', async (_, topic) => {
      const ui = await open(`jobs/${ids[topic]}`);
      await ui.heading(topic).waitFor();
      await ui.page.locator('.timeline').waitFor();
      if (topic === 'running') {
        await ui.page.getByRole('region', { name: 'Log lines' }).getByText('row 4 is broken').waitFor();
      }
      expect(await findViolations(ui)).toEqual([]);
    });

    it('on the page of a job with a paused topic', async () => {
      const ui = await open(`jobs/${ids.paused}`);
      await ui.button('Resume topic').waitFor();
      expect(await findViolations(ui)).toEqual([]);
    });

    it('on the errors', async () => {
      const ui = await open('errors');
      await ui.sees('printer on fire');
      expect(await findViolations(ui)).toEqual([]);
    });

    it('on the schedules, on the page of one, and in its form', async () => {
      const ui = await open('schedules');
      await ui.button('Resume paused').waitFor();
      expect(await findViolations(ui)).toEqual([]);
      await ui.page.getByRole('link', { name: 'digest', exact: true }).click();
      await ui.page.getByRole('table', { name: 'Next runs' }).waitFor();
      expect(await findViolations(ui)).toEqual([]);
      await ui.button('Edit').click();
      await ui.dialog.getByText('More options').click();
      await ui.dialog.getByRole('region', { name: 'Preview' }).getByText('Monday to Friday').waitFor();
      expect(await findViolations(ui)).toEqual([]);
      await ui.dialog.getByRole('textbox', { name: /^Pattern/ }).fill('61 * * * *');
      await ui.dialog.getByRole('button', { name: 'Save' }).click();
      await ui.dialog.getByRole('alert').waitFor();
      expect(await findViolations(ui)).toEqual([]);
    });

    it.each([
      ['', '各主题的任务（按状态）'],
      ['jobs', '任务，最新的在前'],
      ['errors', '错误'],
      ['schedules', '定时计划'],
      ['topics/running', '处理此主题的工作进程（表格）'],
      ['workers', '工作进程'],
      ['groups', '任务组'],
    ])('in Chinese, on /%s', async (path, name) => {
      const ui = await open(path, { locale: 'zh-CN' });
      const place = ui.page.getByRole('heading', { name }).or(ui.page.getByRole('table', { name }));
      await place.or(ui.page.getByRole('region', { name })).first().waitFor();
      await ui.page.locator('.skeleton').first().waitFor({ state: 'detached' });
      expect(await findViolations(ui)).toEqual([]);
    });

    it('in Chinese, on the page of a schedule and in its form', async () => {
      const ui = await open('schedules/digest', { locale: 'zh-CN' });
      await ui.page.getByRole('table', { name: '接下来的执行' }).waitFor();
      expect(await findViolations(ui)).toEqual([]);
      await ui.button('编辑…').click();
      await ui.dialog.getByText('更多选项').click();
      await ui.dialog.getByRole('table', { name: '接下来的执行' }).waitFor();
      expect(await findViolations(ui)).toEqual([]);
    });

    it('on the workers', async () => {
      const ui = await open(`workers?worker=gone`);
      await ui.page.getByText('live', { exact: true }).waitFor();
      expect(await findViolations(ui)).toEqual([]);
    });

    it('on the groups, on the page of one, and on the page of a job with its graph', async () => {
      const { id, jobs } = await app().jobs.enqueueGroup(
        [
          { ref: 'a', topic: 'waiting', payload: 1 },
          { topic: LONG_TOPIC.slice(1), payload: 1, dependsOn: ['a', ids.fine!] },
        ],
        { name: 'n'.repeat(255), onFinish: { topic: LONG_TOPIC.slice(1), payload: 1 } },
      );
      const ui = await open('groups');
      await ui.page.getByText('0 of 2 ended').first().waitFor();
      expect(await findViolations(ui)).toEqual([]);
      await ui.goto(`${app().url}/admin/jobs/groups/${id}?status=pending`);
      await ui.row(jobs[0]!.id).waitFor();
      expect(await findViolations(ui)).toEqual([]);
      await ui.goto(`${app().url}/admin/jobs/jobs/${jobs[1]!.id}`);
      await ui.page.getByRole('group', { name: /^Graph/ }).waitFor();
      expect(await findViolations(ui)).toEqual([]);
      await ui.button('List').click();
      expect(await findViolations(ui)).toEqual([]);
    });

    it('in forms, in the list of keys, in menus and in messages', async () => {
      const ui = await open(`jobs/${ids.broken}`);
      await ui.button('Edit …').click();
      await ui.dialog.getByLabel('Payload').fill('{');
      expect(await findViolations(ui)).toEqual([]);
      await ui.page.keyboard.press('Escape');
      await ui.heading('Discard your changes?').waitFor();
      expect(await findViolations(ui)).toEqual([]);
      await ui.button('Discard').click();
      await ui.button('Enqueue a job').click();
      await ui.dialog.getByLabel('Topic').waitFor();
      expect(await findViolations(ui)).toEqual([]);
      await ui.page.keyboard.press('Escape');
      await ui.page.keyboard.press('?');
      await ui.heading('Keyboard shortcuts').waitFor();
      expect(await findViolations(ui)).toEqual([]);
      await ui.page.keyboard.press('Escape');
      await ui.button('Copy').click();
      expect(await findViolations(ui)).toEqual([]);
    });
  },
);
