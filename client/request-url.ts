/** `path` without the slashes at its ends. */
export function trimSlashes(path: string): string {
  return path.replace(/^\/+|\/+$/g, '');
}

/** Where the API is: `baseUrl` may have a path of its own, and may be empty in a page of the same origin. */
export function apiUrl(baseUrl: string, path: string): string {
  return `${baseUrl.replace(/\/+$/, '')}/${trimSlashes(path)}`;
}

/** `localhost:3000`: `fetch` would take `localhost` for a protocol, and tell of a network that does not answer. */
export function lacksProtocol(baseUrl: string): boolean {
  return /^[^/]+:(?!\/\/)/.test(baseUrl);
}

/** `?` and the members of `query`, a list as a repeated name; empty without members. */
export function queryText(query: Record<string, unknown>): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const member of Array.isArray(value) ? value : [value]) {
      params.append(name, String(member));
    }
  }
  const text = params.toString();
  return text && `?${text}`;
}
