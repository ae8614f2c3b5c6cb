import type { HttpUser } from 'nestjs-jobs';

export interface AnyRequest {
  readonly headers: Readonly<Record<string, string | undefined>>;
}

/** The name of a user comes from a header. `ada` is an administrator. */
export function authenticate({ headers }: AnyRequest): HttpUser | null {
  const id = headers['x-user'];
  return id === undefined ? null : { id, admin: id === 'ada' };
}

/** Options of a request by this user. */
export function by(user?: string): { headers: Record<string, string> } {
  return { headers: user ? { 'X-User': user } : {} };
}
