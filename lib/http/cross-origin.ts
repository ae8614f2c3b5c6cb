import type { IncomingHttpHeaders } from 'node:http';
import type { HttpRequest } from './http-adapter.js';

const SAFE_METHODS = ['GET', 'HEAD'];

/** Credentials that a browser remembers and adds to requests of any page. */
const ADDED_BY_BROWSERS = /^(basic|digest|negotiate|ntlm)\b/i;

/**
 * Whether a browser sends a change for a page of another origin, with the user's cookies or remembered sign-in. Ignores
 * `X-Forwarded-Host`, because any client can send it.
 */
export function isCrossOrigin({ method, headers }: Pick<HttpRequest, 'method' | 'headers'>): boolean {
  const isSignedIn = headers.cookie !== undefined || ADDED_BY_BROWSERS.test(headers.authorization ?? '');
  if (SAFE_METHODS.includes(method) || !isSignedIn) {
    return false;
  }
  const site = headers['sec-fetch-site'];
  return site === 'cross-site' || site === 'same-site' || !isSameOrigin(headers.origin, readHost(headers));
}

/** HTTP/2 has a pseudo-header instead of `host`. */
function readHost(headers: IncomingHttpHeaders): string | undefined {
  return headers.host ?? (headers[':authority'] as string | undefined);
}

/** Browsers send `Origin` with every change of another origin. A request without it comes from the same origin, or from no browser. */
function isSameOrigin(origin: string | undefined, host: string | undefined): boolean {
  return origin === undefined || (URL.canParse(origin) && new URL(origin).host === normalizeHost(origin, host));
}

/** Removes the default port of the origin's scheme. */
function normalizeHost(origin: string, host: string | undefined): string | undefined {
  const url = `${new URL(origin).protocol}//${host}`;
  return host !== undefined && URL.canParse(url) ? new URL(url).host : undefined;
}
