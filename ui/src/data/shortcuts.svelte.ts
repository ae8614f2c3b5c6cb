import { untrack } from 'svelte';
import { browserStorage } from './storage.js';

/** What a key does on the screen that is shown. */
export interface Shortcut {
  readonly key: string;
  /** In the current language. */
  readonly meaning: () => string;
  readonly run: () => void;
}

/** Single keys. They can be switched off: with speech input, and for some hands, they are in the way. */
class Shortcuts {
  isOn = $state(browserStorage.get('shortcuts') !== 'off');
  list: Shortcut[] = $state.raw([]);

  constructor() {
    addEventListener('keydown', (event) => this.#press(event));
  }

  toggle(isOn: boolean): void {
    this.isOn = isOn;
    browserStorage.set('shortcuts', isOn ? null : 'off');
  }

  /** Adds some, for as long as a screen is shown. @returns what removes them */
  add(...added: Shortcut[]): () => void {
    const before = untrack(() => this.list);
    this.list = [...before, ...added];
    return () => {
      this.list = this.list.filter((each) => !added.includes(each));
    };
  }

  #press(event: KeyboardEvent): void {
    if (!this.isOn || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const target = event.target as HTMLElement;
    if (target.closest('input:not([type=checkbox]), textarea, select, [contenteditable], dialog, [popover]')) return;
    if (document.querySelector('dialog:modal')) return;
    const shortcut = this.list.findLast(({ key }) => key === event.key);
    if (!shortcut) return;
    event.preventDefault();
    shortcut.run();
  }
}

export const shortcuts = new Shortcuts();
