import type { HttpExchange } from './http-exchange.js';

const SAFE_METHODS = ['GET', 'HEAD'];

/** Credentials that a browser, once it has them, adds by itself to whatever any page asks for. */
const ADDED_BY_BROWSERS = /^(basic|digest|negotiate|ntlm)\b/i;

/**
 * Whether a browser sends this on behalf of a page of another origin, with the cookies or the sign-in of somebody who
 * does not know of it. What a proxy says of the host is not asked: anybody can say that.
 */
export function isFromElsewhere({ method, headers }: HttpExchange): boolean {
  const isSignedIn = headers.cookie !== undefined || ADDED_BY_BROWSERS.test(headers.authorization ?? '');
  if (SAFE_METHODS.includes(method) || !isSignedIn) {
    return false;
  }
  const site = headers['sec-fetch-site'];
  return site === 'cross-site' || site === 'same-site' || !isOriginOf(headers.origin, hostOf(headers));
}

/** HTTP/2 has a pseudo-header in its place. */
function hostOf(headers: HttpExchange['headers']): string | undefined {
  return headers.host ?? (headers[':authority'] as string | undefined);
}

/** A request without an origin comes from no page, or from one of a browser that would name others. */
function isOriginOf(origin: string | undefined, host: string | undefined): boolean {
  return origin === undefined || (URL.canParse(origin) && new URL(origin).host === normalHost(origin, host));
}

/** Without the port that the origin's scheme leaves out. */
function normalHost(origin: string, host: string | undefined): string | undefined {
  const url = `${new URL(origin).protocol}//${host}`;
  return host !== undefined && URL.canParse(url) ? new URL(url).host : undefined;
}
