/**
 * @matrix all
 * @slow
 */

import { UnrecoverableError } from 'nestjs-jobs';
import { quick } from '../support/tier.js';
import { signal, until } from '../support/wait.js';
import type { HttpApp } from '../http/support/http-apps.js';
import { useHttpApps } from '../http/support/http-apps.js';
import { usePages } from './support/browser.js';
import { ADMIN_TOKEN, onlyFastify } from './support/ui-apps.js';
import type { UiPage } from './support/ui-page.js';

const pages = usePages();

describe.each(onlyFastify)('the admin UI on $database and $adapter', ({ kind, adapterKind }) => {
  const apps = useHttpApps(kind, adapterKind);
  let app: HttpApp;
  let fails = true;
  let message: string;

  beforeEach(async () => {
    fails = true;
    message = 'printer on fire';
    app = await apps.listen({
      handlers: {
        broken: () => {
          if (fails) throw new UnrecoverableError(message);
          return { pages: 3 };
        },
        retried: () => Promise.reject(new RangeError(message)),
        endless: ({ signal }) => until(() => signal.aborted, { timeoutMs: 30_000 }),
      },
    });
  });

  const open = (path: string): Promise<UiPage> => pages.open(`${app.url}/admin/jobs/${path}`, { token: ADMIN_TOKEN });

  async function enqueueFailed(payload: unknown = { orderId: 7 }): Promise<string> {
    const { id } = await app.jobs.enqueue('broken', payload);
    await app.event('failed', id);
    return id;
  }

  quick('re-queues a failed job from its row', async () => {
    const id = await enqueueFailed();
    fails = false;
    const ui = await open('jobs?status=failed');
    const seen = signal();
    await ui.page.route('**/requeue', (route) => seen.promise.then(() => route.continue()));
    await ui.action(id, 'Re-queue').click();
    await ui.row(id).locator('[aria-label="Re-queue"][aria-busy="true"]').waitFor();
    seen.resolve();
    expect(await app.jobAfter('completed', id)).toMatchObject({ status: 'completed', result: { pages: 3 } });
    await ui.sees('Re-queued broken');
  });

  it.each([
    ['en', 'Result', ['Error', 'Latest error']],
    ['zh-CN', '结果', ['错误', '最近的错误']],
  ])('shows the errors of a completed job in its timeline only (%s)', async (locale, result, headings) => {
    const id = await enqueueFailed();
    fails = false;
    await app.jobs.requeue(id);
    await app.jobAfter('completed', id);
    const ui = await pages.open(`${app.url}/admin/jobs/jobs/${id}`, { token: ADMIN_TOKEN, locale });
    await ui.page.getByRole('heading', { name: result, exact: true }).waitFor();
    await ui.page.locator('.timeline').getByText('printer on fire').waitFor();
    expect(await ui.page.getByText('printer on fire').count()).toBe(1);
    for (const name of headings) {
      expect(await ui.page.getByRole('heading', { name, exact: true }).count()).toBe(0);
    }
  });

  it('runs a delayed job now, from its row and from its page', async () => {
    fails = false;
    const ui = await open('jobs');
    const fromRow = await app.jobs.enqueue('broken', {}, { delay: '1h' });
    await ui.action(fromRow.id, 'Run now').click();
    await ui.sees('is due now');
    expect(await app.jobAfter('completed', fromRow.id)).toMatchObject({ attempt: 1 });

    const fromPage = await app.jobs.enqueue('broken', {}, { delay: '1h' });
    const page = await open(`jobs/${fromPage.id}`);
    await page.button('Run now').click();
    expect(await app.jobAfter('completed', fromPage.id)).toMatchObject({ attempt: 1 });
    await page.button('Run again …').click();
    expect(await page.dialog.getByLabel('Topic').inputValue()).toBe('broken');
    expect(await page.dialog.getByLabel('Payload').inputValue()).toBe('{}');
  });

  it('cancels a pending job from its row and undoes it', async () => {
    const { id, runAt } = await app.jobs.enqueue('later', {}, { delay: '1h' });
    const ui = await open('jobs');
    await ui.action(id, 'Cancel').click();
    await until(async () => (await app.job(id)).status === 'cancelled');
    await ui.button('Undo').click();
    await until(async () => (await app.job(id)).status === 'pending');
    expect((await app.job(id)).runAt).toEqual(runAt);
  });

  it('asks for confirmation before it stops a running job', async () => {
    const { id } = await app.jobs.enqueue('endless', {});
    await app.event('started', id);
    const ui = await open(`jobs/${id}`);
    await ui.button('Cancel').click();
    await ui.dialog.getByRole('button', { name: 'Stop job' }).click();

    expect(await app.jobAfter('cancelled', id)).toMatchObject({ status: 'cancelled' });
    await ui.page.locator('h1 + .badge', { hasText: 'cancelled' }).waitFor();
  });

  it('explains why a job does not continue', async () => {
    const { id } = await app.jobs.enqueue('unhandled', 1);
    const ui = await open(`jobs/${id}`);
    await ui.sees('No running worker handles this topic');

    const running = await app.jobs.enqueue('endless', 1);
    await app.event('started', running.id);
    await ui.goto(`${app.url}/admin/jobs/jobs/${running.id}`);
    await ui.sees('Attempt 1 is running');
    expect(await ui.page.getByRole('status').getByText('has not renewed').count()).toBe(0);
    const [response] = await Promise.all([
      ui.page.waitForResponse(`**/api/jobs/${running.id}`),
      ui.page.route(`**/api/jobs/${running.id}`, async (route) => {
        const response = await route.fetch();
        const job = (await response.json()) as object;
        await route.fulfill({ response, json: { ...job, locked_until: new Date(Date.now() - 60_000).toISOString() } });
      }),
      ui.page.reload(),
    ]);
    expect(response.status()).toBe(200);
    await ui.sees('The worker stopped responding at');

    // The page asks again every two seconds; a request after the close of the application would fail the file.
    await ui.page.unrouteAll({ behavior: 'wait' });
    // Otherwise the application would wait for the job at its close.
    await app.jobs.cancel(running.id);
    await app.event('cancelled', running.id);
  });

  quick('deletes a job after the time to undo it', async () => {
    const [kept, gone] = [await app.jobs.enqueue('later', 1), await app.jobs.enqueue('later', 2)];
    const ui = await open('jobs');
    await ui.action(kept.id, 'Delete').click();
    await ui.button('Undo').click();
    const others = await app.jobs.enqueueMany([3, 4, 5, 6].map((payload) => ({ topic: 'later', payload })));
    await ui.button(/4 new/).click();
    for (const { id } of [...others, gone]) await ui.action(id, 'Delete').click();
    for (const { id } of others) {
      const notice = ui.page.locator('.notice', { hasText: `Deleting later …${id.slice(-6)}` });
      await notice.getByRole('button', { name: 'Undo' }).click();
    }

    await until(async () => (await app.jobs.get(gone.id)) === null, { message: 'the deletion' });
    await ui.sees(`Deleted later …${gone.id.slice(-6)}`);
    await ui.row(gone.id).getByText('deleted').waitFor();
    for (const { id } of [kept, ...others]) expect(await app.jobs.get(id)).not.toBeNull();
  });

  it('keeps a job on its page that is deleted elsewhere, and fetches one again that a refusal shows as changed', async () => {
    const { id } = await app.jobs.enqueue('later', { orderId: 7 });
    const ui = await open(`jobs/${id}`);
    await ui.button(/^Live/).click();
    await ui.button(/^Paused/).waitFor();
    await app.jobs.cancel(id);
    await ui.button('Cancel').click();
    await ui.page.locator('h1 + .badge', { hasText: 'cancelled' }).waitFor();

    await app.jobs.delete(id);
    await ui.button(/^Paused/).click();
    await ui.sees('This job has been deleted.');
    await ui.sees('orderId');
    expect(await ui.button(/^(Re-queue|Cancel|Delete)/).count()).toBe(0);
  });

  quick('does not delete a job that another operator has re-queued meanwhile', async () => {
    const id = await enqueueFailed({ orderId: 7 });
    fails = false;
    const ui = await open(`jobs/${id}`);
    await ui.button('Delete').click();
    await ui.sees('Deleting');
    await app.jobs.requeue(id);
    await ui.sees(/was not deleted, because it was re-queued$/);
    expect(await app.jobs.get(id)).not.toBeNull();
  });

  it('deletes at once when the user leaves the page', async () => {
    const { id } = await app.jobs.enqueue('later', 1);
    const ui = await open('jobs');
    await ui.action(id, 'Delete').click();
    await ui.sees('Deleting later');
    await ui.page.goto('about:blank');

    await until(async () => (await app.jobs.get(id)) === null, { message: 'the deletion' });
  });

  it('deletes at once when the user signs out', async () => {
    const { id } = await app.jobs.enqueue('later', 1);
    const ui = await open('jobs');
    await ui.action(id, 'Delete').click();
    await ui.sees('Deleting later');
    await ui.button('Sign out').click();
    await ui.heading('Sign in').waitFor();
    await until(async () => (await app.jobs.get(id)) === null, { message: 'the deletion' });
  });

  it('re-queues a job with an edited payload', async () => {
    const id = await enqueueFailed({ orderId: 7, note: 'old' });
    fails = false;
    const ui = await open(`jobs/${id}`);
    await ui.button('Edit …').click();
    const field = ui.dialog.getByLabel('Payload');
    expect(JSON.parse(await field.inputValue())).toEqual({ orderId: 7, note: 'old' });

    await field.fill('{ "orderId": 8, ');
    await ui.dialog.getByText(/^Line 1:/).waitFor();
    expect(await ui.dialog.getByRole('button', { name: 'Re-queue' }).isDisabled()).toBe(true);
    await field.fill('{ "orderId": 12345678901234567890 }');
    await ui.dialog.getByText('would be rounded').waitFor();
    expect(await ui.dialog.getByRole('button', { name: 'Re-queue' }).isDisabled()).toBe(true);
    await ui.dialog.getByRole('button', { name: 'Cancel' }).click();
    await ui.button('Keep editing').click();
    await field.fill('{ "orderId": 8 }');
    await ui.page.route('**/requeue', (route) => route.abort());
    await ui.dialog.getByRole('button', { name: 'Re-queue' }).click();
    await ui.dialog.getByText('Could not reach the server').waitFor();
    expect(await field.inputValue()).toBe('{ "orderId": 8 }');
    await ui.page.unroute('**/requeue');
    await ui.dialog.getByRole('button', { name: 'Re-queue' }).click();
    expect(await app.jobAfter('completed', id)).toMatchObject({ payload: { orderId: 8 } });
  });

  it('copies a job as JSON, curl command and client call without the token', async () => {
    const { id } = await app.jobs.enqueue('later', { orderId: 7 }, { delay: '1h' });
    const ui = await open(`jobs/${id}`);
    await ui.page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    const readCopy = async (what: string): Promise<string> => {
      await ui.button('Copy').click();
      await ui.button(`Copy as ${what}`).click();
      await ui.sees(`Copied as ${what}`);
      return ui.page.evaluate('navigator.clipboard.readText()');
    };
    expect(JSON.parse(await readCopy('JSON'))).toMatchObject({ id, payload: { orderId: 7 } });
    const curl = await readCopy('curl');
    expect(curl).toMatch(/^curl -X POST 'http:.*\/api\/jobs\/enqueue'/);
    expect(curl).not.toContain(ADMIN_TOKEN);
    expect(await readCopy('client call')).toMatch(/^await jobs\.enqueue\("later", /);
  });

  quick('enqueues a job from a form that shows invalid input', async () => {
    const ui = await open('');
    await ui.button('Enqueue a job').or(ui.button('Enqueue')).click();
    await ui.dialog.getByLabel('Topic').fill('later');
    await ui.dialog.getByText('Unknown topic').waitFor();
    await ui.dialog.getByLabel('Payload').fill('{ "orderId": 7 }');
    await ui.dialog.getByLabel('Delay').fill('soon');
    await ui.dialog.getByRole('button', { name: 'Enqueue' }).click();
    const invalidInput = ui.dialog.locator('.complaint', { hasText: 'Use a duration' });
    await invalidInput.waitFor();
    expect(await invalidInput.count()).toBe(1);
    await ui.dialog.getByLabel('Delay').fill('2h');
    await ui.dialog.getByLabel('Labels').fill(' team:billing, vip ');
    await invalidInput.waitFor({ state: 'detached' });
    await ui.dialog.getByRole('button', { name: 'Enqueue' }).click();
    await ui.sees('Enqueued later');

    const [job] = (await app.jobs.list({ topic: 'later' })).items;
    expect(job).toMatchObject({ payload: { orderId: 7 }, status: 'pending', labels: ['team:billing', 'vip'] });
    expect(job!.runAt.getTime() - job!.created.getTime()).toBeGreaterThan(7_000_000);
  });

  it('explains why a button is disabled', async () => {
    const { id } = await app.jobs.enqueue('later', 1);
    const ui = await open('jobs');
    const button = ui.row(id).getByRole('button', { name: 'Run now: the job is due already' });
    expect(await button.getAttribute('aria-disabled')).toBe('true');
    // A disabled button still reacts to a click and explains why.
    await button.click({ force: true });
    await ui.sees('Run now: the job is due already');
    expect(await app.job(id)).toMatchObject({ status: 'pending' });
  });

  quick('re-queues selected jobs', async () => {
    const ids = [await enqueueFailed(1), await enqueueFailed(2), await enqueueFailed(3)];
    const ui = await open('jobs?status=failed');
    await ui.row(ids[0]!).getByRole('checkbox').check();
    await ui.row(ids[2]!).getByRole('checkbox').check();
    fails = false;
    await ui.button('Re-queue …').click();
    await ui.dialog.getByRole('button', { name: 'Re-queue 2 jobs' }).click();
    await ui.dialog.getByText('2 jobs re-queued.').waitFor();

    await app.event('completed', ids[0]);
    await app.event('completed', ids[2]);
    expect(await app.job(ids[1]!)).toMatchObject({ status: 'failed' });
  });

  it('runs all delayed jobs now', async () => {
    const { id: due } = await app.jobs.enqueue('later', 0);
    const jobs = [1, 2, 3].map((payload) => ({ topic: 'later', payload, delay: '1d' }) as const);
    await app.jobs.enqueueMany(jobs);
    const ui = await open('jobs?topic=later&due=false');
    await ui.page.getByLabel('Select all jobs of this page').check();
    await ui.button('Run now …').click();
    await ui.dialog.getByRole('button', { name: 'Run 3 jobs' }).click();
    await ui.dialog.getByText('3 jobs made due.').waitFor();

    expect(await app.jobs.list({ topic: 'later', due: false })).toMatchObject({ total: 0 });
    expect(await app.jobs.list({ topic: 'later', due: true })).toMatchObject({ total: 4 });
    await ui.page.goto(`${ui.page.url().split('?')[0]}?topic=later`);
    await ui.row(due).getByRole('checkbox').check();
    await ui.button('Cancel …').waitFor();
    expect(await ui.button('Run now …').count()).toBe(0);
    expect(await ui.button('Re-queue …').count()).toBe(0);
  });

  it('deletes all matching jobs after a typed confirmation', async () => {
    await app.jobs.enqueueMany(Array.from({ length: 60 }, (_, index) => ({ topic: 'later', payload: index })));
    const { id: other } = await app.jobs.enqueue('other', 1);
    const ui = await open('jobs?topic=later');
    await ui.page.getByLabel('Select all jobs of this page').check();
    await ui.button('Select all 60 matching jobs').click();
    await ui.button('Delete …').click();
    const confirm = ui.dialog.getByRole('button', { name: 'Delete 60 jobs' });
    expect(await confirm.isDisabled()).toBe(true);
    const { id: later } = await app.jobs.enqueue('later', 'after the count');
    await ui.dialog.getByLabel(/^Type/).fill('delete');
    await confirm.click();
    await ui.dialog.getByText('60 jobs deleted.').waitFor();

    expect(await app.jobs.list({ topic: 'later' })).toMatchObject({ total: 1, items: [{ id: later }] });
    expect(await app.job(other)).toMatchObject({ status: 'pending' });
  });

  it('re-queues ten jobs first, shows how they end, and spreads the rest over time', async () => {
    const jobs = await app.jobs.enqueueMany(
      Array.from({ length: 12 }, () => ({ topic: 'broken', payload: {} }) as const),
    );
    for (const { id } of jobs) await app.event('failed', id);
    const ui = await open('jobs?status=failed');
    await ui.page.getByLabel('Select all jobs of this page').check();
    await ui.button('Re-queue …').click();
    await ui.dialog.getByRole('row', { name: 'broken 12' }).waitFor();
    fails = false;
    await ui.dialog.getByRole('button', { name: 'Run 10 first' }).click();
    await ui.dialog.getByText('10 of 12 jobs re-queued: 10 completed').waitFor();
    expect(await ui.dialog.locator('.badge', { hasText: 'completed' }).count()).toBe(10);

    await ui.dialog.getByLabel('Pace').fill('1 a minute');
    await ui.dialog.getByText('Use a pace such as').waitFor();
    const rest = ui.dialog.getByRole('button', { name: 'Re-queue the other 2 jobs' });
    expect(await rest.isDisabled()).toBe(true);
    await ui.dialog.getByLabel('Pace').fill('1/h');
    await rest.click();
    await ui.dialog.getByText('12 jobs re-queued.').waitFor();
    await ui.dialog.getByRole('row', { name: 'broken 12 12' }).waitFor();
    const { items } = await app.jobs.list({ topic: 'broken', due: false });
    expect(items).toHaveLength(1);
    expect(items[0]!.runAt.getTime() - items[0]!.updated.getTime()).toBeGreaterThan(3_500_000);
  });

  it('cancels jobs in bulk and shows the number of skipped ones', async () => {
    const waiting = await app.jobs.enqueue('later', 1);
    const done = await enqueueFailed();
    const ui = await open('jobs');
    await ui.page.getByLabel('Select all jobs of this page').check();
    await ui.button('Cancel …').click();
    await ui.dialog.getByText('1 job skipped: already failed').waitFor();
    await ui.dialog.getByRole('button', { name: 'Cancel 1 job' }).click();
    await ui.dialog.getByText('1 job cancelled').waitFor();

    expect(await app.job(waiting.id)).toMatchObject({ status: 'cancelled' });
    expect(await app.job(done)).toMatchObject({ status: 'failed' });
  });

  it('shows why a job failed for good, its long error, and the stack of each attempt', async () => {
    message = Array.from({ length: 30 }, (_, line) => `line ${line}`).join('\n');
    const backoff = { type: 'fixed', delay: 0 } as const;
    const { id } = await app.jobs.enqueue('retried', 1, { maxRetries: 2, backoff });
    await app.event('failed', id);
    const ui = await open(`jobs/${id}`);
    await ui.sees('No retries left: 2 of 2 used');
    const error = ui.page.getByRole('region', { name: 'Error' }).locator('p.text');
    const height = async (): Promise<number> => (await error.boundingBox())!.height;
    const foldedHeight = await height();
    await ui.button('Show the whole error').click();
    await ui.button('Show less').waitFor();
    expect(await height()).toBeGreaterThan(foldedHeight * 2);

    const events = ui.page.locator('.timeline > li');
    expect(await events.locator('.title').allInnerTexts()).toEqual([
      'Failed: no retries left',
      'Attempts 1–3 failed',
      'Created',
    ]);
    const folded = events.filter({ hasText: '×3' });
    await folded.getByText('Stack trace').click();
    await folded.locator('.frames').first().waitFor();
  });

  it('links an error group to its jobs, and these to all failed jobs', async () => {
    const first = await enqueueFailed(1);
    message = 'printer on fire, and so is the fax';
    const second = await enqueueFailed(2);
    const ui = await open('errors');
    await ui.page.getByRole('link', { name: /on fire(?!,)/ }).click();
    await ui.shows([first]);
    await ui.page.reload();
    await ui.shows([first]);
    await ui.button('Error: “printer on fire”').click();
    await ui.shows([second, first]);
    expect(ui.address).toBe('/admin/jobs/jobs?status=failed&topic=broken');
  });

  quick('re-queues one job of an error group, then the rest, but not those of a similar message', async () => {
    const ids = [await enqueueFailed(1), await enqueueFailed(2)];
    message = 'printer on fire, and so is the fax';
    const other = await enqueueFailed(3);
    fails = false;
    const ui = await open('errors');
    const group = ui.page.getByRole('listitem').filter({ hasText: /on fire(?!,)/ });
    await group.getByRole('button', { name: 'Retry one' }).click();
    await group.getByText('completed. Retry the rest.').waitFor();
    await group.getByText('1 failed', { exact: true }).waitFor();
    await group.getByRole('button', { name: 'Retry the rest …' }).click();
    await ui.dialog.getByRole('button', { name: 'Re-queue 1 job' }).click();
    for (const id of ids) await app.event('completed', id);
    await ui.dialog.getByRole('button', { name: 'Close' }).click();
    await group.waitFor({ state: 'detached' });
    await ui.sees('and so is the fax');
    expect(await app.job(other)).toMatchObject({ status: 'failed', attempt: 1 });
  });
});
