/* What the server writes into the page. */

/** Where the UI is, whatever is in front of it, a proxy's path too. */
export const ROOT_URL = new URL(metaContent('jobs-root', './'), location.href);

/** Where the API is. */
export const API_URL = new URL(metaContent('jobs-api', '../../api/jobs'), location.href);

/** How whoever looks becomes known: by the admin token, in a way of the application's own, or not at all. */
export const WAY_IN = metaContent('jobs-way-in', 'token') as 'token' | 'application' | 'none';

function metaContent(name: string, otherwise: string): string {
  return document.querySelector<HTMLMetaElement>(`meta[name="${name}"]`)?.content ?? otherwise;
}
