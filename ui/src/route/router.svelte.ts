import type { Attachment } from 'svelte/attachments';
import type { Route } from './route.js';
import { readRoute, writeRoute } from './route.js';
import { ROOT_URL } from './server-facts.js';

/** The screen that the address names, and how to get to another one. */
class Router {
  route: Route = $state.raw(here());
  /** What travels with an entry of the browser's history, beside its address. */
  state: unknown = $state.raw(history.state);
  /** Names the screen; the query holds its filters. */
  #path = location.pathname;
  /** Whether the heading of the screen has yet to take the focus. */
  #isNew = false;

  constructor() {
    addEventListener('popstate', () => this.#read());
  }

  /** Goes there, as if a link were followed. */
  go(route: Route, state: unknown = null): void {
    history.pushState(state, '', hrefOf(route));
    this.#read();
    scrollTo(0, 0);
  }

  /** The same, in place of where we are: for what is typed letter by letter. */
  replace(route: Route, state: unknown = null): void {
    history.replaceState(state, '', hrefOf(route));
    this.#read();
  }

  /** Follows links inside the UI without loading the page again, unless the user opens another tab or window. */
  readonly links: Attachment<HTMLElement> = (element) => {
    const follow = (event: MouseEvent): void => {
      const link = (event.target as Element).closest('a');
      if (!link || !isPlain(event) || link.target || link.hasAttribute('download')) return;
      if (!link.href.startsWith(ROOT_URL.href)) return;
      event.preventDefault();
      if (link.href !== location.href) {
        history.pushState(null, '', link.href);
        this.#read();
        scrollTo(0, 0);
      }
    };
    element.addEventListener('click', follow);
    return () => element.removeEventListener('click', follow);
  };

  /**
   * Focuses the heading of a screen after a navigation, so that a screen reader announces the screen. A focus that the user has
   * moved into the screen meanwhile stays.
   */
  readonly heading: Attachment<HTMLElement> = (element) => {
    if (this.#isNew && !document.activeElement?.closest('main, dialog')) element.focus({ preventScroll: true });
    this.#isNew = false;
  };

  #read(): void {
    this.route = here();
    this.#isNew ||= this.#path !== location.pathname;
    this.#path = location.pathname;
    this.state = history.state;
  }
}

export const router = new Router();

/** The address of a screen, for links. */
export function hrefOf(route: Route): string {
  return new URL(writeRoute(route), ROOT_URL).href;
}

function here(): Route {
  // The root itself may come without its slash.
  const path = `${location.pathname}/`.startsWith(ROOT_URL.pathname)
    ? location.pathname.slice(ROOT_URL.pathname.length)
    : '?';
  return readRoute(path, location.search);
}

function isPlain(event: MouseEvent): boolean {
  return event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
}
