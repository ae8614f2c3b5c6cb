/* Facts that the server writes into the page. */

/** The root URL of the UI. It includes the path of a proxy. */
export const ROOT_URL = new URL(metaContent('jobs-root', './'), location.href);

/** The root URL of the API. */
export const API_URL = new URL(metaContent('jobs-api', '../../api/jobs'), location.href);

/** How the API identifies callers: by the admin token, by the application's own guard or function, or not at all. */
export const AUTH_MODE = metaContent('jobs-auth', 'token') as 'token' | 'application' | 'none';

/** Whether the browser sent a cookie with the request for this page. The page cannot see HttpOnly cookies. */
export const HAS_COOKIE = metaContent('jobs-cookie', 'no') === 'yes';

/** The option `ui.title`; empty if it is not set. */
export const APP_TITLE = metaContent('jobs-title', '');

/** The option `ui.environment`; its name is empty if it is not set. The colour is `#rrggbb`. */
export const ENVIRONMENT = { name: metaContent('jobs-environment', ''), color: metaContent('jobs-color', '') };

/** The option `ui.links`. */
export const LINKS = JSON.parse(metaContent('jobs-links', '[]')) as readonly { label: string; url: string }[];

/** The option `ui.signIn`; empty if it is not set. */
const SIGN_IN = metaContent('jobs-sign-in', '');

/**
 * Returns the address of the application's sign-in page, or `null` if there is none. `return` is the current page: its path for a
 * sign-in page of this origin, its URL for another one.
 */
export function getSignInUrl(): string | null {
  if (SIGN_IN === '') return null;
  const url = new URL(SIGN_IN, location.href);
  const isSameOrigin = url.origin === location.origin;
  url.searchParams.set('return', isSameOrigin ? location.pathname + location.search : location.href);
  return url.href;
}

function metaContent(name: string, otherwise: string): string {
  return document.querySelector<HTMLMetaElement>(`meta[name="${name}"]`)?.content ?? otherwise;
}
