import { tick } from 'svelte';
import type { Attachment } from 'svelte/attachments';
import type { Route } from './route.js';
import { readRoute, writeRoute } from './route.js';
import { ROOT_URL } from './server-facts.js';

let keys = 0;

/** What the page stores in an entry of the browser's history. */
export interface EntryState {
  /** Names the entry, for what this page keeps of it. */
  readonly key?: string;
  /** The cursors of the pages before this one. */
  readonly trail?: readonly (string | null)[];
  /** The list from which a job was opened. Its entry is the one before. */
  readonly list?: { readonly href: string; readonly key: string };
}

/** Where the user was in an entry that they have left. */
interface Place {
  readonly scrollY: number;
  /** The address of the link that had the focus. */
  href: string | undefined;
}

/** How long a screen may take to draw what the user left. */
const RETURN_MS = 3_000;
const LIST_SCREENS: readonly Route['screen'][] = ['jobs', 'group'];

/** The screen that the address names, and how to get to another one. */
class Router {
  route: Route = $state.raw(readAddress(location));
  state: EntryState | null = $state.raw(history.state as EntryState | null);
  readonly #places = new Map<string, Place>();
  #key = this.state?.key ?? newKey();
  #returning: AbortController | undefined;
  /** Names the screen; the query holds its filters. */
  #path = location.pathname;
  /** Whether the heading of the screen has yet to take the focus. */
  #isNew = false;

  constructor() {
    history.replaceState({ ...this.state, key: this.#key }, '');
    addEventListener('popstate', () => this.#return());
    // After a reload the browser restores the scroll position.
    addEventListener('pagehide', () => (history.scrollRestoration = 'auto'));
  }

  /** Names the current entry of the history. */
  get key(): string {
    return this.#key;
  }

  /** Goes there, as if a link were followed. */
  go(route: Route, state: EntryState = {}): void {
    this.#open(toHref(route), state);
  }

  /** Replaces the current entry of the history, such as while the user types. */
  replace(route: Route, state: EntryState | null = null): void {
    history.replaceState({ ...state, key: this.#key }, '', toHref(route));
    this.#read();
  }

  /** Shows another job of the list from which this one was opened. Back then returns to the list, to the row of that job. */
  replaceJob(id: string): void {
    const list = this.state?.list;
    const place = list && this.#places.get(list.key);
    this.replace({ screen: 'job', id }, this.state);
    if (place) place.href = toHref({ screen: 'job', id });
    scrollTo(0, 0);
  }

  /**
   * Follows links inside the UI without loading the page again, unless the user opens another tab or window. A link with `data-back`
   * names the entry before this one.
   */
  readonly links: Attachment<HTMLElement> = (element) => {
    const follow = (event: MouseEvent): void => {
      const link = findLink(event);
      if (!link || !isPlain(event) || ['target', 'download'].some((name) => link.element.hasAttribute(name))) return;
      event.preventDefault();
      if (link.element.hasAttribute('data-back')) history.back();
      else if (link.href !== location.href) this.#open(link.href, {});
    };
    element.addEventListener('click', follow);
    return () => element.removeEventListener('click', follow);
  };

  /**
   * Focuses the heading of a screen after a navigation, so that a screen reader announces the screen. If the user has
   * already moved the focus into the screen, it stays there.
   */
  readonly heading: Attachment<HTMLElement> = (element) => {
    if (this.#isNew && !document.activeElement?.closest('main, dialog')) element.focus({ preventScroll: true });
    this.#isNew = false;
  };

  #open(href: string, state: EntryState): void {
    this.#leave();
    history.scrollRestoration = 'manual';
    const list = LIST_SCREENS.includes(this.route.screen) ? { href: location.href, key: this.#key } : undefined;
    this.#key = newKey();
    history.pushState({ ...state, key: this.#key, list }, '', href);
    this.#read();
    scrollTo(0, 0);
  }

  #leave(): void {
    this.#returning?.abort();
    const href = document.activeElement?.closest('a')?.getAttribute('href') ?? undefined;
    this.#places.set(this.#key, { scrollY, href });
  }

  /** Shows an entry of the history where the user left it. */
  #return(): void {
    this.#leave();
    this.#read();
    this.#key = this.state?.key ?? newKey();
    const place = this.#places.get(this.#key);
    if (place) void this.#goTo(place);
  }

  async #goTo({ scrollY: y, href }: Place): Promise<void> {
    const { signal } = (this.#returning = new AbortController());
    for (const type of ['wheel', 'keydown', 'pointerdown']) {
      addEventListener(type, () => this.#returning?.abort(), { signal, passive: true });
    }
    const end = performance.now() + RETURN_MS;
    await tick();
    while (!signal.aborted && performance.now() < end) {
      const links = document.querySelectorAll<HTMLElement>('a');
      const link = [...links].find((each) => each.getAttribute('href') === href);
      link?.focus({ preventScroll: true });
      scrollTo(0, y);
      if (Math.abs(scrollY - y) < 2 && (link || href === undefined)) break;
      await new Promise((resolve) => requestAnimationFrame(resolve));
    }
    this.#returning.abort();
  }

  #read(): void {
    this.route = readAddress(location);
    this.state = history.state as EntryState | null;
    this.#isNew ||= this.#path !== location.pathname;
    this.#path = location.pathname;
  }
}

export const router = new Router();

/** The address of a screen, for links. */
export function toHref(route: Route): string {
  return new URL(writeRoute(route), ROOT_URL).href;
}

/** The link to a screen of the UI that an event is about. It may be part of a drawing. */
export function findLink(event: Event): { readonly element: Element; readonly href: string } | null {
  const element = (event.target as Element).closest('a[href]');
  if (!element) return null;
  const { href } = new URL(element.getAttribute('href')!, location.href);
  return href.startsWith(ROOT_URL.href) ? { element, href } : null;
}

/** The screen that an address of the UI names. */
export function readAddress({ pathname, search }: URL | Location): Route {
  // The root itself may come without its slash.
  const path = `${pathname}/`.startsWith(ROOT_URL.pathname) ? pathname.slice(ROOT_URL.pathname.length) : '?';
  return readRoute(path, search);
}

function isPlain(event: MouseEvent): boolean {
  return event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
}

/** Differs from all keys that earlier loads of the page have left in the history. */
function newKey(): string {
  keys += 1;
  return `${performance.timeOrigin}-${keys}`;
}
