/**
 * @matrix all
 * @slow
 */

import type { ExecutionContext } from '@nestjs/common';
import { Controller, ForbiddenException, Get, Header, Query, UnauthorizedException } from '@nestjs/common';
import { quick } from '../support/tier.js';
import { until } from '../support/wait.js';
import { useHttpApps } from '../http/support/http-apps.js';
import { usePages } from './support/browser.js';
import { ADMIN_TOKEN, onlyExpress } from './support/ui-apps.js';
import type { UiPage } from './support/ui-page.js';

const pages = usePages();

const readStoredToken = (ui: UiPage): Promise<string | null> =>
  ui.page.evaluate("sessionStorage.getItem('nestjs-jobs:token')");

async function signIn(ui: UiPage, token: string, label = 'Admin token'): Promise<void> {
  await ui.page.getByLabel(label).fill(token);
  await ui.button('Sign in').click();
}

/** Signs in with a bearer token of the application. Opens the form if it is closed. */
async function signInToApplication(ui: UiPage, token: string): Promise<void> {
  const summary = ui.page.getByText('Sign in with a bearer token instead');
  await summary.waitFor();
  if (!(await ui.page.getByLabel('Bearer token').isVisible())) await summary.click();
  await signIn(ui, token, 'Bearer token');
}

const byCookie = ({ headers }: { headers: Record<string, string> }) =>
  headers.cookie?.includes('sid=anna') ? { id: 'anna', admin: true } : null;

/** A sign-in page of an application: it sets the cookie and links back. */
@Controller('login')
class LoginController {
  @Get()
  @Header('Set-Cookie', 'sid=anna; Path=/; HttpOnly')
  @Header('Content-Type', 'text/html')
  show(@Query('return') address: string): string {
    return `<a href="${address}">Continue</a>`;
  }
}

const loginPage = { controllers: [LoginController] };

