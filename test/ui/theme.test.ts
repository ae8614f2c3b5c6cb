import { useOneHttpApp } from '../http/support/http-apps.js';
import { usePages } from './support/browser.js';
import { ADMIN_TOKEN, onlyFastify } from './support/ui-apps.js';
import type { UiPage } from './support/ui-page.js';

const { kind, adapterKind } = onlyFastify[0]!;

const pages = usePages();

const LIGHT = 'rgb(246, 246, 248)';
const DARK = 'rgb(17, 18, 21)';

describe('the theme of the admin UI', () => {
  const app = useOneHttpApp(kind, adapterKind);

  const background = (ui: UiPage): Promise<string> =>
    ui.page.evaluate('getComputedStyle(document.documentElement).backgroundColor');

  async function choose(ui: UiPage, name: string): Promise<void> {
    await ui.button('Theme').click();
    await ui.button(name).click();
  }

  it('follows the system until the user chooses another, which is kept', async () => {
    const ui = await pages.open(`${app().url}/admin/jobs/`, { token: ADMIN_TOKEN, colorScheme: 'light' });
    await ui.heading('Overview').waitFor();
    expect(await background(ui)).toBe(LIGHT);
    await ui.page.emulateMedia({ colorScheme: 'dark' });
    expect(await background(ui)).toBe(DARK);

    await choose(ui, 'Light');
    expect(await background(ui)).toBe(LIGHT);
    await ui.page.reload();
    await ui.heading('Overview').waitFor();
    expect(await background(ui)).toBe(LIGHT);

    await choose(ui, 'System');
    expect(await background(ui)).toBe(DARK);
  });
});
