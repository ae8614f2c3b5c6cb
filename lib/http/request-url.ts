/** Path and query of a request, as it spelled them. */
export interface RequestUrl {
  /** Percent-encoded as it came. */
  readonly pathname: string;
  readonly query: URLSearchParams;
}

/**
 * Read by hand: `new URL` would resolve dots and refuse what servers are sent. A server may be sent the whole URL, as
 * proxies are; what it says of the host is not asked.
 */
export function requestUrl(url: string): RequestUrl {
  const [, pathname = '', query = ''] = /^(?:https?:\/\/[^/?#]*)?([^?#]*)(?:\?([^#]*))?/is.exec(url) ?? [];
  return { pathname, query: new URLSearchParams(query) };
}

/** A part of a path as it was meant; `undefined` when its percent signs are wrong. */
export function decodedPart(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}
