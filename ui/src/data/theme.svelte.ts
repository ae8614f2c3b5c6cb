import { browserStorage } from './storage.js';

export const THEMES = ['system', 'light', 'dark'] as const;
export type ThemeName = (typeof THEMES)[number];

/** Which colours are used. The file theme.js has set the attribute before, from the same storage. */
class Theme {
  name: ThemeName = $state(THEMES.find((name) => name === browserStorage.get('theme')) ?? 'system');
  /** Counts up whenever the colours change: canvases must be drawn again. */
  version = $state(0);

  constructor() {
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => (this.version += 1));
  }

  choose(name: ThemeName): void {
    this.name = name;
    browserStorage.set('theme', name === 'system' ? null : name);
    if (name === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    this.version += 1;
  }
}

export const theme = new Theme();
