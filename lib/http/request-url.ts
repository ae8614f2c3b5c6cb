/** Path and query of a request, as it spelled them. */
export interface RequestUrl {
  /** Percent-encoded as it came. */
  readonly pathname: string;
  readonly query: URLSearchParams;
}

/** Read by hand: `new URL` would resolve dots and refuse what servers are sent. */
export function requestUrl(url: string): RequestUrl {
  const [, pathname = '', query = ''] = /^([^?#]*)(?:\?([^#]*))?/s.exec(url) ?? [];
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