describe.each(onlyExpress)('the session of the admin UI on $database and $adapter', ({ kind, adapterKind }) => {
  const apps = useHttpApps(kind, adapterKind);

  /** Starts an application where everybody is signed in until `endSession`, and only `another` is valid afterwards. */
  async function listenWithSession() {
    let isOpen = true;
    const authenticate = ({ headers }: { headers: Record<string, string> }) =>
      isOpen || headers.authorization === 'Bearer another' ? { id: 'anna', admin: true } : null;
    const app = await apps.listen({ options: { http: { authenticate } } });
    return { app, endSession: () => (isOpen = false) };
  }

  quick('starts with the admin token, which is not stored by default', async () => {
    const app = await apps.listen();
    const { id } = await app.jobs.enqueue('later', 1);
    const ui = await pages.open(`${app.url}/admin/jobs/jobs`);
    await signIn(ui, 'a wrong one'.replaceAll(' ', '-'));
    await ui.sees('Wrong token. Check JOBS_ADMIN_TOKEN or http.adminToken.');
    expect(await ui.ids()).toEqual([]);

    await signIn(ui, ADMIN_TOKEN);
    await ui.shows([id]);
    expect(await readStoredToken(ui)).toBeNull();
    expect(await ui.page.evaluate('JSON.stringify(localStorage) + document.cookie + location.href')).not.toContain(
      ADMIN_TOKEN,
    );
    await ui.page.reload();
    await ui.heading('Sign in').waitFor();
  });

  it('lasts until the tab closes or the user signs out in any tab, if the user keeps the token', async () => {
    const app = await apps.listen();
    const ui = await pages.open(`${app.url}/admin/jobs/`);
    await ui.page.getByLabel('Stay signed in on this tab').check();
    await signIn(ui, ADMIN_TOKEN);
    await ui.heading('Overview').waitFor();
    await ui.page.reload();
    await ui.heading('Overview').waitFor();

    const opened = ui.page.context().waitForEvent('page');
    await ui.page.getByRole('link', { name: 'Jobs', exact: true }).click({ modifiers: ['ControlOrMeta'] });
    const tab = await opened;
    await tab.getByRole('heading', { name: 'Jobs', exact: true }).waitFor();
    await ui.button(/^Enqueue a job$/).click();
    await ui.dialog.getByLabel('Payload').fill('"a secret"');
    await tab.getByRole('button', { name: 'Sign out' }).click();
    await tab.getByRole('heading', { name: 'Sign in' }).waitFor();
    await ui.heading('Sign in').waitFor();
    expect(await readStoredToken(ui)).toBeNull();
    expect(await ui.page.getByRole('dialog').count()).toBe(0);
  });

  it('extends to a tab that the user opens from it, and to no other', async () => {
    const app = await apps.listen();
    const { id } = await app.jobs.enqueue('later', 1);
    const ui = await pages.open(`${app.url}/admin/jobs/jobs`);
    await signIn(ui, ADMIN_TOKEN);
    const opened = ui.page.context().waitForEvent('page');
    await ui
      .row(id)
      .getByRole('link')
      .click({ modifiers: ['ControlOrMeta'] });
    const tab = await opened;
    await tab.getByRole('heading', { name: 'later' }).waitFor();
    expect(tab.url()).toBe(`${app.url}/admin/jobs/jobs/${id}`);
    expect(await tab.evaluate('JSON.stringify([sessionStorage, localStorage])')).not.toContain(ADMIN_TOKEN);
    expect(await ui.row(id).getByRole('link').getAttribute('href')).toBe(tab.url());

    const other = await ui.page.context().newPage();
    await other.goto(`${app.url}/admin/jobs/jobs/${id}#tab=guessed`);
    await other.getByRole('heading', { name: 'Sign in' }).waitFor();
  });

  quick('that expires continues where it was after a new sign-in', async () => {
    const { app, endSession } = await listenWithSession();
    const { id } = await app.jobs.enqueue('later', 1);
    const ui = await pages.open(`${app.url}/admin/jobs/jobs?topic=later`);
    await ui.row(id).getByRole('checkbox').check();
    endSession();
    // As an event: live updates may notice the end first and open the dialog.
    await ui.action(id, 'Cancel').dispatchEvent('click');
    await ui.heading('Your session has ended').waitFor();
    expect(await app.job(id)).toMatchObject({ status: 'pending' });
    await ui.page.keyboard.press('Escape');
    await ui.page.keyboard.press('Escape');
    await ui.heading('Your session has ended').waitFor();

    await signInToApplication(ui, 'another');
    await ui.dialog.waitFor({ state: 'detached' });
    expect(ui.address).toBe('/admin/jobs/jobs?topic=later');
    expect(await ui.row(id).getByRole('checkbox').isChecked()).toBe(true);
    await ui.action(id, 'Cancel').click();
    await until(async () => (await app.job(id)).status === 'cancelled');
  });

  it('that expires on the page of a job leaves the page unchanged', async () => {
    const { app, endSession } = await listenWithSession();
    const { id } = await app.jobs.enqueue('later', 1, { delay: '1h' });
    const ui = await pages.open(`${app.url}/admin/jobs/jobs/${id}`);
    await ui.page.getByRole('heading', { name: 'Payload' }).waitFor();
    await ui.page.evaluate("document.querySelector('#payload-title').dataset.seen = 'before'");
    endSession();
    await ui.button('Cancel').dispatchEvent('click');
    await ui.heading('Your session has ended').waitFor();
    await signInToApplication(ui, 'another');
    await ui.dialog.waitFor({ state: 'detached' });
    expect(await ui.page.locator('[data-seen=before]').count()).toBe(1);
  });

  it('is the one of the application if it has authenticate', async () => {
    const app = await apps.listen({
      options: {
        http: {
          authenticate: byCookie,
        },
      },
    });
    await app.jobs.enqueue('later', 1);
    const ui = await pages.open(`${app.url}/admin/jobs/`);
    await ui.heading('Sign in').waitFor();
    expect(await ui.page.getByText('JOBS_ADMIN_TOKEN').count()).toBe(0);
    await ui.button('Try again').click();
    await ui.sees('Not signed in: credentials are missing or wrong');
    await ui.page.evaluate("document.cookie = 'sid=anna; path=/'");
    await ui.button('Try again').click();
    await ui.heading('Overview').waitFor();
  });

  it('starts at the sign-in page of the application, which returns to the same page', async () => {
    const app = await apps.listen({
      ...loginPage,
      options: { http: { authenticate: byCookie }, ui: { signIn: '/login' } },
    });
    const { id } = await app.jobs.enqueue('later', 1, { delay: '1h' });
    const ui = await pages.open(`${app.url}/admin/jobs/jobs?topic=later`);
    const link = ui.page.getByRole('link', { name: 'Sign in to the application' });
    await link.focus();
    await ui.page.keyboard.press('Enter');
    await ui.page.getByRole('link', { name: 'Continue' }).click();
    await ui.shows([id]);
    expect(ui.address).toBe('/admin/jobs/jobs?topic=later');
  });

  it('leads to a sign-in page of another origin with the full URL of the page', async () => {
    const signIn = 'https://sso.example.com/start?app=shop';
    const app = await apps.listen({ options: { http: { authenticate: byCookie }, ui: { signIn } } });
    const ui = await pages.open(`${app.url}/admin/jobs/errors`);
    const link = ui.page.getByRole('link', { name: 'Sign in to the application' });
    const page = encodeURIComponent(`${app.url}/admin/jobs/errors`);
    expect(await link.getAttribute('href')).toBe(`${signIn}&return=${page}`);
  });

  it('that expires leads to the sign-in page in a new tab and continues where it was', async () => {
    const options = { http: { authenticate: byCookie }, ui: { signIn: '/login' } };
    const app = await apps.listen({ ...loginPage, options });
    const { id } = await app.jobs.enqueue('later', 1, { delay: '1h' });
    const ui = await pages.open(`${app.url}/login?return=${encodeURIComponent('/admin/jobs/jobs')}`);
    await ui.page.getByRole('link', { name: 'Continue' }).click();
    await ui.row(id).getByRole('checkbox').check();
    // Live updates would find out before the click.
    await ui.button(/^Live/).click();
    await ui.page.context().clearCookies();
    await ui.action(id, 'Cancel').click();
    await ui.heading('Your session has ended').waitFor();
    const opened = ui.page.context().waitForEvent('page');
    await ui.dialog.getByRole('link', { name: 'Sign in to the application (new tab)' }).click();
    const tab = await opened;
    await tab.getByRole('link', { name: 'Continue' }).waitFor();
    await ui.dialog.getByRole('button', { name: 'Try again' }).click();
    await ui.dialog.waitFor({ state: 'detached' });
    expect(await ui.row(id).getByRole('checkbox').isChecked()).toBe(true);
  });

  it('offers the token field at once if the browser has no cookie, and on request otherwise', async () => {
    const authenticate = ({ headers }: { headers: Record<string, string> }) =>
      headers.authorization === 'Bearer of-anna' ? { id: 'anna', admin: true } : null;
    const app = await apps.listen({ options: { http: { authenticate } } });
    const ui = await pages.open(`${app.url}/admin/jobs/`);
    const field = ui.page.getByLabel('Bearer token');
    await until(() => ui.page.evaluate<boolean>("document.activeElement.name === 'token'"));

    await ui.page.context().addCookies([{ name: 'sid', value: 'expired', url: app.url, httpOnly: true }]);
    await ui.page.reload();
    await ui.page.getByText('Sign in with a bearer token instead').waitFor();
    expect(await field.isVisible()).toBe(false);
    await ui.page.keyboard.press('Tab');
    await signInToApplication(ui, 'of-anna');
    await ui.heading('Overview').waitFor();
  });

  it("shows the text of the application's guard that rejects the user", async () => {
    const adminGuard = {
      canActivate: (context: ExecutionContext) => {
        const { authorization } = context.switchToHttp().getRequest<{ headers: Record<string, string> }>().headers;
        if (authorization === 'Bearer of-anna') return true;
        if (authorization === undefined) throw new ForbiddenException('<b>operators</b> only');
        throw new UnauthorizedException('the token has expired');
      },
    };
    const app = await apps.listen({ options: { http: { adminGuard } } });
    const ui = await pages.open(`${app.url}/admin/jobs/`);
    await ui.sees('Not allowed: <b>operators</b> only');
    await signIn(ui, 'expired', 'Bearer token');
    await ui.sees('Not signed in: the token has expired');
    await signIn(ui, 'of-anna', 'Bearer token');
    await ui.heading('Overview').waitFor();
  });

  it('cannot start if the options configure no access', async () => {
    const app = await apps.listen({ options: { http: { adminToken: '' } } });
    const ui = await pages.open(`${app.url}/admin/jobs/`);
    await ui.sees('No sign-in is configured');
    expect(await ui.page.locator('main input, main button').count()).toBe(0);
  });

  it('shows only what the caller may do', async () => {
    const app = await apps.listen({
      options: { http: { authenticate: () => ({ id: 'ben', admin: false }), enqueueRule: 'authenticated' } },
      handlers: { later: () => undefined },
    });
    const ui = await pages.open(`${app.url}/admin/jobs/jobs`);
    await ui.heading('No jobs to show').waitFor();
    expect(await ui.page.getByRole('link', { name: 'Errors' }).count()).toBe(0);
    await ui.button('Enqueue a job').click();
    await ui.dialog.getByLabel('Topic').fill('later');
    await ui.dialog.getByLabel('Payload').fill('1');
    await ui.dialog.getByRole('button', { name: 'Enqueue' }).click();
    await until(async () => (await app.jobs.list({ topic: 'later' })).total === 1);
  });

  it('leaves no data to the next user after the sign-out', async () => {
    const users: Record<string, { id: string; admin: boolean }> = {
      'Bearer anna': { id: 'anna', admin: true },
      'Bearer ben': { id: 'ben', admin: false },
    };
    const authenticate = ({ headers }: { headers: Record<string, string> }) =>
      users[headers.authorization ?? ''] ?? null;
    const app = await apps.listen({ options: { http: { authenticate, enqueueRule: 'authenticated' } } });
    await app.jobs.enqueue('secret', 1, { delay: '1h' });
    const ui = await pages.open(`${app.url}/admin/jobs`);
    const secret = ui.page.locator('datalist option[value="secret"]');
    await signInToApplication(ui, 'anna');
    await ui.button(/^Enqueue a job$/).click();
    await secret.waitFor({ state: 'attached' });
    await ui.page.keyboard.press('Escape');
    await ui.button('Sign out').click();
    await signInToApplication(ui, 'ben');
    await ui.heading('No jobs to show').waitFor();
    await ui.button(/^Enqueue a job$/).click();
    await ui.dialog.getByLabel('Topic').waitFor();
    expect(await secret.count()).toBe(0);
  });

  quick('of a user with read access shows jobs and no actions', async () => {
    const app = await apps.listen({
      options: {
        http: { authenticate: () => ({ id: 'ben', admin: false }), readRule: 'authenticated' },
        maxRetries: 0,
      },
      handlers: { work: () => Promise.reject(new Error('failed here')) },
    });
    const { id } = await app.jobs.enqueue('work', { seen: true });
    await app.jobAfter('failed', id);
    const ui = await pages.open(`${app.url}/admin/jobs/jobs`);
    await ui.shows([id]);
    const actionButtons = ui.page.getByRole('button', { name: /Enqueue|Re-queue|Run now|Cancel|Delete|Edit/ });
    expect([await actionButtons.count(), await ui.row(id).getByRole('checkbox').count()]).toEqual([0, 0]);
    await ui.page.keyboard.press('?');
    await ui.dialog.getByText('open the job').waitFor();
    expect(await ui.dialog.getByText(/re-queue|select/).count()).toBe(0);
    await ui.page.keyboard.press('Escape');

    await ui.row(id).getByRole('link').click();
    await ui.sees('failed here');
    await ui.button('Copy').click();
    expect(await ui.page.getByRole('button', { name: /^Copy as/ }).allTextContents()).toEqual(['Copy as JSON']);
    expect(await actionButtons.count()).toBe(0);
    await ui.page.getByRole('link', { name: 'Errors' }).click();
    await ui.page.getByRole('link', { name: 'failed here' }).waitFor();
    expect(await actionButtons.count()).toBe(0);

    await ui.page.getByRole('link', { name: 'Jobs', exact: true }).click();
    await ui.shows([id]);
    await app.jobs.enqueue('later', 1, { delay: '1h' });
    await ui.button('1 new').waitFor();
  });

  it('without a response shows what to do and can retry', async () => {
    const app = await apps.listen();
    const ui = await pages.open('about:blank', { token: ADMIN_TOKEN });
    await ui.page.route('**/api/jobs/**', (route) => route.abort());
    await ui.goto(`${app.url}/admin/jobs/`);
    await ui.sees('Check that the application is running');
    await ui.page.unroute('**/api/jobs/**');
    await ui.button('Try again').click();
    await ui.heading('Overview').waitFor();
  });
});
